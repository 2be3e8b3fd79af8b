"""A clock that a test moves by hand."""

from __future__ import annotations

import time


class HandClock:
    """Stands still until `now` is set; its wall clock is about right, for certificates."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self._offset_s = time.time() - now

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self._offset_s
