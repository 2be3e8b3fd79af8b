from __future__ import annotations

import pytest

from mreza.config.routing import RoutingConfig
from mreza.routing.spf_timer import SpfState, SpfTimer


@pytest.fixture
def timer() -> SpfTimer:
    return SpfTimer(config=RoutingConfig())


def test_the_first_change_is_computed_at_once(timer: SpfTimer) -> None:
    assert timer.state(now=100.0) is SpfState.QUIET
    assert timer.change(now=100.0)
    assert timer.state(now=100.0) is SpfState.SHORT_WAIT
    assert timer.next_deadline() is None
    assert not timer.advance(now=200.0)


def test_in_short_wait_the_first_event_waits_50_ms_and_later_ones_200(timer: SpfTimer) -> None:
    timer.change(now=0.0)
    assert not timer.change(now=0.010)
    assert timer.next_deadline() == 0.010 + 0.05
    assert not timer.advance(now=0.0599)
    assert timer.advance(now=0.010 + 0.05)
    assert not timer.change(now=0.100)
    assert timer.next_deadline() == 0.100 + 0.2
    assert timer.advance(now=0.100 + 0.2)
    assert not timer.change(now=0.31)
    assert timer.next_deadline() == 0.31 + 0.2


def test_events_while_waiting_join_the_computation_that_is_due(timer: SpfTimer) -> None:
    timer.change(now=0.0)
    timer.change(now=0.01)
    timer.change(now=0.05)
    assert timer.next_deadline() == 0.01 + 0.05
    assert timer.change(now=0.07), "it is overdue: compute"


def test_after_half_a_second_of_learning_the_wait_is_five_seconds(timer: SpfTimer) -> None:
    timer.change(now=0.0)
    assert not timer.change(now=0.499999)
    assert timer.next_deadline() == 0.499999 + 0.05
    assert timer.advance(now=0.56)
    assert not timer.change(now=0.6)
    assert timer.state(now=0.6) is SpfState.LONG_WAIT
    assert timer.next_deadline() == 0.6 + 5.0


def test_learning_ends_at_the_tick(timer: SpfTimer) -> None:
    timer.change(now=0.0)
    assert timer.state(now=0.4999) is SpfState.SHORT_WAIT
    assert timer.state(now=0.5) is SpfState.LONG_WAIT


def test_ten_seconds_without_events_make_it_quiet_at_the_tick(timer: SpfTimer) -> None:
    timer.change(now=0.0)
    timer.change(now=3.0)
    assert timer.advance(now=8.0)
    assert timer.state(now=12.999) is SpfState.LONG_WAIT
    assert timer.state(now=13.0) is SpfState.QUIET
    assert timer.change(now=13.0)


def test_events_every_110_ms_are_computed_when_the_rfc_says(timer: SpfTimer) -> None:
    computed = []
    for event in range(0, 7000, 110):
        deadline = timer.next_deadline()
        if deadline is not None and deadline <= event / 1000:
            assert timer.advance(now=deadline)
            computed.append(round(deadline * 1000))
        if timer.change(now=event / 1000):
            computed.append(event)
    last = timer.next_deadline()
    assert last is not None
    assert timer.advance(now=last)
    computed.append(round(last * 1000))
    # 0 at once; 110 + 50; 220 + 200; 440 + 200; then LONG_WAIT: 660 + 5000, 5720 + 5000
    assert computed == [0, 160, 420, 640, 5660, 10_720]


def test_a_hastened_change_waits_only_50_ms_after_the_last_computation(timer: SpfTimer) -> None:
    timer.change(now=0.0)
    assert not timer.change(now=0.01)
    assert not timer.hasten(now=0.01)
    assert timer.next_deadline() == 0.05
    assert timer.advance(now=0.05)
    assert not timer.change(now=2.0)
    assert timer.hasten(now=2.0)
    assert timer.next_deadline() is None
    assert not timer.change(now=2.02)
    assert not timer.hasten(now=2.02)
    assert timer.next_deadline() == 2.05


def test_hastening_nothing_computes_nothing(timer: SpfTimer) -> None:
    assert not timer.hasten(now=1.0)
