"""The token bucket: a burst, then a steady rate, and never a debt."""

from __future__ import annotations

import pytest

from mreza.token_bucket import TokenBucket


def test_a_full_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(rate_per_s=2, burst=3)
    assert [bucket.take(now=10.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(now=10.4)
    assert bucket.take(now=10.5)


def test_it_never_holds_more_than_the_burst() -> None:
    bucket = TokenBucket(rate_per_s=10, burst=2)
    bucket.take(now=0.0)
    assert [bucket.take(now=1e6) for _ in range(3)] == [True, True, False]


def test_it_says_when_there_will_be_enough() -> None:
    bucket = TokenBucket(rate_per_s=2, burst=4)
    assert bucket.available_at(4, now=5.0) == 5.0
    assert bucket.take(4, now=5.0)
    assert bucket.available_at(1, now=5.0) == pytest.approx(5.5)
    assert bucket.available_at(100, now=5.0) == pytest.approx(7.0), "no more than the burst"


def test_time_that_goes_back_gives_and_takes_nothing() -> None:
    bucket = TokenBucket(rate_per_s=1, burst=1)
    assert bucket.take(now=100.0)
    assert not bucket.take(now=50.0)
    assert not bucket.take(now=100.5)
    assert bucket.take(now=101.0)
