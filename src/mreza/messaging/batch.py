"""Messages that wait together, and the numbered packet that carries them.

Both are of the hot path: not frozen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from mreza.ids import NodeId
from mreza.messaging.fragments import cut, piece_bytes
from mreza.messaging.requests import aged, latest_s
from mreza.qos import Delivery
from mreza.wire.codec import ENCODER
from mreza.wire.packet import Fragment, PacketFlag, PacketKind

BATCH_OVERHEAD_BYTES = 256
"What a batch costs an outbox beside its messages, so that many tiny batches are bounded, too."
MESSAGES = 1
"""Inbox of requests to the message handler. They wait for a node that was lost, as data does;
calls of processes, inbox 0, are given back."""
EMPTY_BATCH = b"\x90"
"""A msgpack array of nothing: tells a receiver our base, or asks it for credit. Not handed to
anybody."""

# Numbers instead of flags: one "and" of two flags costs as much as sealing a small packet.
RELIABLE = int(PacketFlag.RELIABLE)
ORDERED = int(PacketFlag.ORDERED)
FLAGS = {
    Delivery.AT_MOST_ONCE: 0,
    Delivery.AT_LEAST_ONCE: RELIABLE,
    Delivery.ORDERED: RELIABLE | ORDERED,
}


class Batch:
    """Messages of one kind for one inbox. Grows while it waits; encoded once, when first sent."""

    __slots__ = (
        "accepts",
        "deadline",
        "flags",
        "inbox",
        "items",
        "kind",
        "position",
        "request_ids",
        "since",
        "size",
    )

    def __init__(self, kind: PacketKind, *, delivery: Delivery, inbox: int) -> None:
        self.kind = kind
        self.flags = FLAGS[delivery]
        self.inbox = inbox
        self.accepts: Delivery | None = delivery
        "Messages of this delivery may still join; None: it is closed."
        self.items: list[Any] = []
        self.size = 0
        "Bytes of the items, estimated."
        self.position = 0
        self.since: float | None = None
        "When it was first seen to wait."
        self.deadline: float | None = None
        "Requests: not worth sending any more."
        self.request_ids: tuple[int, ...] = ()

    @property
    def cost(self) -> int:
        """What it takes of its outbox until it is acknowledged."""
        return self.size + BATCH_OVERHEAD_BYTES

    @property
    def is_reliable(self) -> bool:
        return self.flags & RELIABLE != 0

    @property
    def is_call(self) -> bool:
        """Requests that another node could be asked as well."""
        return self.kind is PacketKind.REQUEST and self.inbox != MESSAGES

    def waits(self, now: float) -> None:
        """It could not be sent at once: its requests age from here on, and no other joins them."""
        self.since = now
        if self.kind is not PacketKind.DATA:
            self.accepts = None
        if self.kind is PacketKind.REQUEST:
            self.deadline = latest_s(self.items, now=now)

    def encode(self, *, now: float) -> bytes | None:
        """The body, and the end of growing; None if all its requests are too late."""
        self.accepts = None
        items = self.items
        if self.kind is PacketKind.REQUEST:
            if self.since is not None:
                items = aged(items, waited_s=now - self.since)
            if not items:
                return None
            self.deadline = latest_s(items, now=now)
            self.request_ids = tuple(request.id for request in items)
        self.items = []
        return ENCODER.encode(items)

    def ids(self) -> tuple[int, ...]:
        """The requests in it, whether it was sent or not."""
        if self.kind is not PacketKind.REQUEST:
            return ()
        return self.request_ids or tuple(request.id for request in self.items)


class Flight(msgspec.Struct, eq=False, gc=False):
    """One numbered packet: sent and not acknowledged."""

    batch: Batch
    body: bytes | memoryview
    sequence: int
    cost: int
    fragment: Fragment | None = None
    lost: bool = True
    "Not in the air: not sent yet, or believed lost."
    sent_at: float = 0.0
    order: int = 0
    "Counts transmissions of the stream; tells later ones from earlier ones."
    transmissions: int = 0
    next_hop: NodeId | None = None
    path: tuple[NodeId, ...] = ()
    "The way of its last transmission, both ends included, as its sender knew it."
    unanswered: int = 0
    "Transmissions that were waited for in vain."
    base_told: int = 0
    "The base that its first transmission told the receiver."

    @property
    def is_first(self) -> bool:
        """It carries the beginning of its batch: its number is that of the batch."""
        return self.fragment is None or self.fragment.offset == 0

    @property
    def wants_detour(self) -> bool:
        """Every second retransmission after a timeout goes another way than the route."""
        return self.unanswered > 0 and self.unanswered % 2 == 0


class Cutting:
    """A body larger than a packet, on its way out piece by piece."""

    def __init__(self, batch: Batch, body: bytes, *, transfer: int) -> None:
        self.batch = batch
        self.piece_bytes = piece_bytes(len(body))
        self._pieces: Iterator[tuple[Fragment, memoryview]] = cut(body, transfer=transfer)
        self._left = len(body)
        self.cost_left = batch.cost

    def next(self, sequence: int) -> tuple[Flight, bool]:
        """The next piece, and whether it was the last."""
        fragment, piece = next(self._pieces)
        self._left -= len(piece)
        cost = min(self.cost_left, len(piece)) if self._left else self.cost_left
        self.cost_left -= cost
        flight = Flight(self.batch, piece, sequence=sequence, cost=cost, fragment=fragment)
        return flight, not self._left


def response_bytes(payload: msgspec.Raw) -> int:
    """What a response takes in its batch."""
    return len(payload) + 48
