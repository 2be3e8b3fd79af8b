"""Rate limit by token bucket: bursts up to a size, then a steady rate."""

from __future__ import annotations


class TokenBucket:
    """Holds at most `burst` tokens and gains `rate_per_s` a second; starts full."""

    __slots__ = ("_at", "_burst", "_rate_per_s", "_tokens")

    def __init__(self, *, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None

    def take(self, tokens: float = 1.0, *, now: float) -> bool:
        """Take that many tokens if there are; False takes none."""
        self._fill(now)
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True

    def available_at(self, tokens: float = 1.0, *, now: float) -> float:
        """When `take` would succeed if nobody else takes."""
        self._fill(now)
        missing = min(tokens, self._burst) - self._tokens
        return now if missing <= 0 else now + missing / self._rate_per_s

    def _fill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate_per_s)
        self._at = now if self._at is None else max(now, self._at)
