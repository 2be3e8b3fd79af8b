"""Memory for bodies of which pieces are missing, shared by all sources.

Reserved whole at the first piece, so that two bodies never wait for each other's memory. A source
gets as much as it leaves to others. When there is no room, a body that has stalled gives way: its
sender may be gone, or may have begun it only to keep our memory.
"""

from __future__ import annotations

from mreza.ids import NodeId
from mreza.messaging.fair_budget import FairBudget
from mreza.messaging.fragments import Transfer


class ReassemblyBudget:
    """Who has reserved what."""

    def __init__(self, *, total: int, per_source: int) -> None:
        self._bytes = FairBudget(total=total, per_node=per_source)
        self._transfers: dict[Transfer, NodeId] = {}
        "In the order in which they began."
        self.given_up = 0
        "Bodies that gave way, since `take_given_up`."

    @property
    def used(self) -> int:
        return self._bytes.used

    def reserve(self, source: NodeId, transfer: Transfer, *, now: float) -> bool:
        """True if there is room for it, perhaps after others gave way."""
        while not self._bytes.reserve(source, transfer.total):
            stalled = next((one for one in self._transfers if one.is_stalled(now)), None)
            if stalled is None:
                return False
            stalled.give_up()
            self.release(stalled)
            self.given_up += 1
        self._transfers[transfer] = source
        return True

    def release(self, transfer: Transfer) -> None:
        """It is whole, spoilt or given up; nothing happens if it was released before."""
        source = self._transfers.pop(transfer, None)
        if source is not None:
            self._bytes.release(source, transfer.total)

    def take_given_up(self) -> int:
        """How many bodies gave way since the last time."""
        count, self.given_up = self.given_up, 0
        return count
