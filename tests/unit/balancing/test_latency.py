"""Latencies that rise at once and fall slowly, and quantiles of the last."""

from __future__ import annotations

import math

import pytest

from mreza.balancing.latency import PEAK_DECAY_S, WINDOW, LatencyWindow, PeakLatency


def test_a_peak_counts_at_once_and_fades() -> None:
    peak = PeakLatency()
    assert peak.at(5.0) == 0.0
    peak.observe(0.1, now=0.0)
    peak.observe(2.0, now=1.0)
    assert peak.at(1.0) == 2.0
    assert peak.at(1.0 + PEAK_DECAY_S) == pytest.approx(2.0 / math.e)


def test_below_the_peak_it_is_a_moving_average_of_what_is_heard() -> None:
    peak = PeakLatency()
    peak.observe(1.0, now=0.0)
    for tenth in range(1, 1000):
        peak.observe(0.1, now=tenth / 10)
    assert peak.at(99.9) == pytest.approx(0.1, rel=0.01)


def test_a_clock_that_stands_still_does_no_harm() -> None:
    peak = PeakLatency()
    peak.observe(1.0, now=5.0)
    peak.observe(0.5, now=5.0)
    assert peak.at(4.0) == 1.0


def test_quantiles_are_of_the_last_latencies() -> None:
    window = LatencyWindow()
    assert window.quantile(0.5) is None
    window.add(3.0)
    assert window.quantile(0.5) == 3.0
    for number in range(3 * WINDOW):
        window.add(number)
    assert len(window) == WINDOW
    assert window.quantile(0.5) == 2 * WINDOW + WINDOW / 2
    assert window.quantile(1.0) == 3 * WINDOW - 1


def test_quantiles_are_not_worked_out_for_each_latency() -> None:
    window = LatencyWindow()
    for _ in range(WINDOW):
        window.add(1.0)
    assert window.quantile(1.0) == 1.0
    window.add(9.0)
    assert window.quantile(1.0) == 1.0, "not yet"
    for _ in range(16):
        window.add(1.0)
    assert window.quantile(1.0) == 9.0
