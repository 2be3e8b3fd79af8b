"""How many requests may be sent again, so that retries never become the overload (finagle)."""

from __future__ import annotations

import math
from collections import deque

RETRY_SHARE = 0.2
"Retries for each first request. Source: finagle's RetryBudget."
RETRIES_PER_S = 10.0
"Retries on top, so that who asks seldom may retry at all. Source: finagle."
CREDIT_LIFE_S = 10
"Seconds after which a request earns no retries any more. Source: finagle."


class RetryBudget:
    """In any ten seconds, 20 % of the requests of these ten seconds, and ten retries a second.

    Whole seconds are counted: at most eleven numbers are kept.
    """

    __slots__ = ("_earned", "_seconds")

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, float]] = deque()
        "(second, what was earned less what was spent in it), oldest first."
        self._earned = 0.0

    def request(self, *, now: float) -> None:
        """A request was sent for the first time."""
        self._add(RETRY_SHARE, now)

    def take(self, *, now: float) -> bool:
        """Spend one retry, if there is one."""
        if self.balance(now=now) < 1.0:
            return False
        self.spend(now=now)
        return True

    def spend(self, *, now: float) -> None:
        """A request was sent again because it had to; others have to wait the longer."""
        self._add(-1.0, now)

    def balance(self, *, now: float) -> float:
        """Retries left."""
        self._expire(math.floor(now))
        # Rounded: five requests earn one retry, and 5 × 0.2 must not come to 0.99….
        return round(RETRIES_PER_S * CREDIT_LIFE_S + self._earned, 6)

    def _add(self, credit: float, now: float) -> None:
        second = math.floor(now)
        self._expire(second)
        if self._seconds and self._seconds[-1][0] >= second:
            last, sum_ = self._seconds[-1]
            self._seconds[-1] = (last, sum_ + credit)
        else:
            self._seconds.append((second, credit))
        self._earned += credit

    def _expire(self, second: int) -> None:
        while self._seconds and self._seconds[0][0] <= second - CREDIT_LIFE_S:
            self._earned -= self._seconds.popleft()[1]
        if not self._seconds:
            self._earned = 0.0
