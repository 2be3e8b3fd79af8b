"""Figures of many runs as percentiles, stored, and compared with what was stored before."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mreza.errors import ConfigError
from mreza.sim.report import (
    Change,
    Failed,
    Report,
    Spread,
    compare,
    not_comparable,
    percentile,
    read,
    save,
    summarize,
    to_json,
)
from tests.unit.sim.runs import FAULTS, outcome


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([1], 0.5, 1),
        ([1, 2], 0.5, 1),
        ([1, 2, 3], 0.5, 2),
        (list(range(1, 101)), 0.99, 99),
        (list(range(1, 101)), 1.0, 100),
        (list(range(1, 101)), 0.0, 1),
    ],
)
def test_percentiles_are_values_that_occurred(
    values: list[float], share: float, expected: float
) -> None:
    assert percentile(values, share) == expected


def test_a_report_is_of_runs_that_held_and_names_those_that_did_not() -> None:
    outcomes = [outcome(seed, bytes=10.0 * seed) for seed in (3, 1, 2)]
    outcomes.append(outcome(9, failure="order: 2 before 1", bytes=1e9))
    found = summarize(outcomes, seeds="1,2,3,9")
    assert found.runs == 4
    assert found.failed == (Failed(seed=9, failure="order: 2 before 1", faults=len(FAULTS)),)
    assert found.figures == {"bytes": Spread(min=10, p50=20, p90=30, p99=30, max=30)}


def test_the_order_in_which_runs_end_does_not_matter() -> None:
    outcomes = [outcome(seed, bytes=seed**2 % 7, formed_s=seed) for seed in range(10)]
    assert summarize(outcomes, seeds="0..9") == summarize(reversed(outcomes), seeds="0..9")


def report(medians: dict[str, float], *, seeds: str = "0..2") -> Report:
    outcomes = [msgspec.structs.replace(outcome(seed), figures=medians) for seed in range(3)]
    return Report(version="1", scenarios={"quiet": summarize(outcomes, seeds=seeds)})


@pytest.mark.parametrize(
    ("figure", "before", "after", "worse"),
    [
        ("bytes", 100, 125, None),
        ("bytes", 100, 126, True),
        ("bytes", 100, 74, False),
        ("healed_s", 0.001, 0.009, None),
        ("healed_s", 0, 1, True),
        ("handled", 100, 60, True),
        ("handled", 100, 150, False),
    ],
)
def test_a_median_beyond_the_tolerance_is_better_or_worse(
    figure: str, before: float, after: float, worse: bool | None
) -> None:
    changes = compare(report({figure: after}), report({figure: before}))
    expected = Change("quiet", figure, float(before), float(after), worse=bool(worse))
    assert changes == (() if worse is None else (expected,))


def test_how_much_a_median_grew_is_told() -> None:
    (change,) = compare(report({"bytes": 300}), report({"bytes": 100}))
    assert change.ratio == 3
    (change,) = compare(report({"bytes": 300}), report({"bytes": 0}))
    assert change.ratio == float("inf")


def test_what_only_one_side_has_is_not_compared_but_said() -> None:
    now, before = report({"bytes": 1, "hops": 5}), report({"bytes": 1}, seeds="0..99")
    assert compare(now, before) == ()
    assert list(not_comparable(now, before)) == ["quiet: seeds 0..2, in the baseline 0..99"]
    empty = Report(version="1", scenarios={})
    assert compare(now, empty) == ()
    assert list(not_comparable(now, empty)) == ["quiet: the baseline does not have it"]


def test_a_report_is_stored_and_read(tmp_path: Path) -> None:
    stored, found = tmp_path / "before.json", report({"bytes": 3})
    save(found, stored)
    assert read(stored) == found
    assert to_json(found)["scenarios"]["quiet"]["figures"]["bytes"]["p99"] == 3
    assert not found.failed


def test_what_is_no_report_is_named(tmp_path: Path) -> None:
    file = tmp_path / "before.json"
    with pytest.raises(ConfigError, match=r"cannot read .*before\.json"):
        read(file)
    file.write_text('{"version": "1"}')
    with pytest.raises(ConfigError, match="is not a report of mreza sim"):
        read(file)
    file.write_text('{"version": "1", "scenarios": {}, "format": 7}')
    with pytest.raises(ConfigError, match="has format 7; this version reads 1"):
        read(file)
