"""The links of this node as its LINKS record lists them, and those it lost lately."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mreza.ids import NodeId
from mreza.routing.metric import link_cost, worth_publishing
from mreza.wire.link import RefusalCode
from mreza.wire.records import (
    LINKS,
    LINKS_MAX,
    LOST_MAX,
    LinkEntry,
    LinksBody,
    LostLink,
)

LOST_FOR_S = 600.0
"A lost neighbor is listed this long; by then all members have drawn their conclusion."
_CAUSES = frozenset({"gone", "reset", "silent", "closed", "replaced", *map(str, RefusalCode)})
_OTHER_CAUSE = "refused"
"""A peer may refuse us with any word it likes. We sign none of them: a long one would make our
whole record unreadable to the mesh."""


class _Link(msgspec.Struct):
    peer_epoch: int
    cost: int


class OwnLinks:
    """At most LINKS_MAX links and LOST_MAX losses are listed, the newest."""

    def __init__(self) -> None:
        self._links: dict[NodeId, _Link] = {}
        self._lost: dict[NodeId, tuple[float, LostLink]] = {}
        self.said = LinksBody(())
        "What `body` encoded last."

    # Inputs

    def up(self, peer: NodeId, *, peer_epoch: int, rtt_s: float) -> None:
        self._lost.pop(peer, None)
        self._links.pop(peer, None)
        self._links[peer] = _Link(peer_epoch, link_cost(rtt_s=rtt_s))

    def down(self, peer: NodeId, *, cause: str, now: float) -> bool:
        """A link ended, or more became known of why it did. False: nothing new."""
        if cause not in _CAUSES:
            cause = _OTHER_CAUSE
        link = self._links.pop(peer, None)
        if link is None:
            known = self._lost.get(peer)
            if known is None or known[1].cause == cause:
                return False
            epoch = known[1].peer_epoch
        else:
            epoch = link.peer_epoch
        self._lost.pop(peer, None)
        self._lost[peer] = (now, LostLink(peer, epoch, cause))
        return True

    def measured(self, peer: NodeId, *, rtt_s: float) -> bool:
        """True if the cost of the link changed so much that the mesh should know."""
        link = self._links.get(peer)
        cost = link_cost(rtt_s=rtt_s)
        if link is None or not worth_publishing(published=link.cost, measured=cost):
            return False
        link.cost = cost
        return True

    def peer_is_in_epoch(self, peer: NodeId, epoch: int) -> None:
        """The peer raised its epoch while the link stayed."""
        link = self._links.get(peer)
        if link is not None:
            link.peer_epoch = max(link.peer_epoch, epoch)

    # Outputs

    @property
    def peers(self) -> Iterable[NodeId]:
        return self._links.keys()

    def costs(self) -> dict[NodeId, int]:
        """What each link is said to cost."""
        return {peer: link.cost for peer, link in self._links.items()}

    def body(self, now: float) -> bytes:
        """The body of the LINKS record."""
        for peer, (at, _) in list(self._lost.items()):
            if now >= at + LOST_FOR_S:
                del self._lost[peer]
        links = [LinkEntry(peer, link.cost) for peer, link in self._links.items()]
        lost = [entry for _, entry in self._lost.values()]
        self.said = LinksBody(tuple(links[-LINKS_MAX:]), tuple(lost[-LOST_MAX:]))
        return LINKS.encode(self.said)
