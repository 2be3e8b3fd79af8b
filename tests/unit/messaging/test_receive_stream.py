from __future__ import annotations

import zlib

import msgspec

from mreza.ids import NodeId
from mreza.messaging.batch import EMPTY_BATCH
from mreza.messaging.fragments import STALL_S
from mreza.messaging.reassembly import ReassemblyBudget
from mreza.messaging.receive_stream import BEHIND_MAX, ReceiveStream
from mreza.wire.packet import Fragment, Head, PacketFlag, PacketKind

SOURCE = NodeId(b"s" * 16)
RELIABLE = int(PacketFlag.RELIABLE)
ORDERED = int(PacketFlag.RELIABLE | PacketFlag.ORDERED)


class Receiver:
    def __init__(self, *, first: int = 1, reassembly: int = 10**6) -> None:
        self.budget = ReassemblyBudget(total=reassembly, per_source=reassembly)
        self.stream = ReceiveStream(SOURCE, 1, first=first, reassembly=self.budget)
        self.reason = ""
        self.now = 0.0

    def packet(
        self,
        sequence: int,
        *,
        base: int = 1,
        flags: int = RELIABLE,
        body: bytes | None = None,
        fragment: Fragment | None = None,
        has_room: bool = True,
        may_hold: bool = True,
    ) -> list[int]:
        """The numbers of the batches that are handed over."""
        head = Head(flags, PacketKind.DATA, 1, sequence, sequence - base, fragment=fragment)
        content = msgspec.msgpack.encode([sequence]) if body is None else body
        arrivals, self.reason = self.stream.receive(
            head, memoryview(content), has_room=has_room, may_hold=may_hold, now=self.now
        )
        return [arrival.sequence for arrival in arrivals]

    def piece(self, sequence: int, transfer: int, total: int = 4, *, base: int = 1) -> list[int]:
        """One byte of a body of `total` bytes 'x'."""
        offset = sequence - transfer
        fragment = Fragment(transfer, offset, total, zlib.crc32(b"x" * total))
        return self.packet(sequence, base=base, body=b"x", fragment=fragment)


def test_a_batch_is_handed_over_once() -> None:
    receiver = Receiver()
    assert receiver.packet(2) == [2]
    assert receiver.packet(2) == []
    assert receiver.reason == "duplicate"
    assert receiver.packet(1) == [1]


def test_a_receiver_without_memory_begins_where_its_sender_may_still_be() -> None:
    receiver = Receiver(first=5)
    assert receiver.packet(7, base=5) == [7]
    assert receiver.packet(4, base=4) == []
    assert receiver.packet(5, base=5) == [5]
    ack = receiver.stream.take_ack(runs_max=9, credits_=(), now=0.0)
    assert (ack.cumulative, ack.ranges) == (5, ((7, 7),))
    assert not receiver.stream.owes


def test_an_ordered_batch_waits_for_those_before_it() -> None:
    receiver = Receiver()
    assert receiver.packet(3, flags=ORDERED) == []
    assert receiver.packet(2, flags=ORDERED) == []
    assert receiver.packet(4) == [4]
    assert receiver.packet(1) == [1, 2, 3]


def test_what_was_given_up_stops_nobody() -> None:
    receiver = Receiver()
    assert receiver.packet(2, flags=ORDERED) == []
    assert receiver.packet(3, base=2) == [2, 3]
    assert receiver.packet(5, flags=ORDERED, base=2) == []
    assert receiver.packet(6, base=5, body=EMPTY_BATCH) == [5]


def test_a_sender_too_far_behind_is_refused() -> None:
    receiver = Receiver()
    assert receiver.packet(BEHIND_MAX + 1) == []
    assert receiver.reason == "too_far_behind"


def test_without_room_a_batch_is_refused_and_comes_again() -> None:
    receiver = Receiver()
    assert receiver.packet(1, has_room=False) == []
    assert receiver.reason == "no_credit"
    assert receiver.packet(1) == [1]


def test_what_may_wait_for_order_is_bounded_and_what_it_waits_for_is_not() -> None:
    receiver = Receiver()
    assert receiver.packet(2, flags=ORDERED) == []
    assert receiver.packet(3, flags=ORDERED, may_hold=False) == []
    assert receiver.reason == "held_full"
    assert receiver.packet(1, flags=ORDERED, may_hold=False) == [1, 2]
    assert receiver.packet(3, flags=ORDERED, may_hold=False) == [3]


def test_pieces_make_a_batch_named_after_the_first() -> None:
    receiver = Receiver()
    assert receiver.piece(3, 2, 3) == []
    assert receiver.stream.completed == 0
    assert receiver.packet(1) == [1]
    assert receiver.piece(4, 2, 3) == []
    assert receiver.piece(2, 2, 3) == [2]
    assert receiver.stream.completed == 3
    assert receiver.budget.used == 0


def test_pieces_that_will_never_be_whole_are_thrown_away() -> None:
    receiver = Receiver()
    receiver.piece(1, 1)
    receiver.piece(2, 1)
    assert receiver.budget.used == 4
    receiver.piece(6, 6)
    assert receiver.packet(10, base=1) == [10]
    assert receiver.budget.used == 8
    assert receiver.packet(11, base=6) == [11]
    assert receiver.budget.used == 4
    assert receiver.packet(12, base=10) == [12]
    assert receiver.budget.used == 0


def test_a_body_without_room_comes_later() -> None:
    receiver = Receiver(reassembly=5)
    receiver.piece(1, 1, 2)
    assert receiver.piece(3, 3, 4) == []
    assert receiver.reason == "reassembly_full"
    assert receiver.piece(2, 1, 2) == [1]
    for sequence in (3, 4, 5):
        receiver.piece(sequence, 3, 4)
    assert receiver.piece(6, 3, 4) == [3]


def test_a_piece_that_lies_spoils_its_body_only() -> None:
    receiver = Receiver()
    receiver.piece(1, 1, 2)
    assert receiver.piece(2, 1, 3) == []
    assert receiver.reason == "bad_fragment"
    assert receiver.budget.used == 0
    assert receiver.packet(3) == [3]


def test_closing_frees_everything() -> None:
    receiver = Receiver()
    receiver.piece(2, 2)
    receiver.packet(9, flags=ORDERED)
    receiver.stream.close()
    assert receiver.budget.used == 0


def test_a_stalled_body_gives_way_and_what_comes_of_it_later_is_only_acknowledged() -> None:
    receiver = Receiver(reassembly=5)
    receiver.piece(1, 1, 4)
    receiver.now = STALL_S + 1
    receiver.piece(5, 5, 4)
    assert (receiver.reason, receiver.budget.used, receiver.budget.given_up) == ("", 4, 1)
    assert [receiver.piece(sequence, 1, 4) for sequence in (2, 3, 4)] == [[]] * 3
    assert receiver.reason == ""
    assert receiver.stream.take_ack(runs_max=8, credits_=(), now=0.0).cumulative == 5
    receiver.piece(6, 5, 4)
    receiver.piece(7, 5, 4)
    assert receiver.piece(8, 5, 4) == [5]
    assert receiver.budget.used == 0


def test_a_body_that_begins_after_its_piece_takes_no_memory() -> None:
    receiver = Receiver()
    for sequence in range(1, 100):
        fragment = Fragment(10**9 + sequence, 0, 4, zlib.crc32(b"xxxx"))
        receiver.packet(sequence, base=sequence, body=b"x", fragment=fragment)
        assert receiver.reason == "bad_fragment"
    assert receiver.budget.used == 0
    receiver.packet(2000, base=2000)
    assert not receiver.stream._transfers
