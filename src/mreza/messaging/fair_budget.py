"""A bound that many nodes share, so that none of them can take all of it.

Dynamic thresholds (Choudhury and Hahne 1998): a node may have as much as it leaves free. Whoever is
alone gets half; the more others there are, the less each gets; some is always free for the next.
"""

from __future__ import annotations

from mreza.ids import NodeId


class FairBudget:
    """Bytes in use, in total and by node. One thing may always be there, if it fits at all."""

    def __init__(self, *, total: int, per_node: int | None = None) -> None:
        """`per_node`: what a node gets at most, even if it is alone."""
        self._total = total
        self._per_node = total if per_node is None else per_node
        self._used = 0
        self._by_node: dict[NodeId, int] = {}

    @property
    def used(self) -> int:
        return self._used

    def reserve(self, node: NodeId, size: int) -> bool:
        """True if there was room."""
        mine = self._by_node.get(node, 0) + size
        if self._used and mine > min(self._per_node, self._total - self._used - size):
            return False
        self._used += size
        self._by_node[node] = mine
        return True

    def release(self, node: NodeId, size: int) -> None:
        """Give back what was reserved."""
        self._used -= size
        left = self._by_node.get(node, 0) - size
        if left:
            self._by_node[node] = left
        else:
            self._by_node.pop(node, None)
