"""What the data plane did, in numbers: for monitoring, tests and the command line."""

from __future__ import annotations


class Traffic:
    """Counters since the start. Not frozen: every envelope changes some."""

    __slots__ = (
        "_fresh_drops",
        "dropped",
        "forwarded",
        "forwarded_bytes",
        "opened",
        "received",
        "received_bytes",
        "retransmitted",
        "sent",
        "sent_bytes",
    )

    def __init__(self) -> None:
        self.sent = 0
        "Envelopes of our own put on links, retransmissions included."
        self.sent_bytes = 0
        self.retransmitted = 0
        self.received = 0
        "Envelopes that links brought, whatever became of them."
        self.received_bytes = 0
        self.opened = 0
        self.forwarded = 0
        self.forwarded_bytes = 0
        self.dropped: dict[str, int] = {}
        "By reason; the reasons are words of this program, so the table is bounded."
        self._fresh_drops: dict[str, int] = {}

    def drop(self, reason: str, count: int = 1) -> None:
        """Something was dropped."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count
        self._fresh_drops[reason] = self._fresh_drops.get(reason, 0) + count

    def take_drops(self) -> dict[str, int]:
        """Drops since the last time this was asked."""
        if not self._fresh_drops:
            return {}
        fresh, self._fresh_drops = self._fresh_drops, {}
        return fresh
