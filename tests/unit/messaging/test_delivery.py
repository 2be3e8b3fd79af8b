from __future__ import annotations

import msgspec

from mreza.ids import NodeId
from mreza.messaging.credit import CREDIT_FIRST_BYTES, CreditBudget
from mreza.messaging.delivery import (
    ACK_EVERY_BYTES,
    CREDITS_PER_PACKET,
    INBOXES_MAX,
    Source,
)
from mreza.messaging.reassembly import ReassemblyBudget
from mreza.wire.packet import RANGES_MAX, Fragment, Head, PacketFlag, PacketKind

NODE = NodeId(b"n" * 16)
OLD, NEW, NEWER = 1 << 32, 2 << 32, 3 << 32
DELAY_S = 0.005


class Receiving:
    def __init__(self) -> None:
        self.budget = ReassemblyBudget(total=1000, per_source=1000)
        self.source = Source(
            NODE, reassembly=self.budget, growth=CreditBudget(), inbox_bytes=4 << 20
        )
        self.reason = ""

    def packet(
        self,
        sequence: int,
        *,
        stream: int = OLD,
        epoch: int | None = None,
        priority: int = 1,
        inbox: int = 0,
        kind: int = PacketKind.DATA,
        position: int = 0,
        size: int = 10,
        now: float = 0.0,
        fragment: Fragment | None = None,
    ) -> int:
        """How many batches are handed over."""
        head = Head(
            int(PacketFlag.RELIABLE),
            kind,
            stream,
            sequence,
            sequence - 1,
            inbox=inbox,
            position=position,
            fragment=fragment,
        )
        body = memoryview(msgspec.msgpack.encode([b"x" * size]))
        arrivals, self.reason = self.source.receive(
            head,
            body,
            priority=priority,
            source_epoch=stream if epoch is None else epoch,
            now=now,
            ack_delay_s=DELAY_S,
        )
        return len(arrivals)


def test_one_batch_waits_for_company_and_the_second_does_not() -> None:
    receiving = Receiving()
    assert receiving.packet(1, now=1.0) == 1
    assert receiving.source.ack_at == 1.0 + DELAY_S
    receiving.packet(2, now=1.001)
    assert receiving.source.ack_at == 1.001
    (ack,) = receiving.source.take_acks(epoch=OLD, now=1.003)
    assert (ack.priority, ack.cumulative, ack.delay_us) == (1, 2, 2000)
    assert [inbox for inbox, _ in ack.credits] == [0]
    assert receiving.source.take_acks(epoch=OLD, now=1.003) == ()


def test_many_bytes_do_not_wait_either() -> None:
    receiving = Receiving()
    receiving.packet(1, size=ACK_EVERY_BYTES, now=1.0)
    assert receiving.source.ack_at == 1.0


def test_a_repeated_batch_is_acknowledged_again_at_once() -> None:
    receiving = Receiving()
    receiving.packet(1)
    receiving.source.take_acks(epoch=OLD, now=0.0)
    assert receiving.packet(1, now=2.0) == 0
    assert receiving.reason == "duplicate"
    (ack,) = receiving.source.take_acks(epoch=OLD, now=2.0)
    assert ack.cumulative == 1


def test_all_priorities_are_acknowledged_together_within_one_head() -> None:
    receiving = Receiving()
    for priority in range(4):
        for sequence in range(1, 100, 2):
            receiving.packet(sequence, priority=priority, kind=PacketKind.REQUEST)
            receiving.packet(sequence, priority=priority, kind=PacketKind.REQUEST)
    assert receiving.source.most_urgent == 3
    acks = receiving.source.take_acks(epoch=OLD, now=0.0)
    assert [ack.priority for ack in acks] == [0, 1, 2, 3]
    assert sum(len(ack.ranges) for ack in acks) <= RANGES_MAX


def test_credit_of_many_inboxes_is_told_in_turns() -> None:
    receiving = Receiving()
    for inbox in range(CREDITS_PER_PACKET + 2):
        receiving.packet(inbox + 1, inbox=inbox)
    told = []
    for _ in range(2):
        (ack,) = receiving.source.take_acks(epoch=OLD, now=0.0)
        told += [inbox for inbox, _ in ack.credits]
    assert told == list(range(CREDITS_PER_PACKET + 2))
    assert receiving.source.ack_at is None


def test_inboxes_of_one_source_are_bounded() -> None:
    receiving = Receiving()
    for inbox in range(INBOXES_MAX):
        assert receiving.packet(inbox + 1, inbox=inbox) == 1
    assert receiving.packet(INBOXES_MAX + 1, inbox=INBOXES_MAX) == 0
    assert receiving.reason == "too_many_inboxes"


def test_consuming_enough_is_told_and_consuming_for_nobody_is_not() -> None:
    receiving = Receiving()
    receiving.packet(1, size=CREDIT_FIRST_BYTES)
    receiving.source.take_acks(epoch=OLD, now=0.0)
    assert not receiving.source.consumed(7, 100, now=1.0)
    assert not receiving.source.consumed(0, 100, now=1.0)
    assert receiving.source.consumed(0, CREDIT_FIRST_BYTES, now=1.0)
    assert receiving.source.ack_at == 1.0
    (ack,) = receiving.source.take_acks(epoch=OLD, now=1.0)
    assert ack.credits[0][1] > CREDIT_FIRST_BYTES


def test_a_sender_that_goes_on_without_credit_is_refused_and_told() -> None:
    receiving = Receiving()
    for sequence in range(1, 10):
        receiving.packet(sequence, size=1 << 20)
    receiving.source.take_acks(epoch=OLD, now=0.0)
    assert receiving.packet(10, size=10) == 0
    assert receiving.reason == "no_credit"
    (ack,) = receiving.source.take_acks(epoch=OLD, now=0.0)
    assert ack.cumulative < 10


def test_a_newer_process_replaces_an_older_one() -> None:
    receiving = Receiving()
    receiving.packet(5, stream=OLD)
    assert receiving.packet(1, stream=NEW) == 1
    assert receiving.source.stream_epoch == NEW
    assert receiving.packet(6, stream=OLD) == 0
    assert receiving.reason == "old_stream"


def test_two_processes_under_one_epoch_cannot_be() -> None:
    receiving = Receiving()
    receiving.packet(1, stream=OLD, epoch=NEW)
    assert receiving.packet(1, stream=NEW, epoch=NEW) == 0
    assert receiving.reason == "old_stream"


def test_a_process_restored_from_a_copy_is_heard_under_its_raised_epoch() -> None:
    receiving = Receiving()
    receiving.packet(1, stream=NEW)
    assert receiving.packet(1, stream=OLD, epoch=NEWER) == 1
    assert receiving.source.stream_epoch == OLD


def test_clones_that_take_turns_cause_no_duplicates() -> None:
    receiving = Receiving()
    assert receiving.packet(1, stream=OLD) == 1
    assert receiving.packet(1, stream=NEW) == 1
    assert receiving.packet(1, stream=OLD, epoch=NEWER) == 0
    assert receiving.reason == "duplicate"
    assert receiving.packet(2, stream=OLD, epoch=NEWER) == 1


def test_nothing_is_told_to_an_epoch_under_which_nothing_was_heard() -> None:
    receiving = Receiving()
    receiving.packet(1, stream=OLD)
    assert receiving.source.take_acks(epoch=NEW, now=0.0) == ()
    receiving.source.restarted(NEW, same_process=True)
    assert len(receiving.source.take_acks(epoch=NEW, now=0.0)) == 1
    receiving.packet(2, stream=OLD, epoch=NEW)
    receiving.source.restarted(OLD, same_process=False)
    heard = [receiving.source.stream_epoch]
    receiving.source.restarted(NEWER, same_process=False)
    heard.append(receiving.source.stream_epoch)
    assert heard == [OLD, None]
    assert receiving.source.take_acks(epoch=NEWER, now=0.0) == ()
    receiving.source.restarted(NEWER + 1, same_process=False)
    assert receiving.packet(1, stream=NEWER + 1) == 1


def test_bodies_of_an_old_process_are_thrown_away() -> None:
    receiving = Receiving()
    receiving.packet(1, fragment=Fragment(1, 0, 500, 0))
    assert receiving.budget.used == 500
    receiving.packet(1, stream=NEW)
    assert receiving.budget.used == 0


def test_what_waits_with_handlers_stays_counted_over_a_restart() -> None:
    receiving = Receiving()
    receiving.packet(1, size=1000)
    receiving.packet(1, stream=NEW, size=1000)
    receiving.source.consumed(0, 1013, now=0.0)
    receiving.source.take_acks(epoch=NEW, now=0.0)
    receiving.source.close()
    assert receiving.source.ack_at is None
    assert receiving.source.stream_epoch is None
    receiving.source.close()


def test_a_word_that_cannot_be_said_now_is_said_later() -> None:
    receiving = Receiving()
    receiving.packet(1)
    receiving.source.postpone(9.0)
    assert receiving.source.ack_at == 9.0
    assert receiving.source.most_urgent == 1


def test_a_refused_batch_is_not_acknowledged() -> None:
    receiving = Receiving()
    assert receiving.packet(5000) == 0
    assert receiving.reason == "too_far_behind"
    assert receiving.source.ack_at is None


def test_a_held_batch_opens_no_way_around_the_bound() -> None:
    receiving = Receiving()
    head = Head(int(PacketFlag.RELIABLE | PacketFlag.ORDERED), PacketKind.DATA, OLD, 900, 899)
    receiving.source.receive(
        head, memoryview(b"\x91\x01"), priority=1, source_epoch=OLD, now=0.0, ack_delay_s=DELAY_S
    )
    came = sum(receiving.packet(sequence, size=1 << 20) for sequence in range(1, 100))
    assert came <= 8
    assert receiving.reason == "no_credit"
