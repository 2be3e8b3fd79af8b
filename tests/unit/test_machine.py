"""The earliest of several deadlines, and the alarm that it sets."""

from __future__ import annotations

import pytest

from mreza.machine import Alarm, earliest


@pytest.mark.parametrize(
    ("deadlines", "first"),
    [((), None), ((None,), None), ((None, None), None), ((2.0, None, 1.0), 1.0), ((0.0,), 0.0)],
)
def test_none_stands_for_never(deadlines: tuple[float | None, ...], first: float | None) -> None:
    assert earliest(*deadlines) == first


def test_an_alarm_rings_at_the_earliest_time_that_was_set() -> None:
    alarm = Alarm()
    alarm.set(5.0)
    assert alarm.at < 0, "nobody has been asked yet"
    alarm.at = 9.0
    for at in (7.0, 8.0, 6.0, 6.5):
        alarm.set(at)
    assert alarm.at == 6.0
