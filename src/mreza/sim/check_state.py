"""In the end all nodes know the same; meanwhile nothing that waits grows without bound."""

from __future__ import annotations

from mreza.ids import NodeId, boot_of
from mreza.planes.intake import WAIT_MAX
from mreza.records.database import Rank, Slot
from mreza.sim.checker import CheckFailed, Sampled
from mreza.sim.ledger import Ledger
from mreza.sim.node import SimNode
from mreza.sim.world import World

OUTBOX_FACTOR = 3
"Responses may wait up to so many times the bound of data (`mreza.messaging.outbox`)."
BATCH_BYTES = 64 * 1024
"The last one that was taken may pass the bound."


class Agreement:
    """In the end every node sees exactly those that live, and all databases are equal."""

    name = "agreement"

    def __init__(self, _world: World, _ledger: Ledger) -> None:
        pass

    def step(self, world: World) -> None:
        """Nothing: views may differ while faults are on."""

    def finish(self, world: World) -> None:
        said = disagreement(world)
        if said:
            raise CheckFailed(said)


class Bounds(Sampled):
    """No outbox, backlog or waiting room passes its bound."""

    name = "bounds"

    def __init__(self, _world: World, _ledger: Ledger) -> None:
        super().__init__()

    def look(self, world: World) -> None:
        config = world.config.messaging
        limit = OUTBOX_FACTOR * config.outbox_bytes + config.payload_max + BATCH_BYTES
        for node in world.living():
            for what, size, bound in (
                ("bytes wait in an outbox", node.core.data.fullest(), limit),
                ("records wait", node.core.control.records_waiting, WAIT_MAX),
            ):
                if size > bound:
                    raise CheckFailed(f"{node.name}: {size} {what}, bound {bound}")


def disagreement(world: World) -> str:
    """Who does not see whom, or in which way databases differ; empty if all are one."""
    living = world.living()
    alive = {node.name for node in living}
    for node in living:
        view = node.view()
        if view != alive:
            lacks, extra = sorted(alive - view), sorted(view - alive)
            return (
                f"{node.name} does not see {' '.join(lacks) or 'nobody'} and sees "
                f"{' '.join(extra) or 'nobody'} in vain; expected: all that live"
            )
    return database_difference(living)


def database_difference(nodes: list[SimNode]) -> str:
    """In which way the databases of nodes differ; empty if they are equal."""
    if not nodes:
        return ""
    names = {node.id: node.name for node in nodes}
    first = _database(nodes[0])
    for node in nodes[1:]:
        other = _database(node)
        for slot in sorted({**first, **other}):
            ours, theirs = first.get(slot), other.get(slot)
            if ours != theirs:
                return (
                    f"{nodes[0].name} holds {_shown(ours)} of kind {slot[1]} of "
                    f"{_name(slot[0], names)}, {node.name} holds {_shown(theirs)}; "
                    "expected: equal databases"
                )
    return ""


def _database(node: SimNode) -> dict[Slot, Rank]:
    return {record.slot: rank for record, rank in node.core.control.database.ranks()}


def _name(node: NodeId, names: dict[NodeId, str]) -> str:
    return names.get(node, node.short)


def _shown(rank: Rank | None) -> str:
    return "nothing" if rank is None else f"version {boot_of(rank[0])}.{rank[1]}"
