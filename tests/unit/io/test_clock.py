from __future__ import annotations

import time

from mreza.io.clock import SystemClock


def test_the_clocks_are_the_systems() -> None:
    clock = SystemClock()
    assert abs(clock.wall() - time.time()) < 5
    assert clock.monotonic() <= clock.monotonic()
