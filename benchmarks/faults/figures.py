"""What is measured, what is asked of it, and what others did on such a machine."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Goal(msgspec.Struct, frozen=True):
    """One line of the table: a figure's name, what is asked of it, and the best of the others."""

    key: str
    what: str
    unit: str = "ms"
    median: float | None = None
    "At most this; None: nothing is asked."
    worst: float | None = None
    least: float | None = None
    "Each run must have at least this."
    others: str = ""
    "What we measured of other systems in such namespaces."


class Measured(msgspec.Struct, frozen=True):
    """All runs of one line."""

    key: str
    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    @property
    def worst(self) -> float:
        return max(self.runs)

    def meets(self, goal: Goal) -> bool | None:
        """None where nothing is asked."""
        asked = [
            figure <= bound
            for figure, bound in ((self.median, goal.median), (self.worst, goal.worst))
            if bound is not None
        ]
        if goal.least is not None:
            asked.append(min(self.runs) >= goal.least)
        return all(asked) if asked else None


def join(parts: Sequence[Measured]) -> list[Measured]:
    """One for each key, with the runs of all parts."""
    runs: dict[str, tuple[float, ...]] = {}
    for part in parts:
        runs[part.key] = runs.get(part.key, ()) + part.runs
    return [Measured(key, values) for key, values in runs.items()]


FLOW_OTHERS = (
    "OSPF+BFD 134, babeld 50 ms 142; tinc 1,534, yggdrasil 3,309, zenoh 11,024, OSPF 36,002"
)

SERF_HEAL = "serf 10,200 (1,300–28,500)"

GOALS = (
    Goal("silent", "a wire swallows everything → flow", median=350, worst=600, others=FLOW_OTHERS),
    Goal("silent-fast", "the same, profile fast", median=180, worst=300, others=FLOW_OTHERS),
    Goal("visible", "a wire resets and refuses → flow", median=20, worst=50, others="5–30"),
    Goal("unplugged", "both ends' interfaces go down → flow", others="5–30"),
    Goal("one-way", "a wire works one way only → flow"),
    Goal("receipts", "receipts lost or doubled, 1,000 msg/s", "", 0, 0, others="NATS 3–6, zenoh 8"),
    Goal("receipts-slowest", "the slowest of those receipts"),
    Goal("killed-8", "kill -9 → unreachable for all 8", median=300, worst=600, others="serf 5,650"),
    Goal("failed-8", "kill -9 → FAILED for all 8", worst=1500),
    Goal(
        "killed-32", "kill -9 → unreachable for all 32", median=600, worst=1200, others="serf 8,000"
    ),
    Goal("failed-32", "kill -9 → FAILED for all 32", worst=1500),
    Goal("left", "leave → known to all 8", median=100, others="serf 620"),
    Goal("joined", "initialize() → known to all 8", median=200, others="serf 360"),
    Goal("split", "split 4|4 → unreachable for all", median=500, worst=1000, others="serf 15,000"),
    Goal("partition", "split 4|4 → named a partition by all", worst=3500),
    Goal("partition-events", "… events of it at a node", "", worst=1, least=1),
    Goal("healed", "heal of a 60 s split → all see all", "ms", 1000, 2000, others=SERF_HEAL),
    Goal(
        "first-message", "initialize() on a LAN → first answer", "ms", 50, 150, others="zenoh 8–23"
    ),
    Goal("frozen-flow", "SIGSTOP of a relay → flow", median=350, worst=600),
    Goal("frozen-back", "SIGCONT after 2 and 5 s → alive for all", worst=500),
    Goal("frozen-failed", "… and FAILED so often", "", 0, 0),
    Goal("frozen-15", "SIGSTOP 15 s: FAILED at each node (once)", "", worst=1, least=1),
    Goal("frozen-15-back", "… SIGCONT → alive for all"),
    Goal("burn-failed", "a handler burns CPU in a thread for 30 s: FAILED", "", 0, 0),
    Goal("lossy-routes", "20 % loss under one link for 60 s: route changes", "", 2, 2),
    Goal("lossy-receipts", "… receipts lost or doubled", "", 0, 0),
    Goal("load-failed", "machine load 4, profile fast: false FAILED", "", 0, 0, others="BFD flaps"),
    Goal("load-downs", "… link-downs per link and hour", "", 1, 1),
    Goal("load-back", "… a link that went is back after", worst=300),
    Goal("load-lost", "… receipts lost or doubled", "", 0, 0),
    Goal("idle-frames", "idle, 50 ms probes: frames/s a link", "/s", 60, others="BFD 46"),
    Goal("idle-bytes", "… bytes/s a link", "/s", 6000, others="BFD 3,000"),
    Goal("idle-cpu", "… CPU a node", "%", 3, others="BFD 2.7"),
    Goal("restart-50", "50 nodes restarted at once → one mesh", worst=30_000),
    Goal("restart-50-dials", "… dials of a node until then (worst node)", ""),
)
