"""What nodes in namespaces do: `mreza up --app tests.support.netns.probes:app`.

Each sends probes or messages at a fixed rate when asked to, remembers what came, and writes every
event that it hears, with the machine's monotonic clock, which all processes of the machine share.
Everything goes through the public API. Tests ask by calls of processes named `netns.…`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from mreza import Delivery, MeshNetwork, Message, MessageType, NotRunning, ReceivedMessage
from mreza.errors import MeshError
from mreza.events import to_json
from tests.support.processes import OUTPUT

EVENTS = "events"
"The file of events, one JSON object a line."
_PATIENCE_S = 0.002
_RECEIPT_TIMEOUT_S = 60.0


class App:
    """One node's part in the measurements."""

    def __init__(self, mesh: MeshNetwork) -> None:
        self._mesh = mesh
        self._started = time.monotonic()
        self._events = (Path(os.environ[OUTPUT]) / EVENTS).open("a", buffering=1)
        self._probes: Probes | None = None
        self._load: Load | None = None
        self._came: list[tuple[str, float, float]] = []
        self._news = asyncio.Event()
        self._handled: Counter[tuple[str, int]] = Counter()
        self._numbered = 0
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._write_events(), name="netns-events")]
        if first := os.environ.get("NETNS_FIRST"):
            self._tasks.append(loop.create_task(self._first_message(first), name="netns-first"))
        mesh.on_message(self._on_message)
        for name in (
            "probe",
            "probe_stop",
            "came",
            "flows",
            "load",
            "load_stop",
            "handled",
            "burn",
            "ask_work",
        ):
            mesh.process(f"netns.{name}", executor="async")(getattr(self, name))
        mesh.process("netns.work", executor="async", idempotent=True)(self.work)

    # What tests ask.

    async def probe(self, order: dict[str, Any]) -> None:
        """Send a probe to `to` every `every_s`, AT_MOST_ONCE."""
        self._probes = Probes(self._mesh, order["to"], order["every_s"])

    async def probe_stop(self, _: None) -> list[float]:
        """When each probe was sent; its place in the list is its number."""
        assert self._probes is not None
        return await self._probes.stop()

    async def came(self, order: dict[str, Any]) -> list[tuple[float, float]]:
        """Probes of `source` that arrived from `since` on: when sent, when received."""
        return [
            (sent, received)
            for source, sent, received in self._came
            if source == order["source"] and received >= order["since"]
        ]

    async def flows(self, order: dict[str, Any]) -> tuple[float, float]:
        """Wait for the first probe of `source` sent after `since`: when, and when one came before.

        One question and no polling: what is measured is not disturbed.
        """
        before = order["since"]
        at = 0
        while True:
            while at < len(self._came):
                source, sent, received = self._came[at]
                at += 1
                if source == order["source"]:
                    if sent > order["since"]:
                        return before, received
                    before = received
            self._news.clear()
            await self._news.wait()

    async def load(self, order: dict[str, Any]) -> None:
        """Send `per_s` messages a second to `to` and wait for their receipts."""
        self._load = Load(self._mesh, order["to"], order["per_s"], first=self._numbered)

    async def load_stop(self, _: None) -> dict[str, Any]:
        """How many were sent, how many receipts came, what went wrong, and the slowest."""
        assert self._load is not None
        outcome = await self._load.stop()
        self._numbered = outcome["first"] + outcome["sent"]
        return outcome

    async def handled(self, order: dict[str, Any]) -> dict[str, Any]:
        """Of `source`'s messages from number `first` on: how many were handled, and which twice."""
        mine = {
            number: times
            for (source, number), times in self._handled.items()
            if source == order["source"] and number >= order["first"]
        }
        return {"count": len(mine), "twice": [n for n, times in mine.items() if times > 1]}

    async def burn(self, seconds: float) -> None:
        """Burn CPU in a thread for so long, from now on; returns at once."""
        self._tasks.append(asyncio.create_task(asyncio.to_thread(_burn, seconds)))

    async def work(self, number: int) -> str:
        """Say who did it."""
        return self._mesh.name

    async def ask_work(self, _: None) -> str:
        """Let whoever the balancer picks do a piece of work; who did."""
        return str(await self._mesh.call("netns.work", 0))

    # What it does by itself.

    def _on_message(self, message: ReceivedMessage[Any]) -> None:
        kind, number, sent = message.payload
        if kind == "probe":
            self._came.append((str(message.source), sent, time.monotonic()))
            self._news.set()
        else:
            self._handled[str(message.source), number] += 1

    async def _write_events(self) -> None:
        self._write({"event": "app_started", "at": time.time()}, at=self._started)
        while True:
            try:
                events = self._mesh.events()
                break
            except NotRunning:
                await asyncio.sleep(_PATIENCE_S)
        offset_s = time.time() - time.monotonic()
        for event in self._mesh.event_history:
            self._write(to_json(event), at=event.at - offset_s)
        async for event in events:
            self._write(to_json(event), at=time.monotonic())

    def _write(self, event: dict[str, Any], *, at: float) -> None:
        self._events.write(json.dumps({**event, "monotonic": at}) + "\n")

    async def _first_message(self, node: str) -> None:
        """Send one message to that node as soon as it is known, and write when it was answered."""
        message = Message(
            type=MessageType.DATA, payload=("first", 0, 0.0), destination=node, timeout_s=30
        )
        while True:
            try:
                if any(member.name == node for member in self._mesh.members):
                    await self._mesh.send_message(message)
                    break
            except MeshError:
                pass
            await asyncio.sleep(_PATIENCE_S)
        self._write({"event": "first_answer"}, at=time.monotonic())


class Probes:
    """Numbered messages at fixed times; a late loop sends what it owes at once."""

    def __init__(self, mesh: MeshNetwork, to: str, every_s: float) -> None:
        self._mesh, self._to, self._every_s = mesh, to, every_s
        self._sent: list[float] = []
        self._task = asyncio.create_task(self._run(), name="netns-probes")

    async def stop(self) -> list[float]:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self._sent

    async def _run(self) -> None:
        begun = time.monotonic()
        while True:
            now = time.monotonic()
            while begun + len(self._sent) * self._every_s <= now:
                payload = ("probe", len(self._sent), now)
                with contextlib.suppress(MeshError):  # no way now: lost, as on the way
                    self._mesh.send(self._to, payload, delivery=Delivery.AT_MOST_ONCE)
                self._sent.append(now)
            await asyncio.sleep(begun + len(self._sent) * self._every_s - time.monotonic())


class Load:
    """Messages with receipts at a fixed rate, whatever becomes of those before."""

    def __init__(self, mesh: MeshNetwork, to: str, per_s: float, *, first: int) -> None:
        self._mesh, self._to, self._every_s = mesh, to, 1.0 / per_s
        self._first = first
        self._messages: list[asyncio.Task[float]] = []
        self._task = asyncio.create_task(self._run(), name="netns-load")

    async def stop(self) -> dict[str, Any]:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        outcomes = await asyncio.gather(*self._messages, return_exceptions=True)
        failed = [
            f"{number}: {type(outcome).__name__}: {outcome}"
            for number, outcome in enumerate(outcomes)
            if isinstance(outcome, BaseException)
        ]
        slowest = max((o for o in outcomes if not isinstance(o, BaseException)), default=0.0)
        sent = len(self._messages)
        return {"first": self._first, "sent": sent, "failed": failed, "slowest_s": slowest}

    async def _run(self) -> None:
        begun = time.monotonic()
        while True:
            while begun + len(self._messages) * self._every_s <= time.monotonic():
                number = len(self._messages)
                self._messages.append(asyncio.create_task(self._one(self._first + number)))
            await asyncio.sleep(begun + len(self._messages) * self._every_s - time.monotonic())

    async def _one(self, number: int) -> float:
        receipt = await self._mesh.send_message(
            Message(
                type=MessageType.DATA,
                payload=("load", number, 0.0),
                destination=self._to,
                timeout_s=_RECEIPT_TIMEOUT_S,
            )
        )
        return receipt.latency_s


def app(mesh: MeshNetwork) -> None:
    """Take part."""
    App(mesh)


def _burn(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1000))
