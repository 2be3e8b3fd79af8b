from __future__ import annotations

from functools import partial
from random import Random

import pytest

from mreza.config.records import RecordsConfig
from mreza.ids import make_epoch
from mreza.planes.own_records import OwnRecords
from mreza.wire.records import RecordKind
from tests.support.control_world import MESH, FakeKey, fake_verify

ME = FakeKey("me")
EPOCH = make_epoch(boot=3, random_bits=9)
LINKS, INTRODUCTION = RecordKind.LINKS, RecordKind.INTRODUCTION


@pytest.fixture
def own() -> OwnRecords:
    return OwnRecords(
        me=ME.node_id,
        mesh=MESH,
        epoch=EPOCH,
        sign=ME.sign,
        config=RecordsConfig(),
        rng=Random(1),  # noqa: S311
    )


def test_what_is_said_is_signed_once(own: OwnRecords) -> None:
    own.say(LINKS, lambda _: b"body", now=0.0)
    assert own.next_deadline() == 0.0
    (record,) = own.due(now=0.0)
    assert (record.origin, record.kind, record.key) == (ME.node_id, LINKS, b"")
    assert (record.epoch, record.sequence, record.body) == (EPOCH, 1, b"body")
    assert fake_verify(ME.public, record.signature, record.signed_bytes(MESH))
    assert own.due(now=0.0) == []


def test_it_is_signed_again_every_300_s_give_or_take_a_tenth(own: OwnRecords) -> None:
    own.say(LINKS, lambda now: str(now).encode(), now=0.0)
    own.due(now=0.0)
    gaps = []
    for _ in range(50):
        before = own.next_deadline()
        assert before is not None
        assert own.due(now=before - 0.001) == []
        (record,) = own.due(now=before)
        assert record.body == str(before).encode()
        after = own.next_deadline()
        assert after is not None
        gaps.append(after - before)
    assert 270 <= min(gaps) < 280
    assert 320 < max(gaps) <= 330


def _numbered(number: int, _now: float) -> bytes:
    return bytes([number])


def test_five_changes_a_second_then_coalesced(own: OwnRecords) -> None:
    signed = []
    for number in range(100):
        now = number / 100
        own.say(LINKS, partial(_numbered, number), now=now)
        signed += own.due(now=now)
    assert len(signed) == 9
    due = own.next_deadline()
    assert due is not None
    (last,) = own.due(now=due)
    assert last.body == bytes([99])
    assert last.sequence == 10


def test_a_new_epoch_says_everything_again_at_once(own: OwnRecords) -> None:
    own.say(LINKS, lambda _: b"l", now=0.0)
    own.say(INTRODUCTION, lambda _: b"i", now=0.0)
    for _ in range(5):
        own.say(LINKS, lambda _: b"l", now=0.0)
        own.due(now=0.0)
    own.raise_epoch(EPOCH + 1, now=0.0)
    records = own.due(now=0.0)
    assert [(r.kind, r.epoch, r.sequence) for r in records] == [
        (LINKS, EPOCH + 1, 1),
        (INTRODUCTION, EPOCH + 1, 1),
    ]


def test_the_silent_sign_nothing(own: OwnRecords) -> None:
    assert own.due(now=0.0) == []
    own.say(LINKS, lambda _: b"", now=0.0)
    own.fall_silent()
    assert own.next_deadline() is None
    own.say(LINKS, lambda _: b"", now=1.0)
    assert own.due(now=1.0) == []
    assert own.next_deadline() is None
