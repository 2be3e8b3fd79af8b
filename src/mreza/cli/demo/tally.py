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
    """What one node has done, in all its lives."""

    name: str
    node: str
    pids: list[int]
    "Of its processes, the one that runs now last."
    behind_a_relay: bool = False
    "What the sender has for it crosses another node."
    files: int = 0
    bytes: int = 0
    busy_s: float = 0.0
    forwarded: dict[int, tuple[int, int]] = field(default_factory=dict)
    "Envelopes and bytes that were not for it, as each of its processes counted them last."

    @property
    def restarts(self) -> int:
        return len(self.pids) - 1

    @property
    def forwarded_envelopes(self) -> int:
        return sum(envelopes for envelopes, _ in self.forwarded.values())

    @property
    def forwarded_bytes(self) -> int:
        return sum(count for _, count in self.forwarded.values())


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
        if report["pid"] not in worker.pids:
            pids = " or ".join(map(str, worker.pids))
            who = f"{worker.name}, which is process {pids}"
            self.differing.append(f"{path}: process {report['pid']} answered for {who}")
            return
        if found != expected:
            facts = ", ".join(
                f"{name} {found.get(name)!r} instead of {value!r}"
                for name, value in expected.items()
                if found.get(name) != value
            )
            self.differing.append(f"{path}: {worker.name} says {facts}")
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

    @property
    def measured(self) -> int:
        """Files that came back, right or wrong."""
        return sum(node.files for node in self.nodes.values())

    @property
    def crossed(self) -> int:
        """Files that were measured behind a relay."""
        return sum(node.files for node in self.nodes.values() if node.behind_a_relay)

    def share(self, node: NodeTally) -> float:
        """How much of the work this node did, from 0 to 1."""
        return node.files / self.measured if self.measured else 0.0

    def to_json(self, *, seconds: float) -> dict[str, Any]:
        """The demo's result for programs."""
        return {
            "agreed": self.agreed,
            "total": self.total,
            "all_agreed": self.all_agreed,
            "seconds": round(seconds, 3),
            "forwarded_share": round(self.crossed / self.measured, 4) if self.measured else None,
            "nodes": [
                {
                    "name": node.name,
                    "node": node.node,
                    "pid": node.pids[-1],
                    "pids": node.pids,
                    "restarts": node.restarts,
                    "files": node.files,
                    "share": round(self.share(node), 4),
                    "bytes": node.bytes,
                    "busy_s": round(node.busy_s, 3),
                    "behind_a_relay": node.behind_a_relay,
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
