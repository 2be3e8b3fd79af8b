"""One connection to a node: TLS, who is it, hello, frames, the last word.

Joins the socket (`io.tcp`) to the session (`link.session`): it translates, keeps the connection's
one timer, and asks its host wherever something must be decided.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from mreza.address import Address
from mreza.clock import Clock
from mreza.config.link import LinkConfig
from mreza.errors import CertificateRejected
from mreza.ids import MeshId, NodeId
from mreza.io.tcp import TlsConnection
from mreza.io.tls import TlsFailed
from mreza.link.quality import Quality, QualityMeter
from mreza.link.session import (
    FrameReceived,
    HelloReceived,
    LinkSession,
    PeerLeft,
    ProbeQueued,
    RefusedByPeer,
    RefusedByUs,
    RttMeasured,
    SessionEvent,
    UsableChanged,
)
from mreza.link.table import LinkFacts
from mreza.security.certificates import MemberCertificate
from mreza.wire.frame import FrameType, encode_frame
from mreza.wire.link import ALPN_JOIN, ALPN_MEMBER, REFUSED, Hello, RefusalCode, Refused
from mreza.wire.records import AgedRecord

PARTING_S = 5.0
"How long both ends of a replaced link have to empty it. Default: a handshake's patience."
MEASURED_EVERY_S = 1.0
"How often the host is told how the link is: each time costs a turn."
JOIN_TIMEOUT_S = 20.0
"For a whole join; its authority may be several hops away."
UP = "up"
RESET = "reset"
SILENT = "silent"
CLOSED = "closed"
REPLACED = "replaced"
_CERTIFICATE_CODES = {"other_mesh": RefusalCode.OTHER_MESH}


class JoinConversation(Protocol):
    """What talks to a joiner once TLS is done."""

    def receive(self, data: bytes) -> None: ...
    def close(self) -> None: ...


class LinkHost(Protocol):
    """What a connection asks and tells; `mreza.node.links.Links` is one."""

    mesh: MeshId
    config: LinkConfig
    clock: Clock

    def judge(self, certificate: bytes) -> MemberCertificate:
        """Accept the certificate of a TLS peer, or raise CertificateRejected."""
        ...

    def own_hello(self) -> Hello: ...

    def identified(self, link: LinkConnection) -> bool:
        """The peer is known; False if there shall be no hello (the host has closed)."""
        ...

    def hello_received(self, link: LinkConnection, hello: Hello) -> None:
        """Accept or refuse it."""
        ...

    def frame(self, peer: NodeId, kind: int, body: bytes) -> None: ...

    def measured(self, link: LinkConnection, quality: Quality) -> None:
        """How the link is, now and then."""
        ...

    def usable_changed(self, link: LinkConnection, *, usable: bool) -> None:
        """Both ends of a link that is up hear each other, or do not any more."""
        ...

    def peer_left(self, link: LinkConnection, reason: str) -> None: ...

    def joiner(self, link: LinkConnection) -> JoinConversation | None:
        """Somebody without a certificate wants to join; None if joins are not served here."""
        ...

    def refused(
        self,
        link: LinkConnection,
        *,
        code: str,
        text: str,
        by_us: bool,
        introduction: AgedRecord | None = None,
    ) -> None:
        """The connection ends for a reason that has a name. Told at most once."""
        ...

    def ended(self, link: LinkConnection, cause: str) -> None:
        """The socket is closed. Told exactly once."""
        ...


class LinkConnection:
    """One TCP connection from its first byte to its last."""

    def __init__(
        self,
        host: LinkHost,
        connection: TlsConnection,
        *,
        address: Address,
        dialed: bool,
        expected: NodeId | None = None,
        rtt_s: float = 0.0,
    ) -> None:
        self._host = host
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self.address = address
        "As dialed, or where the peer called from."
        self.dialed = dialed
        self.expected = expected
        self.connect_rtt_s = rtt_s
        "Time of the TCP handshake or, where the peer dialed, of the TLS handshake."
        self.since = host.clock.monotonic()
        self.up_at = 0.0
        self.peer: NodeId | None = None
        self.certificate: MemberCertificate | None = None
        self.session: LinkSession | None = None
        self.cause = ""
        "Why it ends, once that is known."
        self.outcome: asyncio.Future[str] | None = self._loop.create_future() if dialed else None
        "For whoever dialed: UP when the link is up, or the cause of its end."
        self.settled = False
        self._join: JoinConversation | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._meter = QualityMeter()
        self._measured_due = 0.0
        self._arm(self.since + host.config.handshake_timeout_s)

    # What the host does.

    @property
    def facts(self) -> LinkFacts:
        """What decides between two links to one peer."""
        assert self.session is not None  # noqa: S101 - asked after the hello only
        assert self.peer is not None  # noqa: S101
        theirs = self.session.peer_hello
        return LinkFacts(
            peer=self.peer,
            peer_epoch=theirs.epoch if theirs is not None else 0,
            own_epoch=self.session.hello.epoch,
            dialed=self.dialed,
            since=self.since,
            up_at=self.up_at,
        )

    @property
    def greeted(self) -> bool:
        """We have said hello: the peer may hold this for a link."""
        return self.session is not None and (self.dialed or self.session.peer_hello is not None)

    @property
    def parting(self) -> bool:
        """One end has said goodbye."""
        return self.session is not None and (self.session.leaving or self.session.peer_left)

    @property
    def remote(self) -> Address:
        """The other end of the socket."""
        return self._connection.remote

    @property
    def tls_version(self) -> str:
        """Protocol version in use."""
        return self._connection.tls.version

    @property
    def bytes_in(self) -> int:
        return self._connection.bytes_in

    @property
    def bytes_out(self) -> int:
        return self._connection.bytes_out

    def flush(self) -> None:
        """Write what the session has, as far as the socket takes it."""
        session = self.session
        if session is None:
            return
        # Until nothing is left or the socket is full: only a full one calls `writable` later.
        while session.wants_to_send():
            room = self._connection.room
            if room <= 0 and not session.refused:
                break
            self._connection.write(session.data_to_send(room))
        if session.refused or (
            session.leaving and session.peer_left and not session.wants_to_send()
        ):
            self._connection.close()

    def refuse(self, code: str, text: str, introduction: AgedRecord | None = None) -> None:
        """Say why, close, and report it."""
        if self._connection.is_closing:
            return
        self.cause = self.cause or code
        if self.session is not None:
            self.session.refuse(code, text, introduction)
            self.flush()
        else:
            if self._connection.tls.established:
                refused = REFUSED.encode(Refused(code=code, text=text[:512]))
                self._connection.write([encode_frame(FrameType.REFUSED, refused)])
            self._connection.close()
        self._host.refused(self, code=code, text=text, by_us=True, introduction=introduction)

    def part(self, reason: str) -> None:
        """Send what waits, say goodbye, read until the peer has said it, too."""
        assert self.session is not None  # noqa: S101 - only a link can be parted
        self.session.goodbye(reason)
        self._arm(self._host.clock.monotonic() + PARTING_S)
        self.flush()

    def await_replacement(self) -> None:
        """The peer has parted; give the link that it keeps a while to come up."""
        self._arm(self._host.clock.monotonic() + PARTING_S)

    def carry(self, *, routes: bool) -> None:
        """Whether routes lead over this link: one that is spare is probed less often."""
        session = self.session
        if session is not None and session.carry(routes=routes, now=self._host.clock.monotonic()):
            self._arm(session.next_deadline())

    def close(self, cause: str) -> None:
        """Close without a word."""
        self.cause = self.cause or cause
        self._connection.close()

    def abort(self, cause: str) -> None:
        """Close at once, dropping what is not sent."""
        self.cause = self.cause or cause
        self._connection.abort()

    def write_raw(self, frame: bytes) -> None:
        """For a join, which has no session."""
        self._connection.write([frame])

    def report_up(self) -> None:
        """Tell whoever dialed."""
        if self.outcome is not None and not self.outcome.done():
            self.outcome.set_result(UP)

    # What the connection tells.

    def established(self) -> None:
        tls, host = self._connection.tls, self._host
        now = host.clock.monotonic()
        if not self.dialed:
            self.connect_rtt_s = now - self.since
        if tls.alpn == ALPN_JOIN and not self.dialed:
            self._join = host.joiner(self)
            if self._join is None:
                self.refuse(RefusalCode.JOIN_REFUSED, "this node takes no joins")
            else:
                self._arm(now + JOIN_TIMEOUT_S)
            return
        if tls.alpn != ALPN_MEMBER:
            self.refuse(RefusalCode.WRONG_ALPN, f"offer {ALPN_MEMBER!r} by ALPN")
            return
        der = tls.peer_certificate
        if der is None:
            self.refuse(RefusalCode.NO_CERTIFICATE, "members show a certificate")
            return
        try:
            self.certificate = host.judge(der)
        except CertificateRejected as error:
            code = _CERTIFICATE_CODES.get(error.code, RefusalCode.BAD_CERTIFICATE)
            if error.code == RefusalCode.REVOKED:
                code = RefusalCode.REVOKED
            self.refuse(code, f"certificate refused: {error}")
            return
        self.peer = self.certificate.node_id
        if self.expected is not None and self.peer != self.expected:
            self.refuse(RefusalCode.OTHER_NODE, f"dialed {self.expected}, this is node {self.peer}")
            return
        if not host.identified(self):
            return
        self.session = LinkSession(
            peer=self.peer,
            mesh=host.mesh,
            hello=host.own_hello(),
            dialed=self.dialed,
            config=host.config,
            now=self.since,
        )
        self._arm(self.session.next_deadline())
        self.flush()

    def data(self, plaintext: bytes) -> None:
        session, peer = self.session, self.peer
        if session is None or peer is None:
            if self._join is not None:
                self._join.receive(plaintext)
            return
        frame, now = self._host.frame, self._host.clock.monotonic()
        acted = False
        for event in session.receive_data(plaintext, now=now):
            if type(event) is FrameReceived:
                frame(peer, event.kind, event.body)
            else:
                acted = True
                self._act(event)
        if acted:
            self.flush()

    def writable(self) -> None:
        self.flush()

    def lost(self, failure: TlsFailed | None, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._join is not None:
            self._join.close()
        if failure is not None and not self.cause:
            self.cause = failure.code
            self._host.refused(self, code=failure.code, text=str(failure), by_us=failure.by_us)
        self.cause = self.cause or (CLOSED if self.parting else RESET)
        self._host.ended(self, self.cause)
        if self.outcome is not None and not self.outcome.done():
            self.outcome.set_result(self.cause)
        del error  # the socket's words say no more than that it was reset

    # Rules.

    def _act(self, event: SessionEvent) -> None:
        host = self._host
        match event:
            case HelloReceived(hello):
                host.hello_received(self, hello)
                if self.session is not None and self.session.is_up:
                    # Until now the timer ran for the handshake; from now on it is for probes.
                    self._arm(self.session.next_deadline())
            case RttMeasured():
                self._measured()
                if not self.dialed and self.session is not None and self.session.is_up:
                    self._arm(self.session.next_deadline())
            case UsableChanged(usable):
                self._meter.pause()
                host.usable_changed(self, usable=usable)
            case ProbeQueued():
                assert self.session is not None  # noqa: S101 - it queued
                self._arm(self.session.next_deadline())
            case RefusedByPeer(refused):
                self.cause = self.cause or refused.code
                host.refused(
                    self,
                    code=refused.code,
                    text=refused.text,
                    by_us=False,
                    introduction=refused.introduction,
                )
            case RefusedByUs(code, text):
                self.cause = self.cause or code
                host.refused(self, code=code, text=text, by_us=True)
            case PeerLeft(reason):
                host.peer_left(self, reason)

    def _measured(self) -> None:
        now = self._host.clock.monotonic()
        if now >= self._measured_due and self.session is not None:
            self._measured_due = now + MEASURED_EVERY_S
            quality = self._meter.sample(
                echo_rtt_s=self.session.rtt_s or 0.0,
                tcp=self._connection.tcp_counters(),
                frames=self.session.offered,
                given_up=self.session.given_up,
                written_bytes=self._connection.bytes_out,
                now=now,
            )
            self._host.measured(self, quality)

    def _arm(self, deadline: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            delay_s = max(0.0, deadline - self._host.clock.monotonic())
            self._timer = self._loop.call_later(delay_s, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        session = self.session
        if session is None:
            handshake_s = self._host.config.handshake_timeout_s
            what, waited_s = (
                ("TLS handshake", handshake_s) if self._join is None else ("join", JOIN_TIMEOUT_S)
            )
            self._host.refused(
                self,
                code=RefusalCode.TIMEOUT,
                text=f"{what} not finished within {waited_s:g} s",
                by_us=True,
            )
            self.abort(RefusalCode.TIMEOUT)
            return
        if session.leaving or session.peer_left:
            self.abort(CLOSED)
            return
        self._meter.waiting(session.queued_bytes)
        event = session.advance(now=self._host.clock.monotonic())
        if event is not None:
            self._act(event)
        self._arm(session.next_deadline())
        self.flush()
