"""One link's life after TLS: hello, keepalive, frames both ways, and the last word. No I/O.

The dialing end says hello first, and the other answers only when it has accepted it: a hello
received means "you are in", at both ends. A session is told of bytes and time, yields what they
mean one by one, and holds what is to be sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from mreza.config.link import LinkConfig
from mreza.errors import DecodeError
from mreza.ids import MeshId, NodeId
from mreza.link.liveness import Liveness
from mreza.link.rtt import RoundTripTime, stamp_us
from mreza.link.send_queue import Body, SendQueue, Waiting
from mreza.wire.frame import (
    BODY_MAX,
    BODY_MAX_BEFORE_HELLO,
    FrameReader,
    FrameType,
    encode_frame,
)
from mreza.wire.link import (
    GOODBYE,
    HELLO,
    OLDEST_VERSION,
    PROBE,
    PROTOCOL_VERSION,
    REFUSED,
    Goodbye,
    Hello,
    Probe,
    RefusalCode,
    Refused,
)
from mreza.wire.records import AgedRecord

REFUSED_MAX = 20 * 1024
"""A dialing end may be answered with an introduction instead of a hello; it has chosen whom to
listen to."""
TEXT_MAX = 512
"Of a refusal, as its codec bounds it."
_FIRST, _LAST = 1, 2
_HANDED_ON = frozenset((int(FrameType.ENVELOPE), int(FrameType.RECORDS), int(FrameType.DIGEST)))


class HelloReceived(msgspec.Struct, frozen=True):
    """A hello of this mesh and a version we speak.

    Answer with `accept` or `refuse` before reading on.
    """

    hello: Hello


class FrameReceived(msgspec.Struct, eq=False, gc=False):
    """An ENVELOPE, RECORDS or DIGEST frame. Not frozen: it is built once per envelope."""

    kind: int
    body: bytes


class RttMeasured(msgspec.Struct, frozen=True):
    """A probe came back; the smoothed time is `LinkSession.rtt_s`. Ask for the deadline again."""


class ProbeQueued(msgspec.Struct, frozen=True):
    """The peer should know something at once: write what waits, and ask for the deadline again."""


class UsableChanged(msgspec.Struct, frozen=True):
    """Both ends hear each other, or one of them does not; the connection stays."""

    usable: bool


class RefusedByPeer(msgspec.Struct, frozen=True):
    """The peer's last word."""

    refused: Refused


class RefusedByUs(msgspec.Struct, frozen=True):
    """The session refuses by itself; its REFUSED frame is in `data_to_send`."""

    code: str
    text: str


class PeerLeft(msgspec.Struct, frozen=True):
    """The peer sends no more and says why."""

    reason: str


_RTT_MEASURED = RttMeasured()
SessionEvent: TypeAlias = (
    HelloReceived
    | FrameReceived
    | RttMeasured
    | ProbeQueued
    | UsableChanged
    | RefusedByPeer
    | RefusedByUs
    | PeerLeft
)


class LinkSession:
    """Frames between this node and one authenticated peer."""

    def __init__(
        self,
        *,
        peer: NodeId,
        mesh: MeshId,
        hello: Hello,
        dialed: bool,
        config: LinkConfig,
        now: float,
    ) -> None:
        self.peer = peer
        self.hello = hello
        "Ours, as said on this link."
        self.peer_hello: Hello | None = None
        "Set when it was accepted: the link is up."
        self.dialed = dialed
        self.refused = False
        "A REFUSED frame was said or heard: nothing more is read."
        self.leaving = False
        "We said goodbye: nothing more is sent."
        self.peer_left = False
        self.rtt = RoundTripTime()
        self.offered = 0
        "Frames given to `send`."
        self.given_up = 0
        "Frames that gave way in the full queue."
        self._mesh = mesh
        self._config = config
        self._reader = FrameReader(limit=REFUSED_MAX if dialed else BODY_MAX_BEFORE_HELLO)
        self._queue = SendQueue(limit_bytes=config.queue_bytes)
        self._urgent: list[bytes] = []
        "Whole frames that go before the queue: hello, refusal."
        self._goodbye: bytes | None = None
        "Goes after the queue."
        self._hello_until = now + config.handshake_timeout_s
        self._liveness = Liveness(config=config, now=now)
        self._echo_us = 0
        self._echo_at = 0.0
        self.usable = True
        "As told last: `UsableChanged` is yielded when it changes."
        self._pieces: list[bytes] = []
        self._pieces_size = 0
        if dialed:
            self._say_hello()

    @property
    def is_up(self) -> bool:
        """Both hellos were accepted and nobody has closed."""
        return self.peer_hello is not None and not (self.refused or self.leaving or self.peer_left)

    def is_deaf(self) -> bool:
        """Nothing more is read: somebody refused, or the peer has left."""
        return self.refused or self.peer_left

    @property
    def rtt_s(self) -> float | None:
        """Smoothed round-trip time, None before the first measurement."""
        return self.rtt.smoothed_s

    @property
    def queued_bytes(self) -> int:
        """Bytes waiting in the send queue."""
        return self._queue.size

    # Inputs.

    def receive_data(self, data: bytes, *, now: float) -> Iterator[SessionEvent]:
        """Yield what these bytes mean; what the caller does about one event decides the next."""
        self._liveness.heard(now=now)
        if self.is_deaf():
            return
        try:
            for kind, body in self._reader.feed(data):
                if kind == FrameType.ENVELOPE and self.peer_hello is not None:
                    yield FrameReceived(kind, body)
                else:
                    yield from self._receive_frame(kind, body, now)
                if self.is_deaf():
                    return
        except DecodeError as error:
            yield self._refuse_it(RefusalCode.MALFORMED, str(error))
            return
        if self.is_up and self._probe_if_due(now):
            if self._liveness.usable is not self.usable:
                yield self._usable_changed()
            yield ProbeQueued()

    def accept(self, hello: Hello, *, now: float) -> None:
        """The peer's hello is good: the link is up, for the peer when our answer arrives."""
        self.peer_hello = hello
        self._reader.limit = BODY_MAX
        if not self.dialed:
            self._say_hello()
        self._liveness = Liveness(config=self._config, now=now)
        self._probe_if_due(now)

    def carry(self, *, routes: bool, now: float) -> bool:
        """Whether routes lead over this link; True if `advance` must be called earlier for that."""
        before = self._liveness.next_deadline()
        self._liveness.carry(routes=routes, now=now)
        return self.is_up and self._liveness.next_deadline() < before

    def refuse(self, code: str, text: str, introduction: AgedRecord | None = None) -> None:
        """Say why and be done; what waits is not sent (`take_waiting` has it)."""
        if self.refused:
            return
        self.refused = True
        refused = Refused(code=code, text=text[:TEXT_MAX], introduction=introduction)
        self._urgent.append(encode_frame(FrameType.REFUSED, REFUSED.encode(refused)))

    def goodbye(self, reason: str) -> None:
        """Send what waits, then say goodbye; the peer may still send."""
        if not self.leaving:
            self.leaving = True
            self._goodbye = encode_frame(FrameType.GOODBYE, GOODBYE.encode(Goodbye(reason)))

    def send(self, kind: int, body: Body, priority: int) -> list[Waiting]:
        """Queue a frame of a link that is up; returns what had to give way."""
        self.offered += 1
        dropped = self._queue.push(kind, body, priority)
        if dropped:
            self.given_up += len(dropped)
        return dropped

    def advance(self, *, now: float) -> SessionEvent | None:
        """Probe if it is time; hold the link unusable, or give it up, if the peer had its time."""
        if self.refused:
            return None
        if self.peer_hello is None:
            if now >= self._hello_until:
                waited = f"{self._config.handshake_timeout_s:g} s"
                return self._refuse_it(RefusalCode.TIMEOUT, f"no hello within {waited}")
            return None
        self._liveness.advance(now=now)
        if self._liveness.is_over(now=now):
            silence_s = self._liveness.silence_s(now=now)
            return self._refuse_it(RefusalCode.SILENT, f"nothing received for {silence_s:.1f} s")
        self._probe_if_due(now)
        return self._usable_changed() if self._liveness.usable is not self.usable else None

    # Outputs.

    def next_deadline(self) -> float | None:
        """When `advance` must be called at the latest."""
        if self.refused:
            return None
        if self.peer_hello is None:
            return self._hello_until
        return self._liveness.next_deadline()

    def wants_to_send(self) -> bool:
        """True if `data_to_send` has something."""
        if self._urgent:
            return True
        return not self.refused and (bool(self._queue) or self._goodbye is not None)

    def data_to_send(self, room: int) -> list[bytes]:
        """Frames for about `room` bytes, joined into batches of one TLS write each."""
        batches: list[bytes] = []
        if self._urgent:
            batches.append(b"".join(self._urgent))
            self._urgent.clear()
        if self.refused:
            return batches
        if self._queue:
            batches += self._queue.take(room)
        if self._goodbye is not None and not self._queue:
            batches.append(self._goodbye)
            self._goodbye = None
        return batches

    def take_waiting(self) -> list[Waiting]:
        """Everything queued and not yet written, most urgent first; the queue is empty then."""
        return self._queue.take_all()

    def take_most(self) -> list[Waiting]:
        """What waits on a link that is unusable, and may be usable again."""
        return self._queue.take_most()

    # Rules.

    def _say_hello(self) -> None:
        self._urgent.append(encode_frame(FrameType.HELLO, HELLO.encode(self.hello)))

    def _receive_frame(self, kind: int, body: bytes, now: float) -> Iterator[SessionEvent]:
        if kind == FrameType.REFUSED:
            self.refused = True
            yield RefusedByPeer(REFUSED.decode(body))
        elif kind == FrameType.GOODBYE:
            self.peer_left = True
            yield PeerLeft(GOODBYE.decode(body).reason)
        elif self.peer_hello is None:
            yield self._receive_hello(kind, body)
        elif kind in _HANDED_ON:
            yield FrameReceived(kind, body)
        elif kind == FrameType.PROBE:
            if self._receive_probe(PROBE.decode(body), now):
                if not self.dialed:
                    self._liveness.follow(now=now)
                yield _RTT_MEASURED
        elif kind == FrameType.ENVELOPE_PART:
            whole = self._join_part(body)
            if whole is not None:
                yield FrameReceived(FrameType.ENVELOPE, whole)
        else:
            yield self._refuse_it(RefusalCode.MALFORMED, f"frame type {kind} on a link that is up")

    def _receive_hello(self, kind: int, body: bytes) -> SessionEvent:
        if kind != FrameType.HELLO:
            return self._refuse_it(RefusalCode.MALFORMED, f"frame type {kind} before the hello")
        hello = HELLO.decode(body)
        if hello.version < OLDEST_VERSION:
            # Of a newer version we know nothing; the newer end knows whether it still speaks ours.
            spoken = f"this node speaks {OLDEST_VERSION} to {PROTOCOL_VERSION}"
            return self._refuse_it(
                RefusalCode.VERSION, f"protocol version {hello.version}, {spoken}"
            )
        if hello.mesh != self._mesh:
            return self._refuse_it(
                RefusalCode.OTHER_MESH, f"hello of mesh {hello.mesh}, this mesh is {self._mesh}"
            )
        return HelloReceived(hello)

    def _receive_probe(self, probe: Probe, now: float) -> bool:
        first = not self._echo_us
        self._echo_us, self._echo_at = probe.stamp_us, now
        self._liveness.probe_heard(next_s=probe.next_us / 1e6, hears=probe.hears, now=now)
        if first and not self.leaving:
            # The first one is answered at once: a new link should not wait for its round-trip time.
            self._probe(now)
        # What comes first after a pause tells how long the pause was.
        return self.usable and self.rtt.echoed(
            echo_us=probe.echo_us, held_us=probe.held_us, now=now
        )

    def _join_part(self, body: bytes) -> bytes | None:
        if not body or body[0] & ~(_FIRST | _LAST):
            raise DecodeError("malformed piece of an envelope")
        if bool(body[0] & _FIRST) == bool(self._pieces):
            raise DecodeError("piece of an envelope out of order")
        self._pieces_size += len(body) - 1
        if self._pieces_size > BODY_MAX:
            raise DecodeError(f"envelope in pieces passes {BODY_MAX} bytes")
        self._pieces.append(body)
        if not body[0] & _LAST:
            return None
        whole = b"".join([memoryview(piece)[1:] for piece in self._pieces])
        self._pieces.clear()
        self._pieces_size = 0
        return whole

    def _probe_if_due(self, now: float) -> bool:
        if self.leaving or not self._liveness.probe_due(now=now):
            return False
        self._probe(now)
        return True

    def _probe(self, now: float) -> None:
        liveness = self._liveness
        probe = Probe(
            stamp_us(now),
            self._echo_us,
            int((now - self._echo_at) * 1e6) if self._echo_us else 0,
            int(liveness.interval_s * 1e6),
            liveness.hears,
        )
        self._queue.push(FrameType.PROBE, PROBE.encode(probe), 0)

    def _usable_changed(self) -> UsableChanged:
        self.usable = self._liveness.usable
        return UsableChanged(self.usable)

    def _refuse_it(self, code: str, text: str) -> RefusedByUs:
        self.refuse(code, text)
        return RefusedByUs(code, text)
