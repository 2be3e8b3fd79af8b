"""Which counters of a session have been seen: a sliding window as a ring of blocks (RFC 6479).

128 blocks of 64 counters, of which one may be partly filled: 8128 counters behind the highest are
remembered, as in WireGuard. Moving forward clears whole blocks and shifts nothing.
"""

from __future__ import annotations

from array import array

REPLAY_WINDOW = 8128
_BLOCKS = 128
_EMPTY = bytes(8 * _BLOCKS)


class ReplayWindow:
    """Ask `is_new` before a counter is authenticated, tell `accept` after."""

    __slots__ = ("_blocks", "highest")

    def __init__(self) -> None:
        self.highest = -1
        self._blocks = array("Q", _EMPTY)

    def is_new(self, counter: int) -> bool:
        """False for a counter that was accepted before or is too far behind to know."""
        highest = self.highest
        if counter > highest:
            return True
        if highest - counter > REPLAY_WINDOW:
            return False
        return not self._blocks[(counter >> 6) & 127] >> (counter & 63) & 1

    def accept(self, counter: int) -> None:
        """Remember a counter for which `is_new` was true and which proved authentic."""
        block = counter >> 6
        blocks = self._blocks
        if counter > self.highest:
            newest = self.highest >> 6
            self.highest = counter
            if block != newest:
                for stale in range(max(newest + 1, block - _BLOCKS + 1), block):
                    blocks[stale & 127] = 0
                blocks[block & 127] = 1 << (counter & 63)
                return
        blocks[block & 127] |= 1 << (counter & 63)
