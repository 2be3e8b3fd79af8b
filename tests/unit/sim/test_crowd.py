"""The other members that only one node hears of, and what a node pays for them."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks.scale import Paid, frames, measure, table
from mreza.routing.graph import Graph
from mreza.sim.crowd import Crowd
from mreza.sim.trust import Trust
from mreza.wire.records import (
    INTRODUCTION,
    LINKS,
    RECORDS,
    RECORDS_FRAME_MAX,
    Record,
    RecordKind,
)

WALL = 1_800_000_000.0


@pytest.fixture
def crowd() -> Crowd:
    rng = Random(5)  # noqa: S311 - a seeded mesh
    trust = Trust(rng=rng, wall=WALL)
    return Crowd(40, me=trust.identity(), trust=trust, rng=rng, degree=6)


def graph_of(records: list[Record], crowd: Crowd) -> Graph:
    graph = Graph()
    graph.set_links(crowd.me.id, crowd.me.costs.items())
    for record in records:
        if record.kind == RecordKind.LINKS:
            links = LINKS.decode(record.body).links
            graph.set_links(record.origin, [(entry.peer, entry.cost) for entry in links])
    return graph


def test_everybody_is_introduced_and_linked_on_both_sides(crowd: Crowd) -> None:
    records = list(crowd.everything())
    introduced = {r.origin for r in records if r.kind == RecordKind.INTRODUCTION}
    assert introduced == set(crowd.nodes)
    graph = graph_of(records, crowd)
    for other in crowd.nodes.values():
        assert set(graph.neighbors(other.id)) == set(other.costs)
        assert len(other.costs) >= 6
    names = {INTRODUCTION.decode(r.body).name for r in records if r.kind == RecordKind.INTRODUCTION}
    assert len(names) == 40


def test_who_leaves_is_listed_no_more_and_who_joins_is(crowd: Crowd) -> None:
    neighbors = set(crowd.me.costs)
    known = {record.slot: record for record in crowd.everything()}
    before = set(crowd.nodes)
    left = crowd.leave()
    known.update((record.slot, record) for record in left)
    (gone,) = before - set(crowd.nodes)
    assert left[0].kind == RecordKind.FAREWELL
    assert gone not in neighbors
    joined = crowd.join()
    known.update((record.slot, record) for record in joined)
    (new,) = set(crowd.nodes) - before
    graph = graph_of(list(known.values()), crowd)
    assert graph.neighbors(gone) == ()
    assert len(graph.neighbors(new)) == 6


def test_each_statement_is_newer_than_the_one_before(crowd: Crowd) -> None:
    versions: dict[object, tuple[int, int]] = {}
    happened = [crowd.refresh, crowd.change_cost, crowd.refresh] * 20
    for record in [record for what in happened for record in what()]:
        assert record.version > versions.get(record.slot, (0, 0))
        versions[record.slot] = record.version


def test_frames_are_as_full_as_they_may_be(crowd: Crowd) -> None:
    bodies = list(frames(crowd.everything()))
    assert len(bodies) > 1
    assert all(len(body) <= RECORDS_FRAME_MAX for body in bodies)
    assert sum(len(RECORDS.decode(body).records) for body in bodies) == 80


def test_a_node_reaches_all_of_a_mesh_that_it_is_fed_and_pays_for_what_happens() -> None:
    small = measure(16, seconds=300.0)
    large = measure(60, seconds=300.0)
    assert large.records_s > small.records_s > 0
    assert large.in_kb_s > small.in_kb_s > 0
    assert large.out_kb_s > 0
    assert 0 < large.cpu < 1


def test_the_table_has_a_row_for_each_size() -> None:
    row = Paid(1000, 1.0, 0.013, 81.4, 72.4, 14.3, 0.47, 16.5)
    assert table([row]).splitlines()[2] == (
        "| 1,000 | 1.3% | 81.4 | 72.4 | 14.3 | 0.47 | 16 | 1.0 |"
    )
