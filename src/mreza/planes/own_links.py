"""The links of this node as its LINKS record lists them, and those it lost lately."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mreza.ids import NodeId
from mreza.machine import earliest
from mreza.routing.metric import LinkCost
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
PEERS_MAX = 512
"Peers whose links have a history: twice as many as a record lists."
_UNSAID = ("silent", "reset")
"Causes of a loss that nobody announced: those that count as flapping."
_CAUSES = frozenset({"gone", "reset", "silent", "closed", "replaced", *map(str, RefusalCode)})
_OTHER_CAUSE = "refused"
"""A peer may refuse us with any word it likes. We sign none of them: a long one would make our
whole record unreadable to the mesh."""


class _Link(msgspec.Struct):
    peer_epoch: int
    cost: LinkCost
    introduced: bool
    "The peer's introduction of this epoch is here."


class OwnLinks:
    """At most LINKS_MAX links and LOST_MAX losses are listed, the newest.

    A link is listed once the peer has said who it is in this epoch: what its former life said of
    links would else make both ends agree, and the peer reached as who it was, and be given work
    that goes down with that life.
    """

    def __init__(self) -> None:
        self._links: dict[NodeId, _Link] = {}
        self._lost: dict[NodeId, tuple[float, LostLink]] = {}
        self._past: dict[NodeId, _Link] = {}
        "Links that ended, the newest last: the cost of one that comes back depends on its past."
        self.said = LinksBody(())
        "What `body` encoded last."

    # Inputs

    def up(
        self, peer: NodeId, *, peer_epoch: int, known_epoch: int, rtt_s: float, now: float
    ) -> None:
        """A link began; `known_epoch` is that of the peer's newest introduction here."""
        self._lost.pop(peer, None)
        past = self._links.pop(peer, None) or self._past.pop(peer, None)
        # What happened to links of its former life was that life's end.
        cost = past.cost if past is not None and past.peer_epoch == peer_epoch else LinkCost()
        cost.up(rtt_s=rtt_s, now=now)
        self._links[peer] = _Link(peer_epoch, cost, known_epoch >= peer_epoch)

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
            self._keep(peer, link)
            if cause in _UNSAID:
                link.cost.lost(now=now)
        self._lost.pop(peer, None)
        self._lost[peer] = (now, LostLink(peer, epoch, cause))
        return True

    def measured(self, peer: NodeId, *, rtt_s: float, loss: float, load: float, now: float) -> bool:
        """True if the cost of the link changed so much that the mesh should know."""
        link = self._links.get(peer)
        return link is not None and link.cost.measured(rtt_s=rtt_s, loss=loss, load=load, now=now)

    def advance(self, *, now: float) -> bool:
        """Costs that fall with time; True if the mesh should know."""
        changed = False
        for link in self._links.values():
            due_at = link.cost.next_deadline()
            if due_at is not None and due_at <= now:
                changed = link.cost.advance(now=now) or changed
        return changed

    def peer_is_in_epoch(self, peer: NodeId, epoch: int) -> bool:
        """The peer introduced itself, or raised its epoch. True: its link is listed from now on."""
        link = self._links.get(peer)
        if link is None or epoch < link.peer_epoch:
            return False
        link.peer_epoch = epoch
        news, link.introduced = not link.introduced, True
        return news

    # Outputs

    @property
    def peers(self) -> Iterable[NodeId]:
        return self._links.keys()

    def costs(self) -> dict[NodeId, int]:
        """What each link is said to cost."""
        return {peer: link.cost.published for peer, link in self._links.items()}

    def next_deadline(self) -> float | None:
        return earliest(*(link.cost.next_deadline() for link in self._links.values()))

    def body(self, now: float) -> bytes:
        """The body of the LINKS record."""
        for peer, (at, _) in list(self._lost.items()):
            if now >= at + LOST_FOR_S:
                del self._lost[peer]
        links = [
            LinkEntry(peer, link.cost.published)
            for peer, link in self._links.items()
            if link.introduced
        ]
        lost = [entry for _, entry in self._lost.values()]
        self.said = LinksBody(tuple(links[-LINKS_MAX:]), tuple(lost[-LOST_MAX:]))
        return LINKS.encode(self.said)

    # Rules

    def _keep(self, peer: NodeId, link: _Link) -> None:
        self._past[peer] = link
        if len(self._past) > PEERS_MAX:
            del self._past[next(iter(self._past))]
