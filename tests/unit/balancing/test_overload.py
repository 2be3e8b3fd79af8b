"""Who is still served when everybody is busy."""

from __future__ import annotations

import pytest

from mreza.balancing.overload import fill_limit, retry_after_s
from mreza.qos import Priority


def test_low_goes_first_and_critical_last() -> None:
    limits = [round(fill_limit(priority, threshold=0.8), 3) for priority in Priority]
    assert limits == [0.8, 0.867, 0.933, 1.0]
    assert fill_limit(-5, threshold=0.8) == 0.8
    assert fill_limit(99, threshold=0.8) == 1.0


@pytest.mark.parametrize(
    ("in_flight", "latency_s", "expected"),
    [(100, 1.0, 0.2), (80, 1.0, 0.05), (100, None, 0.05), (1000, 60.0, 10.0)],
)
def test_ask_again_when_enough_has_ended(
    in_flight: int, latency_s: float | None, expected: float
) -> None:
    assert retry_after_s(in_flight=in_flight, room=80, latency_s=latency_s) == pytest.approx(
        expected
    )
