"""The links that are up: one for each peer at most, and what becomes of frames as that changes.

A link on which one end does not hear the other is unusable: to the node it has ended, but its
connection is kept for a while, and it is the link again as soon as both ends hear each other.
"""

from __future__ import annotations

from mreza.ids import NodeId
from mreza.link.send_queue import Body, Waiting
from mreza.link.session import LinkSession
from mreza.node.link_connection import CLOSED, REPLACED, RESET, SILENT, LinkConnection
from mreza.node.link_events import LinkEvents, LinkView, view_of
from mreza.wire.frame import FrameType
from mreza.wire.link import Hello


class UpLinks:
    """The link to each peer; the node hears of every change before anything else happens to it."""

    def __init__(self, events: LinkEvents) -> None:
        self._events = events
        self._links: dict[NodeId, LinkConnection] = {}
        self._unusable: dict[NodeId, LinkConnection] = {}
        "Connections that may become the link to their peer again."
        self._dirty: dict[LinkConnection, None] = {}
        "Those with something to write."

    # What there is.

    def __contains__(self, peer: NodeId) -> bool:
        return peer in self._links

    def __len__(self) -> int:
        return len(self._links)

    def get(self, peer: NodeId) -> LinkConnection | None:
        """The link to this peer, or the unusable one."""
        return self._links.get(peer) or self._unusable.get(peer)

    def all(self) -> list[LinkConnection]:
        """Every link, the newest last, and every unusable one."""
        return [*self._links.values(), *self._unusable.values()]

    def views(self) -> dict[NodeId, LinkView]:
        """Every link as it is now."""
        return {peer: view_of(peer, link) for peer, link in self._links.items()}

    def holds(self, link: LinkConnection) -> bool:
        """True if this connection is the link to its peer."""
        return link.peer is not None and self._links.get(link.peer) is link

    # Frames out.

    def send(self, peer: NodeId, kind: int, body: Body, priority: int) -> bool:
        """Queue a frame for `flush`; False, and reported as dropped, if there is no such link."""
        link = self._links.get(peer)
        if link is None or link.session is None:
            self._report_dropped(peer, [Waiting(kind, body, priority)])
            return False
        dropped = link.session.send(kind, body, priority)
        self._dirty[link] = None
        for waiting in dropped:
            self._events.frame_dropped(peer, waiting.kind, waiting.body)
        return True

    def flush(self) -> None:
        """Write what was queued: one write for each link."""
        dirty, self._dirty = self._dirty, {}
        for link in dirty:
            link.flush()

    # Changes.

    def bring_up(self, link: LinkConnection, hello: Hello) -> None:
        """A peer that had no link has this one."""
        assert link.peer is not None  # noqa: S101 - it said hello
        self._links[link.peer] = link
        link.report_up()
        measured_s = _session_of(link).rtt_s
        rtt_s = link.connect_rtt_s if measured_s is None else measured_s
        self._events.link_up(link.peer, hello, link.address, dialed=link.dialed, rtt_s=rtt_s)

    def merge(self, old: LinkConnection, new: LinkConnection) -> None:
        """Both ends keep the new link: what waits moves there, and to the node nothing happened."""
        assert new.peer is not None  # noqa: S101 - both are up
        self._links[new.peer] = new
        onto = _session_of(new)
        for waiting in _session_of(old).take_waiting():
            if waiting.kind != FrameType.PROBE:
                onto.send(waiting.kind, waiting.body, waiting.priority)
        self._dirty.pop(old, None)
        old.part(REPLACED)
        new.report_up()

    def down(self, link: LinkConnection, cause: str) -> None:
        """A link has ended, with what waited on it; nothing happens if it was none."""
        if self.holds(link):
            self._end(link, cause, _session_of(link).take_waiting())
        elif link.peer is not None and self._unusable.get(link.peer) is link:
            del self._unusable[link.peer]
            if cause == RESET:
                self._events.link_reset(link.peer)

    def set_usable(self, link: LinkConnection, *, usable: bool) -> None:
        """Both ends hear each other, or not any more; nothing happens if it is no link."""
        peer = link.peer
        if peer is None:
            return
        if not usable and self.holds(link):
            self._unusable[peer] = link
            self._end(link, SILENT, _session_of(link).take_most())
        elif usable and self._unusable.get(peer) is link:
            del self._unusable[peer]
            session = _session_of(link)
            assert session.peer_hello is not None  # noqa: S101 - it was up
            self.bring_up(link, session.peer_hello)

    def retire(self, link: LinkConnection, reason: str) -> None:
        """What waits is sent, then goodbye; to the node the link has ended now."""
        assert link.peer is not None  # noqa: S101 - it is up
        self._unusable.pop(link.peer, None)
        self._dirty.pop(link, None)
        was_usable = self._links.pop(link.peer, None) is not None
        link.part(reason)
        if was_usable:
            self._events.link_down(link.peer, CLOSED)

    # Rules.

    def _end(self, link: LinkConnection, cause: str, waiting: list[Waiting]) -> None:
        assert link.peer is not None  # noqa: S101 - it is up
        del self._links[link.peer]
        self._dirty.pop(link, None)
        self._events.link_down(link.peer, cause)
        self._report_dropped(link.peer, waiting)

    def _report_dropped(self, peer: NodeId, frames: list[Waiting]) -> None:
        for waiting in frames:
            if waiting.kind == FrameType.ENVELOPE:
                self._events.frame_dropped(peer, waiting.kind, waiting.body)


def _session_of(link: LinkConnection) -> LinkSession:
    assert link.session is not None  # noqa: S101 - it is or was up
    return link.session
