"""An outbox and its destination's delivery over a wire that loses, repeats and reorders."""

from __future__ import annotations

import heapq
from random import Random
from typing import Any

import msgspec

from mreza.config.messaging import MessagingConfig
from mreza.ids import NodeId
from mreza.messaging.credit import CreditBudget
from mreza.messaging.delivery import Source
from mreza.messaging.outbox import Outbox
from mreza.messaging.reassembly import ReassemblyBudget
from mreza.messaging.receive_stream import Arrival
from mreza.wire.envelope import ENVELOPE_MAX
from mreza.wire.packet import Ack, Head, decode_packet, encode_packet

SENDER = NodeId(b"s" * 16)
RECEIVER = NodeId(b"r" * 16)
HOP = NodeId(b"h" * 16)
EPOCH = 1 << 32
TAG_BYTES = 16


class Wire:
    """Chances per packet, from a seed."""

    def __init__(self, rng: Random, *, loss: float, twice: float, late: float) -> None:
        self.rng = rng
        self.loss, self.twice, self.late = loss, twice, late

    def delays(self) -> list[float]:
        """When the copies of one packet arrive; none if it is lost."""
        if self.rng.random() < self.loss:
            return []
        count = 2 if self.rng.random() < self.twice else 1
        return [
            0.01 + (self.rng.random() * 0.5 if self.rng.random() < self.late else 0.0)
            for _ in range(count)
        ]

    def mend(self) -> None:
        self.loss = self.twice = self.late = 0.0


class MessagePair:
    """Virtual time; `run` until nothing waits any more."""

    def __init__(self, wire: Wire, *, config: MessagingConfig | None = None) -> None:
        self.config = config or MessagingConfig()
        self.wire = wire
        self.now = 100.0
        self.ready: dict[NodeId, Outbox] = {}
        self.outbox = Outbox(RECEIVER, config=self.config, ready=self.ready)
        self.reassembly = ReassemblyBudget(
            total=self.config.reassembly_bytes, per_source=self.config.reassembly_bytes
        )
        self.source = self.new_source()
        self.handed_over: list[tuple[int, int, Any]] = []
        "(priority, sequence, payload)"
        self.batches: list[tuple[int, Arrival]] = []
        self.refused: list[str] = []
        self.packets = 0
        self.consumes = True
        "False: the receiver's handlers hang."
        self._hung: list[tuple[int, int]] = []
        self._events: list[tuple[float, int, bytes | tuple[Ack, ...], int]] = []
        self._order = 0

    def new_source(self) -> Source:
        return Source(
            SENDER,
            reassembly=self.reassembly,
            growth=CreditBudget(),
            inbox_bytes=self.config.inbox_bytes,
        )

    def flush(self) -> None:
        """As the data plane does, at the end of a turn."""
        self.ready.clear()
        for stream in reversed(self.outbox.streams):
            while stream and (flight := stream.next_flight(next_hop=HOP, now=self.now)):
                batch = flight.batch
                head = Head(
                    batch.flags,
                    batch.kind,
                    EPOCH,
                    flight.sequence,
                    flight.sequence - stream.base,
                    fragment=flight.fragment,
                    inbox=batch.inbox,
                    position=batch.position,
                )
                packet = encode_packet(head, flight.body)
                assert len(packet) + TAG_BYTES <= ENVELOPE_MAX
                self.packets += 1
                self._put(packet, stream.priority)
        self.outbox.waits(now=self.now)

    def step(self) -> bool:
        """The next thing that happens; False if nothing ever will."""
        times = [self._events[0][0]] if self._events else []
        deadlines = (self.outbox.next_deadline(), self.source.ack_at)
        times += [deadline for deadline in deadlines if deadline is not None]
        if not times:
            return False
        self.now = max(self.now, min(times))
        while self._events and self._events[0][0] <= self.now:
            _, _, what, priority = heapq.heappop(self._events)
            if isinstance(what, bytes):
                self._arrive(what, priority)
            else:
                for ack in what:
                    self.outbox.acknowledge(ack, now=self.now)
        self.outbox.advance(now=self.now)
        self.flush()
        if self.source.ack_at is not None and self.source.ack_at <= self.now:
            self._put(self.source.take_acks(epoch=EPOCH, now=self.now), 3)
            self.source.ack_at = None
        return True

    def run(self, *, seconds: float = 600.0) -> None:
        end = self.now + seconds
        self.flush()
        while self.step() and self.now < end:
            pass

    def consume(self) -> None:
        """The handlers go on."""
        self.consumes = True
        hung, self._hung = self._hung, []
        for inbox, size in hung:
            self.source.consumed(inbox, size, now=self.now)

    def _arrive(self, packet: bytes, priority: int) -> None:
        head, body = decode_packet(packet)
        arrivals, reason = self.source.receive(
            head, body, priority=priority, source_epoch=EPOCH, now=self.now, ack_delay_s=0.005
        )
        if reason:
            self.refused.append(reason)
        for arrival in arrivals:
            self.batches.append((priority, arrival))
            self.handed_over += [
                (priority, arrival.sequence, payload)
                for payload in msgspec.msgpack.decode(arrival.body)
            ]
            if self.consumes:
                self.source.consumed(arrival.inbox, len(arrival.body), now=self.now)
            else:
                self._hung.append((arrival.inbox, len(arrival.body)))

    def _put(self, what: bytes | tuple[Ack, ...], priority: int) -> None:
        for delay in self.wire.delays():
            self._order += 1
            heapq.heappush(self._events, (self.now + delay, self._order, what, priority))
