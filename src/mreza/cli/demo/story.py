"""The demo's accidents: a worker is killed, later a relay, and what the mesh makes of it.

The story knows what it did itself (kill, start again). All else it hears from the sender as any
program would: members and moved work from its events, ways from its routes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mreza.cli.demo.nodes import DemoNode, Detour
from mreza.cli.problems import CommandFailed
from mreza.cli.tables import counted
from mreza.node.control_protocol import Events, Snapshot

FILES_MIN = 60
"With fewer files there is no middle to kill somebody in."
WORKER_AT = 0.25
"The worker is killed when this share of the files is on its way,"
RELAY_AT = 0.6
"and the relay at this one, but not before the worker is back."
POLL_S = 0.02
WAYS_INTERVAL_S = 0.1
BUSY_WITHIN_S = 2.0
NOTICED_WITHIN_S = 20.0
"A killed process is known within about a second, its return within a few; a busy machine is slow."


@dataclass
class Loss:
    """One node that was killed. Seconds are those since the work began; None: it never happened."""

    node: str
    "Its name."
    part: str
    pid: int
    killed_s: float
    noticed_s: float | None = None
    back_s: float | None = None
    moved: int = 0
    "Files that it had, and that went to others."

    @property
    def survived(self) -> bool:
        """The mesh noticed, and took it in again."""
        return self.noticed_s is not None and self.back_s is not None


@dataclass(frozen=True)
class Rerouting:
    """From now on the sender reaches a node another way. All by name."""

    at_s: float
    node: str
    before: str
    after: str

    def way(self, neighbor: str) -> str:
        """How the node is reached over this neighbor."""
        return "direct" if neighbor == self.node else f"via {neighbor}"


@dataclass
class Story:
    """What happened to the nodes. Every line is handed to `tell` at once, with its time."""

    mesh: Detour
    total: int
    tell: Callable[[float, str], None]
    calm: bool = False
    "Nobody is killed."
    lines: list[tuple[float, str]] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    reroutings: list[Rerouting] = field(default_factory=list)
    moved: int = 0
    down: list[str] = field(default_factory=list)
    "Names of nodes that do not run."

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._admitted = 0
        self._go_on = asyncio.Event()
        "Set when the files after RELAY_AT may go."
        if self.calm or self.total < FILES_MIN:
            self.calm = True
            self._go_on.set()
        self._names = {node.id: node.name for node in self.mesh.nodes}
        self._ways: dict[str, str] = {}
        self._usual_ways: dict[str, str] = {}

    # What the sending of files tells and asks.

    async def admit(self) -> None:
        """One more file is about to be sent: let it wait if the story is not so far."""
        if self._admitted >= RELAY_AT * self.total:
            await self._go_on.wait()
        self._admitted += 1

    # The accidents.

    async def run(self) -> None:
        """Kill the worker and the relay, each in the middle of work, and start them again.

        Raises:
            CommandFailed: one that was killed could not be started again.
        """
        if self.calm:
            return
        try:
            await self._until(lambda: self._admitted >= WORKER_AT * self.total)
            await self._lose(self.mesh.far, "worker")
            await self._until(lambda: self._admitted >= RELAY_AT * self.total)
        finally:
            self._go_on.set()
        held = self._admitted
        # Files are on their way again, some of them over the relay.
        await self._until(lambda: self._admitted >= min(held + 20, self.total))
        await self._lose(self.mesh.relay, "relay")
        await self._until(lambda: self._ways == self._usual_ways, NOTICED_WITHIN_S)

    async def _lose(self, node: DemoNode, part: str) -> None:
        await self._until_busy(node)
        loss = Loss(node.name, part, node.pid, self._now)
        self.losses.append(loss)
        self.down.append(node.name)
        self._say(f"{node.name} killed with kill -9, a {part} (pid {loss.pid})")
        await node.kill()
        noticed = await self._until(lambda: loss.noticed_s is not None, NOTICED_WITHIN_S)
        if not noticed:
            self._say(f"nobody has noticed it in {NOTICED_WITHIN_S:g} s")
        await node.start_again()
        self.down.remove(node.name)
        self._say(f"{node.name} started again (pid {node.pid})")
        if not await self._until(lambda: loss.back_s is not None, NOTICED_WITHIN_S):
            self._say(f"{node.name} is not back after {NOTICED_WITHIN_S:g} s")

    @staticmethod
    async def _until_busy(node: DemoNode) -> None:
        """Wait for the middle of work, unless none comes soon."""
        with contextlib.suppress(TimeoutError, CommandFailed, OSError):
            async with asyncio.timeout(BUSY_WITHIN_S):
                async with await node.client() as client:
                    while not (await client.ask(Snapshot()))["work_running"]:  # noqa: ASYNC110
                        await asyncio.sleep(0)

    # What the sender hears.

    async def listen(self) -> None:
        """Take in the sender's events; until cancelled."""
        async with await self.mesh.sender.client() as client:
            async for event in client.events(Events(follow=True, last=0)):
                self.heard(event)

    def heard(self, event: Mapping[str, Any]) -> None:
        """One event of the sender."""
        match event:
            case {"event": "member_changed", "label": label, "new": "failed", "cause": cause}:
                self._say(f"{label} lost ({cause})")
                for loss in self._open(label):
                    loss.noticed_s = self._now
            case {"event": "member_changed", "label": label, "new": "alive", "cause": "returned"}:
                self._say(f"{label} is back")
                for loss in self._open(label):
                    loss.back_s = self._now
            case {"event": "work_moved", "label": label, "moved": moved, "failed": failed}:
                self.moved += moved
                for loss in self._open(label):
                    loss.moved += moved
                self._say(f"{counted(moved, 'task')} of {label} moved to other nodes")
                if failed:
                    self._say(f"{counted(failed, 'task')} of {label} lost")

    async def watch_ways(self) -> None:
        """Look at the sender's routes; until cancelled."""
        self._ways = await self.mesh.ways()
        self._usual_ways = dict(self._ways)
        while True:
            await asyncio.sleep(WAYS_INTERVAL_S)
            with contextlib.suppress(CommandFailed, OSError):
                self.routed(await self.mesh.ways())

    def routed(self, ways: Mapping[str, str]) -> None:
        """The sender's routes: node to neighbor, by id.

        A node without a way keeps the last one, and so does one that is down: others may list links
        to it for a moment longer.
        """
        for node, neighbor in ways.items():
            if self._names[node] in self.down:
                continue
            before = self._ways.get(node, neighbor)
            self._ways[node] = neighbor
            if before != neighbor:
                change = Rerouting(self._now, *(self._names[n] for n in (node, before, neighbor)))
                self.reroutings.append(change)
                self._say(f"{change.node} now {change.way(change.after)}")

    # What it amounts to.

    @property
    def survived(self) -> bool:
        """Whoever was killed was missed, and came back; nobody was killed if nobody should be."""
        wanted = 0 if self.calm else 2
        return len(self.losses) == wanted and all(loss.survived for loss in self.losses)

    def to_json(self) -> dict[str, Any]:
        return {
            "survived": self.survived,
            "moved": self.moved,
            "killed": [
                {
                    "node": loss.node,
                    "part": loss.part,
                    "pid": loss.pid,
                    "killed_s": round(loss.killed_s, 3),
                    "noticed_s": _rounded(loss.noticed_s),
                    "back_s": _rounded(loss.back_s),
                    "moved": loss.moved,
                }
                for loss in self.losses
            ],
            "rerouted": [
                {"at_s": round(one.at_s, 3), "node": one.node}
                | {"before": one.before, "after": one.after}
                for one in self.reroutings
            ],
            "events": [{"at_s": round(at, 3), "text": text} for at, text in self.lines],
        }

    # Small duties.

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began

    def _open(self, label: str) -> list[Loss]:
        return [loss for loss in self.losses if loss.node == label and loss.back_s is None]

    def _say(self, text: str) -> None:
        self.lines.append((self._now, text))
        self.tell(self._now, text)

    @staticmethod
    async def _until(condition: Callable[[], bool], within_s: float | None = None) -> bool:
        """Wait for it, so long at most; whether it came true."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not condition():  # noqa: ASYNC110 - others write what is looked at
                    await asyncio.sleep(POLL_S)
        return condition()


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
