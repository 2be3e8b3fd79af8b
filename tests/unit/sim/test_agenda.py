"""Virtual time: order, bounds, and an instant that never ends."""

from __future__ import annotations

import pytest

from mreza.sim.agenda import START_S, Agenda, NeverAtRest, tick


def test_things_happen_in_time_and_at_one_time_in_the_order_of_entry() -> None:
    agenda, seen = Agenda(), list[str]()
    for delay_s, name in ((2.0, "late"), (1.0, "first"), (1.0, "second")):
        agenda.after(delay_s, seen.append, name)
    assert agenda.next_at() == START_S + 1
    assert agenda.instant(until=START_S + 1.5)
    assert seen == ["first", "second"]
    assert not agenda.instant(until=START_S + 1.5)
    assert agenda.instant(until=START_S + 9)
    assert (seen[-1], agenda.now, agenda.next_at()) == ("late", START_S + 2, None)


def test_what_has_passed_happens_at_the_end_of_this_instant() -> None:
    agenda, seen = Agenda(), list[str]()
    agenda.after(1.0, agenda.at, 0.0, seen.append, "now")
    agenda.instant(until=START_S + 1)
    assert (seen, agenda.now) == (["now"], START_S + 1)


def test_an_instant_that_never_ends_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mreza.sim.agenda.INSTANT_MAX", 50)
    agenda = Agenda()

    def again() -> None:
        agenda.after(0.0, again)

    again()
    with pytest.raises(NeverAtRest, match=r"50 things at 0\.000000 s"):
        agenda.instant(until=START_S)


def test_a_tick_is_a_microsecond() -> None:
    assert tick(0.12345678) == 0.123457
