"""Envelopes lose a hop on each link; routes of nodes that know the same have no circles."""

from __future__ import annotations

from mreza.ids import NodeId
from mreza.sim.checker import CheckFailed, Sampled
from mreza.sim.ledger import Ledger
from mreza.sim.link import Way
from mreza.sim.node import SimNode
from mreza.sim.world import World
from mreza.wire.envelope import HOP_LIMIT, decode_envelope
from mreza.wire.frame import FrameType

REMEMBERED = 20_000
"Envelopes whose way is remembered: those of the last seconds."

_Key = tuple[NodeId, int, int]


class Hops:
    """A relay passes an envelope on with a lower hop limit than it had, and never above the first.

    So no envelope is on more than HOP_LIMIT links, whatever the routes.
    """

    name = "hops"

    def __init__(self, world: World, ledger: Ledger) -> None:
        self._ledger = ledger
        self._arrived: dict[_Key, dict[NodeId, int]] = {}
        "Of each envelope: the hop limit with which it came to each node."
        self._failed: str | None = None
        world.taps.append(self._hear)

    def step(self, world: World) -> None:  # noqa: ARG002 - a checker's input
        if self._failed is not None:
            raise CheckFailed(self._failed)

    def finish(self, world: World) -> None:
        self.step(world)

    def _hear(self, way: Way, kind: int, body: bytes) -> None:
        if kind != FrameType.ENVELOPE:
            return
        envelope = decode_envelope(body)
        key = (envelope.source, envelope.session_id, envelope.counter)
        limit, sender, target = envelope.hop_limit, way.source, way.target.id
        arrived = self._arrived.get(key)
        if arrived is None:
            arrived = self._arrived[key] = {}
            if len(self._arrived) > REMEMBERED:
                del self._arrived[next(iter(self._arrived))]
        if sender.id != envelope.source:
            before = arrived.get(sender.id)
            if before is not None and limit >= before:
                self._failed = (
                    f"{sender.name} passed an envelope on to {way.target.name} with hop limit "
                    f"{limit}, which had come with {before}"
                )
        elif limit > HOP_LIMIT:
            self._failed = f"{sender.name} sent an envelope with hop limit {limit}"
        arrived[target] = max(limit, arrived.get(target, 0))
        if target == envelope.destinations[0]:
            self._ledger.hops.append(HOP_LIMIT - limit + 1)


class Routes(Sampled):
    """Nodes with equal databases, and nothing left to compute, have routes without circles."""

    name = "routes"

    def __init__(self, _world: World, _ledger: Ledger) -> None:
        super().__init__()
        self._seen: tuple[int, ...] = ()

    def look(self, world: World) -> None:
        living = world.living()
        computed = tuple(node.core.control.computation.computed for node in living)
        if computed == self._seen:
            return
        calm = [n for n in living if n.core.control.computation.next_deadline() is None]
        groups: dict[int, list[SimNode]] = {}
        for node in calm:
            groups.setdefault(fingerprint(node), []).append(node)
        for group in groups.values():
            self._follow(group)
        if len(calm) == len(living):
            self._seen = computed

    @staticmethod
    def _follow(group: list[SimNode]) -> None:
        """Walk every route of a group that knows the same, as far as it stays in the group."""
        next_hops = {
            node.id: {to: route.next_hop for to, route in node.core.control.routes.items()}
            for node in group
        }
        names = {node.id: node.name for node in group}
        for start, routes in next_hops.items():
            for destination in routes:
                at, path = start, [start]
                while at != destination and at in next_hops:
                    hop = next_hops[at].get(destination)
                    if hop is None or hop in path:
                        way = " ".join(names.get(node, node.short) for node in path)
                        what = "ends" if hop is None else f"comes back to {names[hop]}"
                        raise CheckFailed(
                            f"nodes with equal databases disagree: the way {way} to "
                            f"{names.get(destination, destination.short)} {what}"
                        )
                    at = hop
                    path.append(at)


def fingerprint(node: SimNode) -> int:
    """Equal for equal databases."""
    total = 0
    for _, rank in node.core.control.database.ranks():
        total ^= int.from_bytes(rank[2][:8])
    return total
