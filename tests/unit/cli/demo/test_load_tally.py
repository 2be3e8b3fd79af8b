"""Which requests count as served, shed or failed, and what is promised of them."""

from __future__ import annotations

import pytest

from mreza.cli.demo.load_tally import LoadTally, percentile
from mreza.errors import DeadlineExceeded, Overloaded
from mreza.qos import Priority


def filled(*, high_failed: int = 0, low_shed: int = 5) -> LoadTally:
    """A run of 10 s with a hundred requests of each priority."""
    tally = LoadTally(capacity_per_s=40.0)
    for priority in Priority:
        for number in range(100):
            tally.offered(priority)
            error: Exception | None = None
            if priority is Priority.LOW and number < low_shed:
                error = Overloaded("full", retry_after_s=0.5)
            if priority is Priority.HIGH and number < high_failed:
                error = DeadlineExceeded("late")
            tally.ended(priority, took_s=number / 1000, at_s=number / 9.9, error=error)
    return tally


def test_what_was_served_shed_and_failed_is_counted_by_priority() -> None:
    told = filled(high_failed=1).to_json()
    assert list(told["priorities"]) == ["CRITICAL", "HIGH", "NORMAL", "LOW"]
    low, high = told["priorities"]["LOW"], told["priorities"]["HIGH"]
    assert (low["offered"], low["served"], low["shed"], low["failed"]) == (100, 95, 5, 0)
    assert low["retry_after_s"] == 0.5
    assert (high["served"], high["shed"], high["failed"], high["served_share"]) == (99, 0, 1, 0.99)
    assert told["priorities"]["CRITICAL"]["p50_ms"] == 49.0
    assert told["priorities"]["CRITICAL"]["p99_ms"] == 98.0
    assert told["priorities"]["CRITICAL"]["retry_after_s"] is None
    assert told["goodput_per_s"] == 39.4
    assert told["goodput_share"] == 0.985
    assert told["kept"]


@pytest.mark.parametrize(
    ("high_failed", "low_shed", "broken"),
    [(1, 5, []), (2, 5, ["HIGH: 98.0 % served"]), (0, 0, ["LOW: nothing was shed"])],
)
def test_promises_are_about_the_high_and_need_an_overload(
    high_failed: int, low_shed: int, broken: list[str]
) -> None:
    found = filled(high_failed=high_failed, low_shed=low_shed).broken_promises()
    assert [sentence[: len(words)] for sentence, words in zip(found, broken, strict=True)] == broken


def test_nothing_asked_is_no_success() -> None:
    tally = LoadTally(capacity_per_s=0.0)
    assert len(tally.broken_promises()) == 3
    assert (tally.goodput_per_s, tally.goodput_share) == (0.0, 0.0)


def test_percentiles_are_nearest_ranks() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
