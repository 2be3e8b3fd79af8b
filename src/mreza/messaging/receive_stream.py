"""Batches of one (source, process, priority): which came, which wait for order or for pieces."""

from __future__ import annotations

import msgspec

from mreza.ids import NodeId
from mreza.messaging.batch import EMPTY_BATCH, ORDERED
from mreza.messaging.fragments import Piece, Transfer
from mreza.messaging.ranges import SeenNumbers
from mreza.messaging.reassembly import ReassemblyBudget
from mreza.wire.packet import Ack, Fragment, Head, PacketKind

BEHIND_MAX = 1024
"A sender keeps at most so many numbers open; more is not ours to remember."


class Arrival(msgspec.Struct, eq=False, gc=False):
    """A whole batch. Not frozen: one is built for each."""

    kind: int
    inbox: int
    deadline_ms: int
    sequence: int
    "Of its first piece, if it came in pieces."
    body: memoryview | bytearray


class ReceiveStream:
    """Hands over each batch once; admitted is what was handed over, or is held or stored here."""

    def __init__(
        self, source: NodeId, priority: int, *, first: int, reassembly: ReassemblyBudget
    ) -> None:
        """`first`: the lowest number that its sender may still send."""
        self.priority = priority
        self.owes = False
        "Something was admitted, or came again, since the last acknowledgement."
        self.completed = 0
        "Bytes of the batch that the last packet made whole."
        self._source = source
        self._seen = SeenNumbers(max(0, first - 1))
        self._reassembly = reassembly
        self._transfers: dict[int, Transfer] = {}
        self._held: dict[int, Arrival] = {}
        self._newest_at = 0.0

    # Inputs

    def receive(
        self, head: Head, body: memoryview, *, has_room: bool, may_hold: bool, now: float
    ) -> tuple[list[Arrival], str]:
        """What may be handed over now; and why this packet was not admitted, or "".

        What is refused comes again. The lowest number that is missing needs no holding, so what
        waits for it goes on in the end, however little may be held.
        """
        self.completed = 0
        if head.behind >= BEHIND_MAX:
            return [], "too_far_behind"
        released = self.skip_to(head)
        number = head.sequence
        if number in self._seen:
            self.owes = True
            return released, "duplicate"
        if self._transfers:
            self._note_ends(head)
        is_ordered = head.flags & ORDERED != 0 and head.kind == PacketKind.DATA
        if not has_room:
            return released, "no_credit"
        if is_ordered and not may_hold and number != self._seen.cumulative + 1:
            return released, "held_full"
        if head.fragment is not None and head.fragment.transfer > number:
            # A first piece that is still to come: of such a body we would never see the end.
            return released, "bad_fragment"
        if head.fragment is None:
            arrival = Arrival(head.kind, head.inbox, head.deadline_ms, number, body)
        else:
            whole = self._assemble(head.fragment, body, now)
            if isinstance(whole, str):
                return released, whole
            if whole is None:
                self._admit(number, now)
                return released + self._release(), ""
            first = head.fragment.transfer
            arrival = Arrival(head.kind, head.inbox, head.deadline_ms, first, whole)
        self._admit(number, now)
        if len(arrival.body) == 1 and arrival.body[0] == EMPTY_BATCH[0]:
            return released + self._release(), ""
        self.completed = len(arrival.body)
        if is_ordered and self._seen.cumulative < arrival.sequence - 1:
            self._held[arrival.sequence] = arrival
            return released + self._release(), ""
        released.append(arrival)
        if self._held:
            released += self._release()
        return released, ""

    def skip_to(self, head: Head) -> list[Arrival]:
        """Its sender will send nothing below `sequence - behind`: what waited for that goes on."""
        base = head.sequence - head.behind
        if base - 1 <= self._seen.cumulative:
            return []
        self._seen.raise_to(base - 1)
        for number, transfer in list(self._transfers.items()):
            if transfer.ends_before is not None and transfer.ends_before <= base:
                self._discard(number)
        return self._release()

    def close(self) -> None:
        """Free all that waits."""
        for number in list(self._transfers):
            self._discard(number)
        self._held.clear()

    # Outputs

    def take_ack(self, *, runs_max: int, credits_: tuple[tuple[int, int], ...], now: float) -> Ack:
        """What has been admitted."""
        self.owes = False
        return Ack(
            self.priority,
            self._seen.cumulative,
            self._seen.runs(runs_max),
            credits_,
            max(0, int((now - self._newest_at) * 1e6)),
        )

    # Rules

    def _admit(self, number: int, now: float) -> None:
        self._seen.add(number)
        self._newest_at = now
        self.owes = True

    def _release(self) -> list[Arrival]:
        """Held batches before which nothing is missing, in order."""
        if not self._held:
            return []
        cumulative = self._seen.cumulative
        ready = sorted(number for number in self._held if number - 1 <= cumulative)
        return [self._held.pop(number) for number in ready]

    def _assemble(
        self, fragment: Fragment, piece: memoryview, now: float
    ) -> bytearray | str | None:
        """The whole body, None while pieces are missing, or why this one is refused."""
        transfer = self._transfers.get(fragment.transfer)
        if transfer is None:
            transfer = Transfer(fragment, now=now)
            if not self._reassembly.reserve(self._source, transfer, now=now):
                return "reassembly_full"
            self._transfers[fragment.transfer] = transfer
        result = transfer.add(fragment, piece, now=now)
        if result is Piece.STORED:
            return None
        self._discard(fragment.transfer)
        if result is Piece.LAST:
            return None
        return transfer.body if result is Piece.COMPLETE else result.value

    def _note_ends(self, head: Head) -> None:
        """A packet of something else: the pieces of earlier bodies all have smaller numbers."""
        mine = None if head.fragment is None else head.fragment.transfer
        for number, transfer in self._transfers.items():
            if number != mine and number < head.sequence:
                ends = transfer.ends_before
                transfer.ends_before = head.sequence if ends is None else min(ends, head.sequence)

    def _discard(self, number: int) -> None:
        self._reassembly.release(self._transfers.pop(number))
