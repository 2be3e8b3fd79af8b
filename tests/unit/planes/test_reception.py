from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mreza.ids import NodeId
from mreza.messaging.fragments import cut
from mreza.messaging.outbox import CONTROLS_MAX
from mreza.planes import reception
from mreza.planes.effects import Dropped
from mreza.wire.envelope import Envelope, EnvelopeKind, decode_envelope
from mreza.wire.packet import Ack, Control, ControlKind, Fragment, Head, PacketKind, encode_packet
from mreza.wire.records import Prekey
from tests.support.plane_mesh import PlaneMesh, PlaneNode


def sealed(sender: PlaneNode, receiver: PlaneNode, plaintext: bytes) -> bytes:
    """An envelope of a member that says whatever it likes."""
    mesh = sender.mesh
    envelope = Envelope(
        kind=EnvelopeKind.SEALED,
        priority=1,
        source=sender.id,
        source_epoch=0,
        destinations=(receiver.id,),
    )
    prekey = mesh.prekey_of(receiver.id)
    assert prekey is not None
    return sender.sealing.seal(
        envelope,
        plaintext,
        destination=receiver.id,
        destination_epoch=receiver.epoch,
        prekey=prekey,
        now=mesh.now,
    )


@pytest.fixture
def pair() -> tuple[PlaneNode, PlaneNode]:
    mesh = PlaneMesh.line("a", "b")
    return mesh["a"], mesh["b"]


def hear(receiver: PlaneNode, sender: PlaneNode, head: Head | None, body: bytes) -> dict[str, int]:
    """What the receiver drops on hearing this packet."""
    plaintext = body if head is None else encode_packet(head, body)
    now = receiver.mesh.now
    receiver.data.receive(sender.id, sealed(sender, receiver, plaintext), now=now)
    return receiver.data.stats.dropped


LITTLE_IN_MUCH = msgspec.msgpack.encode(
    [[1, "work", None, 1000, False, 1, "", None, "", 0, b"x" * 60_000]]
)
TINY = Fragment(transfer=1, offset=0, total=2, checksum=0)
CRUMB = Fragment(transfer=1, offset=5, total=1 << 26, checksum=0)
ANY: dict[str, Any] = {"flags": 1, "stream_epoch": 1 << 32}


@pytest.mark.parametrize(
    ("head", "body", "reason"),
    [
        (None, b"\xff", "bad_packet"),
        (None, b"\x00\x01\xc1rest", "bad_packet"),
        (Head(kind=PacketKind.CONTROL, **ANY), b"\xc1", "bad_packet"),
        (Head(kind=9, sequence=1, **ANY), b"\x90", "bad_packet"),
        (Head(kind=PacketKind.DATA, **ANY), b"\x91\x01", "bad_packet"),
        (Head(kind=PacketKind.DATA, sequence=1, compression=1, **ANY), b"\x90", "compressed"),
        (Head(kind=PacketKind.DATA, sequence=9000, behind=8000, **ANY), b"\x90", "too_far_behind"),
        (Head(kind=PacketKind.REQUEST, sequence=1, **ANY), b"\x91\x01", "bad_batch"),
        (Head(kind=PacketKind.RESPONSE, sequence=1, **ANY), b"\xc1", "bad_batch"),
        (Head(kind=PacketKind.REQUEST, sequence=1, **ANY), LITTLE_IN_MUCH, "bad_batch"),
        (Head(kind=PacketKind.DATA, sequence=1, fragment=TINY, **ANY), b"x", "bad_fragment"),
        (Head(kind=PacketKind.DATA, sequence=1, fragment=CRUMB, **ANY), b"x", "bad_fragment"),
        (Head(kind=PacketKind.ACK, acks=(Ack(1, 500),), **ANY), b"", "bad_ack"),
    ],
)
def test_what_no_honest_member_says_is_dropped_by_name(
    pair: tuple[PlaneNode, PlaneNode], head: Head | None, body: bytes, reason: str
) -> None:
    a, b = pair
    assert hear(b, a, head, body) == {reason: 1}
    assert b.data.drain()[0:1] != []


def test_a_lying_acknowledgement_frees_nothing(pair: tuple[PlaneNode, PlaneNode]) -> None:
    a, b = pair
    a.mesh.swallow = lambda sender, *_: sender == "b"
    b.data.send(a.id, 1)
    b.turn()
    assert hear(b, a, Head(kind=PacketKind.ACK, acks=(Ack(1, 7),), **ANY), b"") == {"bad_ack": 1}
    assert b.data.waiting() > 0


def test_numbers_at_the_end_of_the_world_do_no_harm(pair: tuple[PlaneNode, PlaneNode]) -> None:
    a, b = pair
    last = (1 << 64) - 1
    head = Head(kind=PacketKind.DATA, sequence=last, position=last, inbox=last, **ANY)
    assert hear(b, a, head, b"\x91\x01") == {}
    ping = Control(kind=ControlKind.PING, number=last, stamp_us=last, session_id=last, count=last)
    hear(b, a, Head(kind=PacketKind.CONTROL, **ANY), msgspec.msgpack.encode(ping))
    b.turn()
    b.mesh.run(seconds=5)
    assert b.payloads == [1]
    assert [control.number for _, control in a.controls] == [last]


def test_sources_are_bounded(
    pair: tuple[PlaneNode, PlaneNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "SOURCES_MAX", 0)
    a, b = pair
    head = Head(kind=PacketKind.DATA, sequence=1, **ANY)
    assert hear(b, a, head, b"\x91\x01") == {"too_many_sources": 1}
    a.data.send(a.id, 1)
    a.mesh.run(seconds=1)
    assert a.payloads == []


def test_pings_and_traces_are_answered_within_a_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reception, "ANSWERS_PER_S", 2.0)
    mesh = PlaneMesh.line("a", "b", "c")
    for number in range(5):
        ping = Control(kind=ControlKind.PING, number=number)
        mesh["a"].data.send_control(mesh["c"].id, ping)
        mesh["a"].data.send_control(mesh["c"].id, ping, kind=EnvelopeKind.TRACE, hop_limit=1)
    mesh.run(seconds=0.1)
    assert len(mesh["a"].controls) == 4
    assert mesh["b"].data.stats.dropped["trace_unanswered"] == 3
    assert mesh["c"].data.stats.dropped["too_many_pings"] == 3


def test_answers_that_pile_up_give_way(pair: tuple[PlaneNode, PlaneNode]) -> None:
    a, b = pair
    for number in range(CONTROLS_MAX + 6):
        ping = Control(kind=ControlKind.PING, number=number)
        hear(b, a, Head(kind=PacketKind.CONTROL, **ANY), msgspec.msgpack.encode(ping))
    assert b.data.stats.dropped == {"control_overflow": 6}


def test_drops_are_told_to_the_driver_whether_believed_or_not() -> None:
    mesh = PlaneMesh.line("a", "b")
    declared = Control(kind=ControlKind.DROPPED, session_id=5, count=3, reason="no_route")
    mesh["b"].data.send_control(mesh["a"].id, declared)
    mesh.run(seconds=0.1)
    assert mesh["a"].controls == [("b", declared)]


def test_credit_for_a_forgotten_source_goes_nowhere(pair: tuple[PlaneNode, PlaneNode]) -> None:
    a, b = pair
    a.data.send(b.id, 1)
    a.mesh.run(seconds=0.0051)
    b.data.forget(a.id)
    b.data.consumed(a.id, 0, 10, now=a.mesh.now)
    b.data.forget(a.id)
    b.mesh.run(seconds=0.1)
    assert b.data.stats.dropped == {}


def test_a_key_refused_for_a_node_we_send_nothing_to_is_replaced_quietly(
    pair: tuple[PlaneNode, PlaneNode],
) -> None:
    a, b = pair
    b.data.send(a.id, 1)
    b.mesh.run(seconds=1)
    b.sealing.raise_epoch(b.epoch, now=b.mesh.now)
    b.data.send(a.id, 2)
    b.mesh.run(seconds=1)
    assert a.payloads == [1, 2]
    assert b.data.stats.dropped["no_such_key"] == 1


def test_a_prekey_that_nobody_can_seal_for_costs_only_its_node_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mesh = PlaneMesh("a", "liar", "honest")
    mesh.connect(("a", "liar"), ("a", "honest"))
    a, liar, honest = mesh["a"], mesh["liar"], mesh["honest"]
    prekey_of = mesh.prekey_of
    monkeypatch.setattr(
        mesh,
        "prekey_of",
        lambda node: Prekey(1, bytes(32)) if node == liar.id else prekey_of(node),
    )
    for sender in (liar, honest):
        for number in range(2):
            sender.data.send(a.id, number)
            sender.turn()
    mesh.run(seconds=0.1)
    assert len(a.payloads) == 4
    assert a.data.stats.dropped["bad_prekey"] >= 1
    assert honest.data.waiting() == 0


def test_a_neighbor_makes_us_check_only_so_many_wraps_whoever_they_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reception, "WRAPS_PER_S", 2.0)
    mesh = PlaneMesh("a", "liar", "honest")
    mesh.connect(("a", "liar"), ("a", "honest"))
    a, liar, honest = mesh["a"], mesh["liar"], mesh["honest"]
    forged = decode_envelope(sealed(honest, a, b""))
    forged.wrap = forged.wrap[:-1] + bytes((forged.wrap[-1] ^ 1,))
    for session in range(50):
        forged.session_id = session + 1
        a.data.receive(liar.id, forged.encode(), now=mesh.now)
    assert a.data.stats.dropped == {"bad_wrap": 10, "too_many_wraps": 40}
    honest.data.send(a.id, 1)
    honest.turn()
    mesh.run(seconds=0.1)
    assert a.payloads == [1], "what it sends over its own link is opened"


def test_neighbors_whose_wraps_are_counted_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "NEIGHBORS_MAX", 2)
    mesh = PlaneMesh("a", "b")
    mesh.connect(("a", "b"))
    for number in range(5):
        mesh["b"].sealing.forget(mesh["a"].id)
        envelope = sealed(mesh["b"], mesh["a"], b"")
        mesh["a"].data.receive(NodeId(bytes(15) + bytes((number,))), envelope, now=mesh.now)
    assert len(mesh["a"].data._reception._wraps) == 2


@pytest.mark.parametrize("kind", [PacketKind.DATA, PacketKind.REQUEST, PacketKind.RESPONSE])
def test_a_large_body_of_many_small_things_is_not_read(
    pair: tuple[PlaneNode, PlaneNode], kind: PacketKind
) -> None:
    a, b = pair
    body = b"\xdc\x00\x02" + bytes(100_000)
    for fragment, piece in cut(body, transfer=1):
        sequence = 1 + fragment.offset // 1000
        head = Head(kind=kind, sequence=sequence, fragment=fragment, **ANY)
        dropped = hear(b, a, head, bytes(piece))
    assert dropped == {"bad_batch": 1}
    assert not [e for e in b.data.drain() if not isinstance(e, Dropped)]


def test_a_message_that_overtook_its_senders_introduction_is_not_sent_twice(
    pair: tuple[PlaneNode, PlaneNode],
) -> None:
    a, b = pair
    mesh = a.mesh
    mesh.unknown.add(a.id)
    a.data.send(b.id, b"hello")
    mesh.run(seconds=0.2)
    assert b.payloads == []
    mesh.unknown.discard(a.id)
    b.data.advance(now=mesh.now)
    mesh.run(seconds=0.1)
    assert b.payloads == [b"hello"]
    assert a.data.stats.retransmitted == 0
    assert b.data.stats.dropped == {}
