"""Which of two links to the same peer stays. Both ends decide alike, so no message is needed.

The newer epochs win. Within one pair of epochs, two links come from two ends that dialed at once:
the one dialed by the smaller id stays. But an end that dials long after a link came up has lost its
side of it: the new one stays.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from mreza.ids import NodeId

SIMULTANEOUS_S = 2.0
"""Both ends dialed at once if the second connection came within this time. Twice the first SYN
retransmission (RFC 6298)."""


class Verdict(enum.Enum):
    """What becomes of a new link."""

    OLD = "old"
    "Its peer has a newer epoch: it is refused."
    FIRST = "first"
    "There was none: it is the link."
    KEEP = "keep"
    "The old one stays; the new one is closed."
    MERGE = "merge"
    """The new one stays, and takes over what waits on the old one: to the node, the link never
    ended."""
    REPLACE = "replace"
    "The new one stays; the old one had ended at the peer: what it carried may be lost."


class LinkFacts(NamedTuple):
    """What decides."""

    peer: NodeId
    peer_epoch: int
    "From the peer's hello."
    own_epoch: int
    "From the hello we sent on this link."
    dialed: bool
    "We dialed."
    since: float
    "When the TCP connection was made."
    up_at: float = 0.0
    "When the peer's hello was accepted."


def judge(
    new: LinkFacts, existing: LinkFacts | None, *, introduced_epoch: int, me: NodeId
) -> Verdict:
    """What to do with a link whose hello is well formed.

    `introduced_epoch` is that of the peer's newest introduction, 0 if there is none.
    """
    known_epoch = introduced_epoch
    if existing is not None:
        known_epoch = max(known_epoch, existing.peer_epoch)
    if new.peer_epoch < known_epoch:
        return Verdict.OLD
    return Verdict.FIRST if existing is None else decide(existing, new, me=me)


def decide(existing: LinkFacts, new: LinkFacts, *, me: NodeId) -> Verdict:
    """Which of two links to the same peer stays."""
    old_version, new_version = _version(existing, me), _version(new, me)
    if new_version != old_version:
        return Verdict.REPLACE if new_version > old_version else Verdict.KEEP
    if existing.dialed == new.dialed or new.since > existing.up_at + SIMULTANEOUS_S:
        # Nobody dials a peer that it holds a link to: for the peer the old one is gone.
        return Verdict.REPLACE
    dialed_by_smaller = new.dialed == (me < new.peer)
    return Verdict.MERGE if dialed_by_smaller else Verdict.KEEP


def _version(link: LinkFacts, me: NodeId) -> tuple[int, int]:
    """Both epochs, the smaller id's first: both ends see the same pair."""
    if me < link.peer:
        return (link.own_epoch, link.peer_epoch)
    return (link.peer_epoch, link.own_epoch)
