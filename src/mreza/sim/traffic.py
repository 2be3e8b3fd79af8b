"""What the programs on the nodes do, and a ledger of what became of it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from mreza.errors import MeshError
from mreza.planes.effects import Resolve
from mreza.qos import Delivery, Priority
from mreza.sim.node import Handled, SimNode
from mreza.sim.plan import TrafficPlan
from mreza.sim.world import World

PROCESS, ONCE = "work", "once"
"A process that may run twice for one call, and one that must not."
LARGE_BYTES = (70_000, 200_000)
"More than one envelope holds."


class Sent(msgspec.Struct):
    """One message, as its sender remembers it."""

    number: int
    source: str
    destination: str
    delivery: Delivery
    priority: int
    at: float
    life: int
    "Of the sender: who dies forgets."
    handled_at: float | None = None


class Called(msgspec.Struct):
    """One call, as its caller remembers it."""

    number: int
    source: str
    once: bool
    "It must not run twice."
    at: float
    deadline: float
    life: int
    call_id: int = 0
    outcome: Resolve | None = None
    resolved_at: float = 0.0
    runs: int = 0
    "How often a handler was begun for it."
    cancelled: bool = False


class Ledger:
    """Everything that was sent and asked, by number."""

    def __init__(self) -> None:
        self.messages: dict[int, Sent] = {}
        self.calls: dict[int, Called] = {}
        self.refused = 0
        "Messages that an outbox did not take."
        self.hops: list[int] = []
        "Links that each envelope took to its destination."
        self.hears_run: list[Callable[[Called], None]] = []
        self.hears_outcome: list[Callable[[Called], None]] = []


class Traffic:
    """Sends and calls at random moments between random nodes."""

    def __init__(self, world: World, plan: TrafficPlan, rng: Random) -> None:
        self.ledger = Ledger()
        self._world = world
        self._plan = plan
        self._rng = rng
        self._next = 0
        self._on = False
        self._names = list(world.nodes)

    def start(self) -> None:
        """Offer processes, and begin."""
        world, plan = self._world, self._plan
        self._on = True
        workers = max(1, round(plan.workers * len(self._names))) if plan.calls_per_s else 0
        for name in self._names[:workers]:
            node = world.nodes[name]
            node.handler_s = self._rng.uniform(*plan.handler_s)
            node.process(PROCESS, self._run, idempotent=True)
            node.process(ONCE, self._run, idempotent=False)
        for node in world.nodes.values():
            node.on_message = self._run
        world.hears_handled.append(self._handled)
        if plan.messages_per_s and len(self._names) > 1:
            self._later(plan.messages_per_s / plan.burst, self._send)
        if plan.calls_per_s:
            self._later(plan.calls_per_s, self._call)

    def stop(self) -> None:
        """Send and ask no more."""
        self._on = False

    # Rules.

    def _later(self, rate_per_s: float, action: Callable[[], None]) -> None:
        self._world.agenda.after(
            round(self._rng.expovariate(rate_per_s), 6), self._again, rate_per_s, action
        )

    def _again(self, rate_per_s: float, action: Callable[[], None]) -> None:
        if self._on:
            action()
            self._later(rate_per_s, action)

    def _send(self) -> None:
        rng, plan = self._rng, self._plan
        source, destination = rng.sample(self._names, 2)
        share = rng.random()
        delivery = Delivery.AT_LEAST_ONCE
        if share < plan.ordered:
            delivery = Delivery.ORDERED
        elif share < plan.ordered + plan.at_most_once:
            delivery = Delivery.AT_MOST_ONCE
        luck = rng.random()
        priority = Priority.NORMAL
        if luck < 2 * plan.high:
            priority = Priority.HIGH if luck < plan.high else Priority.LOW
        sizes = [rng.randint(*plan.size_bytes) for _ in range(plan.burst)]
        if rng.random() < plan.large:
            sizes = [rng.randint(*LARGE_BYTES)]
        node = self._world.nodes[source]
        if not node.alive or node.frozen:
            return
        for size in sizes:
            self._next += 1
            payload = [self._next, bytes(size)]
            try:
                node.send(destination, payload, priority=priority, delivery=delivery)
            except MeshError:
                self.ledger.refused += 1
                continue
            self.ledger.messages[self._next] = Sent(
                number=self._next,
                source=source,
                destination=destination,
                delivery=delivery,
                priority=int(priority),
                at=self._world.now,
                life=node.life,
            )

    def _handled(self, _: SimNode, entry: Handled) -> None:
        sent = self.ledger.messages.get(entry.payload[0])
        if sent is not None and sent.handled_at is None:
            sent.handled_at = self._world.now

    def _call(self) -> None:
        """Ask for work, or send a message that wants a receipt."""
        rng, plan = self._rng, self._plan
        names = self._names
        node = self._world.nodes[rng.choice(names)]
        other = rng.choice(names) if rng.random() < plan.receipts else None
        idempotent = rng.random() < plan.idempotent
        gives_up, after_s = rng.random() < plan.cancel, rng.uniform(0.01, 0.5)
        if not node.alive or node.frozen:
            return
        self._next += 1
        called = self.ledger.calls[self._next] = Called(
            number=self._next,
            source=node.name,
            once=other is not None or not idempotent,
            at=self._world.now,
            deadline=self._world.now + plan.call_timeout_s,
            life=node.life,
        )
        work = PROCESS if idempotent else ONCE
        called.call_id = node.call(
            work if other is None else "",
            self._next,
            node=other,
            timeout_s=plan.call_timeout_s,
            idempotent=idempotent and other is None,
            to_handler=other is not None,
        )
        node.hears_outcome[called.call_id] = lambda outcome: self._resolved(called, outcome)
        if gives_up:
            self._world.agenda.after(round(after_s, 6), self._cancel, called)

    def _resolved(self, called: Called, outcome: Resolve) -> None:
        called.outcome = outcome
        called.resolved_at = self._world.now
        for hear in self.ledger.hears_outcome:
            hear(called)

    def _cancel(self, called: Called) -> None:
        node = self._world.nodes[called.source]
        if node.alive and not node.frozen and node.life == called.life and not called.outcome:
            called.cancelled = True
            node.core.service.cancel(called.call_id)
            node.wake()

    def _run(self, number: int) -> int:
        called = self.ledger.calls.get(number)
        if called is not None:
            called.runs += 1
            for hear in self.ledger.hears_run:
                hear(called)
        return number
