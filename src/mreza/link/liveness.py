"""When to probe a link and when to give it up. Anything received from the peer is a sign of life.

A node whose own loop was late doubts itself: the time in which it did not listen is not held
against the peer.
"""

from __future__ import annotations

LATE_PROBES = 2.0
"A loop that comes this many probe intervals late did not listen meanwhile."


class Liveness:
    """Counts the silence of one peer."""

    __slots__ = ("_checked_at", "_heard_at", "_probe_at", "_probe_interval_s", "_silent_after_s")

    def __init__(self, *, probe_interval_s: float, silent_after_s: float, now: float) -> None:
        self._probe_interval_s = probe_interval_s
        self._silent_after_s = silent_after_s
        self._heard_at = now
        self._probe_at = now
        self._checked_at = now

    def heard(self, *, now: float) -> None:
        """Something came from the peer."""
        self._heard_at = now

    def silence_s(self, *, now: float) -> float:
        """How long nothing came."""
        return now - self._heard_at

    def is_silent(self, *, now: float) -> bool:
        """True if the peer has had its time.

        Call it at every deadline: gaps between calls are our own lateness.
        """
        gap_s = now - self._checked_at
        if gap_s > LATE_PROBES * self._probe_interval_s + self._slack_s:
            self._heard_at = min(now, self._heard_at + gap_s)
        self._checked_at = now
        return now - self._heard_at >= self._silent_after_s

    def probe_due(self, *, now: float) -> bool:
        """True once per interval; the caller sends the probe."""
        if now < self._probe_at:
            return False
        # From now, not from when it was due: a late loop does not send a volley.
        self._probe_at = now + self._probe_interval_s
        return True

    def next_deadline(self) -> float:
        """The next probe, or the end of the peer's time if that is sooner."""
        return min(self._probe_at, self._heard_at + self._silent_after_s)

    @property
    def _slack_s(self) -> float:
        """A timer of a busy machine is late by this much without anything being wrong."""
        return 0.25
