"""What is measured and how it is summed up: plain numbers, no processes."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Case:
    """One question; every system that can answer it does so in every round."""

    name: str
    do: str
    "Command of the near end: one_way, round_trips, receipts, calls, calls_many."
    size: int
    "Bytes of one message."
    systems: tuple[str, ...]
    "The first is ours; the second is what the ratio is to."
    unit: str = "msg/s"
    "msg/s: higher is better. us: median latency, lower is better."


@dataclasses.dataclass(frozen=True)
class Measured:
    """One run of one system for one case."""

    messages: int
    seconds: float
    cpu_us: dict[str, float]
    "CPU time of each process for each message, by role."
    p50_us: float | None = None
    p99_us: float | None = None

    @property
    def rate(self) -> float:
        return self.messages / self.seconds

    def figure(self, unit: str) -> float:
        """The number that the case is about."""
        if unit == "us":
            if self.p50_us is None:
                raise ValueError("a latency was asked of a one-way run")
            return self.p50_us
        return self.rate


@dataclasses.dataclass(frozen=True)
class Summary:
    """All rounds of one system for one case."""

    case: str
    system: str
    unit: str
    size: int
    median: float
    least: float
    most: float
    cpu_us: dict[str, float]
    "Medians."
    p99_us: float | None
    ratio: float | None
    "Ours to this system's, round by round, then the median; None for ours."
    rounds: list[float]


def latencies(times_s: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile in µs."""
    ordered = sorted(times_s)
    last = len(ordered) - 1
    return ordered[last // 2] * 1e6, ordered[last * 99 // 100] * 1e6


def summarize(case: Case, runs: dict[str, list[Measured]]) -> list[Summary]:
    """The rounds of each system, with our ratio to each other one."""
    ours = runs[case.systems[0]]
    found = []
    for system in case.systems:
        rounds = runs[system]
        figures = [run.figure(case.unit) for run in rounds]
        ratio = None
        if system != case.systems[0]:
            ratio = statistics.median(
                mine.figure(case.unit) / theirs for mine, theirs in zip(ours, figures, strict=True)
            )
        p99 = [run.p99_us for run in rounds if run.p99_us is not None]
        found.append(
            Summary(
                case=case.name,
                system=system,
                unit=case.unit,
                size=case.size,
                median=statistics.median(figures),
                least=min(figures),
                most=max(figures),
                cpu_us={
                    role: statistics.median(run.cpu_us[role] for run in rounds)
                    for role in rounds[0].cpu_us
                },
                p99_us=statistics.median(p99) if p99 else None,
                ratio=ratio,
                rounds=figures,
            )
        )
    return found
