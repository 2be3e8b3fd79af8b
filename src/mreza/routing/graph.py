"""The graph of the mesh: an edge exists only when the records of both its ends list it.

So nobody can draw traffic to a link that the other end does not know. An edge costs the larger of
the two claims.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from mreza.ids import NodeId

TIE_BITS = 32
"An edge's weight is its cost above this many bits of tie-break."
_TIE_BYTES = 3
"24 random bits an edge: a sum over 256 edges still stays below the cost."


class EdgeChange(msgspec.Struct, frozen=True):
    """One edge appeared, vanished or has another cost."""

    a: NodeId
    b: NodeId
    old: int | None
    "Cost before; None: there was no edge."
    new: int | None


def tie_break(a: NodeId, b: NodeId) -> int:
    """A number from the hash of the pair, alike on every node: tells equal costs apart."""
    low, high = (a, b) if a < b else (b, a)
    return int.from_bytes(hashlib.sha256(low + high).digest()[:_TIE_BYTES])


class Graph:
    """What every node says about its links, and the edges on which both ends agree."""

    def __init__(self) -> None:
        self._claims: dict[NodeId, dict[NodeId, int]] = {}
        self._weights: dict[NodeId, dict[NodeId, int]] = {}
        self._closed: dict[NodeId, None] = {}

    # Inputs

    def set_links(self, origin: NodeId, links: Iterable[tuple[NodeId, int]]) -> list[EdgeChange]:
        """Replace all claims of `origin`; returns the edges that changed by it."""
        old = self._claims.get(origin, {})
        new = {peer: cost for peer, cost in links if peer != origin}
        self._claims[origin] = new
        changes = []
        for peer in (*old, *(peer for peer in new if peer not in old)):
            change = self._settle(origin, peer)
            if change is not None:
                changes.append(change)
        return changes

    def remove(self, origin: NodeId) -> list[EdgeChange]:
        """Forget what `origin` said; returns the edges that vanished by it."""
        changes = self.set_links(origin, ())
        del self._claims[origin]
        return changes

    def set_forwarding(self, node: NodeId, *, forwarding: bool) -> bool:
        """Say whether paths may lead through `node`, not only to it; True if that is news."""
        if forwarding == (node not in self._closed):
            return False
        if forwarding:
            del self._closed[node]
        else:
            self._closed[node] = None
        return True

    # Outputs

    @property
    def weights(self) -> Mapping[NodeId, Mapping[NodeId, int]]:
        """Node → neighbor → (cost << TIE_BITS) + tie-break, both directions of each edge."""
        return self._weights

    @property
    def closed(self) -> Mapping[NodeId, None]:
        """Nodes that carry nothing for others."""
        return self._closed

    def cost(self, a: NodeId, b: NodeId) -> int | None:
        """Cost of the edge between two nodes, or None if there is none."""
        weight = self._weights.get(a, {}).get(b)
        return None if weight is None else weight >> TIE_BITS

    def neighbors(self, node: NodeId) -> tuple[NodeId, ...]:
        """The nodes that share an edge with `node`."""
        return tuple(self._weights.get(node, ()))

    # Rules

    def _settle(self, a: NodeId, b: NodeId) -> EdgeChange | None:
        """Make the edge what both claims say."""
        ours, theirs = self._claims.get(a, {}).get(b), self._claims.get(b, {}).get(a)
        old = self.cost(a, b)
        new = None if ours is None or theirs is None else max(ours, theirs)
        if old == new:
            return None
        for node, peer in ((a, b), (b, a)):
            if new is None:
                del self._weights[node][peer]
                if not self._weights[node]:
                    del self._weights[node]
            else:
                weight = (new << TIE_BITS) + tie_break(a, b)
                self._weights.setdefault(node, {})[peer] = weight
        return EdgeChange(a, b, old, new)
