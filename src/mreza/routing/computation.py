"""From link claims to installed routes: the graph, when to compute, the router that uses it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from mreza.config.routing import RoutingConfig
from mreza.ids import NodeId
from mreza.routing.graph import EdgeChange, Graph
from mreza.routing.router import Router
from mreza.routing.spf import shortest_paths
from mreza.routing.spf_timer import SpfTimer


class RouteComputation:
    """Keeps routes equal to what the records say, no more often than RFC 8405 allows.

    Changes are collected and told to the timer by `settle`: a frame of many records is one event.
    """

    def __init__(self, *, me: NodeId, config: RoutingConfig) -> None:
        self._me = me
        self._timer = SpfTimer(config=config)
        self._changes: list[EdgeChange] = []
        self._other_change = False
        self.graph = Graph()
        self.router = Router(me)
        self.computed = 0
        "How often routes were computed."
        self._detours: dict[NodeId, tuple[NodeId, ...]] = {}
        "Those asked for since the last change."

    # Inputs

    def links_said(self, origin: NodeId, links: Iterable[tuple[NodeId, int]]) -> None:
        """The links record of `origin`."""
        self._changes += self.graph.set_links(origin, links)

    def links_unsaid(self, origin: NodeId) -> None:
        """The links record of `origin` is no longer valid."""
        self._changes += self.graph.remove(origin)

    def forwarding_said(self, node: NodeId, *, forwarding: bool) -> None:
        if self.graph.set_forwarding(node, forwarding=forwarding):
            self._other_change = True

    def settle(self, *, now: float) -> bool:
        """Compute if it is time for it; True if paths or reachability changed."""
        compute = False
        if self._changes or self._other_change:
            self._detours = {}
            compute = self._timer.change(now=now)
            if not compute and any(self._is_urgent(change) for change in self._changes):
                compute = self._timer.hasten(now=now)
            self._changes, self._other_change = [], False
        elif self._timer.advance(now=now):
            compute = True
        if not compute:
            return False
        self.computed += 1
        self._detours = {}
        paths = shortest_paths(self.graph.weights, self._me, closed=self.graph.closed)
        return self.router.install(paths)

    # Outputs

    def next_deadline(self) -> float | None:
        return self._timer.next_deadline()

    def is_whole(self, path: Sequence[NodeId]) -> bool:
        """Whether every link of a path is one that both ends list."""
        return all(self.graph.cost(a, b) is not None for a, b in itertools.pairwise(path))

    def detour(self, destination: NodeId) -> tuple[NodeId, ...]:
        """A way that leaves by another first hop, and shares no relay with the route if it can.

        Both ends are included; empty if there is none.
        """
        found = self._detours.get(destination)
        if found is None:
            found = self._detours[destination] = self._find_detour(destination)
        return found

    # Rules

    def _find_detour(self, destination: NodeId) -> tuple[NodeId, ...]:
        usual = self.router.path_to(destination)
        for avoided in (usual[1:-1], usual[1:2]):
            weights = self._without(avoided, link=usual[:2], to=destination)
            paths = shortest_paths(weights, self._me, closed=self.graph.closed)
            path = paths.path_to(destination)
            if len(path) > 1 and self.router.has_link(path[1]):
                return path
        return ()

    def _without(
        self, avoided: Sequence[NodeId], *, link: Sequence[NodeId], to: NodeId
    ) -> dict[NodeId, dict[NodeId, int]]:
        """The graph without these nodes, but for `to`, and without one link."""
        return {
            node: {
                peer: weight
                for peer, weight in peers.items()
                if (peer == to or peer not in avoided) and (node, peer) != tuple(link)
            }
            for node, peers in self.graph.weights.items()
        }

    def _is_urgent(self, change: EdgeChange) -> bool:
        """Without computing, a route is certainly dead or certainly missing, here or elsewhere."""
        if change.new is None:
            # Whoever used the edge computes at once, with all it knows: if others went on with what
            # they knew before, the two could send an envelope to and fro for as long as that lasts.
            return True
        if change.old is None:
            return self._reached(change.a) != self._reached(change.b)
        return False

    def _reached(self, node: NodeId) -> bool:
        return node == self._me or node in self.router.routes
