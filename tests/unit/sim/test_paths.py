"""A path delays, loses, is cut and held."""

from __future__ import annotations

from random import Random

import pytest

from mreza.sim.paths import RETRANSMIT_MAX_S, RETRANSMIT_S, Path, next_try


def path() -> Path:
    return Path(lambda: 0.010, rng=Random(1))  # noqa: S311


def test_a_segment_arrives_after_the_latency() -> None:
    assert path().arrival(1000, now=5.0) == pytest.approx(5.010)


def test_a_narrow_path_carries_one_after_the_other() -> None:
    narrow = path()
    narrow.bandwidth = 1000.0
    assert narrow.arrival(500, now=5.0) == pytest.approx(5.510)
    assert narrow.arrival(500, now=5.0) == pytest.approx(6.010)
    assert narrow.arrival(500, now=9.0) == pytest.approx(9.510)


def test_loss_is_a_share() -> None:
    lossy = path()
    assert not any(lossy.loses() for _ in range(100))
    lossy.loss = 0.3
    assert 200 < sum(lossy.loses() for _ in range(1000)) < 400


@pytest.mark.parametrize(("held", "cut", "was_held"), [(True, False, True), (False, True, False)])
def test_whoever_waits_is_called_once_when_it_opens(held: bool, cut: bool, was_held: bool) -> None:
    closed, called = path(), list[bool]()
    closed.held, closed.cut = held, cut
    assert not closed.is_open
    closed.when_open(lambda: called.append(closed.was_held))
    for _ in range(2):
        closed.open()
    assert called == [was_held]


def test_pauses_between_tries_double_up_to_a_limit() -> None:
    assert next_try(10.0, now=10.0) == 10.0 + RETRANSMIT_S
    assert next_try(10.0, now=10.3) == pytest.approx(10.6)
    assert next_try(10.0, now=11.0) == pytest.approx(11.4)
    late = next_try(10.0, now=10_000.0)
    assert 10_000.0 <= late <= 10_000.0 + RETRANSMIT_MAX_S
