"""The outgoing half of the data plane: a numbered packet becomes a sealed envelope on a link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from mreza.ids import NodeId
from mreza.messaging.batch import Flight
from mreza.messaging.delivery import Source
from mreza.messaging.outbox import WaitingControl
from mreza.planes.effects import RequestsNumbered, SendFrame
from mreza.planes.traffic import Traffic
from mreza.routing.router import Router
from mreza.security.sealing import Sealing
from mreza.wire.envelope import HOP_LIMIT, PATH_MAX, Envelope, EnvelopeKind
from mreza.wire.frame import FrameType
from mreza.wire.packet import CONTROL, Ack, Head, PacketKind, encode_packet
from mreza.wire.records import Prekey

TRACES_MAX = 256
"Trace envelopes whose expiry may still be reported."


class Directory(Protocol):
    """What the control plane knows of other nodes."""

    def epoch_of(self, node: NodeId) -> int | None: ...
    def prekey_of(self, node: NodeId) -> Prekey | None: ...
    def public_key_of(self, node: NodeId) -> bytes | None: ...
    def path_to(self, destination: NodeId) -> tuple[NodeId, ...]: ...
    def detour_to(self, destination: NodeId) -> tuple[NodeId, ...]: ...
    def is_whole(self, path: tuple[NodeId, ...]) -> bool: ...


class Reach(NamedTuple):
    """All that is needed to send to a node now."""

    epoch: int
    prekey: Prekey
    next_hop: NodeId
    path: tuple[NodeId, ...]
    "As we know it, both ends included."
    explicit: tuple[NodeId, ...] = ()
    "Relays that the envelope names, because they are not those of the routes."


class Transmission:
    """Builds, seals and emits. Every transmission is sealed anew, under a new counter."""

    def __init__(
        self,
        *,
        me: NodeId,
        stream_epoch: int,
        sealing: Sealing,
        router: Router,
        directory: Directory,
        traffic: Traffic,
        effects: list[Any],
    ) -> None:
        self.sources: dict[NodeId, Source] = {}
        "Who sends to us: acknowledgements ride on any packet to them."
        self._me = me
        self._stream_epoch = stream_epoch
        self._sealing = sealing
        self._router = router
        self._directory = directory
        self._effects = effects
        self._traffic = traffic
        self._traces: dict[tuple[int, int], int] = {}

    def next_hop(self, destination: NodeId) -> NodeId | None:
        """The neighbor that an envelope of ours would leave by."""
        return self._router.next_hop(destination)

    def reach(self, destination: NodeId) -> Reach | None:
        """None while the node's epoch, its prekey or a way to it is unknown."""
        next_hop = self._router.next_hop(destination)
        epoch = self._directory.epoch_of(destination)
        prekey = self._directory.prekey_of(destination)
        if next_hop is None or epoch is None or prekey is None:
            return None
        return Reach(epoch, prekey, next_hop, self._directory.path_to(destination))

    def detour(self, destination: NodeId, usual: Reach) -> Reach:
        """As `usual`, but by another first hop, if there is a way."""
        path = self._directory.detour_to(destination)
        if not path:
            return usual
        named = path[1:-1] or path[1:]
        return usual._replace(next_hop=path[1], path=path, explicit=named[:PATH_MAX])

    def on_its_way(self, destination: NodeId) -> Callable[[Flight], bool]:
        """Whether a flight may still arrive: its way is whole, and begins as the route does."""
        next_hop = self.next_hop(destination)
        whole: dict[tuple[NodeId, ...], bool] = {}

        def may_arrive(flight: Flight) -> bool:
            path = flight.path
            if flight.next_hop != next_hop:
                return False
            if path not in whole:
                whole[path] = self._directory.is_whole(path)
            return whole[path]

        return may_arrive

    def send_flight(
        self,
        destination: NodeId,
        reach: Reach,
        flight: Flight,
        *,
        priority: int,
        base: int,
        now: float,
    ) -> int:
        """Send one numbered packet; the session it was sealed under."""
        head = self.head_of(destination, flight, base=base, epoch=reach.epoch, now=now)
        if flight.transmissions > 1:
            self._traffic.retransmitted += 1
        elif flight.batch.request_ids and flight.is_first:
            self._effects.append(
                RequestsNumbered(
                    flight.batch.request_ids, self._stream_epoch, priority, flight.sequence
                )
            )
        return self._emit(
            destination, reach, head, flight.body, priority=priority, now=now
        ).session_id

    def send_control(
        self, destination: NodeId, reach: Reach, waiting: WaitingControl, *, now: float
    ) -> None:
        """Send one small fact.

        The number of a trace is kept, because a relay answers with the counter of its envelope.
        """
        control = waiting.control
        head = self._head(PacketKind.CONTROL, destination, epoch=reach.epoch, now=now)
        envelope = self._emit(
            destination,
            reach,
            head,
            CONTROL.encode(control),
            priority=waiting.priority,
            now=now,
            kind=waiting.kind,
            hop_limit=waiting.hop_limit,
        )
        if waiting.kind == EnvelopeKind.TRACE:
            while len(self._traces) >= TRACES_MAX:
                del self._traces[next(iter(self._traces))]
            self._traces[envelope.session_id, envelope.counter] = control.number

    def send_acks(self, source: Source, *, now: float) -> bool:
        """Send what is owed in a packet of its own; False if it cannot be told now."""
        reach = self.reach(source.node)
        if reach is None:
            return False
        priority = source.most_urgent
        head = self._head(PacketKind.ACK, source.node, epoch=reach.epoch, now=now)
        if not head.acks:
            return False
        self._emit(source.node, reach, head, b"", priority=priority, now=now)
        return True

    def send_no_such_key(self, envelope: Envelope, *, now: float) -> None:
        """Tell the source that we cannot open what it sends, if it was not told a moment ago."""
        answer = self._sealing.no_such_key(envelope, now=now)
        next_hop = self.next_hop(envelope.source)
        if answer is None or next_hop is None:
            return
        self._traffic.sent += 1
        self._traffic.sent_bytes += len(answer)
        self._effects.append(SendFrame(next_hop, FrameType.ENVELOPE, answer, envelope.priority))

    def trace_number(self, session_id: int, counter: int) -> int | None:
        """The number of the control item that went out in this trace envelope."""
        return self._traces.pop((session_id, counter), None)

    def head_of(
        self, destination: NodeId, flight: Flight, *, base: int, epoch: int | None, now: float
    ) -> Head:
        """The head of a numbered packet, as of now; without an epoch, without acknowledgements."""
        batch = flight.batch
        deadline_ms = 0
        if batch.deadline is not None and flight.transmissions > 1:
            deadline_ms = max(1, int((batch.deadline - now) * 1000))
        return Head(
            batch.flags,
            batch.kind,
            self._stream_epoch,
            flight.sequence,
            flight.sequence - base,
            self._acks_for(destination, epoch, now),
            self._sealing.newest_from(destination),
            0,
            0,
            flight.fragment,
            deadline_ms,
            0,
            batch.inbox,
            batch.position,
        )

    def _head(self, kind: PacketKind, destination: NodeId, *, epoch: int, now: float) -> Head:
        return Head(
            0,
            kind,
            self._stream_epoch,
            0,
            0,
            self._acks_for(destination, epoch, now),
            self._sealing.newest_from(destination),
        )

    def _acks_for(self, destination: NodeId, epoch: int | None, now: float) -> tuple[Ack, ...]:
        source = self.sources.get(destination)
        if source is None or source.ack_at is None or epoch is None:
            return ()
        return source.take_acks(epoch=epoch, now=now)

    def _emit(
        self,
        destination: NodeId,
        reach: Reach,
        head: Head,
        body: bytes | memoryview,
        *,
        priority: int,
        now: float,
        kind: int = EnvelopeKind.SEALED,
        hop_limit: int = HOP_LIMIT,
    ) -> Envelope:
        envelope = Envelope(
            kind=kind,
            priority=priority,
            source=self._me,
            source_epoch=0,  # Sealing fills in the epoch that its keys belong to.
            destinations=(destination,),
            hop_limit=hop_limit,
            path=reach.explicit,
        )
        sealed = self._sealing.seal(
            envelope,
            encode_packet(head, body),
            destination=destination,
            destination_epoch=reach.epoch,
            prekey=reach.prekey,
            now=now,
        )
        self._traffic.sent += 1
        self._traffic.sent_bytes += len(sealed)
        self._effects.append(SendFrame(reach.next_hop, FrameType.ENVELOPE, sealed, priority))
        return envelope
