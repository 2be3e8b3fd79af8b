from __future__ import annotations

import msgspec
import pytest

from mreza.config.records import RecordsConfig
from mreza.ids import make_epoch
from mreza.records.database import (
    CHANGES_PER_S,
    PROOFS_MAX,
    Accepted,
    Database,
    Equivocation,
    Older,
    Refused,
    Same,
    TooOften,
    Verdict,
    Waiting,
    rank,
)
from mreza.wire.records import KEYS_PER_ORIGIN_MAX, Record, RecordKind
from tests.support.control_world import MESH, FakeKey, fake_verify, signed

ME, X, Y = FakeKey("me"), FakeKey("x"), FakeKey("y")
FACT = 77
"A kind that nobody knows."


class Checked:
    """Counts signatures."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, public_key: bytes, signature: bytes, data: bytes) -> bool:
        self.count += 1
        return fake_verify(public_key, signature, data)


@pytest.fixture
def checked() -> Checked:
    return Checked()


@pytest.fixture
def database(checked: Checked) -> Database:
    return Database(mesh=MESH, me=ME.node_id, verify=checked, config=RecordsConfig())


def put(
    database: Database, record: Record, *, key: FakeKey = X, now: float = 0.0, age_s: float = 0.0
) -> Verdict:
    return database.offer(record, age_s=age_s, public_key=key.public, now=now)


def links(sequence: int, *, boot: int = 1, body: bytes = b"body") -> Record:
    epoch = make_epoch(boot=boot, random_bits=0)
    return signed(X, RecordKind.LINKS, body, epoch=epoch, sequence=sequence)


def test_a_newer_record_replaces_an_older_one(database: Database) -> None:
    assert put(database, links(1)) == Accepted(None)
    assert put(database, links(2)) == Accepted(links(1))
    assert database.get(X.node_id, RecordKind.LINKS) == links(2)
    assert list(database) == [links(2)]
    assert len(database) == 1


def test_an_older_record_is_refused_and_answered_with_ours(database: Database) -> None:
    put(database, links(7))
    assert put(database, links(6)) == Older(links(7))
    assert database.get(X.node_id, RecordKind.LINKS) == links(7)


def test_a_higher_epoch_beats_a_higher_sequence(database: Database) -> None:
    put(database, links(1000, boot=1))
    assert put(database, links(1, boot=2)) == Accepted(links(1000, boot=1))
    assert put(database, links(1001, boot=1)) == Older(links(1, boot=2))


def test_newness_is_checked_before_the_signature(database: Database, checked: Checked) -> None:
    put(database, links(2))
    assert checked.count == 1
    forged = msgspec.structs.replace(links(1), signature=b"forged")
    assert isinstance(put(database, forged), Older)
    assert put(database, links(2)) == Same()
    assert checked.count == 1


def test_a_wrong_signature_changes_nothing(database: Database) -> None:
    put(database, links(1))
    forged = msgspec.structs.replace(links(2), signature=bytes(64))
    assert put(database, forged) == Refused("bad_signature")
    assert database.get(X.node_id, RecordKind.LINKS) == links(1)


def test_a_record_under_another_body_epoch_or_origin_has_a_wrong_signature(
    database: Database,
) -> None:
    for change in (
        {"body": b"other"},
        {"epoch": 99},
        {"sequence": 99},
        {"origin": Y.node_id},
        {"kind": FACT},
    ):
        forged = msgspec.structs.replace(links(1), **change)
        assert put(database, forged) == Refused("bad_signature"), change


def test_without_the_key_of_its_origin_a_record_waits(database: Database) -> None:
    assert database.offer(links(1), age_s=0, public_key=None, now=0) == Waiting()
    assert len(database) == 0


def test_equal_numbers_with_other_content_are_kept_as_proof(database: Database) -> None:
    one, other = links(1, body=b"one"), links(1, body=b"other")
    winner, loser = sorted((one, other), key=rank, reverse=True)
    put(database, loser)
    assert put(database, winner) == Equivocation(winner, loser, news=True)
    assert put(database, loser) == Equivocation(winner, loser, news=False)
    assert database.get(X.node_id, RecordKind.LINKS) == winner
    assert database.proofs == {winner.slot: (winner, loser)}


def test_equivocation_needs_two_right_signatures(database: Database) -> None:
    put(database, links(1, body=b"one"))
    forged = msgspec.structs.replace(links(1, body=b"other"), signature=bytes(64))
    assert put(database, forged) == Refused("bad_signature")
    assert database.proofs == {}


def test_two_signatures_of_one_content_are_ordered_and_no_proof() -> None:
    database = Database(mesh=MESH, me=ME.node_id, verify=lambda *_: True, config=RecordsConfig())
    pair = [msgspec.structs.replace(links(1), signature=bytes([n]) * 64) for n in (1, 2)]
    loser, winner = sorted(pair, key=rank)
    put(database, loser)
    assert put(database, winner) == Accepted(loser)
    assert put(database, loser) == Older(winner)
    assert database.proofs == {}


def test_proofs_are_bounded(database: Database) -> None:
    for number in range(PROOFS_MAX + 5):
        key = FakeKey(f"liar {number}")
        for body in (b"one", b"other"):
            put(database, signed(key, RecordKind.LINKS, body), key=key)
    assert len(database.proofs) == PROOFS_MAX


def test_ages_are_only_added(database: Database) -> None:
    put(database, links(1), age_s=100, now=50)
    assert database.aged(links(1), now=60).age_s == 110
    put(database, links(1), age_s=0, now=70)
    assert database.aged(links(1), now=70).age_s == 120
    assert database.aged(links(1), now=0).age_s >= 0
    assert database.aged(signed(Y, FACT, b""), now=70).age_s == 0


def test_a_record_is_dropped_at_the_age_of_900_s(database: Database) -> None:
    put(database, links(1), age_s=100, now=0)
    fact = signed(X, RecordKind.CLAIM, b"mine", slot=b"k")
    put(database, fact, now=0)
    assert database.next_deadline() == 800
    assert database.expire(now=799.9) == []
    assert database.expire(now=800) == [links(1)]
    assert list(database) == [fact]
    assert database.next_deadline() is None
    assert database.expire(now=1e9) == []


def test_expiry_looks_again_when_the_next_is_due(database: Database) -> None:
    put(database, links(1), age_s=100, now=0)
    put(database, signed(X, FACT, b"fact"), now=0)
    put(database, links(2), age_s=0, now=50)
    assert database.expire(now=800) == []
    assert database.next_deadline() == 900
    assert [record.kind for record in database.expire(now=900)] == [FACT]
    assert database.next_deadline() == 950


def test_expiry_takes_each_record_in_its_time(database: Database) -> None:
    for number, now in enumerate((0, 100, 300, 200)):
        put(database, signed(X, FACT, b"", slot=bytes([number])), now=now)
    for number, now in ((0, 900), (1, 1000), (3, 1100), (2, 1200)):
        assert database.next_deadline() == now
        assert [record.key[0] for record in database.expire(now=now)] == [number]
    assert database.next_deadline() is None


def test_a_record_too_old_on_arrival_is_refused(database: Database) -> None:
    assert put(database, links(1), age_s=900) == Refused("too_old")
    assert put(database, signed(X, RecordKind.VOTE, b"v"), age_s=1e8) == Accepted(None)


def test_five_changes_a_second_are_taken_and_no_more(database: Database) -> None:
    for sequence in range(1, CHANGES_PER_S + 1):
        assert isinstance(put(database, links(sequence)), Accepted)
    verdict = put(database, links(99))
    assert verdict == TooOften(1 / CHANGES_PER_S)
    assert isinstance(verdict, TooOften)
    assert put(database, links(99), now=verdict.until) == Accepted(links(CHANGES_PER_S))


def test_a_forger_does_not_use_up_the_budget(database: Database) -> None:
    put(database, links(1))
    for sequence in range(2, 50):
        forged = msgspec.structs.replace(links(sequence), signature=bytes(64))
        assert put(database, forged) == Refused("bad_signature")
    assert isinstance(put(database, links(50)), Accepted)


def test_small_facts_share_64_keys_and_16_kib(database: Database) -> None:
    for number in range(KEYS_PER_ORIGIN_MAX):
        assert isinstance(put(database, signed(X, FACT, b"x", slot=bytes([number]))), Accepted)
    assert put(database, signed(X, FACT, b"x", slot=b"more")) == Refused("too_many_keys")
    replaced = signed(X, FACT, bytes(16 * 1024 - 63), slot=b"\0", sequence=2)
    assert isinstance(put(database, replaced), Accepted)
    one_more = signed(X, FACT, b"xx", slot=b"\1", sequence=2)
    assert put(database, one_more) == Refused("too_many_bytes")
    assert isinstance(put(database, links(1)), Accepted), "links have a place of their own"
    assert isinstance(put(database, signed(Y, FACT, b"x"), key=Y), Accepted)


def test_facts_that_expired_leave_room(database: Database) -> None:
    put(database, signed(X, FACT, bytes(16 * 1024), slot=b"a"))
    assert put(database, signed(X, FACT, b"x", slot=b"b")) == Refused("too_many_bytes")
    put(database, signed(X, RecordKind.EVIDENCE, b"", slot=b"c"))
    assert len(database.expire(now=900)) == 1
    assert isinstance(put(database, signed(X, FACT, b"x", slot=b"b"), now=900), Accepted)


@pytest.mark.parametrize("kind", [RecordKind.INTRODUCTION, RecordKind.LINKS, RecordKind.FAREWELL])
def test_there_is_one_introduction_links_and_farewell_of_an_origin(
    database: Database, kind: int
) -> None:
    assert put(database, signed(X, kind, b"", slot=b"k")) == Refused("key_not_allowed")


def test_kinds_are_listed_in_the_order_in_which_they_came(database: Database) -> None:
    put(database, signed(Y, FACT, b"y"), key=Y)
    put(database, links(1))
    put(database, signed(X, FACT, b"x"))
    put(database, signed(Y, FACT, b"z", sequence=2), key=Y)
    assert [record.body for record in database.of_kind(FACT)] == [b"z", b"x"]


def test_own_records_have_no_budget(database: Database) -> None:
    for sequence in range(1, 50):
        database.keep_own(signed(ME, RecordKind.LINKS, b"", sequence=sequence), now=0)
    kept = database.get(ME.node_id, RecordKind.LINKS)
    assert kept is not None
    assert kept.sequence == 49
    assert database.rank_of(kept.slot) == rank(kept)
    assert database.rank_of(links(1).slot) is None
    earlier = signed(ME, RecordKind.LINKS, b"", epoch=1)
    assert put(database, earlier, key=ME) == Older(kept)
    assert isinstance(
        put(database, signed(ME, RecordKind.LINKS, b"", epoch=1 << 63), key=ME), Accepted
    )


def test_an_origin_speaks_from_afar_by_farewell_or_lasting_facts(database: Database) -> None:
    put(database, links(1))
    put(database, signed(X, FACT, b""))
    assert not database.speaks_from_afar(X.node_id)
    put(database, signed(X, RecordKind.VOTE, b""))
    assert database.speaks_from_afar(X.node_id)
    put(database, signed(Y, RecordKind.FAREWELL, b""), key=Y)
    assert database.speaks_from_afar(Y.node_id)
