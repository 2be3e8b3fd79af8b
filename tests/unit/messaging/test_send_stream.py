from __future__ import annotations

import msgspec
import pytest

from mreza.ids import NodeId
from mreza.messaging.batch import EMPTY_BATCH, Batch, Flight
from mreza.messaging.credit import CREDIT_FIRST_BYTES
from mreza.messaging.round_trip import RoundTrip
from mreza.messaging.send_stream import SPAN_MAX, SendStream
from mreza.qos import Delivery, Priority
from mreza.wire.packet import Ack, PacketKind, Request

HOP = NodeId(b"h" * 16)
OTHER_HOP = NodeId(b"o" * 16)
KIB = 1024


def stream_of(priority: int = 1, *, window: int = 64 * KIB, most: int = 8192 * KIB) -> SendStream:
    trip = RoundTrip(first_s=1.0, max_s=10.0)
    return SendStream(priority, round_trip=trip, credits_={}, window_first=window, window_max=most)


def put(
    stream: SendStream,
    count: int = 1,
    *,
    size: int = 100,
    delivery: Delivery = Delivery.AT_LEAST_ONCE,
    inbox: int = 0,
) -> None:
    for _ in range(count):
        batch = Batch(PacketKind.DATA, delivery=delivery, inbox=inbox)
        batch.items = [b"x" * (size - 10)]
        batch.size = size
        stream.lanes.lane(PacketKind.DATA, inbox).append(batch)


def launch(stream: SendStream, *, now: float, hop: NodeId = HOP) -> list[int]:
    numbers = []
    while (flight := stream.next_flight(next_hop=hop, now=now)) is not None:
        numbers.append(flight.sequence)
    return numbers


def test_batches_are_numbered_from_one_and_the_base_follows() -> None:
    stream = stream_of()
    put(stream, 3)
    assert launch(stream, now=0.0) == [1, 2, 3]
    assert stream.base == 1
    stream.acknowledge(Ack(1, 1, ((3, 3),)), now=0.1)
    assert stream.base == 2
    stream.acknowledge(Ack(1, 3), now=0.1)
    assert stream.base == 4
    assert stream.is_idle
    assert stream.next_deadline() is None


def test_the_window_doubles_with_a_round_trip_and_stops_at_its_bound() -> None:
    stream = stream_of(window=10_000, most=40_000)
    stream.lanes.credit(0).raise_to(10**9)
    windows = []
    for turn in range(4):
        put(stream, 100, size=1000)
        last = launch(stream, now=float(turn))[-1]
        stream.acknowledge(Ack(1, last), now=turn + 0.1)
        windows.append(stream.window)
    assert 19_000 <= windows[0] <= 20_000
    assert windows[-1] == 40_000


def test_a_window_that_is_not_used_does_not_grow() -> None:
    stream = stream_of()
    put(stream)
    launch(stream, now=0.0)
    stream.acknowledge(Ack(1, 1), now=0.1)
    assert stream.window == 64 * KIB


def test_low_priority_stops_growing_when_queues_do() -> None:
    windows = {}
    for priority in (Priority.LOW, Priority.NORMAL):
        stream = stream_of(priority, window=10_000)
        stream.lanes.credit(0).raise_to(10**9)
        put(stream, 100, size=1000)
        first = launch(stream, now=0.0)[-1]
        stream.acknowledge(Ack(priority, first), now=0.01)
        before = stream.window
        last = launch(stream, now=1.0)[-1]
        stream.acknowledge(Ack(priority, last), now=1.2)
        windows[priority] = stream.window > before
    assert windows == {Priority.LOW: False, Priority.NORMAL: True}


def test_one_packet_may_always_be_in_the_air() -> None:
    stream = stream_of(window=100)
    put(stream, 2, size=5000)
    assert launch(stream, now=0.0) == [1]


def test_open_numbers_are_bounded() -> None:
    stream = stream_of(window=8192 * KIB)
    stream.lanes.credit(0).raise_to(10**9)
    put(stream, SPAN_MAX + 10)
    assert len(launch(stream, now=0.0)) == SPAN_MAX
    stream.acknowledge(Ack(1, 0, ((2, SPAN_MAX),)), now=0.1)
    assert launch(stream, now=0.1) == [1]


def test_three_later_transmissions_acknowledged_mean_a_loss() -> None:
    stream = stream_of()
    put(stream, 5)
    launch(stream, now=0.0)
    stream.acknowledge(Ack(1, 0, ((2, 3),)), now=0.1)
    assert launch(stream, now=0.1) == []
    stream.acknowledge(Ack(1, 0, ((2, 4),)), now=0.1)
    assert launch(stream, now=0.1) == [1]
    stream.acknowledge(Ack(1, 0, ((2, 5),)), now=0.1)
    assert launch(stream, now=0.1) == []


def test_a_timeout_sends_again_halves_the_window_and_doubles_the_wait() -> None:
    stream = stream_of(window=10_000, most=100_000)
    stream.lanes.credit(0).raise_to(10**9)
    put(stream, 60, size=1000)
    last = launch(stream, now=0.0)[-1]
    stream.acknowledge(Ack(1, last), now=0.01)
    grown = stream.window
    numbers = launch(stream, now=0.02)
    assert stream.next_deadline() == pytest.approx(1.02)
    assert not stream.advance(now=1.0)
    assert stream.advance(now=1.03)
    assert stream.window == max(10_000, grown // 2)
    again = launch(stream, now=1.03)
    assert again == numbers[: len(again)]
    assert stream.next_deadline() == pytest.approx(3.03)


def test_every_second_retransmission_after_a_timeout_wants_another_way() -> None:
    stream = stream_of()
    put(stream)
    wanted = []
    now = 0.0
    for _ in range(6):
        flight = stream.next_flight(next_hop=HOP, now=now)
        assert flight is not None
        wanted.append(flight.wants_detour)
        now = stream.next_deadline() or 0.0
        assert stream.advance(now=now)
    assert wanted == [False, False, True, False, True, False]
    flight = stream.next_flight(next_hop=HOP, now=now)
    assert flight is not None
    stream.lose()
    assert flight.wants_detour


def test_only_what_has_waited_long_enough_times_out() -> None:
    stream = stream_of()
    put(stream)
    launch(stream, now=0.0)
    put(stream)
    launch(stream, now=0.9)
    assert stream.advance(now=1.0)
    assert launch(stream, now=1.0) == [1]
    deadline = stream.next_deadline()
    assert deadline is not None
    assert deadline > 1.0


def test_at_most_once_is_given_up_and_says_so_by_the_base() -> None:
    stream = stream_of()
    put(stream, delivery=Delivery.AT_MOST_ONCE)
    launch(stream, now=0.0)
    stream.advance(now=1.0)
    assert launch(stream, now=1.0) == []
    assert stream.base == 2
    assert stream.freed > 0
    assert stream.is_idle


def test_an_ordered_batch_that_waits_for_a_lost_one_is_told_by_an_empty_one() -> None:
    stream = stream_of()
    put(stream, delivery=Delivery.AT_MOST_ONCE)
    put(stream, delivery=Delivery.ORDERED)
    launch(stream, now=0.0)
    stream.acknowledge(Ack(1, 0, ((2, 2),)), now=0.1)
    assert launch(stream, now=0.1) == []
    stream.lose()
    assert stream.may_send
    flight = stream.next_flight(next_hop=HOP, now=0.2)
    assert flight is not None
    assert (flight.body, flight.sequence, stream.base) == (EMPTY_BATCH, 3, 3)
    stream.acknowledge(Ack(1, 3), now=0.3)
    assert launch(stream, now=0.3) == []
    assert not stream.may_send


def test_what_went_another_way_is_lost_and_the_rest_is_not() -> None:
    stream = stream_of()
    put(stream, 2)
    launch(stream, now=0.0)
    put(stream, 2)
    launch(stream, now=0.0, hop=OTHER_HOP)
    assert stream.lose(unless=lambda flight: flight.next_hop == OTHER_HOP)
    assert launch(stream, now=0.1, hop=OTHER_HOP) == [1, 2]
    assert not stream.lose(unless=lambda flight: flight.next_hop == OTHER_HOP)
    assert stream.lose()
    assert launch(stream, now=0.1) == [1, 2, 3, 4]


def test_what_was_acknowledged_meanwhile_is_not_sent_again() -> None:
    stream = stream_of()
    put(stream, 2)
    launch(stream, now=0.0)
    stream.lose()
    stream.acknowledge(Ack(1, 1), now=0.1)
    assert launch(stream, now=0.1) == [2]


def test_a_declared_drop_shortens_the_wait_and_a_second_one_less() -> None:
    stream = stream_of()
    stream.expect_soon(now=0.0, ack_delay_s=0.005)
    assert stream.next_deadline() is None
    put(stream)
    launch(stream, now=0.0)
    stream.acknowledge(Ack(1, 1), now=0.01)
    put(stream)
    launch(stream, now=1.0)
    waits = []
    now = 1.0
    for _ in range(3):
        stream.expect_soon(now=now, ack_delay_s=0.005)
        deadline = stream.next_deadline()
        assert deadline is not None
        waits.append(deadline - now)
        now = deadline
        assert stream.advance(now=now)
        assert launch(stream, now=now) == [2]
    assert waits[0] == pytest.approx(0.035)
    assert waits[1:] == [pytest.approx(0.07), pytest.approx(0.14)]


def test_a_declared_drop_of_what_has_arrived_changes_nothing() -> None:
    stream = stream_of()
    put(stream, 2)
    launch(stream, now=0.0)
    stream.acknowledge(Ack(1, 1), now=0.01)
    stream.expect_soon(now=0.02, ack_delay_s=0.005)
    deadline = stream.next_deadline()
    assert deadline is not None
    stream.acknowledge(Ack(1, 2), now=0.03)
    assert not stream.advance(now=deadline)
    assert not stream.advance(now=5.0)
    assert stream.window == 64 * KIB


def test_a_sender_without_credit_asks_for_it_less_and_less_often() -> None:
    stream = stream_of(window=10 * CREDIT_FIRST_BYTES)
    put(stream, 3, size=CREDIT_FIRST_BYTES)
    numbers = launch(stream, now=0.0)
    stream.acknowledge(Ack(1, numbers[-1]), now=0.01)
    asked: list[float] = []
    assert launch(stream, now=0.01) == []
    now = 0.01
    for _ in range(3):
        deadline = stream.next_deadline()
        assert deadline is not None
        asked.append(deadline - now)
        now = deadline
        assert stream.advance(now=now)
        flight = stream.next_flight(next_hop=HOP, now=now)
        assert flight is not None
        assert flight.body == EMPTY_BATCH
        assert flight.batch.position == stream.lanes.credit(0).position
        stream.acknowledge(Ack(1, flight.sequence), now=now)
        assert launch(stream, now=now) == []
    assert asked == [pytest.approx(1.0), pytest.approx(2.0), pytest.approx(4.0)]
    stream.lanes.credit(0).raise_to(10**9)
    stream.credit_came()
    assert launch(stream, now=now) != []
    assert not stream.advance(now=now)


def test_credit_that_came_before_the_question_makes_it_needless() -> None:
    stream = stream_of(window=10 * CREDIT_FIRST_BYTES)
    put(stream, 3, size=CREDIT_FIRST_BYTES)
    numbers = launch(stream, now=0.0)
    stream.acknowledge(Ack(1, numbers[-1]), now=0.01)
    launch(stream, now=0.01)
    deadline = stream.next_deadline()
    assert deadline is not None
    stream.lanes.credit(0).raise_to(10**9)
    assert not stream.advance(now=deadline)


def test_giving_up_a_large_batch_gives_up_its_pieces_sent_or_not() -> None:
    stream = stream_of()
    put(stream, size=500_000)
    put(stream)
    cost = stream.lanes.lane(PacketKind.DATA, 0)[0].cost
    assert launch(stream, now=0.0) == [1]
    assert stream.drop(lambda batch: batch.is_call) == []
    stream.drop(lambda batch: batch.kind is PacketKind.DATA)
    assert stream.is_idle
    assert stream.freed >= cost
    assert stream.base == 2


def test_a_flight_knows_what_the_receiver_was_told_first() -> None:
    stream = stream_of()
    put(stream, 2)
    flights: list[Flight] = []
    while (flight := stream.next_flight(next_hop=HOP, now=0.0)) is not None:
        flights.append(flight)
    stream.acknowledge(Ack(1, 1), now=0.1)
    stream.lose()
    assert launch(stream, now=0.2) == [2]
    assert (flights[1].base_told, flights[1].transmissions) == (1, 2)


def test_requests_that_expired_in_the_queue_or_in_the_air_are_not_sent() -> None:
    stream = stream_of(window=70_000)
    cost = 0
    for number, size in enumerate((500_000, 100)):
        batch = Batch(PacketKind.REQUEST, delivery=Delivery.AT_LEAST_ONCE, inbox=0)
        payload = msgspec.Raw(msgspec.msgpack.encode(b"x" * size))
        batch.items = [Request(number, "work", payload, 1000)]
        batch.size = size
        cost += batch.cost
        stream.lanes.lane(PacketKind.REQUEST, 0).append(batch)
    assert launch(stream, now=0.0) == [1]
    stream.waits(now=0.0)
    stream.lose()
    assert launch(stream, now=2.0) == []
    assert stream.expired == 2
    assert stream.freed == cost
    assert stream.is_idle


def test_a_timeout_of_nothing_changes_nothing() -> None:
    stream = stream_of()
    put(stream)
    launch(stream, now=0.0)
    stream.drop(lambda batch: batch.kind is PacketKind.DATA)
    assert not stream.advance(now=1.0)
    assert stream.next_deadline() is None
