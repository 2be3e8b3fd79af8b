"""Data planes that talk to each other, sealed, over relays that lose things."""

from __future__ import annotations

import msgspec
import pytest

from mreza.config.messaging import MessagingConfig
from mreza.errors import OutboxFull, PayloadError
from mreza.ids import NodeId
from mreza.messaging.outbox import CONTROLS_MAX
from mreza.planes.effects import Dropped, Offence, RequestsReturned
from mreza.qos import Delivery, Priority
from mreza.wire.envelope import Envelope, EnvelopeKind, decode_envelope
from mreza.wire.packet import Control, ControlKind, Request, Response
from tests.support.plane_mesh import PlaneMesh

MARKER = b"nobody on the way may read this"


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(value))


def test_a_message_crosses_relays_that_cannot_read_it() -> None:
    mesh = PlaneMesh.line("a", "b", "c", "d")
    mesh["a"].data.send(mesh["d"].id, MARKER)
    mesh.run(seconds=1)
    assert mesh["d"].payloads == [MARKER]
    assert mesh["a"].data.waiting() == 0
    assert mesh["b"].data.stats.forwarded >= 2
    assert mesh["b"].data.stats.opened == 0
    assert not any(MARKER in body for _, _, body in mesh.frames)


def test_messages_of_one_turn_travel_in_one_envelope_and_in_order() -> None:
    mesh = PlaneMesh.line("a", "b")
    sent = [b"bytes", "text", 7, -1.5, None, True, {"k": [1]}, "grüße"]
    for payload in sent:
        mesh["a"].data.send(mesh["b"].id, payload)
    mesh.run(seconds=1)
    assert mesh["b"].payloads == sent
    assert [len(batch.body) > 0 for batch in mesh["b"].batches] == [True]
    (batch,) = mesh["b"].batches
    assert (batch.sequence, batch.priority, batch.inbox) == (1, Priority.NORMAL, 0)
    assert batch.stream_epoch == mesh["a"].epoch


def test_a_payload_that_may_change_is_encoded_when_it_is_sent() -> None:
    mesh = PlaneMesh.line("a", "b")
    payload = [1, 2]
    mesh["a"].data.send(mesh["b"].id, payload)
    payload.append(3)
    mesh.run(seconds=1)
    assert mesh["b"].payloads == [[1, 2]]


@pytest.mark.parametrize("size", [32 * 1024, 64 * 1024, 1_000_000, 5_000_000])
def test_large_payloads_arrive_whole(size: int) -> None:
    mesh = PlaneMesh.line("a", "b", "c")
    payload = bytes(range(256)) * (size // 256)
    mesh["a"].data.send(mesh["c"].id, b"before")
    mesh["a"].data.send(mesh["c"].id, payload)
    mesh.run(seconds=0.1)
    mesh["a"].data.send(mesh["c"].id, b"after")
    mesh.run(seconds=5)
    assert sorted(mesh["c"].payloads, key=len) == [b"after", b"before", payload]
    assert all(batch.credit_bytes == len(batch.body) for batch in mesh["c"].batches)


def test_a_full_outbox_says_where_and_how_much() -> None:
    mesh = PlaneMesh.line("a", "b", config=MessagingConfig(outbox_bytes=10_000))
    a, b = mesh["a"], mesh["b"]
    while a.data.waiting() < 10_000:
        a.data.send(b.id, b"x" * 1000)
    with pytest.raises(OutboxFull, match=rf"bytes wait for node {b.id}, limit 10000"):
        a.data.send(b.id, b"x" * 1000)
    waiting = a.data.waiting(b.id)
    assert 10_000 <= waiting < 12_000
    assert a.data.fullest() == a.data.fullest(b.id) == a.data.waiting() == waiting
    assert a.data.fullest(a.id) == 0
    mesh.run(seconds=1)
    a.data.send(b.id, b"again")


def test_what_cannot_be_sent_is_refused_at_once() -> None:
    mesh = PlaneMesh.line("a", "b", config=MessagingConfig(payload_max=1000))
    for payload in (object(), b"x" * 1001, "x" * 1001, ["x" * 1009], 1 << 64):
        with pytest.raises(PayloadError):
            mesh["a"].data.send(mesh["b"].id, payload)
    request = Request(1, "work", raw(b"x" * 100_000), 1000)
    with pytest.raises(PayloadError):
        mesh["a"].data.send_request(mesh["b"].id, request, priority=1)
    assert mesh["a"].data.waiting() == 0


def test_what_a_relay_swallows_is_sent_again_and_comes_once() -> None:
    mesh = PlaneMesh.line("a", "b", "c")
    losses = iter([True, False] * 30)
    mesh.swallow = lambda sender, receiver, _: (
        sender == "b" and receiver == "c" and next(losses, False)
    )
    for number in range(60):
        mesh["a"].data.send(mesh["c"].id, number)
        mesh.run(seconds=0.02)
    mesh.run(seconds=30)
    assert sorted(mesh["c"].payloads) == list(range(60))
    assert mesh["a"].data.stats.retransmitted > 0


def test_a_lost_acknowledgement_does_not_deliver_twice() -> None:
    mesh = PlaneMesh.line("a", "b")
    mesh.swallow = lambda sender, *_: sender == "b"
    mesh["a"].data.send(mesh["b"].id, b"once")
    mesh.run(seconds=5)
    assert mesh["b"].data.stats.dropped["duplicate"] >= 1
    mesh.swallow = lambda *_: False
    mesh.run(seconds=20)
    assert mesh["b"].payloads == [b"once"]
    assert mesh["a"].data.waiting() == 0


def test_at_most_once_is_never_sent_again() -> None:
    mesh = PlaneMesh.line("a", "b")
    mesh.swallow = lambda *_: True
    mesh["a"].data.send(mesh["b"].id, b"gone", delivery=Delivery.AT_MOST_ONCE)
    mesh.run(seconds=1.5)
    mesh.swallow = lambda *_: False
    mesh["a"].data.send(mesh["b"].id, b"later", delivery=Delivery.ORDERED)
    mesh.run(seconds=5)
    assert mesh["b"].payloads == [b"later"]
    assert mesh["a"].data.waiting() == 0


def test_a_route_change_sends_again_at_once() -> None:
    mesh = PlaneMesh("a", "b", "c", "d")
    mesh.connect(("a", "b"), ("b", "d"))
    mesh["a"].data.send(mesh["d"].id, b"warm")
    mesh.run(seconds=1)
    mesh.swallow = lambda sender, *_: sender == "b"
    mesh["a"].data.send(mesh["d"].id, b"news")
    mesh.run(seconds=0.1)
    assert mesh["d"].payloads == [b"warm"]
    mesh.connect(("a", "c"), ("c", "d"))
    mesh.disconnect(("a", "b"))
    mesh.run(seconds=0.05)
    assert mesh["d"].payloads == [b"warm", b"news"]


def test_a_link_lost_far_away_on_the_path_sends_again_at_once_too() -> None:
    mesh = PlaneMesh("a", "b", "c", "d", "e")
    mesh.connect(("a", "b"), ("b", "c"), ("c", "e"), ("b", "d"), ("d", "e"))
    a, e = mesh["a"], mesh["e"]
    a.data.send(e.id, b"warm")
    mesh.run(seconds=1)
    relay = mesh.by_id[a.router.path_to(e.id)[2]].name
    mesh.swallow = lambda sender, *_: sender == relay
    a.data.send(e.id, b"news")
    mesh.run(seconds=0.1)
    mesh.disconnect((relay, "e"))
    mesh.run(seconds=0.05)
    assert e.payloads == [b"warm", b"news"]


def test_what_is_on_a_way_that_is_whole_is_not_sent_again() -> None:
    mesh = PlaneMesh("a", "b", "c", "d")
    mesh.connect(("a", "b"), ("b", "c"))
    mesh["a"].data.send(mesh["c"].id, b"once")
    mesh["a"].turn()
    mesh.connect(("c", "d"))
    mesh.run(seconds=1)
    assert mesh["c"].payloads == [b"once"]
    assert mesh["a"].data.stats.retransmitted == 0


def test_the_second_retransmission_goes_around_a_relay_that_only_seems_to_work() -> None:
    mesh = PlaneMesh("a", "b", "c", "d")
    mesh.connect(("a", "b"), ("b", "d"), ("a", "c"), ("c", "d"))
    a, d = mesh["a"], mesh["d"]
    silent = mesh.by_id[a.router.path_to(d.id)[1]].name
    mesh.swallow = lambda sender, *_: sender == silent
    a.data.send(d.id, b"arrives")
    mesh.run(seconds=2.5)
    assert d.payloads == []
    mesh.run(seconds=1)
    assert d.payloads == [b"arrives"]
    first_hops = [receiver for sender, receiver, _ in mesh.frames if sender == "a"]
    assert first_hops[:3] == [silent, silent, "c" if silent == "b" else "b"]


def test_without_another_way_the_second_retransmission_takes_the_route() -> None:
    mesh = PlaneMesh.line("a", "b", "c")
    mesh.swallow = lambda *_: mesh.now < 104.0
    mesh["a"].data.send(mesh["c"].id, b"arrives")
    mesh.run(seconds=10)
    assert mesh["c"].payloads == [b"arrives"]


def test_without_a_route_or_a_prekey_messages_wait() -> None:
    mesh = PlaneMesh("a", "b")
    a, b = mesh["a"], mesh["b"]
    a.data.send(b.id, b"patience")
    mesh.run(seconds=3)
    assert b.payloads == []
    mesh.unknown.add(b.id)
    mesh.connect(("a", "b"))
    mesh.run(seconds=3)
    assert b.payloads == []
    assert a.data.waiting(b.id) > 0
    mesh.unknown.clear()
    mesh.run(seconds=1)
    assert b.payloads == [b"patience"]


def test_a_new_process_of_the_destination_gets_data_and_returns_requests() -> None:
    mesh = PlaneMesh.line("a", "b")
    a = mesh["a"]
    a.data.send(mesh["b"].id, b"first")
    mesh.run(seconds=1)
    mesh.swallow = lambda *_: True
    a.data.send(mesh["b"].id, b"second")
    a.request(mesh["b"], 11)
    mesh.run(seconds=0.1)
    a.request(mesh["b"], 12)
    mesh.swallow = lambda *_: False
    b = mesh.restart("b")
    mesh.run(seconds=1)
    assert b.payloads == [b"second"]
    assert b.requests == []
    (returned,) = [e for e in a.effects if isinstance(e, RequestsReturned)]
    assert returned.destination == b.id
    assert sorted(returned.request_ids) == [11, 12]
    assert a.data.waiting() == 0


def test_a_raised_epoch_of_the_destination_loses_nothing_and_repeats_nothing() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    a.data.send(b.id, 1)
    mesh.run(seconds=1)
    a.data.send(b.id, 2)
    a.request(b, 21)
    b.epoch += 1 << 32
    b.sealing.raise_epoch(b.epoch, now=mesh.now)
    b.data.raise_epoch(now=mesh.now)
    b.data.send(a.id, 3)
    a.data.peer_restarted(b.id, same_process=True, now=mesh.now)
    mesh.run(seconds=5)
    assert b.payloads == [1, 2]
    assert [request.id for request in b.requests] == [21]
    assert a.payloads == [3]
    assert a.data.waiting() == b.data.waiting() == 0


def test_a_key_that_the_destination_lost_is_replaced_within_a_round_trip() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    a.data.send(b.id, 1)
    mesh.run(seconds=1)
    b.sealing.raise_epoch(b.epoch, now=mesh.now)  # As after a jump of the clock.
    a.data.send(b.id, 2)
    mesh.run(seconds=0.1)
    assert b.payloads == [1, 2]
    assert b.data.stats.dropped["no_such_key"] == 1


def test_requests_and_responses_find_each_other() -> None:
    mesh = PlaneMesh.line("a", "b", "c")
    a, c = mesh["a"], mesh["c"]
    for number in range(5):
        a.request(c, number)
    mesh.run(seconds=0.1)
    assert [request.id for request in c.requests] == list(range(5))
    for request in c.requests:
        response = Response(request.id, 0, raw(request.id * 2))
        c.data.send_response(a.id, response, priority=1, stream_epoch=a.epoch)
    mesh.run(seconds=0.1)
    results = [(r.id, msgspec.msgpack.decode(r.payload)) for r in a.responses]
    assert results == [(number, number * 2) for number in range(5)]


def test_an_answer_to_a_process_that_is_gone_is_not_sent() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    old_epoch = a.epoch
    a.request(b, 1)
    mesh.run(seconds=0.1)
    a = mesh.restart("a")
    a.data.send(b.id, b"I am new")
    mesh.run(seconds=0.1)
    response = Response(1, 0, raw(None))
    b.data.send_response(a.id, response, priority=1, stream_epoch=old_epoch)
    mesh.run(seconds=1)
    assert a.responses == []
    assert b.data.stats.dropped["requester_gone"] == 1


def test_time_left_shrinks_while_a_request_waits_and_ends_it() -> None:
    mesh = PlaneMesh("a", "b")
    a, b = mesh["a"], mesh["b"]
    a.request(b, 1, timeout_ms=1000)
    a.request(b, 2, timeout_ms=5000)
    mesh.run(seconds=2)
    a.request(b, 3, timeout_ms=5000)
    mesh.connect(("a", "b"))
    mesh.run(seconds=0.1)
    assert {r.id: r.timeout_ms for r in b.requests} == {2: 3000, 3: 5000}
    mesh.disconnect(("a", "b"))
    a.request(b, 4, timeout_ms=1000)
    mesh.run(seconds=2)
    assert a.data.stats.dropped["request_expired"] == 1
    assert a.data.waiting() == 0


def test_a_request_sent_again_says_how_little_time_is_left() -> None:
    mesh = PlaneMesh.line("a", "b")
    mesh.swallow = lambda *_: True
    mesh["a"].request(mesh["b"], 1, timeout_ms=5000)
    mesh.run(seconds=0.5)
    mesh.swallow = lambda *_: False
    mesh.run(seconds=3)
    (request,) = mesh["b"].requests
    assert 3900 <= request.timeout_ms <= 4100


def test_a_request_that_expires_in_the_air_is_given_up() -> None:
    mesh = PlaneMesh.line("a", "b")
    mesh.swallow = lambda *_: True
    mesh["a"].request(mesh["b"], 1, timeout_ms=500)
    mesh.run(seconds=3)
    assert mesh["a"].data.waiting() == 0
    mesh.swallow = lambda *_: False
    mesh["a"].data.send(mesh["b"].id, b"goes on", delivery=Delivery.ORDERED)
    mesh.run(seconds=3)
    assert mesh["b"].requests == []
    assert mesh["b"].payloads == [b"goes on"]


def test_a_lost_node_returns_its_requests_and_keeps_its_data() -> None:
    mesh = PlaneMesh("a", "b")
    a, b = mesh["a"], mesh["b"]
    a.request(b, 5)
    a.data.send(b.id, b"kept")
    a.data.node_lost(b.id, now=mesh.now)
    a.data.node_lost(a.id, now=mesh.now)
    mesh.connect(("a", "b"))
    mesh.run(seconds=1)
    assert [e.request_ids for e in a.effects if isinstance(e, RequestsReturned)] == [[5]]
    assert (b.requests, b.payloads) == ([], [b"kept"])


def test_messages_to_a_lost_node_wait_for_it_and_are_not_given_back() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    a.request(b, 1, target="")
    mesh.run(seconds=1)
    mesh.disconnect(("a", "b"))
    for number, target in ((2, ""), (3, "work"), (4, "")):
        a.request(b, number, target=target)
    mesh.run(seconds=1)
    a.data.node_lost(b.id, now=mesh.now)
    mesh.connect(("a", "b"))
    mesh.run(seconds=1)
    assert [e.request_ids for e in a.effects if isinstance(e, RequestsReturned)] == [[3]]
    assert [request.id for request in b.requests] == [1, 2, 4]
    a.data.peer_restarted(b.id, same_process=False, now=mesh.now)
    assert a.data.waiting() == 0


def test_a_forgotten_node_that_comes_back_is_talked_to_again() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    a.data.send(b.id, 1)
    b.data.send(a.id, -1)
    mesh.run(seconds=1)
    mesh.disconnect(("a", "b"))
    a.data.send(b.id, 2)
    a.data.forget(b.id)
    assert a.data.waiting() == 0
    mesh.connect(("a", "b"))
    a.data.send(b.id, 3)
    b.data.send(a.id, -3)
    mesh.run(seconds=5)
    assert b.payloads == [1, 3]
    assert a.payloads == [-1, -3]


def test_a_hanging_handler_stops_its_own_sender_and_no_request() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    b.hangs = True
    for _ in range(300):
        a.data.send(b.id, b"x" * 1000)
    a.data.send(b.id, b"other inbox", inbox=4)
    a.request(b, 1)
    mesh.run(seconds=3)
    waiting = sum(batch.credit_bytes for batch in b.batches if batch.inbox == 0)
    assert 64 * 1024 <= waiting <= 2 * 64 * 1024
    assert b"other inbox" in b.payloads
    assert [request.id for request in b.requests] == [1]
    b.hangs = False
    for batch in b.batches:
        b.data.consumed(a.id, batch.inbox, batch.credit_bytes, now=mesh.now)
    mesh.run(seconds=5)
    assert len(b.payloads) == 301
    assert a.data.waiting() == 0


def test_a_lost_word_of_credit_is_asked_for_again() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    b.hangs = True
    for _ in range(100):
        a.data.send(b.id, b"x" * 1000)
    mesh.run(seconds=1)
    mesh.swallow = lambda *_: True
    b.hangs = False
    for batch in b.batches:
        b.data.consumed(a.id, batch.inbox, batch.credit_bytes, now=mesh.now)
    mesh.run(seconds=0.5)
    mesh.swallow = lambda *_: False
    mesh.run(seconds=5)
    assert len(b.payloads) == 100


def test_a_node_talks_to_itself_without_links_and_within_bounds() -> None:
    mesh = PlaneMesh("a")
    a = mesh["a"]
    a.hangs = True
    for _ in range(200):
        a.data.send(a.id, b"x" * 1000)
    a.request(a, 3)
    a.data.send_control(a.id, Control(kind=ControlKind.PING, number=8))
    mesh.run(seconds=1)
    waiting = sum(batch.credit_bytes for batch in a.batches)
    assert 64 * 1024 <= waiting <= 2 * 64 * 1024
    assert [request.id for request in a.requests] == [3]
    assert a.controls == [("a", Control(kind=ControlKind.PONG, number=8))]
    a.hangs = False
    for batch in a.batches:
        a.data.consumed(a.id, batch.inbox, batch.credit_bytes, now=mesh.now)
    mesh.run(seconds=1)
    assert len(a.payloads) == 200
    assert a.data.waiting() == 0
    big = b"y" * 300_000
    a.data.send(a.id, big)
    mesh.run(seconds=1)
    assert a.payloads[-1] == big
    assert mesh.frames == []


def test_a_ping_is_answered_by_the_plane() -> None:
    mesh = PlaneMesh.line("a", "b", "c")
    ping = Control(kind=ControlKind.PING, number=5, stamp_us=77)
    mesh["a"].data.send_control(mesh["c"].id, ping)
    mesh.run(seconds=0.1)
    pong = Control(kind=ControlKind.PONG, number=5, stamp_us=77)
    assert mesh["a"].controls == [("c", pong)]
    assert mesh["c"].controls == []


def test_a_trace_is_answered_where_it_expires_with_the_number_that_was_asked() -> None:
    mesh = PlaneMesh.line("a", "b", "c", "d")
    for hops in (1, 2, 3):
        ping = Control(kind=ControlKind.PING, number=100 + hops)
        mesh["a"].data.send_control(mesh["d"].id, ping, kind=EnvelopeKind.TRACE, hop_limit=hops)
    mesh.run(seconds=0.1)
    answers = {name: (control.kind, control.number) for name, control in mesh["a"].controls}
    assert answers == {
        "b": (ControlKind.EXPIRED_HERE, 101),
        "c": (ControlKind.EXPIRED_HERE, 102),
        "d": (ControlKind.PONG, 103),
    }


def test_an_answer_that_nobody_asked_for_is_dropped() -> None:
    mesh = PlaneMesh.line("a", "b")
    mesh["b"].data.send_control(mesh["a"].id, Control(kind=ControlKind.EXPIRED_HERE, number=1))
    mesh.run(seconds=0.1)
    assert mesh["a"].controls == []
    assert mesh["a"].data.stats.dropped == {"unasked_control": 1}


def test_control_without_a_way_is_dropped_and_the_oldest_gives_way() -> None:
    mesh = PlaneMesh("a", "b")
    a = mesh["a"]
    for number in range(CONTROLS_MAX + 6):
        a.data.send_control(mesh["b"].id, Control(kind=ControlKind.PING, number=number))
    mesh.run(seconds=1)
    assert a.data.stats.dropped == {"control_overflow": 6, "no_route": CONTROLS_MAX}


def test_a_relay_declares_what_it_drops_and_the_sender_does_not_wait_for_the_timeout() -> None:
    mesh = PlaneMesh.line("a", "b", "c")
    a, b, c = mesh["a"], mesh["b"], mesh["c"]
    a.data.send(c.id, b"warm")
    mesh.run(seconds=1)

    def full_queue(sender: str, receiver: str, body: bytes) -> bool:
        if sender == "b" and receiver == "c":
            b.data.frame_dropped(body, "link_queue_full", now=mesh.now)
            return True
        return False

    mesh.swallow = full_queue
    a.data.send(c.id, b"dropped")
    mesh.run(seconds=0.012)
    mesh.swallow = lambda *_: False
    mesh.run(seconds=0.3)
    assert c.payloads == [b"warm", b"dropped"]
    ((name, control),) = a.controls
    assert (name, control.kind, control.reason) == ("b", ControlKind.DROPPED, "link_queue_full")


def test_drops_are_declared_at_most_ten_times_a_second() -> None:
    mesh = PlaneMesh.line("a", "b", "c")
    mesh["a"].data.send(mesh["c"].id, b"warm")
    mesh.run(seconds=1)
    (body,) = [f for s, r, f in mesh.frames if (s, r) == ("b", "c")][:1]
    for _ in range(100):
        mesh["b"].data.frame_dropped(body, "link_queue_full", now=mesh.now)
        mesh.run(seconds=0.01)
    mesh.run(seconds=1)
    counts = [control.count for _, control in mesh["a"].controls]
    assert sum(counts) == 100
    assert 9 <= len(counts) <= 12


def test_an_own_envelope_to_nobody_that_a_link_gave_up_is_only_counted() -> None:
    mesh = PlaneMesh.line("a", "b")
    envelope = Envelope(
        kind=EnvelopeKind.SEALED,
        priority=1,
        source=mesh["a"].id,
        source_epoch=1,
        destinations=(mesh["b"].id,),
    )
    mesh["a"].data.frame_dropped(envelope.encode(), "link_queue_full", now=mesh.now)
    assert mesh["a"].data.stats.dropped == {"link_queue_full": 1}


def test_an_own_envelope_that_a_link_gave_up_goes_again_soon() -> None:
    mesh = PlaneMesh.line("a", "b")
    a = mesh["a"]
    a.data.send(mesh["b"].id, b"warm")
    mesh.run(seconds=1)

    def full_queue(sender: str, receiver: str, body: bytes) -> bool:
        a.data.frame_dropped(body, "link_queue_full", now=mesh.now)
        mesh.swallow = lambda *_: False
        return True

    mesh.swallow = full_queue
    a.data.send(mesh["b"].id, b"again")
    mesh.run(seconds=0.3)
    assert mesh["b"].payloads == [b"warm", b"again"]
    assert Dropped("link_queue_full", 1) in a.effects


def test_a_relay_that_knows_no_way_says_so() -> None:
    mesh = PlaneMesh.line("a", "b", "c")
    mesh["a"].data.send(mesh["c"].id, b"warm")
    mesh.run(seconds=1)
    del mesh.links[mesh["b"].id, mesh["c"].id]
    mesh["b"].router.link_down(mesh["c"].id)
    mesh["a"].data.send(mesh["c"].id, b"late")
    mesh.run(seconds=0.5)
    assert ("b", "no_link") in [(name, control.reason) for name, control in mesh["a"].controls]


def test_bytes_that_are_no_envelope_cost_the_neighbor_its_link() -> None:
    mesh = PlaneMesh.line("a", "b")
    mesh["a"].data.receive(mesh["b"].id, b"nonsense", now=mesh.now)
    effects = mesh["a"].data.drain()
    assert [type(effect) for effect in effects] == [Dropped, Offence]
    assert effects[1].peer == mesh["b"].id


def test_envelopes_of_strangers_and_of_ourselves_are_dropped_with_a_reason() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    for source in (NodeId(b"?" * 16), a.id):
        envelope = Envelope(
            kind=EnvelopeKind.SEALED,
            priority=1,
            source=source,
            source_epoch=1,
            destinations=(a.id,),
            sealed=b"x" * 64,
        )
        a.data.receive(b.id, envelope.encode(), now=mesh.now)
    assert a.data.stats.dropped == {"own_envelope": 1}
    mesh.run(seconds=2)
    assert a.data.stats.dropped == {"unknown_source": 1, "own_envelope": 1}


def test_a_tampered_and_a_repeated_envelope_are_dropped_with_a_reason() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    a.data.send(b.id, b"genuine")
    mesh.run(seconds=1)
    body = next(f for s, _, f in mesh.frames if s == "a")
    b.data.receive(a.id, body, now=mesh.now)
    bad = decode_envelope(body)
    bad.counter += 1
    b.data.receive(a.id, bad.encode(), now=mesh.now)
    assert b.payloads == [b"genuine"]
    assert b.data.stats.dropped == {"replay": 1, "bad_seal": 1}


def test_a_refused_key_that_nobody_refused_is_ignored() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    envelope = Envelope(
        kind=EnvelopeKind.NO_SUCH_KEY,
        priority=3,
        source=b.id,
        source_epoch=b.epoch,
        destinations=(a.id,),
        session_id=99,
        sealed=b"x" * 72,
    )
    a.data.receive(b.id, envelope.encode(), now=mesh.now)
    assert a.data.stats.dropped == {"no_such_key_ignored": 1}


def test_urgent_messages_leave_first() -> None:
    mesh = PlaneMesh.line("a", "b")
    for priority in Priority:
        mesh["a"].data.send(mesh["b"].id, int(priority), priority=priority)
    assert mesh["a"].data.wants_flush
    mesh.run(seconds=1)
    assert mesh["b"].payloads == [3, 2, 1, 0]
    assert not mesh["a"].data.wants_flush


def test_idle_planes_ask_for_no_time() -> None:
    mesh = PlaneMesh.line("a", "b")
    mesh["a"].data.send(mesh["b"].id, 1)
    mesh.run(seconds=30)
    frames = len(mesh.frames)
    mesh.run(seconds=300)
    assert mesh["a"].data.next_deadline() is None
    assert mesh["b"].data.next_deadline() is None
    assert len(mesh.frames) == frames
