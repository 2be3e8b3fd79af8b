"""Credit: how much a sender may have waiting in one inbox, as an absolute byte position.

As QUIC's MAX_DATA (RFC 9000, section 4.1), but a message may start while any credit is left, so a
single one larger than the window passes; and batches lost for ever count as consumed, so nothing
leaks.
"""

from __future__ import annotations

CREDIT_FIRST_BYTES = 64 * 1024
"""What a new sender may have waiting in an inbox before it hears from the receiver: one envelope's
worth, so that a thousand strangers cannot fill a node."""
GROW_WITHIN_S = 0.25
"A handler that empties half of the window faster than this gets twice the window."
POSITION_MAX = 1 << 62
"As far as positions go (RFC 9000, section 16); a liar's do not lead us beyond msgpack's numbers."
BATCHES_MAX = 8192
"""Batches of one source that may wait in one inbox, however small: each takes memory beside its
bytes."""
GROWTH_MAX_BYTES = 64 * 1024 * 1024
"By how much all windows of one node together may be larger than their first size."


class SendCredit:
    """Sender's side, for one (destination, inbox)."""

    __slots__ = ("limit", "position")

    def __init__(self) -> None:
        self.position = 0
        "Bytes put into the inbox so far, lost ones included."
        self.limit = CREDIT_FIRST_BYTES
        "Messages may start below this position."

    @property
    def is_open(self) -> bool:
        return self.position < self.limit

    def take(self, size: int) -> int:
        """Let one batch start; its position."""
        at = self.position
        self.position += size
        return at

    def raise_to(self, limit: int) -> bool:
        """The receiver's word; True if a blocked sender may go on."""
        was_open = self.is_open
        self.limit = max(self.limit, limit)
        return self.is_open and not was_open

    def restart(self) -> None:
        """The receiver lost its memory: it will allow what it allows a new sender."""
        self.limit = self.position + CREDIT_FIRST_BYTES


class CreditBudget:
    """Bounds what the windows of all senders together may grow by."""

    def __init__(self, total: int = GROWTH_MAX_BYTES) -> None:
        self.left = total

    def take(self, size: int) -> bool:
        if size > self.left:
            return False
        self.left -= size
        return True

    def give_back(self, size: int) -> None:
        self.left += size


class ReceiveCredit:
    """Receiver's side, for one (source, inbox). Holds the counts, not the bytes."""

    __slots__ = (
        "_announced",
        "_announced_at",
        "_batches",
        "_budget",
        "_end",
        "_held",
        "_max",
        "_stale",
        "_waiting",
        "window",
    )

    def __init__(self, budget: CreditBudget, *, window_max: int, stale: int = 0) -> None:
        """`stale`: bytes of an earlier process of that source, still with their handlers."""
        self.window = min(CREDIT_FIRST_BYTES, window_max)
        self._max = window_max
        self._budget = budget
        self._end = 0
        self._held = 0
        self._waiting = 0
        self._batches = 0
        self._stale = stale
        self._announced = CREDIT_FIRST_BYTES  # Every sender begins with so much, untold.
        self._announced_at = 0.0

    @property
    def waiting(self) -> int:
        """Bytes handed over and not yet consumed, an earlier process's included."""
        return self._waiting + self._stale

    @property
    def has_room(self) -> bool:
        """Handlers have less than twice the largest window before them, in not too many batches.

        Gaps in what came are not counted until they are filled, so an honest sender may be over,
        too: it sends again, and what is refused now comes when handlers are done with the rest.
        """
        return (
            self._waiting < 2 * max(self._max, CREDIT_FIRST_BYTES) and self._batches < BATCHES_MAX
        )

    @property
    def may_hold(self) -> bool:
        """Less than twice the largest window waits for order."""
        return self._held < 2 * max(self._max, CREDIT_FIRST_BYTES)

    def admit(self, position: int, size: int) -> None:
        """A batch is here; of size 0, one that only tells where the sender is."""
        self._end = max(self._end, min(position, POSITION_MAX) + size)
        self._held += size

    def hand_over(self, size: int) -> None:
        """An admitted batch goes to the handlers."""
        self._held -= size
        self._waiting += size
        self._batches += 1

    def consumed(self, size: int, *, now: float) -> bool:
        """The handler is done with a batch of so many bytes; True: the sender should hear of it."""
        self._batches = max(0, self._batches - 1)
        stale = min(size, self._stale)
        self._stale -= stale
        self._waiting = max(0, self._waiting - (size - stale))
        if self._limit() - self._announced < self.window // 2:
            return False
        if now - self._announced_at < GROW_WITHIN_S:
            self._grow()
        return True

    def announce(self, *, now: float) -> int:
        """The position to tell the sender; never lower than before."""
        limit = max(self._announced, self._limit())
        if limit > self._announced:
            self._announced_at = now
        self._announced = limit
        return limit

    def close(self) -> int:
        """Return the window's growth to the budget; what still waits with handlers."""
        self._budget.give_back(self.window - min(CREDIT_FIRST_BYTES, self._max))
        self.window = min(CREDIT_FIRST_BYTES, self._max)
        return self.waiting

    def _limit(self) -> int:
        return self._end - self._held - self._waiting + self.window

    def _grow(self) -> None:
        more = min(self.window, self._max - self.window)
        if more > 0 and self._budget.take(more):
            self.window += more
