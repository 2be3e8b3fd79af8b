"""A demo's bookkeeping without its processes."""

from __future__ import annotations

from typing import Any

from mreza.cli.demo.measure import measure
from mreza.cli.demo.report import verdict
from mreza.cli.demo.story import Story
from mreza.cli.demo.tally import NodeTally, Tally
from mreza.cli.demo.worker import Report

NAMES = [f"node-{number}" for number in range(1, 6)]
SENDER, RELAY, FAR, FAR_TOO, DETOUR = (f"id-{name}" for name in NAMES)


class StillNode:
    """A node process that is none; it is always busy."""

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self.id = f"id-{name}"
        self.pids = [pid]
        self.killed = 0

    @property
    def pid(self) -> int:
        return self.pids[-1]

    async def kill(self) -> None:
        self.killed += 1

    async def start_again(self) -> None:
        self.pids.append(self.pid + 100)

    async def client(self) -> Any:
        raise OSError("it has no socket")


class StillMesh:
    """As much of `Detour` as a story sees."""

    def __init__(self) -> None:
        self.nodes = [StillNode(name, 101 + place) for place, name in enumerate(NAMES)]
        self.sender, self.relay, self.far, _, _ = self.nodes


def tally_of(total: int) -> Tally:
    nodes = [
        NodeTally(name, f"id-{name}", [101 + place], behind_a_relay=place in (2, 3))
        for place, name in enumerate(NAMES)
    ]
    return Tally(nodes, total=total)


def story_of(tally: Tally, *, calm: bool = True) -> Story:
    return Story(StillMesh(), tally.total, tell=lambda _, __: None, calm=calm)  # type: ignore[arg-type]


def told(tally: Tally) -> list[str]:
    """The verdict on a demo in which nobody was killed."""
    return verdict(tally, story_of(tally), seconds=1.0)


def report(source: bytes, *, pid: int = 102, seconds: float = 0.1) -> Report:
    return Report(measurement=measure(source), pid=pid, seconds=seconds)


def add(tally: Tally, path: str, *, node: str, seconds: float = 0.1, functions: int = 1) -> None:
    """A file that was measured rightly, with so many functions of a line each."""
    source = b"".join(b"def f%d(): pass\n" % number for number in range(functions))
    pid = tally.nodes[node].pids[-1]
    tally.add(
        path,
        node=node,
        report=report(source, pid=pid, seconds=seconds),
        expected=measure(source),
    )
