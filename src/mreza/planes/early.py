"""Envelopes that overtook the introduction of their source: kept for a moment instead of dropped.

A node that has just joined sends as soon as it knows the other, while the other may still be
checking its certificate. Without this its first message would wait for the first time-out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from mreza.ids import NodeId
from mreza.wire.envelope import Envelope

PATIENCE_S = 1.0
"As long as the first time-out of a message: by then it is sent again."
BYTES_MAX = 256 * 1024
"Of all strangers together: four full envelopes, or what a thousand small ones take."
ENVELOPES_MAX = 256


class EarlyEnvelopes:
    """First in, first out. When full, new ones are refused: a flood keeps nobody out for long."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Envelope, NodeId]] = deque()
        self._bytes = 0

    def add(self, envelope: Envelope, from_peer: NodeId, *, now: float) -> bool:
        """Keep it until its source is known; False: there is no room."""
        size = len(envelope.sealed)
        if self._bytes + size > BYTES_MAX or len(self._waiting) >= ENVELOPES_MAX:
            return False
        self._bytes += size
        self._waiting.append((now + PATIENCE_S, envelope, from_peer))
        return True

    def take(self, is_known: Callable[[NodeId], bool]) -> list[tuple[Envelope, NodeId]]:
        """Those whose source is known now, and which neighbor handed each over."""
        taken, left = [], deque[tuple[float, Envelope, NodeId]]()
        for entry in self._waiting:
            _, envelope, from_peer = entry
            if is_known(envelope.source):
                self._bytes -= len(envelope.sealed)
                taken.append((envelope, from_peer))
            else:
                left.append(entry)
        self._waiting = left
        return taken

    def expire(self, *, now: float) -> int:
        """Give up those that waited too long; how many."""
        given_up = 0
        while self._waiting and self._waiting[0][0] <= now:
            self._bytes -= len(self._waiting.popleft()[1].sealed)
            given_up += 1
        return given_up

    def next_deadline(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None

    def __len__(self) -> int:
        return len(self._waiting)
