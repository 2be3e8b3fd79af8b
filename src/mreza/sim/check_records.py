"""What a node holds only ever gets newer, ends in time, and is all that its routes are made of."""

from __future__ import annotations

from mreza.ids import NodeId, boot_of
from mreza.records.database import Database, Rank, Slot
from mreza.records.lifetime import lifetime_s
from mreza.sim.checker import CheckFailed, Sampled
from mreza.sim.ledger import Ledger
from mreza.sim.node import SimNode
from mreza.sim.world import World
from mreza.wire.records import LINKS, RecordKind

LATE_S = 2.0
"How long after its end a record may still be held: nodes look when they have a turn."
_Edges = frozenset[NodeId]


class Newest(Sampled):
    """A process never goes back to an older record of a slot, and holds none beyond its time."""

    name = "newest"

    def __init__(self, _world: World, _ledger: Ledger) -> None:
        super().__init__()
        self._held: dict[str, tuple[int, dict[Slot, Rank]]] = {}

    def look(self, world: World) -> None:
        for node in world.living():
            if node.frozen:
                continue
            ranks = self._in_time(world, node)
            life, before = self._held.get(node.name, (0, {}))
            if life == node.life:
                self._is_newer(node, before, ranks)
            self._held[node.name] = (node.life, ranks)

    def _in_time(self, world: World, node: SimNode) -> dict[Slot, Rank]:
        ranks: dict[Slot, Rank] = {}
        database, now = node.core.control.database, node.clock.monotonic()
        keeps_time = node.undisturbed_since <= world.now - LATE_S
        for record, rank in database.ranks():
            ranks[record.slot] = rank
            lives_s = lifetime_s(record.kind, config=world.config.records)
            if keeps_time and lives_s is not None and record.origin != node.id:
                age_s = database.aged(record, now=now).age_s
                if age_s > lives_s + LATE_S:
                    raise CheckFailed(
                        f"{node.name} holds a record of kind {record.kind} of "
                        f"{_name(world, record.origin)} for {age_s:.1f} s; it lives {lives_s:g} s"
                    )
        return ranks

    @staticmethod
    def _is_newer(node: SimNode, before: dict[Slot, Rank], after: dict[Slot, Rank]) -> None:
        for slot, rank in after.items():
            old = before.get(slot)
            if old is not None and rank < old:
                raise CheckFailed(
                    f"{node.name} went back from version {boot_of(old[0])}.{old[1]} of a record "
                    f"of kind {slot[1]} of {_name(node.world, slot[0])} to "
                    f"{boot_of(rank[0])}.{rank[1]}"
                )


class Edges(Sampled):
    """Routes are computed over links that both ends have signed, and over no others."""

    name = "edges"
    every_s = 2.0

    def __init__(self, _world: World, _ledger: Ledger) -> None:
        super().__init__()
        self._decoded: dict[bytes, _Edges] = {}

    def look(self, world: World) -> None:
        for node in world.living():
            control = node.core.control
            for one, neighbors in control.computation.graph.weights.items():
                for other in neighbors:
                    if not self._signed(control.database, one, other):
                        raise CheckFailed(
                            f"{node.name} has an edge from {_name(world, one)} to "
                            f"{_name(world, other)}, which {_name(world, one)} has not signed"
                        )

    def _signed(self, database: Database, origin: NodeId, peer: NodeId) -> bool:
        rank = database.rank_of((origin, RecordKind.LINKS, b""))
        record = database.get(origin, RecordKind.LINKS)
        if rank is None or record is None:
            return False
        peers = self._decoded.get(rank[2])
        if peers is None:
            links = LINKS.decode(record.body).links
            peers = self._decoded[rank[2]] = frozenset(entry.peer for entry in links)
        return peer in peers


class Rest:
    """When programs have been quiet for long enough, nothing is left of what they did."""

    name = "rest"

    def __init__(self, _world: World, _ledger: Ledger) -> None:
        pass

    def step(self, world: World) -> None:
        """Nothing: programs are at work."""

    def finish(self, world: World) -> None:
        for node in world.living():
            stats = node.core.service.stats
            for what, count in (
                ("calls without an outcome", stats["calls_in_flight"]),
                ("runs of handlers", stats["work_running"]),
                ("requests in line", stats["work_waiting"]),
                ("bytes in outboxes", node.core.data.waiting()),
            ):
                if count:
                    raise CheckFailed(f"{node.name} still has {count} {what}; expected: none")


def _name(world: World, node: NodeId) -> str:
    return next((one.name for one in world.nodes.values() if one.id == node), node.short)
