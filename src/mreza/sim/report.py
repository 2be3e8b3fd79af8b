"""What many runs of a scenario say together, and how that compares with what was stored before.

A run is a function of the program and its seed: the same seeds give other figures only if the
program has changed. So a comparison of medians over the same seeds has no noise but that of luck
that fell otherwise, which the tolerance is for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mreza.errors import ConfigError
from mreza.sim.run import Outcome

FORMAT = 1
"Of a stored report."
TOLERANCE = 0.25
"""Share by which a figure may be worse than its baseline. Default: twice what medians over ten
seeds vary by when only luck changes."""
SMALLEST = 0.01
"Differences below this (10 ms, a hundredth of a message) are none."
MORE_IS_BETTER = frozenset(("messages", "handled", "calls", "calls_done"))
"Figures of what was achieved; of all others less is better."


class Spread(msgspec.Struct, frozen=True):
    """A figure over all seeds."""

    min: float
    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Nearest-rank percentiles; there must be a value."""
        ordered = sorted(values)
        return cls(
            min=ordered[0],
            p50=percentile(ordered, 0.5),
            p90=percentile(ordered, 0.9),
            p99=percentile(ordered, 0.99),
            max=ordered[-1],
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Failed(msgspec.Struct, frozen=True):
    """A run in which something did not hold."""

    seed: int
    failure: str
    faults: int
    "How many faults its schedule has."


class ScenarioReport(msgspec.Struct, frozen=True):
    """All runs of one scenario."""

    seeds: str
    "As on the command line: 0..99."
    runs: int
    failed: tuple[Failed, ...]
    figures: dict[str, Spread]
    "Of the runs in which everything held."


class Report(msgspec.Struct, frozen=True):
    """All runs of all scenarios; what `--json` prints and `--save-baseline` stores."""

    version: str
    "Of mreza."
    scenarios: dict[str, ScenarioReport]
    format: int = FORMAT

    @property
    def failed(self) -> bool:
        """Whether something did not hold in any run."""
        return any(one.failed for one in self.scenarios.values())


class Change(msgspec.Struct, frozen=True):
    """A figure whose median is not what it was."""

    scenario: str
    figure: str
    before: float
    after: float
    worse: bool

    @property
    def ratio(self) -> float:
        """After to before; infinite if there was none before."""
        return self.after / self.before if self.before else math.inf


def summarize(outcomes: Iterable[Outcome], *, seeds: str) -> ScenarioReport:
    """The report of one scenario, whatever order its runs ended in."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.seed)
    values: dict[str, list[float]] = {}
    for outcome in ordered:
        if outcome.failure is None:
            for figure, value in outcome.figures.items():
                values.setdefault(figure, []).append(value)
    return ScenarioReport(
        seeds=seeds,
        runs=len(ordered),
        failed=tuple(
            Failed(seed=one.seed, failure=one.failure, faults=len(one.schedule))
            for one in ordered
            if one.failure is not None
        ),
        figures={figure: Spread.of(values[figure]) for figure in sorted(values)},
    )


def compare(
    report: Report, baseline: Report, *, tolerance: float = TOLERANCE
) -> tuple[Change, ...]:
    """Figures whose median left the tolerance, of scenarios and figures that both have."""
    return tuple(
        change
        for scenario, after in report.scenarios.items()
        if (before := baseline.scenarios.get(scenario)) is not None
        for change in _changes(scenario, before.figures, after.figures, tolerance)
    )


def _changes(
    scenario: str, before: Mapping[str, Spread], after: Mapping[str, Spread], tolerance: float
) -> Iterator[Change]:
    for figure, spread in after.items():
        if figure not in before:
            continue
        old, new = before[figure].p50, spread.p50
        if abs(new - old) > max(SMALLEST, tolerance * abs(old)):
            worse = new < old if figure in MORE_IS_BETTER else new > old
            yield Change(scenario=scenario, figure=figure, before=old, after=new, worse=worse)


def not_comparable(report: Report, baseline: Report) -> Iterator[str]:
    """Sentences about what a comparison leaves out or cannot vouch for."""
    for scenario, after in report.scenarios.items():
        before = baseline.scenarios.get(scenario)
        if before is None:
            yield f"{scenario}: the baseline does not have it"
        elif before.seeds != after.seeds:
            yield f"{scenario}: seeds {after.seeds}, in the baseline {before.seeds}"


def to_json(report: Report) -> dict[str, Any]:
    """As plain values."""
    found: dict[str, Any] = msgspec.to_builtins(report)
    return found


def save(report: Report, path: Path) -> None:
    """Store a report as JSON that can be read, and compared by line."""
    text = msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=1)
    path.write_bytes(text + b"\n")


def read(path: Path) -> Report:
    """A stored report.

    Raises:
        ConfigError: the file cannot be read or is not a report.
    """
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(f"{path} is not a report of mreza sim: {error}") from error
    if report.format != FORMAT:
        raise ConfigError(f"{path} has format {report.format}; this version reads {FORMAT}")
    return report
