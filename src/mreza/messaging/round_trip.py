"""Round-trip time to one destination, and how long to wait for an acknowledgement (RFC 6298)."""

from __future__ import annotations

_GAIN = 1 / 8
_VARIANCE_GAIN = 1 / 4


class RoundTrip:
    """Smoothed time from sending a batch to its acknowledgement, the receiver's delay left out."""

    __slots__ = ("_first_s", "_max_s", "least_s", "smoothed_s", "variance_s")

    def __init__(self, *, first_s: float, max_s: float) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self.smoothed_s: float | None = None
        self.variance_s = 0.0
        self.least_s = float("inf")

    def sample(self, rtt_s: float) -> None:
        """One measurement, of a batch that was sent only once (Karn's rule)."""
        rtt_s = max(rtt_s, 0.0)
        self.least_s = min(self.least_s, rtt_s)
        if self.smoothed_s is None:
            self.smoothed_s, self.variance_s = rtt_s, rtt_s / 2
            return
        self.variance_s += _VARIANCE_GAIN * (abs(self.smoothed_s - rtt_s) - self.variance_s)
        self.smoothed_s += _GAIN * (rtt_s - self.smoothed_s)

    @property
    def likely_s(self) -> float:
        """By then an acknowledgement is here, unless something was lost."""
        if self.smoothed_s is None:
            return self._first_s
        return self.smoothed_s + 4 * self.variance_s

    def timeout_s(self, *, doublings: int = 0) -> float:
        """Wait before sending again: at least `retransmit_first_s`, doubled for each in vain."""
        first = max(self._first_s, self.likely_s)
        if doublings:
            first *= 2.0 ** min(doublings, 16)
        return min(max(self._max_s, self._first_s), first)
