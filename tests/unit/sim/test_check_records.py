"""Records only get newer, end in time, and are all that routes are made of; programs leave rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mreza.config.mesh import MeshConfig
from mreza.config.records import RecordsConfig
from mreza.sim.check_records import Edges, Newest, Rest
from mreza.sim.checker import Checker, CheckFailed
from mreza.sim.ledger import Ledger
from mreza.sim.world import World
from mreza.wire.records import Record, RecordKind


@pytest.fixture
def world() -> World:
    world = World(seed=5, config=MeshConfig(records=RecordsConfig(refresh_s=5, max_age_s=12)))
    world.line("a", "b", "c")
    world.run_until(world.agree, within_s=10)
    world.run(seconds=2)
    return world


def watched(world: World, checker: Checker, seconds: float) -> None:
    """Let time pass under the eyes of a checker."""
    end = world.now + seconds
    while world.step(until=end):
        checker.step(world)


@pytest.mark.parametrize("make", [Newest, Edges, Rest])
def test_a_mesh_whose_nodes_come_and_go_gives_no_cause(
    world: World, make: Callable[[World, Ledger], Checker]
) -> None:
    checker = make(world, Ledger())
    world.crash("c")
    watched(world, checker, 20)
    world.restart("c")
    watched(world, checker, 20)
    checker.finish(world)


def test_going_back_to_an_older_record_is_noticed(world: World) -> None:
    checker = Newest(world, Ledger())
    a, b = world.nodes["a"], world.nodes["b"]
    database = a.core.control.database
    old = database.get(b.id, RecordKind.LINKS)
    assert old is not None
    watched(world, checker, 8)
    database._keep(old, age_s=0.0, now=a.clock.monotonic())
    with pytest.raises(CheckFailed, match=r"a went back from version 1\.\d+ of a record of kind 2"):
        checker.finish(world)


def test_a_record_that_outlives_its_time_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    checker = Newest(world, Ledger())
    database = world.nodes["a"].core.control.database

    def keep(*, now: float) -> list[Record]:
        database._next_expiry = None
        return []

    monkeypatch.setattr(database, "expire", keep)
    world.crash("c")
    with pytest.raises(CheckFailed, match=r"a holds a record of kind \d of c for 1\d\.\d s; it li"):
        watched(world, checker, 30)


def test_an_edge_that_only_one_end_signed_is_noticed(world: World) -> None:
    checker = Edges(world, Ledger())
    checker.finish(world)
    a, c = world.nodes["a"], world.nodes["c"]
    weights = a.core.control.computation.graph._weights
    weights.setdefault(a.id, {})[c.id] = 1
    with pytest.raises(CheckFailed, match="a has an edge from a to c, which a has not signed"):
        checker.finish(world)


def test_an_edge_of_a_node_without_records_is_noticed(world: World) -> None:
    a, c = world.nodes["a"], world.nodes["c"]
    record = a.core.control.database.get(c.id, RecordKind.LINKS)
    assert record is not None
    a.core.control.database._remove(record.slot)
    with pytest.raises(CheckFailed, match="which c has not signed"):
        Edges(world, Ledger()).finish(world)


def test_what_is_left_of_programs_is_noticed(world: World) -> None:
    checker = Rest(world, Ledger())
    world.nodes["c"].freeze()
    world.nodes["a"].send("c", "hello")
    world.run(seconds=0.1)
    with pytest.raises(CheckFailed, match=r"a still has \d+ bytes in outboxes; expected: none"):
        checker.finish(world)
    world.nodes["c"].thaw()
    world.run(seconds=5)
    checker.finish(world)
    world.nodes["a"].call("nobody-offers-this", 1)
    with pytest.raises(CheckFailed, match="a still has 1 calls without an outcome"):
        checker.finish(world)
