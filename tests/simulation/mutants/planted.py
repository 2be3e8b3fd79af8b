"""Bugs as somebody might write them, one function each, planted into the product at run time.

The docstring says what the bug is. All use what a run looks at anyway: no scenario and no checker
was made for one of them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from mreza.ids import NodeId
from mreza.machine import NEVER
from mreza.messaging.credit import ReceiveCredit
from mreza.messaging.delivery import Inbound, Source
from mreza.messaging.fragments import Piece, Transfer
from mreza.messaging.ranges import SeenNumbers
from mreza.messaging.receive_stream import Arrival, ReceiveStream
from mreza.messaging.send_stream import SendStream
from mreza.planes import data
from mreza.planes.calls import Calls
from mreza.planes.deadlines import Deadlines
from mreza.planes.identity_watch import IdentityWatch
from mreza.planes.reception import Reception
from mreza.planes.work import Work
from mreza.records.database import Database, Older, Verdict
from mreza.records.flooding import Flooding
from mreza.records.sync import Reconciliation
from mreza.routing.graph import EdgeChange, Graph
from mreza.wire.envelope import Envelope
from mreza.wire.packet import Ack, Fragment
from mreza.wire.records import Record

Patch = pytest.MonkeyPatch


# Records.


def older_records_are_accepted(patch: Patch) -> None:
    """Of two records of one slot the one that comes later wins, not the newer one."""
    compare = Database.compare

    def lenient(self: Database, record: Record) -> Verdict | None:
        verdict = compare(self, record)
        return None if isinstance(verdict, Older) else verdict

    patch.setattr(Database, "compare", lenient)


def records_never_grow_old(patch: Patch) -> None:
    """Nothing is ever dropped for its age."""

    def keep(self: Database, *, now: float) -> list[Record]:
        self._next_expiry = None
        return []

    patch.setattr(Database, "expire", keep)


def floods_end_at_the_first_peer(patch: Patch) -> None:
    """A record is passed on to one link instead of all."""

    def spread(self: Flooding, record: Record, *, but_not: Iterable[NodeId] = ()) -> None:
        spared = tuple(but_not)
        for peer in [peer for peer in self._queues if peer not in spared][:1]:
            self.send(peer, record)

    patch.setattr(Flooding, "spread", spread)


def neighbors_are_never_reconciled(patch: Patch) -> None:
    """Digests are read and nothing is done about what differs."""
    patch.setattr(Reconciliation, "receive", lambda *_, **__: None)


# Routes.


def one_side_makes_an_edge(patch: Patch) -> None:
    """A link counts as soon as one of its ends claims it."""
    settle = Graph._settle

    def one_sided(self: Graph, a: NodeId, b: NodeId) -> EdgeChange | None:
        ours, theirs = self._claims.get(a, {}).get(b), self._claims.get(b, {}).get(a)
        cost = ours if ours is not None else theirs
        if cost is None:
            return settle(self, a, b)
        claims = self._claims
        self._claims = {
            **claims,
            a: {**claims.get(a, {}), b: cost},
            b: {**claims.get(b, {}), a: cost},
        }
        try:
            return settle(self, a, b)
        finally:
            self._claims = claims

    patch.setattr(Graph, "_settle", one_sided)


def hops_are_not_counted(patch: Patch) -> None:
    """A relay passes an envelope on with the hop limit that it came with."""

    def same(body: bytes, _envelope: Envelope, *, advance_path: bool = False) -> bytearray:
        assert not advance_path
        return bytearray(body)

    patch.setattr(data, "for_next_hop", same)


# Messages.


def duplicates_are_handed_over(patch: Patch) -> None:
    """A batch that comes again is handled again."""
    patch.setattr(SeenNumbers, "__contains__", lambda _self, _number: False)


def acknowledged_before_admission(patch: Patch) -> None:
    """An acknowledgement speaks of everything up to the highest number that was seen."""
    take_ack = ReceiveStream.take_ack

    def eager(self: ReceiveStream, **given: Any) -> Ack:
        ack = take_ack(self, **given)
        if not ack.ranges:
            return ack
        return Ack(ack.priority, ack.ranges[-1][1], (), ack.credits, ack.delay_us)

    patch.setattr(ReceiveStream, "take_ack", eager)


def order_is_not_held(patch: Patch) -> None:
    """An ordered batch is handed over although an earlier one is missing."""

    class Nowhere(dict[int, Arrival]):
        def __setitem__(self, number: int, arrival: Arrival) -> None:
            super().__setitem__(0, arrival)

    init = ReceiveStream.__init__

    def forgetful(self: ReceiveStream, *args: Any, **given: Any) -> None:
        init(self, *args, **given)
        self._held = Nowhere()

    patch.setattr(ReceiveStream, "__init__", forgetful)


def held_batches_are_forgotten(patch: Patch) -> None:
    """What waited for order is released once the gap is closed, but for the last of it."""
    release = ReceiveStream._release
    patch.setattr(ReceiveStream, "_release", lambda self: release(self)[:1])


def pieces_are_joined_as_they_come(patch: Patch) -> None:
    """Fragments are put together in the order of arrival, and nobody compares checksums."""

    def add(self: Transfer, fragment: Fragment, piece: memoryview | bytes, *, now: float) -> Piece:
        self._held += len(piece)
        self._append(piece)
        return Piece.COMPLETE if self._held >= self.total else Piece.STORED

    patch.setattr(Transfer, "add", add)


def nothing_is_sent_again(patch: Patch) -> None:
    """The timeout of an unacknowledged batch does nothing."""

    def never(self: SendStream, _now: float) -> bool:
        self._timeout_at = NEVER
        return False

    patch.setattr(SendStream, "_time_out", never)


def credit_is_kept(patch: Patch) -> None:
    """A receiver never tells that its handler has room again."""
    patch.setattr(ReceiveCredit, "consumed", lambda _self, _size, *, now: False)


def lost_keys_are_not_replaced(patch: Patch) -> None:
    """A destination that cannot open what it gets is not believed."""
    patch.setattr(Reception, "_key_rejected", lambda *_: None)


def a_new_process_continues_the_old_streams(patch: Patch) -> None:
    """Numbers of a restarted node are taken for numbers of the process before it."""

    def same(self: Source, stream_epoch: int, source_epoch: int) -> Inbound | None:
        self.newest_epoch = max(self.newest_epoch, source_epoch)
        if self._current is None:
            self._current = Inbound(stream_epoch)
        return self._current

    patch.setattr(Source, "_inbound", same)
    patch.setattr(Source, "restarted", lambda *_, **__: None)


# Work.


def calls_have_no_deadline(patch: Patch) -> None:
    """A call that nobody answers is never ended."""
    advance = Calls.advance

    def patient(self: Calls, *, now: float) -> None:
        self._deadlines = Deadlines()
        advance(self, now=now)

    patch.setattr(Calls, "advance", patient)


def a_cancelled_run_keeps_its_place(patch: Patch) -> None:
    """A handler that ends after its caller has given up is not taken off the list."""
    finished = Work.finished

    def leaky(self: Work, run_id: int, **given: Any) -> None:
        run = self._runs.get(run_id)
        if run is None or run.waiters:
            finished(self, run_id, **given)

    patch.setattr(Work, "finished", leaky)


def lost_work_is_done_again(patch: Patch) -> None:
    """Work that must not run twice goes elsewhere when its worker is lost."""
    lost = Calls._lost

    def reckless(self: Calls, attempt: Any, *args: Any, **given: Any) -> None:
        attempt.idempotent = True
        lost(self, attempt, *args, **given)

    patch.setattr(Calls, "_lost", reckless)


# Identity.


def a_restored_node_keeps_its_epoch(patch: Patch) -> None:
    """A node that meets a newer epoch of itself goes on as if nothing were."""
    patch.setattr(IdentityWatch, "_go_beyond", lambda *_, **__: None)


Plant = Callable[[Patch], None]
PLANTED: dict[Plant, str] = {
    older_records_are_accepted: "clocks",
    records_never_grow_old: "forgetful",
    floods_end_at_the_first_peer: "crashes",
    neighbors_are_never_reconciled: "copies",
    one_side_makes_an_edge: "one-way",
    hops_are_not_counted: "clogged",
    duplicates_are_handed_over: "lossy",
    acknowledged_before_admission: "distant",
    order_is_not_held: "distant",
    held_batches_are_forgotten: "lossy",
    pieces_are_joined_as_they_come: "lossy",
    nothing_is_sent_again: "lossy",
    credit_is_kept: "clogged",
    lost_keys_are_not_replaced: "clocks",
    a_new_process_continues_the_old_streams: "crashes",
    calls_have_no_deadline: "crashes",
    a_cancelled_run_keeps_its_place: "frozen",
    lost_work_is_done_again: "one-way",
    a_restored_node_keeps_its_epoch: "copies",
}
"Each with the standard scenario that is tried first; all are tried in the end."
