from __future__ import annotations

from random import Random

import pytest

from mreza.config.records import RecordsConfig
from mreza.errors import DecodeError
from mreza.ids import NodeId
from mreza.planes.effects import SendFrame
from mreza.planes.spreading import Spreading
from mreza.records.database import Database, Older, Same
from mreza.wire.frame import FrameType
from mreza.wire.records import INTRODUCTION, RECORDS, Record, RecordKind
from tests.support.control_world import MESH, FakeKey, fake_verify, introduction, signed

ME, PEER, OTHER = (NodeId(bytes([number]) * 16) for number in range(1, 4))
KEY = FakeKey("origin")
RECORD = signed(KEY, RecordKind.INTRODUCTION, INTRODUCTION.encode(introduction(KEY)))
NEWER = signed(KEY, RecordKind.INTRODUCTION, INTRODUCTION.encode(introduction(KEY)), sequence=2)


@pytest.fixture
def spreading() -> Spreading:
    config = RecordsConfig()
    database = Database(mesh=MESH, me=ME, verify=fake_verify, config=config)
    for record in (RECORD, NEWER):
        database.offer(record, age_s=0.0, public_key=KEY.public, now=0.0)
    made = Spreading(
        database=database,
        reachable=lambda _: True,
        config=config,
        rng=Random(1),  # noqa: S311
    )
    made.link_up(PEER, [], now=0.0)
    return made


def records(frames: list[SendFrame]) -> list[tuple[NodeId, Record]]:
    return [
        (frame.peer, aged.record)
        for frame in frames
        if frame.kind == FrameType.RECORDS
        for aged in RECORDS.decode(frame.body).records
    ]


def digests(frames: list[SendFrame]) -> list[NodeId]:
    return [frame.peer for frame in frames if frame.kind == FrameType.DIGEST]


def test_a_new_neighbor_gets_what_we_say_of_ourselves_and_is_compared_with(
    spreading: Spreading,
) -> None:
    spreading.frames(now=0.0)
    spreading.link_up(OTHER, [NEWER], now=1.0)
    frames = spreading.frames(now=1.0)
    assert records(frames) == [(OTHER, NEWER)]
    assert digests(frames) == [OTHER]
    assert spreading.frames(now=1.0) == []


def test_news_goes_to_all_neighbors_but_those_it_came_from(spreading: Spreading) -> None:
    spreading.link_up(OTHER, [], now=0.0)
    spreading.spread(RECORD, but_not=[PEER])
    assert records(spreading.frames(now=0.0)) == [(OTHER, RECORD)]


def test_who_sends_an_older_record_gets_ours(spreading: Spreading) -> None:
    spreading.answer(RECORD, PEER, Older(NEWER))
    spreading.answer(RECORD, None, Older(NEWER))
    assert records(spreading.frames(now=0.0)) == [(PEER, NEWER)]


def test_who_sends_what_waits_for_it_need_not_get_it(spreading: Spreading) -> None:
    spreading.spread(NEWER)
    spreading.answer(NEWER, PEER, Same())
    assert records(spreading.frames(now=0.0)) == []


def test_a_neighbor_that_missed_a_frame_is_compared_with_soon(spreading: Spreading) -> None:
    spreading.frames(now=0.0)
    spreading.missed(PEER, now=1.0)
    due_at = spreading.next_deadline()
    assert due_at is not None
    spreading.advance(now=due_at)
    assert digests(spreading.frames(now=due_at)) == [PEER]


def test_to_a_link_that_ended_nothing_goes(spreading: Spreading) -> None:
    spreading.frames(now=0.0)
    spreading.link_down(PEER)
    spreading.spread(NEWER)
    assert spreading.frames(now=0.0) == []
    assert spreading.next_deadline() is None


def test_a_malformed_digest_is_an_error_of_its_sender(spreading: Spreading) -> None:
    with pytest.raises(DecodeError):
        spreading.receive_digest(PEER, b"\xff", now=0.0)
