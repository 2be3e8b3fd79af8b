"""The system's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """The only place that asks for the time."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()
