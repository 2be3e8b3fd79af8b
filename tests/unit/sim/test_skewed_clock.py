"""A clock that runs wrong: it never goes back, and its deadlines come when it shows them."""

from __future__ import annotations

import pytest

from mreza.sim.agenda import Agenda
from mreza.sim.skewed_clock import SLACK_S, SkewedClock


def test_a_true_clock_shows_the_worlds_time() -> None:
    agenda = Agenda()
    clock = SkewedClock(agenda)
    agenda.now += 5
    assert (clock.monotonic(), clock.wall()) == (agenda.now, agenda.wall)
    assert clock.true_time(agenda.now + 1) == agenda.now + 1


@pytest.mark.parametrize("rate", [0.5, 1.3, 2.0])
def test_a_fast_clock_reaches_its_deadlines_early(rate: float) -> None:
    agenda = Agenda()
    clock = SkewedClock(agenda)
    agenda.now += 7
    clock.rate = rate
    begin, deadline = agenda.now, clock.monotonic() + 10
    at = clock.true_time(deadline)
    assert at == pytest.approx(begin + 10 / rate, abs=2 * SLACK_S)
    agenda.now = at
    assert clock.monotonic() >= deadline
    clock.rate = 1.0
    before = clock.monotonic()
    agenda.now += 1
    assert clock.monotonic() == pytest.approx(before + 1)


def test_the_time_of_day_may_jump_and_monotonic_time_may_not() -> None:
    agenda = Agenda()
    clock = SkewedClock(agenda)
    clock.jump(-3600)
    assert clock.wall() == pytest.approx(agenda.wall - 3600)
    assert clock.monotonic() == agenda.now
    with pytest.raises(ValueError, match="cannot run at -1 of true"):
        clock.rate = -1
