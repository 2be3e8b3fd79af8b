"""What became of each request under overload, by priority, and whether promises were kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mreza.errors import Overloaded
from mreza.qos import Priority

SERVED_MIN = 0.99
"So much of HIGH and of CRITICAL must be served, however much LOW work is offered."
GOODPUT_MIN = 0.9
"Shedding must not leave the workers idle."
PROTECTED = (Priority.CRITICAL, Priority.HIGH)


@dataclass
class PriorityTally:
    """The requests of one priority."""

    offered: int = 0
    served_s: list[float] = field(default_factory=list)
    "Latency of each that was done."
    shed_s: list[float] = field(default_factory=list)
    "Of each that was refused as Overloaded: after how long it may be asked again."
    failed: int = 0
    "All that ended otherwise."

    @property
    def ended(self) -> int:
        return len(self.served_s) + len(self.shed_s) + self.failed

    @property
    def served_share(self) -> float:
        """Of those that have ended."""
        return len(self.served_s) / self.ended if self.ended else 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "offered": self.offered,
            "served": len(self.served_s),
            "shed": len(self.shed_s),
            "failed": self.failed,
            "served_share": round(self.served_share, 4),
            "retry_after_s": _rounded(percentile(self.shed_s, 0.5)),
            "p50_ms": _rounded(percentile(self.served_s, 0.5), by=1000),
            "p99_ms": _rounded(percentile(self.served_s, 0.99), by=1000),
        }


class LoadTally:
    """All requests of one run. Times are told by the caller."""

    def __init__(self, *, capacity_per_s: float) -> None:
        """`capacity_per_s`: what the workers did when none of them was ever idle."""
        self.capacity_per_s = capacity_per_s
        self.priorities = {priority: PriorityTally() for priority in sorted(Priority, reverse=True)}
        self.seconds = 0.0
        "From the first request to the last answer so far."

    # Inputs.

    def offered(self, priority: Priority) -> None:
        """A request is on its way."""
        self.priorities[priority].offered += 1

    def ended(
        self, priority: Priority, *, took_s: float, at_s: float, error: Exception | None
    ) -> None:
        """It came back, so long after the run began."""
        tally = self.priorities[priority]
        self.seconds = max(self.seconds, at_s)
        if error is None:
            tally.served_s.append(took_s)
        elif isinstance(error, Overloaded):
            tally.shed_s.append(error.retry_after_s)
        else:
            tally.failed += 1

    # Outputs.

    @property
    def goodput_per_s(self) -> float:
        served = sum(len(tally.served_s) for tally in self.priorities.values())
        return served / self.seconds if self.seconds else 0.0

    @property
    def goodput_share(self) -> float:
        """Of what the workers can do."""
        return self.goodput_per_s / self.capacity_per_s if self.capacity_per_s else 0.0

    def broken_promises(self) -> list[str]:
        """What did not hold, a sentence each; none: all is well."""
        broken = [
            f"{priority.name}: {100 * tally.served_share:.1f} % served, promised are "
            f"{100 * SERVED_MIN:.0f} %"
            for priority in PROTECTED
            if (tally := self.priorities[priority]).served_share < SERVED_MIN
        ]
        if not self.priorities[Priority.LOW].shed_s:
            broken.append("LOW: nothing was shed, so the workers were not overloaded")
        return broken

    def to_json(self) -> dict[str, Any]:
        broken = self.broken_promises()
        return {
            "kept": not broken,
            "broken": broken,
            "seconds": round(self.seconds, 3),
            "capacity_per_s": round(self.capacity_per_s, 1),
            "goodput_per_s": round(self.goodput_per_s, 1),
            "goodput_share": round(self.goodput_share, 4),
            "priorities": {
                priority.name: tally.to_json() for priority, tally in self.priorities.items()
            },
        }


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest rank; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _rounded(value: float | None, *, by: float = 1) -> float | None:
    return None if value is None else round(value * by, 3)
