from __future__ import annotations

import msgspec
import pytest

from mreza.messaging.batch import BATCH_OVERHEAD_BYTES, Batch, Cutting
from mreza.messaging.fragments import BODY_MAX
from mreza.qos import Delivery
from mreza.wire.packet import REQUESTS, PacketKind, Request

RAW = msgspec.Raw(b"\xc0")


def request_batch(*timeouts_ms: int) -> Batch:
    batch = Batch(PacketKind.REQUEST, delivery=Delivery.AT_LEAST_ONCE, inbox=0)
    batch.items = [Request(n, "work", RAW, timeout) for n, timeout in enumerate(timeouts_ms)]
    return batch


def test_a_batch_is_encoded_by_one_call_plain_and_encoded_items_together() -> None:
    batch = Batch(PacketKind.DATA, delivery=Delivery.AT_LEAST_ONCE, inbox=0)
    batch.items = [b"plain", msgspec.Raw(msgspec.msgpack.encode({"k": 1})), 5]
    body = batch.encode(now=1.0)
    assert body is not None
    assert msgspec.msgpack.decode(body) == [b"plain", {"k": 1}, 5]
    assert batch.accepts is None
    assert batch.items == []


@pytest.mark.parametrize(
    ("delivery", "reliable"),
    [
        (Delivery.AT_MOST_ONCE, False),
        (Delivery.AT_LEAST_ONCE, True),
        (Delivery.ORDERED, True),
    ],
)
def test_only_at_most_once_is_not_sent_again(delivery: Delivery, reliable: bool) -> None:
    assert Batch(PacketKind.DATA, delivery=delivery, inbox=0).is_reliable is reliable


def test_a_batch_of_requests_ages_from_when_it_was_seen_to_wait() -> None:
    batch = request_batch(1000, 3000)
    batch.waits(10.0)
    assert (batch.accepts, batch.deadline) == (None, 13.0)
    assert batch.ids() == (0, 1)
    body = batch.encode(now=12.0)
    assert body is not None
    assert [(r.id, r.timeout_ms) for r in REQUESTS.decode(body)] == [(1, 1000)]
    assert batch.ids() == (1,)
    assert batch.deadline == 13.0


def test_a_batch_whose_requests_are_all_too_late_has_no_body() -> None:
    batch = request_batch(1000)
    batch.waits(10.0)
    assert batch.encode(now=11.0) is None
    assert len(batch.items) == 1


def test_waiting_data_may_grow_and_waiting_responses_may_not() -> None:
    data = Batch(PacketKind.DATA, delivery=Delivery.ORDERED, inbox=0)
    data.waits(1.0)
    assert data.accepts is Delivery.ORDERED
    responses = Batch(PacketKind.RESPONSE, delivery=Delivery.AT_LEAST_ONCE, inbox=0)
    responses.waits(1.0)
    assert (responses.accepts, responses.deadline, responses.ids()) == (None, None, ())


def test_the_pieces_of_a_batch_cost_what_it_costs() -> None:
    batch = Batch(PacketKind.DATA, delivery=Delivery.AT_LEAST_ONCE, inbox=0)
    batch.size = 100_000
    cutting = Cutting(batch, bytes(2 * BODY_MAX + 1), transfer=5)
    flights = []
    for sequence in range(5, 8):
        flight, is_last = cutting.next(sequence)
        assert is_last == (sequence == 7)
        flights.append(flight)
    assert sum(flight.cost for flight in flights) == batch.cost == 100_000 + BATCH_OVERHEAD_BYTES
    fragments = [flight.fragment for flight in flights]
    assert [fragment.transfer for fragment in fragments if fragment] == [5, 5, 5]
