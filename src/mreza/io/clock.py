"""The system's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """The only place that asks for the time."""

    # Asked several times for every message, so without a step of Python between.
    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)
