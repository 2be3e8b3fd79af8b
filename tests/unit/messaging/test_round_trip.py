from __future__ import annotations

import pytest

from mreza.messaging.round_trip import RoundTrip


def test_without_a_measurement_the_first_timeout_is_the_configured_one() -> None:
    trip = RoundTrip(first_s=1.0, max_s=10.0)
    assert (trip.likely_s, trip.timeout_s()) == (1.0, 1.0)


def test_timeouts_double_up_to_the_longest() -> None:
    trip = RoundTrip(first_s=1.0, max_s=10.0)
    assert [trip.timeout_s(doublings=n) for n in (0, 1, 2, 3, 4, 99)] == [1, 2, 4, 8, 10, 10]


def test_a_slow_path_waits_longer_than_the_configured_first() -> None:
    trip = RoundTrip(first_s=1.0, max_s=10.0)
    trip.sample(2.0)
    assert trip.timeout_s() == 6.0


def test_samples_are_smoothed_as_in_rfc_6298() -> None:
    trip = RoundTrip(first_s=0.1, max_s=10.0)
    trip.sample(1.0)
    trip.sample(2.0)
    assert trip.smoothed_s == pytest.approx(1.125)
    assert trip.variance_s == pytest.approx(0.625)
    assert trip.likely_s == pytest.approx(3.625)
    assert trip.least_s == 1.0


def test_a_delay_that_cannot_be_counts_as_none() -> None:
    trip = RoundTrip(first_s=0.1, max_s=10.0)
    trip.sample(-1.0)
    assert trip.smoothed_s == 0.0
