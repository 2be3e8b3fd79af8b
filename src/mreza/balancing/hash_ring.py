"""Consistent hashing with bounded loads: equal keys to one node, and no node with too many.

Mirrokni, Thorup, Zadimoghaddam (2018): a node takes at most ⌈(1 + ε) · share⌉. What it cannot take
jumps to another place on the ring, drawn by the key (random jumps, arXiv 1908.08762), and not to
the neighbor: the neighbor of a full node would be the next to be full.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b

from mreza.balancing.endpoint import Endpoint, NodeKey, order_of
from mreza.balancing.least_loaded import LeastLoaded

EPSILON = 0.25
"Room above the equal share. Smaller: more even; larger: keys move less (1/ε² for each change)."
POINTS = 160
"Places of one node on the ring: shares within 40 % of each other at 1,000 nodes."
JUMPS_MAX = 32
"At most four fifths of the nodes can be full: after 32 jumps a key is homeless once in a thousand."
STRANGERS_MAX = 64
"Nodes kept on the ring although they cannot be picked now: they may be back soon."


def place_of(text: bytes) -> int:
    """Where on the ring: 64 bits of BLAKE2b."""
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


class Ring:
    """Places of nodes on a circle of 2⁶⁴."""

    def __init__(self, points: int = POINTS) -> None:
        self._points = points
        self._places: list[tuple[int, tuple[bool, NodeKey]]] = []
        self._nodes: dict[NodeKey, None] = {}

    def __contains__(self, node: NodeKey) -> bool:
        return node in self._nodes

    def __len__(self) -> int:
        return len(self._nodes)

    def add(self, nodes: Sequence[NodeKey]) -> None:
        """Put nodes on it."""
        for node in nodes:
            self._nodes[node] = None
            name = node.encode() if isinstance(node, str) else bytes(node)
            self._places += [
                (place_of(name + point.to_bytes(4, "big")), order_of(node))
                for point in range(self._points)
            ]
        self._places.sort()

    def keep(self, nodes: Sequence[NodeKey]) -> None:
        """Take all others off it."""
        self._nodes = dict.fromkeys(nodes)
        self._places = [place for place in self._places if place[1][1] in self._nodes]

    def owner(self, place: int, among: dict[NodeKey, Endpoint]) -> Endpoint:
        """The first of `among`, which are on the ring, at or after this place."""
        places = self._places
        index = bisect_right(places, (place,))
        for step in range(len(places)):
            endpoint = among.get(places[(index + step) % len(places)][1][1])
            if endpoint is not None:
                return endpoint
        raise LookupError("none of them is on the ring")


class ConsistentHash:
    """The node that owns the key, unless it has its fill. Work without a key: the least loaded."""

    def __init__(self, *, epsilon: float = EPSILON) -> None:
        self._ring = Ring()
        self._epsilon = epsilon
        self._keyless = LeastLoaded()

    def pick(self, endpoints: Sequence[Endpoint], *, key: str | None, now: float) -> Endpoint:
        if key is None:
            return self._keyless.pick(endpoints, now=now)
        among = {endpoint.node: endpoint for endpoint in endpoints}
        strangers = [node for node in among if node not in self._ring]
        if strangers:
            self._ring.add(strangers)
        if len(self._ring) > len(among) + STRANGERS_MAX:
            self._ring.keep(list(among))
        taken = {node: endpoint.pending + endpoint.ghosts(now) for node, endpoint in among.items()}
        work = sum(taken.values()) + 1
        limit = math.ceil((1.0 + self._epsilon) * work / len(endpoints))
        text = key.encode(errors="surrogatepass")
        for jump in range(JUMPS_MAX):
            # A zero byte cannot end a key and begin the count of jumps by accident alone.
            place = place_of(text if not jump else b"%b\0%d" % (text, jump))
            owner = self._ring.owner(place, among)
            if taken[owner.node] < limit:
                return owner
        return min(endpoints, key=lambda endpoint: taken[endpoint.node])
