"""Laws of records: their order is total, and databases that exchanged are equal."""

from __future__ import annotations

import itertools
from random import Random

from hypothesis import given, settings, strategies as st

from mreza.config.records import RecordsConfig
from mreza.ids import NodeId
from mreza.records.database import Database, rank
from mreza.records.sync import Push, Reconciliation, SendDigest
from mreza.wire.records import DIGEST, Record, RecordKind
from tests.support.control_world import MESH, FakeKey, fake_verify, signed

KEYS = [FakeKey(name) for name in "wxyz"]
BY_ID = {key.node_id: key for key in KEYS}
ME = NodeId(bytes(16))
KINDS = [RecordKind.INTRODUCTION, RecordKind.LINKS, RecordKind.CLAIM, 77]


def records(*origins: FakeKey) -> st.SearchStrategy[Record]:
    return st.builds(
        lambda key, kind, epoch, sequence, body: signed(
            key, kind, body, epoch=epoch, sequence=sequence
        ),
        st.sampled_from(origins or KEYS),
        st.sampled_from(KINDS),
        st.integers(0, 2),
        st.integers(0, 2),
        st.binary(max_size=2),
    )


def of_one_slot() -> st.SearchStrategy[Record]:
    return records(KEYS[0]).map(
        lambda r: signed(KEYS[0], RecordKind.LINKS, r.body, epoch=r.epoch, sequence=r.sequence)
    )


def database() -> Database:
    return Database(mesh=MESH, me=ME, verify=fake_verify, config=RecordsConfig())


def put(into: Database, record: Record, *, now: float) -> None:
    key = BY_ID[record.origin]
    into.offer(record, age_s=0.0, public_key=key.public, now=now)


@given(of_one_slot(), of_one_slot())
def test_two_nodes_never_disagree_which_record_wins(a: Record, b: Record) -> None:
    kept = []
    for order in ((a, b), (b, a)):
        node = database()
        for record in order:
            put(node, record, now=0.0)
        kept.append(node.get(a.origin, a.kind))
    assert kept[0] == kept[1] == max(a, b, key=rank)


@given(of_one_slot(), of_one_slot(), of_one_slot())
def test_the_order_of_records_is_total(a: Record, b: Record, c: Record) -> None:
    assert (rank(a) == rank(b)) == (a == b)
    assert (rank(a) < rank(b)) + (rank(b) < rank(a)) + (a == b) == 1
    if rank(a) <= rank(b) <= rank(c):
        assert rank(a) <= rank(c)
    if a.version < b.version:
        assert rank(a) < rank(b), "newer beats older whatever the content"


@given(st.lists(of_one_slot(), max_size=6), st.randoms(use_true_random=False))
def test_every_order_of_arrival_ends_alike(arriving: list[Record], chance: Random) -> None:
    shuffled = list(arriving)
    chance.shuffle(shuffled)
    ends = []
    for order in (arriving, shuffled):
        node = database()
        for second, record in enumerate(order):
            put(node, record, now=float(second))
        ends.append(list(node))
    assert ends[0] == ends[1]


class Side:
    def __init__(self, holds: list[Record]) -> None:
        self.database = database()
        for second, record in enumerate(holds):
            put(self.database, record, now=float(second))
        self.sync = Reconciliation(
            database=self.database,
            reachable=lambda _: True,
            config=RecordsConfig(),
            rng=Random(1),  # noqa: S311
        )

    def content(self) -> dict[object, Record]:
        return {record.slot: record for record in self.database}


def exchange(sides: tuple[Side, Side], *, now: float) -> None:
    for side in sides:
        side.sync.link_up(ME, now=now)
    for _ in range(20):
        for near, far in (sides, sides[::-1]):
            for effect in near.sync.drain():
                match effect:
                    case SendDigest(_, body):
                        far.sync.receive(ME, DIGEST.decode(DIGEST.encode(body)), now=now)
                    case Push(_, pushed):
                        for record in pushed:
                            put(far.database, record, now=now)


@settings(deadline=None)
@given(st.lists(records(), max_size=12), st.lists(records(), max_size=12))
def test_databases_that_exchanged_are_equal(one: list[Record], other: list[Record]) -> None:
    sides = (Side(one), Side(other))
    exchange(sides, now=100.0)
    assert sides[0].content() == sides[1].content()
    assert sides[0].sync.summary() == sides[1].sync.summary()
    newest: dict[object, Record] = {}
    for record in itertools.chain(one, other):
        held = newest.get(record.slot)
        newest[record.slot] = record if held is None else max(held, record, key=rank)
    assert sides[0].content() == newest
