"""What programs were promised: each message once, in order where asked; each call an outcome."""

from __future__ import annotations

import msgspec

from mreza.errors import WorkerLost
from mreza.qos import Delivery
from mreza.sim.agenda import START_S
from mreza.sim.checker import CheckFailed
from mreza.sim.ledger import Called, Ledger, Sent
from mreza.sim.node import Handled, SimNode
from mreza.sim.world import World

SLACK_S = 1.0
"How late an outcome may be: timers, and a turn of a node that is late."


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
        self.step(world)
        for sent in self._ledger.messages.values():
            if sent.handled_at is not None or sent.delivery is Delivery.AT_MOST_ONCE:
                continue
            if lives_on(world, sent):
                raise CheckFailed(
                    f"message {sent.number} of {sent.source} to {sent.destination}, sent at "
                    f"{sent.at - START_S:.6f} s, was never handled, and its sender lives"
                )

    def _hear(self, node: SimNode, entry: Handled) -> None:
        wrong = self._ledger.why_not_intact(entry.payload)
        if wrong is not None:
            self._failed = f"{node.name} handled {wrong}"
            return
        number = entry.payload[0]
        seen = self._handled.setdefault((node.name, node.life), set())
        if number in seen:
            self._failed = f"{node.name} handled message {number} twice in one life"
        seen.add(number)
        sent = self._ledger.messages.get(number)
        if sent is not None and sent.delivery is Delivery.ORDERED:
            key = (sent.source, sent.life, node.name, node.life, entry.priority)
            last = self._last.get(key, 0)
            if number < last:
                self._failed = (
                    f"{node.name} handled message {number} of {sent.source} after {last}, "
                    "which was sent later, and order was promised"
                )
            self._last[key] = number


class Calls:
    """Each call has one outcome, in time; what must run once does; what is said of lost is true."""

    name = "calls"

    def __init__(self, world: World, ledger: Ledger) -> None:
        self._ledger = ledger
        self._failed: str | None = None
        ledger.hears_run.append(self._ran)
        ledger.hears_outcome.append(self._resolved)
        self._world = world

    def step(self, world: World) -> None:  # noqa: ARG002 - a checker's input
        if self._failed is not None:
            raise CheckFailed(self._failed)

    def finish(self, world: World) -> None:
        self.step(world)
        for called in self._ledger.calls.values():
            if called.outcome is None and not called.cancelled and lives_on(world, called):
                raise CheckFailed(f"{_shown(called)} has no outcome, and its caller lives")
            if called.outcome is not None:
                self._is_true(called)
        self.step(world)

    def _ran(self, called: Called) -> None:
        if called.destination in self._world.cloned:
            # It looks restarted to others whenever the other process speaks, and is asked again.
            return
        per_life = bool(called.destination)
        times = called.runs.count(called.runs[-1]) if per_life else len(called.runs)
        if called.once and times > 1:
            life = " in one life of its destination" if per_life else ""
            self._failed = f"{_shown(called)} ran {times} times{life}, and must not run twice"

    def _resolved(self, called: Called) -> None:
        node = self._world.nodes[called.source]
        late_s = self._world.now - called.deadline
        if late_s > SLACK_S and node.undisturbed_since <= called.at:
            self._failed = f"{_shown(called)} had its outcome {late_s:.3f} s after its deadline"
        self._is_true(called)

    def _is_true(self, called: Called) -> None:
        outcome = called.outcome
        assert outcome is not None  # noqa: S101 - the caller looked
        if outcome.error is None and outcome.failure is None:
            if not called.runs:
                self._failed = f"{_shown(called)} succeeded and never ran"
            elif msgspec.msgpack.decode(outcome.result) != called.number:
                self._failed = f"{_shown(called)} has the result of another call"
        elif (
            isinstance(outcome.error, WorkerLost) and called.runs and not outcome.error.may_have_run
        ):
            self._failed = f"{_shown(called)} ran, and its caller was told that it did not"


class OneOwner:
    """Of each copy of a service one owner an epoch. Whoever owns says so with `claim`."""

    name = "one_owner"

    def __init__(self, world: World, _ledger: Ledger) -> None:
        self._owners: dict[tuple[str, int, int], str] = {}
        self._failed: str | None = None
        world.hears_claims.append(self.claim)

    def claim(self, service: str, copy: int, epoch: int, owner: str) -> None:
        """A node begins to run this copy under this epoch."""
        first = self._owners.setdefault((service, copy, epoch), owner)
        if first != owner:
            self._failed = f"{first} and {owner} both own {service}/{copy} in epoch {epoch}"

    def step(self, world: World) -> None:  # noqa: ARG002 - a checker's input
        if self._failed is not None:
            raise CheckFailed(self._failed)

    def finish(self, world: World) -> None:
        self.step(world)


def lives_on(world: World, item: Sent | Called) -> bool:
    """The process that sent or asked still runs: who dies forgets."""
    source = world.nodes.get(item.source)
    return source is not None and source.alive and source.life == item.life


def _shown(called: Called) -> str:
    return f"call {called.number} of {called.source}, made at {called.at - START_S:.6f} s,"
