"""The incoming half of the data plane: open an envelope, admit its packet, hand over its batch."""

from __future__ import annotations

from typing import Any

import msgspec

from mreza.config.messaging import MessagingConfig
from mreza.errors import DecodeError
from mreza.ids import NodeId
from mreza.machine import Alarm, earliest
from mreza.messaging.credit import CreditBudget
from mreza.messaging.delivery import Source
from mreza.messaging.fragments import BODY_MAX, is_plausible
from mreza.messaging.outbox import WaitingControl
from mreza.messaging.reassembly import ReassemblyBudget
from mreza.messaging.receive_stream import Arrival
from mreza.messaging.requests import corrected
from mreza.messaging.timers import Timers
from mreza.planes.early import PATIENCE_S as EARLY_PATIENCE_S, EarlyEnvelopes
from mreza.planes.effects import InboundControl, InboundData, InboundRequests, InboundResponses
from mreza.planes.outgoing import STUCK_RETRY_MAX_S, Outgoing
from mreza.planes.traffic import Traffic
from mreza.planes.transmission import Directory, Transmission
from mreza.qos import Priority
from mreza.security.sealing import NoSuchKey, Opened, Sealing
from mreza.token_bucket import TokenBucket
from mreza.wire.envelope import HOP_LIMIT, Envelope, EnvelopeKind
from mreza.wire.packet import (
    CONTROL,
    PAYLOAD_MAX,
    REQUESTS,
    RESPONSES,
    Control,
    ControlKind,
    Head,
    PacketKind,
    decode_packet,
)

SOURCES_MAX = 4096
"Nodes whose streams are remembered; a mesh is smaller."
ANSWERS_PER_S = 1000.0
"Pings and expired traces answered, and declared drops believed, a second."
WRAPS_PER_S = 200.0
"""Key wraps checked for one neighbor a second: 0.35 ms each, so 7 % of a core. Counted by who
handed it to us, because anybody can write anybody's name on one. Five seconds' worth in a burst: a
node of a mesh of 1,000 has restarted and hears from all over one link."""
NEIGHBORS_MAX = 512
"Neighbors whose wraps are counted; more than a node has links."
REQUEST_ROOM = 16 * 1024
"What a request may take beside its payload: target, keys and headers, which its sender bounds."
_NUMBERED = (PacketKind.DATA, PacketKind.REQUEST, PacketKind.RESPONSE)
_ARRAY_OF_ONE = 0x91


class Reception:
    """What other nodes' envelopes cause here. A stranger's bytes are counted, never an error."""

    def __init__(
        self,
        *,
        me: NodeId,
        sealing: Sealing,
        directory: Directory,
        config: MessagingConfig,
        transmission: Transmission,
        outgoing: Outgoing,
        traffic: Traffic,
        effects: list[Any],
        alarm: Alarm | None = None,
    ) -> None:
        self.owing: dict[NodeId, Source] = {}
        "Sources to be acknowledged at the next flush."
        self._untold: dict[NodeId, Source] = {}
        "There was no way to tell them what is owed."
        self._me = me
        self._sealing = sealing
        self._directory = directory
        self._config = config
        self._transmission = transmission
        self._outgoing = outgoing
        self._traffic = traffic
        self._effects = effects
        self._sources = transmission.sources
        self._alarm = alarm or Alarm()
        self._early = EarlyEnvelopes()
        self._timers: Timers[NodeId] = Timers(self._alarm)
        self._reassembly = ReassemblyBudget(
            total=config.reassembly_bytes,
            per_source=max(config.reassembly_bytes // 4, PAYLOAD_MAX + BODY_MAX),
        )
        self._growth = CreditBudget()
        self._wraps: dict[NodeId, TokenBucket] = {}
        self._answers = TokenBucket(rate_per_s=ANSWERS_PER_S, burst=ANSWERS_PER_S)

    # Inputs

    def open(self, envelope: Envelope, *, from_peer: NodeId, now: float) -> None:
        """An envelope addressed to us, handed over by a neighbor."""
        source = envelope.source
        if source == self._me:
            self._traffic.drop("own_envelope")
            return
        key = self._directory.public_key_of(source)
        if key is None:
            if self._early.add(envelope, from_peer, now=now):
                self._alarm.set(now + EARLY_PATIENCE_S)
            else:
                self._traffic.drop("unknown_source")
            return
        if envelope.kind == EnvelopeKind.NO_SUCH_KEY:
            self._key_rejected(envelope, key, now)
            return
        if self._sealing.must_check_wrap(envelope) and not self._may_check_wrap(from_peer, now):
            self._traffic.drop("too_many_wraps")
            return
        result = self._sealing.open(envelope, sender_key=key, now=now)
        if isinstance(result, Opened):
            self._traffic.opened += 1
            self._read(envelope, result.plaintext, now)
        elif isinstance(result, NoSuchKey):
            self._traffic.drop("no_such_key")
            self._transmission.send_no_such_key(envelope, now=now)
        else:
            self._traffic.drop(result.reason)

    def admit(
        self, source: Source, head: Head, body: memoryview, *, priority: int, epoch: int, now: float
    ) -> None:
        """A numbered packet of a source, sealed by it or put through by ourselves."""
        arrivals, refused = source.receive(
            head,
            body,
            priority=priority,
            source_epoch=epoch,
            now=now,
            ack_delay_s=self._config.ack_delay_s,
        )
        if refused:
            self._traffic.drop(refused)
        if self._reassembly.given_up:
            self._traffic.drop("stalled_body", self._reassembly.take_given_up())
        for arrival in arrivals:
            self._hand_over(source.node, head.stream_epoch, priority, arrival)

    def control(self, node: NodeId, control: Control, *, now: float) -> None:
        """Answer a ping; pass on answers to ours and cancellations; believe a declared drop."""
        if control.kind == ControlKind.PING:
            if self._answers.take(now=now):
                pong = msgspec.structs.replace(control, kind=int(ControlKind.PONG), reason="")
                self._answer(node, pong)
            else:
                self._traffic.drop("too_many_pings")
            return
        if control.kind == ControlKind.EXPIRED_HERE:
            number = self._transmission.trace_number(control.session_id, control.number)
            if number is None:
                self._traffic.drop("unasked_control")
                return
            control = msgspec.structs.replace(control, number=number)
        elif control.kind == ControlKind.DROPPED and self._answers.take(now=now):
            self._outgoing.dropped_under(control.session_id, now=now)
        self._effects.append(InboundControl(node, control))

    def trace_expired(self, envelope: Envelope, *, now: float) -> None:
        """A trace ends at this node: say so, with our time."""
        known = self._directory.epoch_of(envelope.source) is not None
        if not known or envelope.source == self._me or not self._answers.take(now=now):
            self._traffic.drop("trace_unanswered")
            return
        expired = Control(
            kind=ControlKind.EXPIRED_HERE,
            number=envelope.counter,
            stamp_us=int(now * 1e6),
            session_id=envelope.session_id,
        )
        self._answer(envelope.source, expired)

    def consumed(self, node: NodeId, inbox: int, size: int, *, now: float) -> None:
        """A handler is done with that much of what this source sent."""
        source = self._sources.get(node)
        if source is not None and source.consumed(inbox, size, now=now):
            self.owing[node] = source

    def acknowledge(self, *, now: float) -> None:
        """What is owed and found no company goes in packets of its own."""
        owing = list(self.owing.values())
        self.owing.clear()
        for source in owing:
            if source.ack_at is not None and not self._told(source, now):
                source.postpone(now + STUCK_RETRY_MAX_S)
                self._untold[source.node] = source
            self._timers.set(source.node, source.ack_at)

    def routes_changed(self) -> None:
        """Who could not be told what is owed may be reached now."""
        self.owing.update(self._untold)
        self._untold.clear()

    def source(self, node: NodeId) -> Source | None:
        """The state of a node that sends to us; None if there are too many."""
        source = self._sources.get(node)
        if source is None and len(self._sources) < SOURCES_MAX:
            source = self._sources[node] = Source(
                node,
                reassembly=self._reassembly,
                growth=self._growth,
                inbox_bytes=self._config.inbox_bytes,
            )
        return source

    def forget(self, node: NodeId) -> None:
        """Drop all that came from a node."""
        source = self._sources.pop(node, None)
        self.owing.pop(node, None)
        self._untold.pop(node, None)
        if source is not None:
            source.close()

    def advance(self, *, now: float) -> None:
        """What strangers sent who are known now; acknowledgements that waited long enough."""
        if self._early:
            self._let_in(now)
        for node in self._timers.due(self._ack_at, now=now):
            self.owing[node] = self._sources[node]

    # Outputs

    def next_deadline(self) -> float | None:
        return earliest(self._timers.next_deadline(), self._early.next_deadline())

    # Rules

    def _let_in(self, now: float) -> None:
        """Open what came before its source was known, and give up what waited too long."""
        known = self._early.take(lambda node: self._directory.public_key_of(node) is not None)
        for envelope, from_peer in known:
            self.open(envelope, from_peer=from_peer, now=now)
        if given_up := self._early.expire(now=now):
            self._traffic.drop("unknown_source", given_up)

    def _read(self, envelope: Envelope, plaintext: bytes, now: float) -> None:
        node = envelope.source
        try:
            head, body = decode_packet(plaintext)
            control = CONTROL.decode(body) if head.kind == PacketKind.CONTROL else None
        except DecodeError:
            self._traffic.drop("bad_packet")
            return
        if head.compression:
            self._traffic.drop("compressed")
            return
        if head.session_seen:
            self._sealing.confirmed(node, head.session_seen)
        if head.acks:
            self._acknowledged(node, head, now)
        if control is not None:
            self.control(node, control, now=now)
        elif head.kind in _NUMBERED and head.sequence:
            self._numbered(envelope, head, body, now)
        elif head.kind != PacketKind.ACK:
            self._traffic.drop("bad_packet")

    def _numbered(self, envelope: Envelope, head: Head, body: memoryview, now: float) -> None:
        if head.fragment is not None and not is_plausible(head.fragment, len(body)):
            self._traffic.drop("bad_fragment")
            return
        source = self.source(envelope.source)
        if source is None:
            self._traffic.drop("too_many_sources")
            return
        self.admit(
            source,
            head,
            body,
            priority=envelope.priority,
            epoch=envelope.source_epoch,
            now=now,
        )
        if source.ack_at is None:
            return
        if source.ack_at <= now:
            self.owing[source.node] = source
        else:
            self._timers.set(source.node, source.ack_at)

    def _acknowledged(self, node: NodeId, head: Head, now: float) -> None:
        outbox = self._outgoing.outboxes.get(node)
        for ack in head.acks:
            if outbox is None or not outbox.acknowledge(ack, now=now):
                self._traffic.drop("bad_ack")

    def _hand_over(self, node: NodeId, stream_epoch: int, priority: int, arrival: Arrival) -> None:
        body, sequence = arrival.body, arrival.sequence
        effects = self._effects
        if len(body) > BODY_MAX and body[0] != _ARRAY_OF_ONE:
            # What is large travels alone; so many small things would stop all else here.
            self._traffic.drop("bad_batch")
            return
        if arrival.kind == PacketKind.DATA:
            inbox, size = arrival.inbox, len(body)
            effects.append(InboundData(node, stream_epoch, priority, sequence, inbox, body, size))
            return
        try:
            if arrival.kind == PacketKind.REQUEST:
                requests = REQUESTS.decode(body)
                payloads = sum(len(request.payload) for request in requests)
                if len(body) > payloads + REQUEST_ROOM * max(1, len(requests)):
                    # A request that waits keeps all that it came with.
                    raise DecodeError(f"{len(body)} bytes for payloads of {payloads}")
                requests = corrected(requests, deadline_ms=arrival.deadline_ms)
                effects.append(InboundRequests(node, stream_epoch, priority, sequence, requests))
            else:
                effects.append(InboundResponses(node, RESPONSES.decode(body)))
        except DecodeError:
            self._traffic.drop("bad_batch")

    def _may_check_wrap(self, neighbor: NodeId, now: float) -> bool:
        bucket = self._wraps.get(neighbor)
        if bucket is None:
            if len(self._wraps) >= NEIGHBORS_MAX:
                del self._wraps[next(iter(self._wraps))]
            bucket = TokenBucket(rate_per_s=WRAPS_PER_S, burst=5 * WRAPS_PER_S)
            self._wraps[neighbor] = bucket
        return bucket.take(now=now)

    def _key_rejected(self, envelope: Envelope, key: bytes, now: float) -> None:
        """The source cannot open what we seal for it: a new key, and everything again."""
        session_id = self._sealing.check_no_such_key(envelope, sender_key=key, now=now)
        if session_id is None:
            self._traffic.drop("no_such_key_ignored")
            return
        outbox = self._outgoing.outboxes.get(envelope.source)
        if self._sealing.rejected(envelope.source, session_id) and outbox is not None:
            outbox.send_again()

    def _told(self, source: Source, now: float) -> bool:
        try:
            return self._transmission.send_acks(source, now=now)
        except DecodeError:
            # It published a prekey that nobody can seal for; the others are told all the same.
            self._traffic.drop("bad_prekey")
            return False

    def _answer(self, node: NodeId, control: Control) -> None:
        waiting = WaitingControl(
            control, priority=Priority.CRITICAL, kind=EnvelopeKind.SEALED, hop_limit=HOP_LIMIT
        )
        if not self._outgoing.open(node).put_control(waiting):
            self._traffic.drop("control_overflow")

    def _ack_at(self, node: NodeId) -> float | None:
        source = self._sources.get(node)
        return None if source is None else source.ack_at
