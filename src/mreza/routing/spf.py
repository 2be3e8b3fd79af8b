"""Shortest paths from one node to all (Dijkstra 1959, with a heap).

All nodes that hold the same records find paths that fit together: weights are positive, so every
next hop is nearer to the destination than the node before it, and equal costs are told apart by the
same hash everywhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Mapping

import msgspec

from mreza.ids import NodeId
from mreza.routing.graph import TIE_BITS


class Route(msgspec.Struct, frozen=True):
    """How to reach one destination."""

    next_hop: NodeId
    cost: int
    "Sum of the costs of all edges on the way."
    hops: int
    "Number of edges on the way."


class ShortestPaths:
    """Routes from `root` to every node it can reach, itself left out."""

    def __init__(
        self, root: NodeId, routes: dict[NodeId, Route], before: dict[NodeId, NodeId]
    ) -> None:
        self.root = root
        self.routes = routes
        self._before = before
        self._paths: dict[NodeId, tuple[NodeId, ...]] = {}
        "Those that were asked for."

    def path_to(self, destination: NodeId) -> tuple[NodeId, ...]:
        """All nodes from the root to the destination, both included; empty if there is no path."""
        if destination != self.root and destination not in self.routes:
            return ()
        found = self._paths.get(destination)
        if found is None:
            path = [destination]
            while path[-1] != self.root:
                path.append(self._before[path[-1]])
            found = self._paths[destination] = tuple(reversed(path))
        return found

    def is_same_tree(self, other: ShortestPaths) -> bool:
        """Whether all paths are the same, whatever they cost."""
        return self._before == other._before


def shortest_paths(
    weights: Mapping[NodeId, Mapping[NodeId, int]], root: NodeId, *, closed: Container[NodeId] = ()
) -> ShortestPaths:
    """Compute all routes of `root`. Paths end at nodes in `closed` and never lead through them."""
    distance: dict[NodeId, int] = {root: 0}
    before: dict[NodeId, NodeId] = {}
    routes: dict[NodeId, Route] = {}
    done: set[NodeId] = set()
    heap: list[tuple[int, NodeId]] = [(0, root)]
    while heap:
        so_far, node = heapq.heappop(heap)
        if node in done:
            continue
        done.add(node)
        if node != root:
            previous = before[node]
            if previous == root:
                routes[node] = Route(node, so_far >> TIE_BITS, 1)
            else:
                through = routes[previous]
                routes[node] = Route(through.next_hop, so_far >> TIE_BITS, through.hops + 1)
            if node in closed:
                continue
        for peer, weight in weights.get(node, {}).items():
            length = so_far + weight
            known = distance.get(peer)
            # Equal to the last bit: the smaller predecessor, so that the order of records cannot
            # matter.
            if (
                known is None
                or length < known
                or (length == known and node < before.get(peer, b""))
            ):
                distance[peer] = length
                before[peer] = node
                heapq.heappush(heap, (length, peer))
    return ShortestPaths(root, routes, before)
