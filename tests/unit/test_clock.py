"""A clock is anything with the two times; machines need no more."""

from __future__ import annotations

from mreza.clock import Clock


class Still:
    """A clock that stands still."""

    def monotonic(self) -> float:
        return 1.0

    def wall(self) -> float:
        return 2.0


def test_a_clock_is_known_by_its_two_times() -> None:
    clock: Clock = Still()
    assert (clock.monotonic(), clock.wall()) == (1.0, 2.0)
