from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mreza.config.messaging import MessagingConfig
from mreza.errors import OutboxFull, PayloadError
from mreza.ids import NodeId
from mreza.messaging.batch import BATCH_OVERHEAD_BYTES
from mreza.messaging.outbox import CONTROLS_MAX, OWN_BATCH_BYTES, Outbox, WaitingControl
from mreza.qos import Delivery
from mreza.wire.packet import Ack, Control, ControlKind, PacketKind, Request, Response

NODE = NodeId(b"n" * 16)
HOP = NodeId(b"h" * 16)
ALO = Delivery.AT_LEAST_ONCE


class Sender:
    """An outbox and its next packets."""

    def __init__(self, **config: Any) -> None:
        self.ready: dict[NodeId, Outbox] = {}
        self.outbox = Outbox(NODE, config=MessagingConfig(**config), ready=self.ready)

    def put(self, payload: Any, delivery: Delivery = ALO, inbox: int = 0) -> None:
        self.outbox.put(payload, priority=1, delivery=delivery, inbox=inbox)

    def packets(self, now: float = 0.0) -> list[list[Any]]:
        """The payloads of each packet that may go now."""
        self.ready.clear()
        sent = []
        for stream in self.outbox.streams:
            while stream and (flight := stream.next_flight(next_hop=HOP, now=now)):
                sent.append(msgspec.msgpack.decode(flight.body))
        self.outbox.waits(now=now)
        return sent


def raw(size: int) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(b"x" * size))


def test_messages_of_one_kind_share_a_batch_and_others_do_not() -> None:
    sender = Sender()
    sender.put(1)
    sender.put(2)
    sender.put(3, Delivery.ORDERED)
    sender.put(4, Delivery.ORDERED)
    sender.put(5)
    assert sender.packets() == [[1, 2], [3, 4], [5]]


def test_messages_for_two_inboxes_in_turn_make_two_batches() -> None:
    sender = Sender()
    for number in range(6):
        sender.put(number, inbox=number % 2)
    assert sorted(sender.packets()) == [[0, 2, 4], [1, 3, 5]]


def test_a_batch_is_closed_when_it_would_no_longer_fit_an_envelope() -> None:
    sender = Sender()
    for _ in range(100):
        sender.put(b"x" * 1000)
    sizes = [len(packet) for packet in sender.packets()]
    assert sizes[0] == 65


def test_a_large_payload_travels_alone() -> None:
    sender = Sender()
    large = b"x" * OWN_BATCH_BYTES
    for payload in (1, large, 2, 3):
        sender.put(payload)
    assert sender.packets() == [[1], [large], [2, 3]]


def test_room_comes_back_with_the_acknowledgement_and_not_before() -> None:
    sender = Sender()
    sender.put(b"x" * 100)
    cost = 100 + 5 + BATCH_OVERHEAD_BYTES
    assert sender.outbox.waiting == cost
    sender.packets()
    assert sender.outbox.waiting == cost
    assert sender.outbox.acknowledge(Ack(1, 1), now=0.1)
    assert sender.outbox.waiting == 0
    assert sender.outbox.is_idle


def test_many_tiny_batches_are_bounded_by_what_they_really_cost() -> None:
    sender = Sender(outbox_bytes=10_000)
    for number in range(1000):
        if sender.outbox.waiting < 10_000:
            sender.put(None, ALO if number % 2 else Delivery.ORDERED)
    with pytest.raises(OutboxFull):
        sender.put(None)
    assert sender.outbox.waiting < 11_000


def test_an_acknowledgement_of_what_was_never_sent_is_refused() -> None:
    sender = Sender()
    sender.put(1)
    sender.packets()
    assert not sender.outbox.acknowledge(Ack(1, 2), now=0.1)
    assert not sender.outbox.acknowledge(Ack(1, 0, ((1, 5),)), now=0.1)
    assert not sender.outbox.acknowledge(Ack(2, 0), now=0.1)
    assert not sender.outbox.is_idle


def test_data_held_up_stops_no_call_and_nothing_waits_for_ever() -> None:
    sender = Sender(outbox_bytes=10_000)
    sender.put(b"x" * 10_000)
    with pytest.raises(OutboxFull, match="limit 10000"):
        sender.put(b"x")
    request = Request(1, "work", raw(10_000), 1000)
    sender.outbox.put_request(request, priority=1)
    with pytest.raises(OutboxFull, match="limit 20000"):
        sender.outbox.put_request(request, priority=1)
    response = Response(1, 0, raw(10_000))
    sender.outbox.put_response(response, priority=1)
    with pytest.raises(OutboxFull, match="limit 30000"):
        sender.outbox.put_response(response, priority=1)


def test_a_request_or_response_that_is_too_large_is_refused() -> None:
    sender = Sender(payload_max=1000)
    with pytest.raises(PayloadError):
        sender.outbox.put_request(Request(1, "work", raw(70_000), 1000), priority=1)
    with pytest.raises(PayloadError):
        sender.outbox.put_response(Response(1, 0, raw(70_000)), priority=1)
    assert sender.outbox.waiting == 0


def test_the_oldest_control_item_gives_way() -> None:
    sender = Sender()
    for number in range(CONTROLS_MAX + 1):
        control = Control(kind=ControlKind.PING, number=number)
        waiting = WaitingControl(control, priority=3, kind=1, hop_limit=32)
        assert sender.outbox.put_control(waiting) == (number < CONTROLS_MAX)
    assert sender.outbox.controls[0].control.number == 1


def test_a_restart_of_the_destination_returns_all_requests_once() -> None:
    sender = Sender()
    for number in range(3):
        sender.outbox.put_request(Request(number, "work", raw(10), 1000), priority=1)
    sender.packets()
    sender.outbox.put_request(Request(3, "work", raw(100_000), 1000), priority=1)
    stream = sender.outbox.streams[1]
    assert stream is not None
    assert stream.next_flight(next_hop=HOP, now=0.0) is not None
    sender.outbox.put_request(Request(4, "work", raw(10), 1000), priority=1)
    sender.put(b"data")
    assert sorted(sender.outbox.restarted()) == [0, 1, 2, 3, 4]
    assert sender.packets() == [[b"data"]]


def test_numbers_go_on_after_everything_was_given_up() -> None:
    sender = Sender()
    sender.put(1)
    sender.packets()
    sender.outbox.clear()
    assert (sender.outbox.waiting, sender.outbox.is_idle) == (0, True)
    sender.put(2)
    stream = sender.outbox.streams[1]
    assert stream is not None
    flight = stream.next_flight(next_hop=HOP, now=0.0)
    assert flight is not None
    assert (flight.sequence, stream.base) == (2, 2)


def test_the_last_two_sessions_are_remembered() -> None:
    sender = Sender()
    for session in (1, 1, 2, 3):
        sender.outbox.sealed_under(session)
    assert sender.outbox.sessions == (3, 2)


def test_kinds_do_not_share_a_batch() -> None:
    sender = Sender()
    sender.outbox.put_response(Response(1, 0, raw(1)), priority=1)
    sender.outbox.put_request(Request(1, "work", raw(1), 10), priority=1)
    kinds = []
    stream = sender.outbox.streams[1]
    while stream and (flight := stream.next_flight(next_hop=HOP, now=0.0)):
        kinds.append(flight.batch.kind)
    assert kinds == [PacketKind.RESPONSE, PacketKind.REQUEST]
