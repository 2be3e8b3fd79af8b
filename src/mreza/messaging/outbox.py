"""Everything that waits for one destination: four priorities, one bound, credit per inbox.

A message costs its batch one append here, and nothing else until the batch leaves: no clock, no
task, no encoding of plain payloads. Sequence numbers and positions survive `clear`, because the
destination may remember them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mreza.config.messaging import MessagingConfig
from mreza.errors import OutboxFull, PayloadError
from mreza.ids import NodeId
from mreza.machine import NEVER
from mreza.messaging.batch import BATCH_OVERHEAD_BYTES, MESSAGES, Batch, Flight, response_bytes
from mreza.messaging.credit import SendCredit
from mreza.messaging.fragments import BODY_MAX
from mreza.messaging.payload import HEADER_BYTES, waiting_form
from mreza.messaging.requests import request_bytes
from mreza.messaging.round_trip import RoundTrip
from mreza.messaging.send_stream import SendStream
from mreza.qos import Delivery
from mreza.wire.packet import Ack, Control, PacketKind, Request, Response

OWN_BATCH_BYTES = 32 * 1024
"Payloads from this size travel alone: the list codec would only copy them (PERF.md)."
REQUEST_BOUND_FACTOR = 2
"Requests may wait up to this many times the bound: data held up by a slow handler stops no call."
RESPONSE_BOUND_FACTOR = 3
"Responses may wait longer still: the work for them is done already."
CONTROLS_MAX = 512
"Small facts that wait for one turn: a program may cancel hundreds of calls at once."
PRIORITIES = 4
_BATCH_LIMIT = BODY_MAX - HEADER_BYTES


class WaitingControl:
    """A small fact to be sent once."""

    __slots__ = ("control", "hop_limit", "kind", "priority")

    def __init__(self, control: Control, *, priority: int, kind: int, hop_limit: int) -> None:
        self.control = control
        self.priority = priority
        self.kind = kind
        self.hop_limit = hop_limit


class Outbox:
    """What waits for one destination. Full at `outbox_bytes`: then `put` raises."""

    def __init__(
        self, destination: NodeId, *, config: MessagingConfig, ready: dict[NodeId, Outbox]
    ) -> None:
        """`ready` is the owner's table of outboxes with something new; this one enters itself."""
        self.destination = destination
        self.waiting = 0
        "Bytes not acknowledged, sent or not."
        self.controls: list[WaitingControl] = []
        self.streams: list[SendStream | None] = [None] * PRIORITIES
        self.sessions: tuple[int, ...] = ()
        "The newest session ids its envelopes went out under, newest first."
        self.round_trip = RoundTrip(
            first_s=config.retransmit_first_s, max_s=config.retransmit_max_s
        )
        self._config = config
        self._limit = config.outbox_bytes
        self._small_bytes = min(OWN_BATCH_BYTES, config.payload_max + 1)
        self._ready = ready
        self._credits: dict[int, SendCredit] = {}

    # Inputs

    def put(self, payload: Any, *, priority: int, delivery: Delivery, inbox: int) -> None:
        """Append one DATA payload; OutboxFull or PayloadError leave everything as it was."""
        if self.waiting >= self._limit:
            raise self._full(self._limit)
        if type(payload) is bytes and len(payload) < self._small_bytes:
            size = len(payload) + HEADER_BYTES
        else:
            payload, size = waiting_form(payload, limit=self._config.payload_max)
        stream = self.streams[priority]
        batch = None if stream is None else stream.lanes.tail
        if (
            batch is None
            or batch.accepts is not delivery
            or batch.inbox != inbox
            or batch.size + size > _BATCH_LIMIT
            or size >= OWN_BATCH_BYTES
        ):
            batch = self._batch(PacketKind.DATA, priority, delivery, inbox, size)
        batch.items.append(payload)
        batch.size += size
        self.waiting += size

    def put_request(self, request: Request, *, priority: int) -> None:
        """Append one request."""
        limit = self._limit * REQUEST_BOUND_FACTOR
        if self.waiting >= limit:
            raise self._full(limit)
        inbox = 0 if request.target else MESSAGES
        self._append(PacketKind.REQUEST, request, request_bytes(request), priority, inbox)

    def put_response(self, response: Response, *, priority: int) -> None:
        """Append one response."""
        limit = self._limit * RESPONSE_BOUND_FACTOR
        if self.waiting >= limit:
            raise self._full(limit)
        self._append(PacketKind.RESPONSE, response, response_bytes(response.payload), priority)

    def put_control(self, waiting: WaitingControl) -> bool:
        """Append one control item; False if the oldest had to give way."""
        fits = len(self.controls) < CONTROLS_MAX
        if not fits:
            del self.controls[0]
        self.controls.append(waiting)
        self._ready[self.destination] = self
        return fits

    def acknowledge(self, ack: Ack, *, now: float) -> bool:
        """What the destination has admitted, and what it allows; False if that cannot be."""
        stream = self.streams[ack.priority]
        sane = stream is not None and stream.acknowledge(ack, now=now)
        for inbox, position in ack.credits:
            credit = self._credits.get(inbox)
            if credit is not None and credit.raise_to(position):
                self._credit_came()
        if stream is not None:
            self.waiting -= stream.freed
            stream.freed = 0
            if stream.may_send:
                self._ready[self.destination] = self
        return sane

    def restarted(self) -> list[int]:
        """The destination lost its memory: data goes again, the rest goes; ids of the requests."""
        dropped = self._drop(lambda batch: batch.kind is not PacketKind.DATA)
        for credit in self._credits.values():
            credit.restart()
        self.send_again()
        return dropped

    def send_again(self, *, unless: Callable[[Flight], bool] | None = None) -> None:
        """What is in the air, but for that of which `unless` is true, will not arrive."""
        for stream in self.streams:
            if stream is not None and stream.lose(unless=unless):
                self._ready[self.destination] = self
        self.settle()

    def expect_soon(self, *, now: float) -> None:
        """A relay dropped something of ours."""
        for stream in self.streams:
            if stream is not None:
                stream.expect_soon(now=now, ack_delay_s=self._config.ack_delay_s)

    def drop_calls(self) -> list[int]:
        """Give up what could be asked of another node; ids of these requests.

        Messages to the handler stay: what the node has of them already, it must not get twice.
        """
        return self._drop(lambda batch: batch.is_call)

    def clear(self) -> list[int]:
        """Give up everything; numbers go on where they are."""
        self.controls.clear()
        return self._drop(lambda _: True)

    def advance(self, *, now: float) -> None:
        """Timeouts of all priorities."""
        for stream in self.streams:
            if stream is not None and stream.advance(now=now):
                self._ready[self.destination] = self
        self.settle()

    def waits(self, *, now: float) -> int:
        """What is left after a flush waits on; how many requests became too late."""
        expired = 0
        for stream in self.streams:
            if stream is not None and (stream.freed or stream.expired or stream.lanes):
                stream.waits(now=now)
                expired += stream.expired
                stream.expired = 0
                self.waiting -= stream.freed
                stream.freed = 0
        return expired

    def sealed_under(self, session_id: int) -> None:
        """An envelope for this destination went out under this session."""
        if not self.sessions or self.sessions[0] != session_id:
            self.sessions = (session_id, *self.sessions[:1])

    def settle(self) -> None:
        """Give room back for what was acknowledged or given up."""
        for stream in self.streams:
            if stream is not None and stream.freed:
                self.waiting -= stream.freed
                stream.freed = 0

    # Outputs

    @property
    def is_idle(self) -> bool:
        """Nothing waits, nothing is in the air."""
        return not self.controls and all(s is None or s.is_idle for s in self.streams)

    def next_deadline(self) -> float | None:
        return None if self.due_at == NEVER else self.due_at

    @property
    def due_at(self) -> float:
        """When `advance` has something to do, or NEVER."""
        first = NEVER
        for stream in self.streams:
            if stream is not None:
                first = min(first, stream.due_at)
        return first

    # Rules

    def _drop(self, given_up: Callable[[Batch], bool]) -> list[int]:
        ids = [
            number
            for stream in self.streams
            if stream is not None
            for number in stream.drop(given_up)
        ]
        self.settle()
        self._ready[self.destination] = self
        return ids

    def _append(
        self, kind: PacketKind, item: Any, size: int, priority: int, inbox: int = 0
    ) -> None:
        if size > self._config.payload_max + BODY_MAX:
            raise PayloadError(f"payload of {size} bytes, limit {self._config.payload_max}")
        batch = self._batch(kind, priority, Delivery.AT_LEAST_ONCE, inbox, size)
        batch.items.append(item)
        batch.size += size
        self.waiting += size

    def _batch(
        self, kind: PacketKind, priority: int, delivery: Delivery, inbox: int, size: int
    ) -> Batch:
        """The last batch of the lane if this fits in, else a new one behind it."""
        stream = self.streams[priority] or self._open_stream(priority)
        lane = stream.lanes.lane(kind, inbox)
        is_large = size >= OWN_BATCH_BYTES
        if lane and not is_large:
            last = lane[-1]
            if last.accepts is delivery and last.size + size <= _BATCH_LIMIT:
                if kind is PacketKind.DATA:
                    stream.lanes.tail = last
                return last
        if lane:
            lane[-1].accepts = None
        batch = Batch(kind, delivery=delivery, inbox=inbox)
        if is_large:
            batch.accepts = None
        lane.append(batch)
        if kind is PacketKind.DATA:
            stream.lanes.tail = batch
        self.waiting += BATCH_OVERHEAD_BYTES
        self._ready[self.destination] = self
        return batch

    def _open_stream(self, priority: int) -> SendStream:
        stream = self.streams[priority] = SendStream(
            priority,
            round_trip=self.round_trip,
            credits_=self._credits,
            window_first=self._config.window_first_bytes,
            window_max=self._config.window_max_bytes,
        )
        return stream

    def _credit_came(self) -> None:
        """An inbox is open again; any priority may have waited for it."""
        self._ready[self.destination] = self
        for stream in self.streams:
            if stream is not None:
                stream.credit_came()

    def _full(self, limit: int) -> OutboxFull:
        return OutboxFull(
            f"{self.waiting} bytes wait for node {self.destination}, limit {limit}; "
            "`await mesh.drain()` before sending more"
        )
