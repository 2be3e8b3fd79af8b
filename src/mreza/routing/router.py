"""What to do with an envelope: keep it, pass it on, or drop it for a reason that has a name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from mreza.ids import NodeId
from mreza.routing.spf import Route, ShortestPaths
from mreza.wire.envelope import Envelope, EnvelopeKind


class Deliver(msgspec.Struct, frozen=True):
    """It is for this node."""


class Forward(msgspec.Struct, frozen=True):
    """Pass it on over the link to `next_hop`, with its hop limit lowered if it came from a link."""

    next_hop: NodeId
    advance_path: bool = False
    "Move the cursor of the explicit path on, because this node was the next on it."


class Expired(msgspec.Struct, frozen=True):
    """A trace ends here: answer it with our time."""


class Drop(msgspec.Struct, frozen=True):
    """Cannot be carried; `reason` is one of the words of `DROP_REASONS`."""

    reason: str


Decision = Deliver | Forward | Expired | Drop

DROP_REASONS = ("hop_limit", "no_route", "no_link", "returns", "path", "destinations")
"""Ended its hops; no path known; next hop lost; would go back where it came from; off its path;
several destinations."""

_DELIVER = Deliver()
_EXPIRED = Expired()
_DROP = {reason: Drop(reason) for reason in DROP_REASONS}


class Router:
    """Routes and links of one node. Decides, and sends nothing."""

    def __init__(self, me: NodeId) -> None:
        self._me = me
        self._paths = ShortestPaths(me, {}, {})
        self._forward: dict[NodeId, Forward] = {}
        self._links: dict[NodeId, None] = {}

    # Inputs

    def install(self, paths: ShortestPaths) -> bool:
        """Use these routes from now on; True if any path or reachability changed."""
        forward = {node: Forward(route.next_hop) for node, route in paths.routes.items()}
        changed = not paths.is_same_tree(self._paths)
        self._paths, self._forward = paths, forward
        return changed

    def link_up(self, peer: NodeId) -> None:
        self._links[peer] = None

    def link_down(self, peer: NodeId) -> None:
        self._links.pop(peer, None)

    # Outputs

    @property
    def routes(self) -> Mapping[NodeId, Route]:
        """Destination → route, for every node that can be reached, this one left out."""
        return MappingProxyType(self._paths.routes)

    @property
    def links(self) -> Iterable[NodeId]:
        """The peers that a frame can be sent to."""
        return self._links.keys()

    def has_link(self, peer: NodeId) -> bool:
        return peer in self._links

    def next_hops(self) -> tuple[NodeId, ...]:
        """The peers over whose links routes lead."""
        return tuple(dict.fromkeys(route.next_hop for route in self._paths.routes.values()))

    def path_to(self, destination: NodeId) -> tuple[NodeId, ...]:
        """This node, all relays, the destination; empty if there is no path."""
        return self._paths.path_to(destination)

    def next_hop(self, destination: NodeId) -> NodeId | None:
        """The peer by which our own envelopes for a node leave; None while there is no way."""
        forward = self._forward.get(destination)
        return forward.next_hop if forward is not None and forward.next_hop in self._links else None

    def decide(self, envelope: Envelope, came_from: NodeId | None) -> Decision:
        """What becomes of an envelope from a link, or of our own (`came_from` None)."""
        if len(envelope.destinations) != 1:
            return _DROP["destinations"]
        destination = envelope.destinations[0]
        if destination == self._me:
            return _DELIVER
        if envelope.hop_limit <= (0 if came_from is None else 1):
            if envelope.kind == EnvelopeKind.TRACE:
                return _EXPIRED
            return _DROP["hop_limit"]
        if envelope.path_cursor < len(envelope.path):
            return self._along_path(envelope, came_from)
        forward = self._forward.get(destination)
        if forward is None:
            return _DROP["no_route"]
        return self._over_link(forward, came_from)

    # Rules

    def _along_path(self, envelope: Envelope, came_from: NodeId | None) -> Decision:
        """The node under the cursor is the one that the envelope is on its way to."""
        path, cursor = envelope.path, envelope.path_cursor
        if came_from is None:
            return self._over_link(Forward(path[cursor]), None)
        if path[cursor] != self._me:
            return _DROP["path"]
        if cursor + 1 < len(path):
            return self._over_link(Forward(path[cursor + 1], advance_path=True), came_from)
        forward = self._forward.get(envelope.destinations[0])
        if forward is None:
            return _DROP["no_route"]
        return self._over_link(Forward(forward.next_hop, advance_path=True), came_from)

    def _over_link(self, forward: Forward, came_from: NodeId | None) -> Decision:
        if forward.next_hop == came_from:
            return _DROP["returns"]
        if forward.next_hop not in self._links:
            return _DROP["no_link"]
        return forward
