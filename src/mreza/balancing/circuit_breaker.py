"""Give a node that fails a rest, then try it with one request at a time (Nygard, Release It!).

Closed: work flows. Open: none does, for 30 s after the first time, 60 s after the second, at most
300 s (Envoy's ejection times). Then half open: one request at a time; its success closes the
circuit, its failure opens it again.
"""

from __future__ import annotations

import enum

OPEN_S = 30.0
"Rest for each time it failed. Source: Envoy's base_ejection_time."
OPEN_MAX_S = 300.0
"Source: Envoy's max_ejection_time."
REQUESTS_MAX = 1024
"Requests of ours in flight at one node; more are not sent to it. Source: Envoy's max_requests."


class Circuit(enum.Enum):
    """Whether work may flow."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class CircuitBreaker:
    """The circuit between us and one process of one node."""

    __slots__ = ("open_until", "times")

    def __init__(self) -> None:
        self.times = 0
        "How often it opened lately; each quiet sweep of the outlier detector takes one away."
        self.open_until: float | None = None

    def state(self, now: float) -> Circuit:
        if self.open_until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if now < self.open_until else Circuit.HALF_OPEN

    def lets_in(self, *, pending: int, now: float) -> bool:
        """May another request go there, with `pending` of ours there already?"""
        if self.open_until is None:
            return True
        return now >= self.open_until and pending == 0

    def trip(self, *, now: float) -> None:
        """Open it: the node gets no work for a while, longer each time."""
        self.times += 1
        self.open_until = now + min(OPEN_S * self.times, OPEN_MAX_S)

    def succeeded(self, *, now: float) -> None:
        """A request was answered. While open, that was an old one, and proves nothing."""
        if self.open_until is not None and now >= self.open_until:
            self.open_until = None

    def ease(self) -> None:
        """A while has passed without trouble."""
        if self.open_until is None and self.times > 0:
            self.times -= 1
