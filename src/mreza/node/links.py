"""All links of a node: who is let in, and which of two links to one peer stays.

Owns every connection, accepted or dialed. Judges peers with the judges it was given; what their
frames mean is the node's business (`LinkEvents`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Container, Coroutine
from typing import Any

from mreza.address import Address
from mreza.clock import Clock
from mreza.config.link import LinkConfig
from mreza.errors import CertificateRejected, NotRunning
from mreza.ids import NodeId
from mreza.io.tcp import TlsConnection
from mreza.io.tls import member_context, server_context
from mreza.link.quality import Quality
from mreza.link.send_queue import Body
from mreza.link.table import Verdict, judge
from mreza.node.dialing import dial_link
from mreza.node.joins import JoinDoor, JoinServing
from mreza.node.link_connection import CLOSED, REPLACED, JoinConversation, LinkConnection
from mreza.node.link_events import (
    DialOutcome,
    DialResult,
    LinkEvents,
    LinkView,
    PeerRefusal,
)
from mreza.node.listener import Listener
from mreza.node.up_links import UpLinks
from mreza.security.certificates import MemberCertificate
from mreza.security.credentials import Credentials
from mreza.wire.link import Hello, RefusalCode
from mreza.wire.records import LINKS_MAX, AgedRecord

__all__ = ["DialOutcome", "DialResult", "LinkEvents", "LinkView", "Links", "PeerRefusal"]

SHUTDOWN = "shutdown"


class Links:
    """Every connection of a node."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        hello: Callable[[], Hello],
        config: LinkConfig,
        events: LinkEvents,
        clock: Clock,
        newest_introduction: Callable[[NodeId], AgedRecord | None] = lambda _: None,
        why_revoked: Callable[[MemberCertificate], str | None] = lambda _: None,
        joins: JoinDoor | None = None,
    ) -> None:
        """`hello` is what we say now; `why_revoked` returns None for the innocent."""
        self.config = config
        self.clock = clock
        self.mesh = credentials.mesh
        self.me = credentials.node_id
        self._events = events
        self.frame = events.frame
        self._hello = hello
        self._newest_introduction = newest_introduction
        self._why_revoked = why_revoked
        self._joins = joins
        self._anchors = credentials.anchors
        self._member_context = member_context(credentials)
        self._listener = Listener(
            server_context(credentials),
            admitted=self._admitted,
            per_address_per_s=config.accepts_per_address_per_s,
            clock=clock,
        )
        self._up = UpLinks(events)
        self._greeting: dict[NodeId, LinkConnection] = {}
        "Dialed, hello said, no answer yet: one for each peer."
        self._all: dict[LinkConnection, None] = {}
        "Every open connection, in the order of opening."
        self._tasks: set[asyncio.Task[None]] = set()
        self._all_ended = asyncio.Event()
        self._closing = False

    # What the node does.

    async def listen(self, host: str, port: int, *, next_free: bool = False) -> tuple[Address, ...]:
        """Listen on a host (empty: all addresses of the machine) and return what was bound.

        Raises:
            OSError: that cannot be; the text says where it was tried.
        """
        return await self._listener.open(host, port, next_free=next_free)

    async def dial(self, address: Address, *, expected: NodeId | None = None) -> DialResult:
        """Try to make a link; returns when it is up or it is known why not.

        Never raises for what others do.
        """
        if self._closing:
            raise NotRunning("the links of this node are closed")
        if expected is not None and self._is_taken(expected):
            return DialResult(DialOutcome.ALREADY, expected)

        def adopt(connection: TlsConnection, rtt_s: float) -> LinkConnection | None:
            if self._closing:
                return None
            link = LinkConnection(
                self, connection, address=address, dialed=True, expected=expected, rtt_s=rtt_s
            )
            self._all[link] = None
            return link

        return await dial_link(
            address,
            expected=expected,
            context=self._member_context,
            adopt=adopt,
            timeout_s=self.config.dial_timeout_s,
            clock=self.clock,
        )

    def send(self, peer: NodeId, kind: int, body: Body, priority: int) -> bool:
        """Queue a frame; `flush` writes it.

        False if there is no link to the peer (it is reported as dropped).
        """
        return self._up.send(peer, kind, body, priority)

    def flush(self) -> None:
        """Write what `send` has queued: one write for each link. Call it once per loop turn."""
        self._up.flush()

    def has(self, peer: NodeId) -> bool:
        """True if a link to this peer is up and usable."""
        return peer in self._up

    @property
    def peers(self) -> dict[NodeId, LinkView]:
        """Every link that is up and usable."""
        return self._up.views()

    @property
    def accepts_refused(self) -> dict[str, int]:
        """Connections refused before a byte was read, by reason (the newest hundred)."""
        return self._listener.refused

    @property
    def connections(self) -> int:
        """Sockets open now, half-open and ending ones included."""
        return len(self._all)

    def close_link(
        self, peer: NodeId, code: str, text: str, introduction: AgedRecord | None = None
    ) -> None:
        """Refuse a peer that has a link; nothing happens if it has none."""
        link = self._up.get(peer)
        if link is not None:
            link.refuse(code, text, introduction)
            self._up.down(link, code)

    def carry(self, peers: Container[NodeId]) -> None:
        """Routes lead over the links to these peers; the others are probed less often."""
        for link in self._up.all():
            link.carry(routes=link.peer in peers)

    def renew(self, reason: str) -> None:
        """Part from every peer, so that all hear our new hello when they or we dial again."""
        for link in self._up.all():
            self._up.retire(link, reason)

    def gone(self, peer: NodeId) -> None:
        """Discovery found that no process listens any more where this peer did."""
        self._events.peer_gone(peer)

    def use(self, credentials: Credentials) -> None:
        """Show renewed certificates on connections from now on."""
        self._anchors = credentials.anchors
        self._listener.context = server_context(credentials)
        self._member_context = member_context(credentials)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Send what waits, say goodbye to all, close.

        Returns when all is closed, at the latest after `timeout_s`.
        """
        if self._closing:
            return
        self._closing = True
        self._listener.close()
        for link in list(self._all):
            if self._up.holds(link):
                self._up.retire(link, SHUTDOWN)
            elif not link.parting:
                link.abort(CLOSED)
        for task in self._tasks:
            task.cancel()
        deadline_s = max(0.0, timeout_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._wait_all_ended()
        for link in list(self._all):
            link.abort(CLOSED)
        with contextlib.suppress(TimeoutError):
            # Aborted sockets report their end within a turn; this only bounds a defect.
            async with asyncio.timeout(1.0):
                await self._wait_all_ended()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        await self._listener.wait_closed(timeout_s=1.0)

    # What connections ask and tell (LinkHost).

    def own_hello(self) -> Hello:
        return self._hello()

    def judge(self, certificate: bytes) -> MemberCertificate:
        member = self._anchors.check_leaf(certificate, wall=self.clock.wall())
        why = self._why_revoked(member)
        if why is not None:
            raise CertificateRejected(why, code=RefusalCode.REVOKED)
        return member

    def identified(self, link: LinkConnection) -> bool:
        peer = link.peer
        assert peer is not None  # noqa: S101 - that is what has been identified
        if not link.dialed:
            return True
        if self._is_taken(peer):
            # No hello has been said, so the peer does not hold this for a link.
            link.close(RefusalCode.DUPLICATE_LINK)
            return False
        self._greeting[peer] = link
        return True

    def hello_received(self, link: LinkConnection, hello: Hello) -> None:
        peer, session = link.peer, link.session
        assert peer is not None  # noqa: S101 - a session has a peer
        assert session is not None  # noqa: S101
        if self._closing:
            link.refuse(RefusalCode.SHUTDOWN, "this node is closing")
            return
        if peer == self.me:
            self._met_ourself(link, hello)
            return
        existing, newest = self._up.get(peer), self._newest_introduction(peer)
        verdict = judge(
            link.facts._replace(peer_epoch=hello.epoch),
            None if existing is None else existing.facts,
            introduced_epoch=newest.record.epoch if newest is not None else 0,
            me=self.me,
        )
        if verdict is Verdict.OLD:
            text = f"a newer epoch of {peer} than {hello.epoch:x} is known"
            is_proof = newest is not None and newest.record.epoch > hello.epoch
            link.refuse(RefusalCode.OLD_EPOCH, text, newest if is_proof else None)
        elif existing is None and len(self._up) >= LINKS_MAX:
            link.refuse(RefusalCode.TOO_MANY, f"this node has {LINKS_MAX} links")
        elif verdict is Verdict.KEEP:
            self._turn_away(link, hello)
        elif existing is not None and verdict is Verdict.MERGE and self._up.holds(existing):
            self._accept_hello(link, hello)
            self._up.merge(existing, link)
        else:
            if existing is not None:
                self._replace(existing, hello)
            self._accept_hello(link, hello)
            self._up.bring_up(link, hello)

    def measured(self, link: LinkConnection, quality: Quality) -> None:
        if link.peer is not None and self._up.holds(link):
            self._events.link_measured(link.peer, quality)

    def usable_changed(self, link: LinkConnection, *, usable: bool) -> None:
        self._up.set_usable(link, usable=usable)

    def peer_left(self, link: LinkConnection, reason: str) -> None:
        if reason == REPLACED and self._up.holds(link):
            # Its hello on the link that it keeps is on the way; that will move what waits here.
            link.await_replacement()
            return
        self._up.down(link, CLOSED)
        if link.session is not None and not link.session.leaving:
            link.close(CLOSED)

    def joiner(self, link: LinkConnection) -> JoinConversation | None:
        if self._joins is None or self._closing:
            return None
        return JoinServing(self._joins, link, spawn=self._spawn)

    def refused(
        self,
        link: LinkConnection,
        *,
        code: str,
        text: str,
        by_us: bool,
        introduction: AgedRecord | None = None,
    ) -> None:
        self._up.down(link, code)
        if code == RefusalCode.SELF:
            return
        heard = None if by_us else introduction
        # Whoever names our address for a node that is not there has us dial ourselves.
        if link.peer == self.me and not by_us and code != RefusalCode.OTHER_NODE:
            epoch = heard.record.epoch if heard is not None else 0
            self._events.identity_conflict(link.address, epoch, heard)
        if code in (RefusalCode.DUPLICATE_LINK, RefusalCode.SHUTDOWN):
            return
        self._events.refused(
            PeerRefusal(
                address=link.address,
                peer=link.peer,
                code=code,
                text=text,
                by_us=by_us,
                dialed=link.dialed,
                introduction=heard,
            )
        )

    def ended(self, link: LinkConnection, cause: str) -> None:
        self._settle(link)
        self._up.down(link, cause)
        self._all.pop(link, None)
        if not self._all:
            self._all_ended.set()

    # Rules.

    def _is_taken(self, peer: NodeId) -> bool:
        return peer in self._up or peer in self._greeting

    def _admitted(self, connection: TlsConnection) -> LinkConnection:
        link = LinkConnection(self, connection, address=connection.remote, dialed=False)
        self._all[link] = None
        return link

    def _settle(self, link: LinkConnection) -> None:
        """A connection is no longer half open."""
        if not link.settled:
            link.settled = True
            if not link.dialed:
                self._listener.settled(link.remote.host)
        if link.peer is not None and self._greeting.get(link.peer) is link:
            del self._greeting[link.peer]

    def _accept_hello(self, link: LinkConnection, hello: Hello) -> None:
        assert link.session is not None  # noqa: S101 - it received the hello
        now = self.clock.monotonic()
        link.session.accept(hello, now=now)
        link.up_at = now
        self._settle(link)

    def _turn_away(self, link: LinkConnection, hello: Hello) -> None:
        """Both ends dialed at once, and the link that we have is the one that both keep."""
        if not link.dialed:
            link.refuse(RefusalCode.DUPLICATE_LINK, "another link is kept")
            return
        # The peer answered our hello and may have sent frames already: they are read before it
        # ends.
        self._accept_hello(link, hello)
        link.report_up()
        link.part(REPLACED)

    def _replace(self, old: LinkConnection, hello: Hello) -> None:
        """The peer has lost its end of the old link, or is a newer process."""
        assert old.peer is not None  # noqa: S101 - it is up
        is_old = old.facts.peer_epoch < hello.epoch
        self._up.down(old, REPLACED)
        if is_old:
            newest = self._newest_introduction(old.peer)
            text = f"epoch {hello.epoch:x} of {old.peer} has come"
            old.refuse(RefusalCode.OLD_EPOCH, text, newest)
        else:
            old.refuse(RefusalCode.DUPLICATE_LINK, "a newer link took its place")

    def _met_ourself(self, link: LinkConnection, hello: Hello) -> None:
        own = self._hello()
        if hello.epoch == own.epoch:
            link.refuse(RefusalCode.SELF, "this is the node that dialed")
            return
        introduction = self._newest_introduction(self.me)
        code = RefusalCode.OLD_EPOCH if hello.epoch < own.epoch else RefusalCode.DUPLICATE_IDENTITY
        text = f"this node runs with the same key and epoch {own.epoch:x}"
        link.refuse(code, text, introduction)
        self._events.identity_conflict(link.address, hello.epoch, None, uptime_s=hello.uptime_s)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _wait_all_ended(self) -> None:
        while self._all:
            self._all_ended.clear()
            await self._all_ended.wait()
