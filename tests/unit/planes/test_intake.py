from __future__ import annotations

import msgspec
import pytest

from mreza.config.records import RecordsConfig
from mreza.errors import CertificateRejected
from mreza.ids import NodeId, make_epoch
from mreza.planes.intake import Intake, Outcome, OwnNewer, decode_body
from mreza.records.database import Accepted, Database, Older, Refused, Same
from mreza.security.certificates import MemberCertificate
from mreza.wire.records import (
    INTRODUCTION,
    AgedRecord,
    FarewellBody,
    Record,
    RecordKind,
)
from tests.support.control_world import (
    MESH,
    WALL,
    FakeAnchors,
    FakeKey,
    fake_verify,
    introduction,
    signed,
)

ME, X, Y = FakeKey("me"), FakeKey("x"), FakeKey("y")
P, Q = NodeId(bytes(15) + b"p"), NodeId(bytes(15) + b"q")
FACT = 77


class Desk:
    """An intake with a database of its own."""

    def __init__(self, per_turn: int = 30) -> None:
        self.anchors = FakeAnchors()
        self.database = Database(
            mesh=MESH, me=ME.node_id, verify=fake_verify, config=RecordsConfig()
        )
        self.intake = Intake(
            me=ME.node_id,
            own_key=ME.public,
            database=self.database,
            check_chain=self._check_chain,
            verify=fake_verify,
            signed_bytes=lambda record: record.signed_bytes(MESH),
            per_turn=per_turn,
        )

    def _check_chain(self, certificates: tuple[bytes, ...], wall: float) -> MemberCertificate:
        return self.anchors.check_chain(certificates, wall=wall)

    def put(
        self, record: Record, *, peer: NodeId | None = P, now: float = 0.0, age_s: float = 0.0
    ) -> object:
        return self.intake.add(AgedRecord(record, age_s), peer=peer, now=now)

    def check(self, now: float = 0.0, wall: float = WALL) -> list[Outcome]:
        return self.intake.advance(now=now, wall=wall)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def intro(key: FakeKey, *, sequence: int = 1, boot: int = 1, name: str = "") -> Record:
    return signed(
        key,
        RecordKind.INTRODUCTION,
        INTRODUCTION.encode(introduction(key, name=name)),
        sequence=sequence,
        epoch=make_epoch(boot=boot, random_bits=0),
    )


def test_introductions_are_checked_before_what_came_first(desk: Desk) -> None:
    desk.put(signed(X, FACT, b"fact"))
    desk.put(intro(X))
    assert bool(desk.intake.busy)
    assert [o.aged.record.kind for o in desk.check()] == [RecordKind.INTRODUCTION, FACT]
    assert not bool(desk.intake.busy)
    assert desk.intake.keys[X.node_id] == X.public


def test_known_and_older_records_are_answered_without_a_check(desk: Desk) -> None:
    desk.put(intro(X, sequence=2))
    desk.check()
    assert desk.put(intro(X, sequence=2)) == Same()
    assert desk.put(intro(X, sequence=1)) == Older(intro(X, sequence=2))
    assert not desk.intake.busy


def test_the_same_record_of_two_peers_is_checked_once(desk: Desk) -> None:
    desk.put(intro(X), peer=P)
    desk.put(intro(X), peer=Q)
    assert desk.intake.senders(intro(X), [P, Q]) == [P, Q]
    assert desk.intake.senders(intro(X, name="other"), [P]) == []
    assert desk.intake.senders(signed(X, FACT, b""), [P]) == []
    assert [(o.peer, type(o.verdict)) for o in desk.check()] == [(P, Accepted), (Q, Same)]


def test_of_one_peer_only_the_newest_of_a_slot_waits(desk: Desk) -> None:
    for sequence in (1, 3, 2):
        desk.put(intro(X, sequence=sequence))
    assert [o.aged.record.sequence for o in desk.check()] == [3]


def test_a_forgery_displaces_nothing_that_others_sent(desk: Desk) -> None:
    forged = msgspec.structs.replace(intro(X, sequence=99), signature=bytes(64))
    desk.put(intro(X), peer=P)
    desk.put(forged, peer=Q)
    verdicts = {outcome.peer: outcome.verdict for outcome in desk.check()}
    assert verdicts == {P: Accepted(None), Q: Refused("bad_signature")}


def test_age_grows_while_a_record_waits(desk: Desk) -> None:
    desk.put(intro(X), now=10.0, age_s=5.0)
    (outcome,) = desk.check(now=12.0)
    assert outcome.aged.age_s == 7.0
    assert desk.database.aged(intro(X), now=12.0).age_s == 7.0


def test_a_chain_is_read_once_an_hour(desk: Desk) -> None:
    for now, checked in ((0.0, 1), (300.0, 1), (3599.0, 1), (3600.0, 2)):
        desk.put(intro(X, sequence=1 + int(now)), now=now)
        (outcome,) = desk.check(now=now, wall=WALL + now)
        assert isinstance(outcome.verdict, Accepted)
        assert desk.anchors.checked == checked


def test_a_chain_that_has_expired_meanwhile_is_read_again(desk: Desk) -> None:
    desk.put(intro(X))
    desk.check()
    desk.anchors.rejected[X.public] = "expired"
    desk.put(intro(X, sequence=2), now=300.0)
    assert isinstance(desk.check(now=300.0)[0].verdict, Accepted)
    desk.put(intro(X, sequence=3), now=301.0)
    (outcome,) = desk.check(now=301.0, wall=WALL + 2 * 86400)
    assert outcome.verdict == Refused("certificate_expired")


def test_other_certificates_of_a_known_node_are_read(desk: Desk) -> None:
    desk.put(intro(X))
    desk.check()
    desk.intake.forget(X.node_id)
    desk.intake.forget(ME.node_id)
    assert list(desk.intake.keys) == [ME.node_id]
    desk.put(intro(X, sequence=2))
    desk.check()
    assert desk.anchors.checked == 2


def test_what_comes_too_often_is_held_and_coalesced(desk: Desk) -> None:
    for sequence in range(1, 6):
        desk.put(intro(X, sequence=sequence))
        desk.check()
    for sequence in (6, 8, 7):
        desk.put(intro(X, sequence=sequence))
        assert desk.check() == []
    assert desk.intake.next_deadline() == 0.2
    assert not desk.intake.busy
    assert desk.check(now=0.19) == []
    assert [o.aged.record.sequence for o in desk.check(now=0.2)] == [8]
    assert desk.intake.next_deadline() is None


def test_what_an_offender_sent_is_forgotten(desk: Desk) -> None:
    for sequence in range(1, 6):
        desk.put(intro(X, sequence=sequence))
        desk.check()
    desk.put(intro(X, sequence=6))
    desk.check()
    desk.put(intro(Y))
    desk.put(signed(Y, FACT, b""))
    desk.put(intro(Y), peer=Q)
    desk.intake.drop(P)
    assert [outcome.peer for outcome in desk.check(now=9.0)] == [Q]
    assert desk.intake._backlog.size == 0


def test_the_backlog_is_bounded_in_records_and_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mreza.planes.backlog.BACKLOG_BYTES_MAX", 2000)
    for number in range(10):
        desk.put(signed(X, FACT, bytes(500), slot=bytes([number])))
    assert desk.intake.dropped == 8
    desk.put(signed(X, FACT, bytes(600), slot=b"\0", sequence=2))
    assert desk.intake.dropped == 8, "a newer one takes the place of its own"


def test_a_flood_of_one_peer_holds_up_no_other(desk: Desk) -> None:
    desk.put(intro(X), peer=Q)
    desk.check()
    for number in range(1000):
        desk.put(intro(FakeKey(f"flood {number}")), peer=P)
    desk.put(signed(X, RecordKind.FAREWELL, b"\x91\xa1x"), peer=Q)
    assert Q in [outcome.peer for outcome in desk.check()]


def test_when_the_backlog_is_full_the_longest_line_gives_way(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mreza.planes.backlog.BACKLOG_MAX", 10)
    for number in range(20):
        desk.put(signed(X, FACT, b"", slot=bytes([number])), peer=P)
    for number in range(20, 23):
        desk.put(signed(X, FACT, b"", slot=bytes([number])), peer=Q)
    assert desk.intake.dropped == 13
    desk.put(intro(X), peer=None)
    desk.check()
    slots = {record.key[0] for record in desk.database if record.kind == FACT}
    assert {20, 21, 22} <= slots


def test_what_is_held_back_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mreza.planes.intake.HELD_MAX", 1)
    for sequence in range(1, 6):
        for key in (X, Y):
            desk.put(intro(key, sequence=sequence))
            desk.check()
    desk.put(intro(X, sequence=6))
    desk.put(intro(Y, sequence=6))
    desk.check()
    assert (len(desk.intake._held), desk.intake.dropped) == (1, 1)


def test_nothing_is_left_behind_when_all_is_checked(desk: Desk) -> None:
    desk.put(signed(X, FACT, b"fact"))
    desk.put(signed(X, FACT, b"more", slot=b"2"))
    desk.check()
    desk.put(intro(X))
    assert len(desk.check()) == 3
    assert desk.intake._backlog.size == 0
    assert desk.intake.dropped == 0


def test_a_slice_ends_where_its_time_ends() -> None:
    desk = Desk(per_turn=7)
    desk.put(intro(X))
    desk.check()
    for number in range(20):
        desk.put(signed(X, FACT, b"", slot=bytes([number])))
    assert [len(desk.check()) for _ in range(4)] == [7, 7, 6, 0]


def test_our_own_key_in_another_process_is_noticed(desk: Desk) -> None:
    desk.database.keep_own(intro(ME, boot=5), now=0.0)
    assert desk.put(intro(ME, boot=4)) == Older(intro(ME, boot=5))
    desk.put(intro(ME, boot=6))
    (outcome,) = desk.check()
    assert outcome.verdict == OwnNewer()
    assert outcome.body == introduction(ME)
    assert desk.database.get(ME.node_id, RecordKind.INTRODUCTION) == intro(ME, boot=5)


def test_what_we_said_in_a_former_life_is_kept(desk: Desk) -> None:
    desk.database.keep_own(intro(ME, boot=5), now=0.0)
    desk.put(signed(ME, FACT, b"old", epoch=make_epoch(boot=4, random_bits=0)))
    desk.put(signed(ME, FACT, b"now", epoch=make_epoch(boot=5, random_bits=0), slot=b"k"))
    verdicts = [type(outcome.verdict) for outcome in desk.check()]
    assert verdicts == [Accepted, OwnNewer]


def test_before_we_have_said_anything_all_of_ours_is_newer(desk: Desk) -> None:
    desk.put(intro(ME, boot=1))
    desk.put(msgspec.structs.replace(signed(ME, FACT, b""), signature=bytes(64)))
    assert [o.verdict for o in desk.check()] == [OwnNewer(), Refused("bad_signature")]


def test_certificates_and_bodies_are_refused_by_name(desk: Desk) -> None:
    desk.anchors.rejected[X.public] = "other_mesh"
    desk.put(intro(X))
    desk.put(signed(Y, RecordKind.LINKS, b"\xc1"))
    assert [o.verdict for o in desk.check()] == [
        Refused("certificate_other_mesh"),
        Refused("malformed"),
    ]
    with pytest.raises(CertificateRejected):
        desk.anchors.check_chain((), wall=WALL)


def test_bodies_of_known_kinds_are_read() -> None:
    assert decode_body(signed(X, FACT, b"\xc1")) is None
    body = decode_body(signed(X, RecordKind.FAREWELL, b"\x91\xa1x"))
    assert body == FarewellBody("x")
