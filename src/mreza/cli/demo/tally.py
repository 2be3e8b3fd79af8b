"""What the demo has found so far, and what it amounts to in the end."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any

from mreza.cli.demo.measure import Measurement
from mreza.cli.demo.worker import Report

SLOWEST_SHOWN = 5


@dataclass
class NodeTally:
    """What one node has done."""

    name: str
    node: str
    pid: int
    files: int = 0
    bytes: int = 0
    busy_s: float = 0.0
    forwarded_envelopes: int = 0
    forwarded_bytes: int = 0


@dataclass(frozen=True, order=True)
class Measured:
    """One file that came back. Ordered by the time it took."""

    seconds: float
    path: str
    node: str
    measurement: Measurement = field(compare=False)


class Tally:
    """The results of all files."""

    def __init__(self, nodes: list[NodeTally], *, total: int) -> None:
        self.nodes = {node.node: node for node in nodes}
        self.total = total
        self.agreed = 0
        self.differing: list[str] = []
        "One sentence for each result that differs from the one computed without the mesh."
        self.failed: list[str] = []
        "One sentence for each file that the mesh did not measure."
        self.skipped: list[str] = []
        "One sentence for each file that was never sent."
        self.slowest: list[Measured] = []
        self.lines = 0
        self.functions = 0
        self.longest: Measured | None = None

    @property
    def settled(self) -> int:
        """Files of which the outcome is known."""
        return self.agreed + len(self.differing) + len(self.failed) + len(self.skipped)

    @property
    def all_agreed(self) -> bool:
        """Every file that could be read was measured alike by the mesh; and there was one."""
        sent_all = self.settled == self.total and self.agreed > 0
        return sent_all and not self.differing and not self.failed

    def add(self, path: str, *, node: str, report: Report, expected: Measurement) -> None:
        """A file was measured by `node`; `expected` was computed without the mesh."""
        worker, found = self.nodes[node], report["measurement"]
        worker.files += 1
        worker.bytes += found["bytes"]
        worker.busy_s += report["seconds"]
        if report["pid"] != worker.pid:
            who = f"node {worker.name}, which is process {worker.pid}"
            self.differing.append(f"{path}: process {report['pid']} answered for {who}")
            return
        if found != expected:
            facts = ", ".join(
                f"{name} {found.get(name)!r} instead of {value!r}"
                for name, value in expected.items()
                if found.get(name) != value
            )
            self.differing.append(f"{path}: node {worker.name} says {facts}")
            return
        self.agreed += 1
        self.lines += found["lines"]
        self.functions += found["functions"]
        measured = Measured(report["seconds"], path, worker.name, found)
        if len(self.slowest) < SLOWEST_SHOWN:
            heapq.heappush(self.slowest, measured)
        else:
            heapq.heappushpop(self.slowest, measured)
        longest = 0 if self.longest is None else self.longest.measurement["longest_lines"]
        if found["longest_lines"] > longest:
            self.longest = measured

    def to_json(self, *, seconds: float, relay: str) -> dict[str, Any]:
        """The demo's result for programs. `relay` is the id of the middle node."""
        measured = sum(node.files for node in self.nodes.values())
        crossed = self.crossed(relay)
        return {
            "agreed": self.agreed,
            "total": self.total,
            "all_agreed": self.all_agreed,
            "seconds": round(seconds, 3),
            "forwarded_share": round(crossed / measured, 4) if measured else None,
            "nodes": [
                {
                    "name": node.name,
                    "node": node.node,
                    "pid": node.pid,
                    "files": node.files,
                    "bytes": node.bytes,
                    "busy_s": round(node.busy_s, 3),
                    "forwarded_files": crossed if node.node == relay else 0,
                    "forwarded_envelopes": node.forwarded_envelopes,
                    "forwarded_bytes": node.forwarded_bytes,
                }
                for node in self.nodes.values()
            ],
            "slowest": [
                {"path": one.path, "seconds": round(one.seconds, 4), "node": one.node}
                | dict(one.measurement)
                for one in sorted(self.slowest, reverse=True)
            ],
            "differing": self.differing,
            "failed": self.failed,
            "skipped": self.skipped,
        }

    def crossed(self, relay: str) -> int:
        """Files that were forwarded by the relay: those for the node behind it."""
        behind = list(self.nodes)[list(self.nodes).index(relay) + 1 :]
        return sum(self.nodes[node].files for node in behind)
