from __future__ import annotations

from random import Random

from mreza.config.records import RecordsConfig
from mreza.ids import NodeId
from mreza.records.database import Database
from mreza.records.sync import ENTRIES_PER_PAGE, Push, Reconciliation, SendDigest
from mreza.wire.records import DIGEST, DigestBody, Record, RecordKind
from tests.support.control_world import MESH, FakeKey, signed

PEER = NodeId(bytes(15) + b"p")
ME = NodeId(bytes(16))
X, Y = sorted((FakeKey("x"), FakeKey("y")), key=lambda key: key.node_id)


class Side:
    """A database, its reconciliation, and whom it can reach."""

    def __init__(self, *records: Record) -> None:
        self.unreachable: list[NodeId] = []
        self.database = Database(mesh=MESH, me=ME, verify=lambda *_: True, config=RecordsConfig())
        self.sync = Reconciliation(
            database=self.database,
            reachable=lambda node: node not in self.unreachable,
            config=RecordsConfig(),
            rng=Random(1),  # noqa: S311
        )
        for record in records:
            self.take(record)

    def take(self, record: Record, *, now: float = 0.0) -> None:
        self.database.offer(record, age_s=0, public_key=b"k", now=now)


def exchange(one: Side, other: Side, *, now: float = 0.0) -> list[int]:
    """Carry digests and records until nothing moves; returns the number of frames each way."""
    frames = [0, 0]
    for turn in range(100):
        near, far, index = (one, other, 0) if turn % 2 == 0 else (other, one, 1)
        for effect in near.sync.drain():
            frames[index] += 1
            match effect:
                case SendDigest(_, body):
                    assert len(DIGEST.encode(body)) <= 60 * 1024
                    far.sync.receive(PEER, body, now=now)
                case Push(_, records):
                    for record in records:
                        far.take(record, now=now)
    assert not one.sync.drain()
    assert not other.sync.drain()
    return frames


def meet(one: Side, other: Side, *, now: float = 0.0) -> list[int]:
    one.sync.link_up(PEER, now=now)
    other.sync.link_up(PEER, now=now)
    return exchange(one, other, now=now)


def content(side: Side) -> dict[object, Record]:
    return {record.slot: record for record in side.database}


def links(key: FakeKey, sequence: int = 1, body: bytes = b"") -> Record:
    return signed(key, RecordKind.LINKS, body, sequence=sequence)


def test_equal_databases_cost_one_small_frame_each_way() -> None:
    one, other = Side(links(X), links(Y)), Side(links(Y), links(X))
    assert meet(one, other) == [1, 1]


def test_each_gets_what_it_lacks_and_the_newer_of_both() -> None:
    one = Side(links(X, 5), links(Y, 1), signed(X, 77, b"fact"))
    other = Side(links(X, 3), links(Y, 9), signed(Y, 88, b"other"))
    meet(one, other)
    assert content(one) == content(other)
    assert {record.version[1] for record in one.database} == {1, 5, 9}


def test_equal_numbers_with_other_content_end_alike() -> None:
    one, other = Side(links(X, 1, b"a")), Side(links(X, 1, b"b"))
    meet(one, other)
    assert content(one) == content(other)


def test_pages_cut_large_databases_between_origins() -> None:
    keys = [FakeKey(f"n{number}") for number in range(ENTRIES_PER_PAGE)]
    records = [links(key) for key in keys] + [signed(key, 77, b"") for key in keys]
    one, other = Side(*records), Side(*records[:100])
    pages = one.sync.pages()
    assert len(pages) == 2
    assert pages[0].high == pages[1].low != b""
    assert pages[0].low == pages[1].high == b""
    origins = [{entry.origin for entry in page.entries or ()} for page in pages]
    assert not origins[0] & origins[1]
    meet(one, other)
    assert content(one) == content(other)


def test_records_of_the_unreachable_are_kept_and_not_offered() -> None:
    one, other = Side(links(X), links(Y)), Side()
    one.unreachable = [X.node_id]
    meet(one, other)
    assert list(other.database) == [links(Y)]
    assert len(one.database) == 2
    assert one.sync.summary() == other.sync.summary()


def test_a_farewell_is_offered_with_the_introduction_that_proves_it() -> None:
    introduction = signed(X, RecordKind.INTRODUCTION, b"")
    farewell = signed(X, RecordKind.FAREWELL, b"")
    one, other = Side(introduction, links(X), farewell), Side()
    one.unreachable = other.unreachable = [X.node_id]
    meet(one, other)
    assert sorted(record.kind for record in other.database) == [1, 3]


def test_who_offers_an_older_record_of_somebody_we_lost_gets_ours() -> None:
    one, other = Side(links(X, 9)), Side(links(X, 1))
    one.unreachable = [X.node_id]
    meet(one, other)
    assert content(other) == {links(X).slot: links(X, 9)}


def test_who_lost_somebody_gets_the_newer_record_from_who_did_not() -> None:
    one, other = Side(links(X, 1)), Side(links(X, 9))
    one.unreachable = [X.node_id]
    meet(one, other)
    assert content(one) == {links(X).slot: links(X, 9)}


def test_digests_are_repeated_and_heal_what_a_flood_missed() -> None:
    one, other = Side(links(X)), Side(links(X))
    meet(one, other)
    one.take(links(Y))
    due = one.sync.next_deadline()
    assert due is not None
    assert 22.5 <= due <= 37.5
    one.sync.advance(now=due - 0.001)
    assert one.sync.drain() == []
    one.sync.advance(now=due)
    exchange(one, other, now=due)
    assert content(one) == content(other)


def test_after_a_dropped_frame_the_next_digest_comes_soon() -> None:
    side = Side(links(X))
    side.sync.link_up(PEER, now=0)
    side.sync.missed(PEER, now=0)
    assert side.sync.next_deadline() == 1.0
    side.sync.link_down(PEER)
    side.sync.link_down(PEER)
    side.sync.missed(PEER, now=0)
    assert side.sync.next_deadline() is None


def test_pages_are_sent_at_most_once_a_second_to_one_peer() -> None:
    one, other = Side(links(X)), Side(links(Y))
    one.sync.link_up(PEER, now=0)
    one.sync.drain()
    summary = next(e.body for e in _summaries(other) if isinstance(e, SendDigest))
    for now, frames in ((0.0, 1), (0.9, 0), (1.0, 1)):
        one.sync.receive(PEER, summary, now=now)
        assert len(one.sync.drain()) == frames
    one.sync.link_down(PEER)
    one.sync.receive(PEER, summary, now=9)
    assert one.sync.drain() == []


def _summaries(side: Side) -> list[SendDigest | Push]:
    side.sync.link_up(PEER, now=0)
    return side.sync.drain()


def test_a_page_says_nothing_about_other_origins() -> None:
    side = Side(links(X), links(Y))
    side.sync.link_up(PEER, now=0)
    side.sync.drain()
    page = side.sync.pages(low=bytes(X.node_id), high=bytes(Y.node_id))[0]
    assert [entry.origin for entry in page.entries or ()] == [X.node_id]
    empty = Side().sync.pages(low=bytes(X.node_id), high=bytes(Y.node_id))[0]
    side.sync.receive(PEER, empty, now=0)
    assert side.sync.drain() == [Push(PEER, (links(X),))]


def test_a_peer_that_asks_again_and_again_costs_no_more_than_its_share() -> None:
    side = Side(*(links(FakeKey(f"node {number}")) for number in range(100)))
    side.sync.link_up(PEER, now=0.0)
    side.sync.drain()
    ask = DigestBody(b"", entries=())
    for _ in range(10):
        side.sync.receive(PEER, ask, now=0.0)
    (push,) = side.sync.drain()
    assert isinstance(push, Push)
    assert len(push.records) == 100, "what is on its way is not sent again"
    for _ in range(1000):
        side.sync.receive(PEER, ask, now=0.5)
    side.sync.receive(PEER, DigestBody(b"other"), now=0.5)
    assert not side.sync.drain(), "it has asked too often"
    side.sync.receive(PEER, ask, now=1.5)
    assert len(side.sync.drain()) == 1
    side.sync.receive(ME, ask, now=1.5)
    assert not side.sync.drain(), "not a peer of ours"


def test_who_met_us_while_an_origin_was_out_of_reach_gets_its_records_later() -> None:
    introduction = signed(X, RecordKind.INTRODUCTION, b"")
    one = Side(introduction, links(X))
    one.unreachable.append(X.node_id)
    one.sync.introduced(X.node_id, now=1.0)
    one.sync.link_up(PEER, now=2.0)
    assert [type(effect) for effect in one.sync.drain()] == [SendDigest]
    one.unreachable.clear()
    one.sync.reachability_changed(now=3.0)
    (push,) = one.sync.drain()
    assert isinstance(push, Push)
    assert push.records == (introduction, links(X))
    one.sync.reachability_changed(now=4.0)
    assert not one.sync.drain()


def test_who_knew_us_before_an_origin_was_out_of_reach_needs_nothing() -> None:
    one = Side(signed(X, RecordKind.INTRODUCTION, b""))
    one.sync.link_up(PEER, now=0.0)
    one.sync.drain()
    one.unreachable.append(X.node_id)
    one.sync.reachability_changed(now=1.0)
    one.unreachable.clear()
    one.sync.reachability_changed(now=2.0)
    assert not one.sync.drain()
