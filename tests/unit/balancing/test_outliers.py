"""Who fails while others do not is ejected; never all."""

from __future__ import annotations

import pytest

from mreza.balancing.circuit_breaker import Circuit
from mreza.balancing.endpoint import Endpoint
from mreza.balancing.outliers import FAILURES_IN_A_ROW, OutlierDetector, ejected_max
from tests.support.balancing import endpoint


def fleet(count: int) -> list[Endpoint]:
    return [endpoint(f"n{number:03}") for number in range(count)]


def fail(detector: OutlierDetector, one: Endpoint, among: list[Endpoint], times: int) -> None:
    for _ in range(times):
        detector.failed(one, among, now=0.0)


def swept(detector: OutlierDetector, among: list[Endpoint], rates: list[tuple[int, int]]) -> None:
    """A sweep after so many successes and failures of each."""
    detector.sweep(among, now=0.0)
    for one, (succeeded, failed) in zip(among, rates, strict=True):
        one.swept_succeeded, one.swept_failed = succeeded, failed
    detector.sweep(among, now=9.9)
    assert not opened(among), "not yet"
    detector.sweep(among, now=10.0)


def opened(among: list[Endpoint]) -> list[int]:
    return [place for place, one in enumerate(among) if one.circuit.open_until is not None]


def test_five_failures_in_a_row_eject() -> None:
    detector, nodes = OutlierDetector(), fleet(8)
    fail(detector, nodes[0], nodes, FAILURES_IN_A_ROW - 1)
    detector.succeeded(nodes[0], now=0.0)
    fail(detector, nodes[0], nodes, FAILURES_IN_A_ROW - 1)
    assert opened(nodes) == []
    fail(detector, nodes[0], nodes, 1)
    assert opened(nodes) == [0]
    assert detector.ejections == 1


@pytest.mark.parametrize(("nodes", "most"), [(1, 1), (3, 1), (10, 1), (19, 1), (20, 2), (100, 10)])
def test_at_most_a_tenth_but_one_if_need_be(nodes: int, most: int) -> None:
    assert ejected_max(nodes) == most
    detector, among = OutlierDetector(), fleet(nodes)
    for one in among:
        fail(detector, one, among, FAILURES_IN_A_ROW)
    assert len(opened(among)) == most
    assert detector.spared == nodes - most


def test_a_trial_that_fails_ejects_at_once_and_for_longer() -> None:
    detector, nodes = OutlierDetector(), fleet(8)
    fail(detector, nodes[0], nodes, FAILURES_IN_A_ROW)
    detector.failed(nodes[0], nodes, now=29.0)
    assert nodes[0].circuit.times == 1, "an answer to an old request changes nothing"
    detector.failed(nodes[0], nodes, now=30.0)
    assert nodes[0].circuit.open_until == 90.0
    detector.succeeded(nodes[0], now=90.0)
    assert nodes[0].circuit.state(90.0) is Circuit.CLOSED


def test_who_succeeds_much_less_often_than_the_others_is_ejected() -> None:
    nodes = fleet(8)
    swept(OutlierDetector(), nodes, [(99, 1)] * 7 + [(70, 30)])
    assert opened(nodes) == [7]


@pytest.mark.parametrize(
    "rates",
    [
        [(70, 30)] * 8,
        [(99, 1)] * 3 + [(70, 30)],
        [(90, 1)] * 7 + [(60, 30)],
        [(100, 0)] * 8,
    ],
    ids=["all alike", "too few nodes", "too few requests", "all well"],
)
def test_success_rates_say_nothing_of(rates: list[tuple[int, int]]) -> None:
    nodes = fleet(len(rates))
    swept(OutlierDetector(), nodes, rates)
    assert opened(nodes) == []


def test_who_fails_nearly_always_is_ejected_worst_first() -> None:
    nodes = fleet(6)
    swept(OutlierDetector(), nodes, [(50, 0)] * 4 + [(7, 50), (5, 50)])
    assert opened(nodes) == [5]


def test_a_sweep_begins_anew_and_forgets_old_trouble() -> None:
    detector, nodes = OutlierDetector(), fleet(8)
    nodes[0].circuit.times = 2
    nodes[1].circuit.trip(now=-100.0)
    detector.sweep(nodes, now=0.0)
    nodes[2].swept_failed = 50
    detector.sweep(nodes, now=10.0)
    assert (nodes[0].circuit.times, nodes[1].circuit.times) == (1, 1)
    assert nodes[2].swept_failed == 0
