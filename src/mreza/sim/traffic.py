"""What the programs on the nodes do: they talk, in conversations and at random, and have work done.

All chance is drawn in one order whatever the nodes do, so that a run with fewer faults has the same
traffic.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import NamedTuple

import msgspec

from mreza.errors import MeshError
from mreza.planes.effects import Resolve, RunHandler
from mreza.qos import Delivery, Priority
from mreza.sim.ledger import Called, Ledger, Sent, content_of
from mreza.sim.node import Handled, SimNode
from mreza.sim.plan import TrafficPlan
from mreza.sim.world import World

PROCESS, ONCE = "work", "once"
"A process that may run twice for one call, and one that must not."
LARGE_BYTES = (70_000, 200_000)
"More than one envelope holds."


class Conversation(NamedTuple):
    """How one node talks to another."""

    source: str
    destination: str
    delivery: Delivery
    priority: Priority
    receipts: bool


class Traffic:
    """Sends and calls at random moments."""

    def __init__(self, world: World, plan: TrafficPlan, rng: Random) -> None:
        self.ledger = Ledger()
        self._world = world
        self._plan = plan
        self._rng = rng
        self._next = 0
        self._on = False
        self._names = list(world.nodes)
        self._conversations: list[Conversation] = []

    def start(self) -> None:
        """Offer processes, and begin."""
        world, plan = self._world, self._plan
        self._on = True
        world.hears_handled.append(self._handled)
        world.hears_begun.append(self._begun)
        workers = max(1, round(plan.workers * len(self._names))) if plan.calls_per_s else 0
        for place, name in enumerate(self._names):
            node = world.nodes[name]
            node.consume_s = round(self._rng.uniform(*plan.consume_s), 6)
            node.handler_s = round(self._rng.uniform(*plan.handler_s), 6)
            if place < workers:
                for process in (PROCESS, ONCE):
                    node.process(process, _echo, idempotent=process == PROCESS)
        if plan.messages_per_s and len(self._names) > 1:
            self._conversations = [self._draw() for _ in range(plan.conversations)]
            self._later(plan.messages_per_s / plan.burst, self._talk)
        if plan.calls_per_s:
            self._later(plan.calls_per_s, self._call)

    def stop(self) -> None:
        """Send and ask no more."""
        self._on = False

    # Rules.

    def _later(self, rate_per_s: float, action: Callable[[], None]) -> None:
        wait_s = round(self._rng.expovariate(rate_per_s), 6)
        self._world.agenda.after(wait_s, self._again, rate_per_s, action)

    def _again(self, rate_per_s: float, action: Callable[[], None]) -> None:
        if self._on:
            action()
            self._later(rate_per_s, action)

    def _draw(self) -> Conversation:
        rng, plan = self._rng, self._plan
        source, destination = rng.sample(self._names, 2)
        delivery, luck = Delivery.AT_LEAST_ONCE, rng.random()
        if luck < plan.ordered:
            delivery = Delivery.ORDERED
        elif luck < plan.ordered + plan.at_most_once:
            delivery = Delivery.AT_MOST_ONCE
        priority, luck = Priority.NORMAL, rng.random()
        if luck < 2 * plan.high:
            priority = Priority.HIGH if luck < plan.high else Priority.LOW
        return Conversation(source, destination, delivery, priority, rng.random() < plan.receipts)

    def _talk(self) -> None:
        """A burst of messages from one node to another."""
        rng, plan = self._rng, self._plan
        talk = self._draw()
        if rng.random() < plan.talkative and self._conversations:
            talk = rng.choice(self._conversations)
        sizes = [rng.randint(*plan.size_bytes) for _ in range(plan.burst)]
        pauses = sorted(round(rng.uniform(0, plan.burst_s), 6) for _ in sizes)
        if rng.random() < plan.large:
            sizes = [rng.randint(*LARGE_BYTES)]
        for size, pause_s in zip(sizes, pauses, strict=False):
            say = self._ask if talk.receipts else self._say
            self._world.agenda.after(pause_s, say, talk, size)

    def _say(self, talk: Conversation, size: int) -> None:
        node = self._able(talk.source)
        if node is None:
            return
        number = self._number()
        try:
            node.send(
                talk.destination,
                [number, content_of(number, size)],
                priority=talk.priority,
                delivery=talk.delivery,
            )
        except MeshError:
            self.ledger.refused += 1
            return
        self.ledger.messages[number] = Sent(
            number=number,
            source=talk.source,
            destination=talk.destination,
            delivery=talk.delivery,
            priority=int(talk.priority),
            at=self._world.now,
            life=node.life,
            size=size,
        )

    def _handled(self, _: SimNode, entry: Handled) -> None:
        sent = self.ledger.messages.get(entry.payload[0])
        if sent is not None and sent.handled_at is None:
            sent.handled_at = self._world.now

    def _ask(self, talk: Conversation, _: int) -> None:
        """A message with a receipt."""
        node = self._able(talk.source)
        if node is not None:
            self._begin(node, "", destination=talk.destination)

    def _call(self) -> None:
        rng, plan = self._rng, self._plan
        name = rng.choice(self._names)
        process = PROCESS if rng.random() < plan.idempotent else ONCE
        gives_up, after_s = rng.random() < plan.cancel, rng.uniform(0.01, 0.5)
        node = self._able(name)
        if node is not None:
            called = self._begin(node, process)
            if gives_up:
                self._world.agenda.after(round(after_s, 6), self._cancel, called)

    def _number(self) -> int:
        """Later ones are higher: checkers tell the order by it."""
        self._next += 1
        return self._next

    def _begin(self, node: SimNode, process: str, *, destination: str = "") -> Called:
        world, timeout_s, number = self._world, self._plan.call_timeout_s, self._number()
        called = self.ledger.calls[number] = Called(
            number=number,
            source=node.name,
            once=process != PROCESS,
            at=world.now,
            deadline=world.now + timeout_s,
            life=node.life,
            destination=destination,
        )
        called.call_id = node.call(
            process,
            number,
            node=destination or None,
            timeout_s=timeout_s,
            idempotent=process == PROCESS,
            to_handler=bool(destination),
        )
        node.hears_outcome[called.call_id] = partial(self._resolved, called)
        return called

    def _resolved(self, called: Called, outcome: Resolve) -> None:
        called.outcome, called.resolved_at = outcome, self._world.now
        for hear in self.ledger.hears_outcome:
            hear(called)

    def _cancel(self, called: Called) -> None:
        node = self._able(called.source)
        if node is not None and node.life == called.life and called.outcome is None:
            called.cancelled = True
            node.core.service.cancel(called.call_id)
            node.wake()

    def _begun(self, node: SimNode, run: RunHandler) -> None:
        called = self.ledger.calls.get(msgspec.msgpack.decode(run.request.payload))
        if called is not None:
            called.runs = (*called.runs, (node.name, node.life))
            for hear in self.ledger.hears_run:
                hear(called)

    def _able(self, name: str) -> SimNode | None:
        """The node, if its program runs now."""
        node = self._world.nodes[name]
        return node if node.alive and not node.frozen else None


def _echo(number: int) -> int:
    """A handler's work: it answers with what it was asked."""
    return number
