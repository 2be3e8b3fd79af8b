"""Spreads records to every node: each accepted one to all links but those it came from.

Per link the newest record of a slot replaces an older one that still waits (coalesced), and
introductions go first, because nothing of an origin can be checked without its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from mreza.ids import NodeId
from mreza.records.database import Database, Slot
from mreza.wire.records import (
    RECORDS,
    RECORDS_FRAME_MAX,
    AgedRecord,
    Record,
    RecordKind,
    RecordsBody,
)

_OVERHEAD = 96
"Bytes of an encoded record beside body, key and signature, rounded up."


class Batch(msgspec.Struct, frozen=True):
    """The body of one RECORDS frame for one peer."""

    peer: NodeId
    body: bytes


class Flooding:
    """What each link still has to carry. Holds at most one record for each slot and link."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._queues: dict[NodeId, dict[Slot, Record]] = {}
        self._busy: dict[NodeId, None] = {}

    # Inputs

    def link_up(self, peer: NodeId) -> None:
        self._queues[peer] = {}

    def link_down(self, peer: NodeId) -> None:
        self._queues.pop(peer, None)
        self._busy.pop(peer, None)

    def spread(self, record: Record, *, but_not: Iterable[NodeId] = ()) -> None:
        """Send a record to all links except these."""
        spared = tuple(but_not)
        for peer in self._queues:
            if peer not in spared:
                self.send(peer, record)

    def send(self, peer: NodeId, record: Record) -> None:
        """Send a record to one peer."""
        queue = self._queues.get(peer)
        if queue is not None:
            queue[record.slot] = record
            self._busy[peer] = None

    def heard(self, peer: NodeId, record: Record) -> None:
        """The peer has this record: it need not get it from us."""
        queue = self._queues.get(peer)
        if queue and queue.get(record.slot) == record:
            del queue[record.slot]

    # Outputs

    def flush(self, *, now: float) -> Iterator[Batch]:
        """Everything that waits, as frames."""
        busy, self._busy = self._busy, {}
        for peer in busy:
            queue = self._queues[peer]
            if queue:
                self._queues[peer] = {}
                aged = (self._database.aged(record, now=now) for record in queue.values())
                for body in frames(aged):
                    yield Batch(peer, body)


def frames(records: Iterable[AgedRecord]) -> Iterator[bytes]:
    """Encode records into as few frames as fit, introductions first."""
    ordered = sorted(records, key=lambda aged: aged.record.kind != RecordKind.INTRODUCTION)
    batch: list[AgedRecord] = []
    size = 0
    for aged in ordered:
        record = aged.record
        more = len(record.body) + len(record.key) + len(record.signature) + _OVERHEAD
        if batch and size + more > RECORDS_FRAME_MAX:
            yield RECORDS.encode(RecordsBody(tuple(batch)))
            batch, size = [], 0
        batch.append(aged)
        size += more
    if batch:
        yield RECORDS.encode(RecordsBody(tuple(batch)))
