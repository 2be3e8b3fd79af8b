from __future__ import annotations

import pytest

from mreza.config.records import RecordsConfig
from mreza.ids import NodeId
from mreza.records.database import Database
from mreza.records.flooding import Flooding, frames
from mreza.wire.records import RECORDS, RECORDS_FRAME_MAX, AgedRecord, Record, RecordKind
from tests.support.control_world import MESH, FakeKey, fake_verify, signed

P, Q, R = (NodeId(bytes([number]) * 16) for number in range(1, 4))
X = FakeKey("x")


@pytest.fixture
def database() -> Database:
    return Database(mesh=MESH, me=P, verify=fake_verify, config=RecordsConfig())


@pytest.fixture
def flooding(database: Database) -> Flooding:
    flooding = Flooding(database=database)
    for peer in (P, Q, R):
        flooding.link_up(peer)
    return flooding


def sent(flooding: Flooding, *, now: float = 0.0) -> dict[NodeId, list[AgedRecord]]:
    out: dict[NodeId, list[AgedRecord]] = {}
    for batch in flooding.flush(now=now):
        out.setdefault(batch.peer, []).extend(RECORDS.decode(batch.body).records)
    return out


def test_a_record_goes_to_all_links_but_those_it_came_from(flooding: Flooding) -> None:
    record = signed(X, RecordKind.LINKS, b"1")
    flooding.spread(record, but_not=[Q])
    assert sent(flooding) == {P: [AgedRecord(record, 0.0)], R: [AgedRecord(record, 0.0)]}
    assert sent(flooding) == {}


def test_per_link_the_newest_record_of_a_slot_replaces_the_waiting_one(flooding: Flooding) -> None:
    for sequence in (1, 2, 3):
        flooding.send(P, signed(X, RecordKind.LINKS, b"", sequence=sequence))
    flooding.send(P, signed(X, RecordKind.LINKS, b"", slot=b"other"))
    assert [aged.record.sequence for aged in sent(flooding)[P]] == [3, 1]


def test_introductions_go_first(flooding: Flooding) -> None:
    flooding.send(P, signed(X, RecordKind.LINKS, b""))
    flooding.send(P, signed(X, RecordKind.INTRODUCTION, b""))
    kinds = [aged.record.kind for aged in sent(flooding)[P]]
    assert kinds == [RecordKind.INTRODUCTION, RecordKind.LINKS]


def test_ages_travel_with_records(flooding: Flooding, database: Database) -> None:
    record = signed(X, RecordKind.LINKS, b"")
    database.offer(record, age_s=30, public_key=X.public, now=10)
    flooding.send(P, record)
    assert sent(flooding, now=15)[P][0].age_s == 35


def test_what_a_peer_has_it_does_not_get(flooding: Flooding) -> None:
    one, two = (signed(X, RecordKind.LINKS, b"", sequence=n) for n in (1, 2))
    flooding.send(P, one)
    flooding.heard(P, two)
    flooding.heard(Q, two)
    assert list(sent(flooding)) == [P]
    flooding.send(P, one)
    flooding.heard(P, one)
    assert sent(flooding) == {}


def test_a_link_that_ended_gets_nothing(flooding: Flooding) -> None:
    flooding.spread(signed(X, RecordKind.LINKS, b""))
    flooding.link_down(P)
    flooding.link_down(P)
    flooding.send(P, signed(X, RecordKind.LINKS, b""))
    flooding.heard(P, signed(X, RecordKind.LINKS, b""))
    assert list(sent(flooding)) == [Q, R]


def test_frames_stay_within_their_limit() -> None:
    records: list[Record] = [
        signed(FakeKey(str(number)), RecordKind.LINKS, bytes(16 * 1024)) for number in range(20)
    ]
    bodies = list(frames(AgedRecord(record, 1.5) for record in records))
    assert len(bodies) == 7
    assert max(len(body) for body in bodies) <= RECORDS_FRAME_MAX
    assert [aged.record for body in bodies for aged in RECORDS.decode(body).records] == records
    assert list(frames([])) == []
