"""What lies between two simulated hosts, each direction by itself.

A path delays, loses, and may be cut (what comes is lost, and TCP tries again) or held (what comes
waits, nothing is lost).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from mreza.sim.latency import Draw

RETRANSMIT_S = 0.2
"The first pause before TCP sends again what was not acknowledged (Linux: TCP_RTO_MIN)."
RETRANSMIT_MAX_S = 120.0
"The longest (RFC 6298 asks for at least a minute; Linux: TCP_RTO_MAX)."


class Path:
    """One direction between two hosts."""

    def __init__(self, draw: Draw, *, rng: Random) -> None:
        self.draw = draw
        "How long a segment is under way (`mreza.sim.latency`)."
        self.bandwidth: float | None = None
        "Bytes a second; None: no limit."
        self.loss = 0.0
        "Share of the segments and datagrams that are lost. TCP sends again."
        self.cut = False
        self.held = False
        self._rng = rng
        self._free_at = 0.0
        "When the wire has carried what was sent."
        self.was_held = False
        "What opened last had been held, not cut: nothing was lost."
        self._waiting: list[Callable[[], None]] = []

    @property
    def is_open(self) -> bool:
        return not self.cut and not self.held

    def arrival(self, size: int, *, now: float) -> float:
        """When what is sent now arrives; what is sent later arrives later by its own delay."""
        departed = now
        if self.bandwidth is not None:
            departed = self._free_at = max(now, self._free_at) + size / self.bandwidth
        return departed + self.draw()

    def loses(self) -> bool:
        """Draw whether one segment is lost."""
        return self.loss > 0.0 and self._rng.random() < self.loss

    def when_open(self, callback: Callable[[], None]) -> None:
        """Call once, when the path opens."""
        self._waiting.append(callback)

    def open(self) -> None:
        """Repair and release."""
        self.was_held = self.held and not self.cut
        self.cut = self.held = False
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()


def next_try(since: float, *, now: float) -> float:
    """When TCP, unanswered since then, sends again next: pauses double."""
    pause, at = RETRANSMIT_S, since + RETRANSMIT_S
    while at < now:
        pause = min(2 * pause, RETRANSMIT_MAX_S)
        at += pause
    return at
