"""What the data plane did, in numbers: for monitoring, tests and the command line."""

from __future__ import annotations

from typing import Any

from mreza.planes.effects import Dropped


class Traffic:
    """Counters since the start. Not frozen: every envelope changes some."""

    __slots__ = (
        "_effects",
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

    def __init__(self, effects: list[Any]) -> None:
        """Every drop is told there as well."""
        self._effects = effects
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

    def drop(self, reason: str, count: int = 1) -> None:
        """Something was dropped."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count
        self._effects.append(Dropped(reason, count))
