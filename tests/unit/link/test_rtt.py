from __future__ import annotations

import pytest

from mreza.link.rtt import SAMPLE_MAX_S, RoundTripTime, stamp_us


def test_the_first_sample_is_taken_as_it_is_and_later_ones_by_an_eighth() -> None:
    rtt = RoundTripTime()
    seen = [rtt.smoothed_s]
    for sample_s in (0.080, 0.160):
        assert rtt.sample(sample_s)
        seen.append(rtt.smoothed_s)
    assert seen[:2] == [None, 0.080]
    assert seen[2] == pytest.approx(0.090)
    assert rtt.variation_s == pytest.approx(0.050)


def test_an_echo_counts_without_the_time_it_was_held() -> None:
    rtt = RoundTripTime()
    assert rtt.echoed(echo_us=stamp_us(10.0), held_us=400_000, now=10.5)
    assert rtt.smoothed_s == pytest.approx(0.1)


def test_no_echo_yet_and_absurd_ones_are_no_samples() -> None:
    rtt = RoundTripTime()
    assert not rtt.echoed(echo_us=0, held_us=0, now=10.0)
    assert not rtt.echoed(echo_us=stamp_us(11.0), held_us=0, now=10.0)
    assert not rtt.sample(SAMPLE_MAX_S + 1)
    assert rtt.smoothed_s is None


def test_a_stamp_is_never_the_word_for_nothing() -> None:
    assert stamp_us(0.0) > 0
