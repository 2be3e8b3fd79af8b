"""What a program asks of its node: send, call, probe, offer work. Each wakes the driver."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from mreza.clock import Clock
from mreza.config.load_balancer import Strategy
from mreza.config.messaging import MessagingConfig
from mreza.errors import DeadlineExceeded, NoRoute
from mreza.ids import NodeId
from mreza.messaging.message import Message, Receipt
from mreza.messaging.payload import encode_payload
from mreza.node.driver import Driver
from mreza.node.inbox import Inbox, MessageHandler
from mreza.node.outcomes import OnProgress, Outcome, Waiting
from mreza.node.probes import Probes
from mreza.node.views import TraceHop
from mreza.planes.core import NodeCore
from mreza.processes.handlers import ProcessSpec
from mreza.qos import Delivery, MessageType, Priority


class Program:
    """The inputs of a running node; owns the calls and the probes that wait for an answer."""

    def __init__(
        self,
        core: NodeCore,
        *,
        config: MessagingConfig,
        driver: Driver,
        inbox: Inbox,
        clock: Clock,
    ) -> None:
        self._core = core
        self._control, self._data = core.control, core.data
        self._config = config
        self._driver = driver
        self._inbox = inbox
        self._clock = clock
        self._room = asyncio.Event()
        "Set whenever outboxes may have become emptier."
        self.waiting = Waiting(core.me, clock=clock, cancel=self._cancel)
        self.probes = Probes(core.data, clock=clock, wake=driver.wake)

    # What the node tells.

    def written(self) -> None:
        """A turn has written: outboxes may have room."""
        if not self._room.is_set():
            self._room.set()

    def close(self, error: Exception) -> None:
        """Nobody waits any longer."""
        self.waiting.fail_all(error)
        self._room.set()

    # Messages.

    def resolve(self, node: NodeId | str) -> NodeId:
        """The id of a node given by id, its letters or its name."""
        return self._control.find(node)

    def send(
        self, node: NodeId | str, payload: Any, *, priority: Priority, delivery: Delivery
    ) -> None:
        """Append to the outbox; the turn at the end of this loop iteration sends it."""
        control = self._control
        destination = (
            node if type(node) is NodeId and node in control.members else control.find(node)
        )
        self._data.send(destination, payload, priority=priority, delivery=delivery)
        self._driver.wake()

    async def drain(self, node: NodeId | str | None, *, timeout_s: float | None) -> None:
        """Wait until at most half of what an outbox may hold is waiting."""
        destination = None if node is None else self.resolve(node)
        timeout_s = self._config.timeout_s if timeout_s is None else timeout_s
        half = self._config.outbox_bytes // 2
        data = self._data
        try:
            async with asyncio.timeout(timeout_s):
                # One turn, even if there is room: a loop of `send` and `drain` lets others run.
                await asyncio.sleep(0)
                while data.fullest(destination) > half:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            raise DeadlineExceeded(
                f"{data.fullest(destination)} bytes still wait in the outbox after "
                f"{timeout_s:g} s; is the receiver reachable, and does it keep up?"
            ) from None

    async def emptied(self, timeout_s: float) -> None:
        """Wait until all that was sent has arrived, so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._data.waiting():
                    self._room.clear()
                    await self._room.wait()

    async def send_message(self, message: Message) -> Receipt:
        """Send it and wait until its handler has returned."""
        to_handler = message.type is MessageType.DATA
        outcome = await self.call(
            "" if to_handler else message.process,
            message.payload,
            node=message.destination,
            timeout_s=message.timeout_s,
            priority=message.priority,
            key=message.key,
            headers=dict(message.headers),
            idempotency_key=message.idempotency_key,
            to_handler=to_handler,
        )
        return outcome.receipt()

    def set_message_handler(self, handler: MessageHandler) -> None:
        """Hand every message to it from now on."""
        self._inbox.set_handler(handler)

    # Work.

    async def call(
        self,
        process: str,
        payload: Any,
        *,
        node: NodeId | str | None,
        timeout_s: float | None,
        priority: Priority,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        idempotency_key: str = "",
        on_progress: OnProgress | None = None,
        strategy: Strategy | str | None = None,
        hedge: bool | float = False,
        to_handler: bool = False,
    ) -> Outcome:
        """Have `process` run somewhere, or `node`'s message handler, and wait for the outcome."""
        raw = encode_payload(payload, limit=self._config.payload_max)
        destination = None if node is None else self.resolve(node)
        call_id = self._core.service.call(
            process,
            raw,
            node=destination,
            timeout_s=self._config.timeout_s if timeout_s is None else timeout_s,
            priority=priority,
            key=key,
            headers=headers,
            idempotency_key=idempotency_key,
            progress=on_progress is not None,
            target_is_handler=to_handler,
            strategy=strategy,
            hedge=hedge,
            now=self._clock.monotonic(),
        )
        self._driver.wake()
        return await self.waiting.outcome(call_id, on_progress)

    def register_process(self, spec: ProcessSpec) -> None:
        """Offer this work; the mesh hears of it."""
        self._core.service.registry.register(spec)
        self._offers_changed()

    def unregister_process(self, name: str) -> None:
        """Offer it no longer."""
        self._core.service.registry.unregister(name)
        self._offers_changed()

    # Probes.

    async def ping(
        self, node: NodeId | str, *, count: int, interval_s: float, timeout_s: float
    ) -> list[float | None]:
        """Round-trip times, one after another; None for one that was not answered in time."""
        destination = self.resolve(node)
        times: list[float | None] = []
        for number in range(count):
            if number:
                await asyncio.sleep(interval_s)
            answer = await self.probes.ask(destination, timeout_s=timeout_s)
            times.append(None if answer is None else answer[1])
        return times

    async def trace(self, node: NodeId | str, *, timeout_s: float, hops_max: int) -> list[TraceHop]:
        """Ask every node on the way for its own round trip, nearest first."""
        destination = self.resolve(node)
        label_of = self._control.label_of
        path: list[TraceHop] = []
        for hop_limit in range(1, hops_max + 1):
            answer = await self.probes.ask(destination, timeout_s=timeout_s, hop_limit=hop_limit)
            if answer is None:
                break
            path.append(TraceHop(answer[0], label_of(answer[0]), answer[1]))
            if answer[0] == destination:
                return path
        label = label_of(destination)
        if not path:
            raise NoRoute(f"no node on the way to {label} answered in {timeout_s:g} s")
        return [*path, TraceHop(destination, label, None)]

    # Rules.

    def _offers_changed(self) -> None:
        self._core.offers_changed(now=self._clock.monotonic())
        self._driver.wake()

    def _cancel(self, call_id: int) -> None:
        self._core.service.cancel(call_id)
        self._driver.wake()
