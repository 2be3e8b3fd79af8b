"""What was sent and asked in a run, and what became of it: what checkers compare with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from mreza.planes.effects import Resolve
from mreza.qos import Delivery


class Sent(msgspec.Struct):
    """One message, as its sender remembers it."""

    number: int
    source: str
    destination: str
    delivery: Delivery
    priority: int
    at: float
    life: int
    "Of the sender: who dies forgets."
    size: int
    handled_at: float | None = None


class Called(msgspec.Struct):
    """One call, or one message with a receipt, as its caller remembers it."""

    number: int
    source: str
    once: bool
    "It must not run twice; a message with a receipt not twice in one life of its destination."
    at: float
    deadline: float
    life: int
    "Of the caller."
    destination: str = ""
    "Of a message with a receipt."
    call_id: int = 0
    outcome: Resolve | None = None
    resolved_at: float = 0.0
    runs: tuple[tuple[str, int], ...] = ()
    "Node and life of each handler that was begun for it."
    cancelled: bool = False


class Ledger:
    """Everything that was sent and asked, by number."""

    def __init__(self) -> None:
        self.messages: dict[int, Sent] = {}
        self.calls: dict[int, Called] = {}
        self.refused = 0
        "Messages that an outbox did not take."
        self.hops: list[int] = []
        "Links that each envelope took to its destination."
        self.hears_run: list[Callable[[Called], None]] = []
        self.hears_outcome: list[Callable[[Called], None]] = []

    def why_not_intact(self, payload: object) -> str | None:
        """What is wrong with a payload that a handler got; None: it is as it was sent."""
        match payload:
            case [int(number), bytes(content)]:
                sent = self.messages.get(number)
            case _:
                return "something that nobody sent"
        if sent is None:
            return f"message {number}, which nobody sent"
        if content != content_of(number, sent.size):
            return f"message {number} of {sent.source} with other bytes than were sent"
        return None


def content_of(number: int, size: int) -> bytes:
    """The bytes of one message: no other has these."""
    return hashlib.shake_128(number.to_bytes(8)).digest(size)
