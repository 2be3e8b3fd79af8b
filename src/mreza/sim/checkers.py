"""What must hold: safety after every instant, progress at the end of the quiet phase.

A checker sees the whole world and costs next to nothing: it listens, and looks only at what has
changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mreza.qos import Delivery
from mreza.sim.agenda import START_S
from mreza.sim.node import Handled, SimNode
from mreza.sim.traffic import Ledger
from mreza.sim.world import World


class CheckFailed(Exception):
    """Something that must hold did not; the text says what, where and when."""


class Checker(Protocol):
    """One thing that must hold."""

    name: str

    def step(self, world: World) -> None:
        """Called after every instant of both phases; raises CheckFailed."""
        ...

    def finish(self, world: World) -> None:
        """Called when the quiet phase is over; raises CheckFailed."""
        ...


class Agreement:
    """In the end every node sees exactly those that live, and all databases are equal."""

    name = "agreement"

    def __init__(self, world: World, ledger: Ledger) -> None:
        pass

    def step(self, world: World) -> None:
        """Nothing: views may differ while faults are on."""

    def finish(self, world: World) -> None:
        alive = {node.name for node in world.living()}
        for node in world.living():
            view = node.view()
            if view != alive:
                lacks, extra = sorted(alive - view), sorted(view - alive)
                raise CheckFailed(f"{node.name} does not see {lacks} and sees {extra}")
        databases = {node.name: database_of(node) for node in world.living()}
        first = next(iter(databases), "")
        for name, database in databases.items():
            if database != databases[first]:
                differ = len(set(database) ^ set(databases[first]))
                raise CheckFailed(f"the databases of {first} and {name} differ in {differ} records")


class Messages:
    """No message is handled twice by one process, none is lost, and order holds where promised."""

    name = "messages"

    def __init__(self, world: World, ledger: Ledger) -> None:
        self._ledger = ledger
        self._handled: dict[tuple[str, int], set[int]] = {}
        self._last: dict[tuple[str, int, str, int, int], int] = {}
        self._failed: str | None = None
        world.hears_handled.append(self._hear)

    def step(self, world: World) -> None:  # noqa: ARG002 - a checker's input
        if self._failed is not None:
            raise CheckFailed(self._failed)

    def finish(self, world: World) -> None:
        for sent in self._ledger.messages.values():
            if sent.handled_at is not None or sent.delivery is Delivery.AT_MOST_ONCE:
                continue
            source = world.nodes.get(sent.source)
            if source is not None and source.alive and source.boot == sent.life:
                raise CheckFailed(
                    f"message {sent.number} of {sent.source} to {sent.destination}, sent at "
                    f"{sent.at - START_S:.3f} s, was never handled"
                )

    def _hear(self, node: SimNode, entry: Handled) -> None:
        number = entry.payload[0]
        life = (node.name, node.boot)
        seen = self._handled.setdefault(life, set())
        if number in seen:
            self._failed = f"{node.name} handled message {number} twice"
        seen.add(number)
        sent = self._ledger.messages.get(number)
        if sent is not None and sent.delivery is Delivery.ORDERED:
            key = (sent.source, sent.life, node.name, node.boot, entry.priority)
            if number < self._last.get(key, 0):
                self._failed = f"{node.name} handled {number} after {self._last[key]}, out of order"
            self._last[key] = number


KNOWN: dict[str, Callable[[World, Ledger], Checker]] = {
    kind.name: kind for kind in (Agreement, Messages)
}
"Every checker by its name; a scenario's `checks` chooses among them."


def database_of(node: SimNode) -> tuple[object, ...]:
    """What a node holds of others and itself, in a form that can be compared."""
    return tuple(sorted((record.slot, rank) for record, rank in node.core.control.database.ranks()))
