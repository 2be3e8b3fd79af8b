"""Every kind of fault breaks what it says, overlaps with its like, and mends in the end."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from mreza.sim.faults import Fault, Faults, draw
from mreza.sim.plan import KINDS, FaultPlan
from mreza.sim.world import World

NODES = ("a", "b", "c", "d")
LINKS = (("a", "b"), ("b", "c"), ("c", "d"))


@pytest.fixture
def world() -> World:
    world = World(seed=3)
    world.line(*NODES)
    world.run_until(world.agree, within_s=10)
    return world


def fault(kind: str, *, for_s: float = 0.0, amount: float = 0.0) -> Fault:
    targets = {"node": ("b",), "link": ("b", "c"), "side": ("a", "b")}[KINDS[kind].targets]
    return Fault(0.0, kind, targets, for_s, amount)


def link_up(world: World) -> bool:
    return world.links["b", "c"].up


BROKEN: dict[str, Callable[[World], bool]] = {
    "crash": lambda w: not w.nodes["b"].alive,
    "bounce": lambda w: w.nodes["b"].life == 2,
    "freeze": lambda w: w.nodes["b"].frozen,
    "lag": lambda w: w.nodes["b"].lag_s == 0.5,
    "skew": lambda w: w.nodes["b"].clock.rate == 0.5,
    "jump": lambda w: w.nodes["b"].clock.wall() != w.wall,
    "disk_full": lambda w: w.nodes["b"].disk.full,
    "restore": lambda w: w.nodes["b"].life == 2,
    "clone": lambda w: "b-copy" in w.nodes,
    "leave": lambda w: not w.nodes["b"].alive,
    "cut": lambda w: not link_up(w),
    "cut_oneway": lambda w: not link_up(w),
    "reset": lambda w: w.links["b", "c"].generation > 1,
    "flap": lambda w: w.links["b", "c"].generation > 1 or not link_up(w),
    "clog": lambda w: bool(w.links["b", "c"].ways[0].clogs) and link_up(w),
    "slow": lambda w: w.links["b", "c"].ways[0].bytes_per_s == 0.5,
    "lose": lambda w: w.links["b", "c"].loss == 0.5,
    "double": lambda w: w.links["b", "c"].ways[0].duplicate == 0.5,
    "delay": lambda w: w.links["b", "c"].ways[0].extra_s == 0.5,
    "partition": lambda w: not link_up(w),
    "partition_oneway": lambda w: not link_up(w),
    "swizzle": lambda w: not link_up(w),
}


def test_every_kind_is_known_and_tested() -> None:
    assert set(BROKEN) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_breaks_and_mends(kind: str, world: World) -> None:
    faults = Faults(world, (fault(kind, amount=0.5),))
    faults.start()
    world.run(seconds=8)
    assert BROKEN[kind](world)
    faults.end()
    world.run_until(world.agree, within_s=60)
    world.run(seconds=1)
    node, link = world.nodes["b"], world.links["b", "c"]
    assert (node.alive, node.frozen, node.lag_s, node.clock.rate, node.disk.full) == (
        *(True, False, 0.0, 1.0, False),
    )
    assert link.up
    assert not any(way.blocks or way.clogs or way.extra_s for way in link.ways)
    assert (link.loss, link.ways[0].bytes_per_s, link.ways[0].duplicate) == (0.0, 0.0, 0.0)
    assert "b-copy" not in world.nodes


def test_a_fault_holds_as_long_as_it_says(world: World) -> None:
    Faults(world, (fault("cut", for_s=5.0),)).start()
    world.run(seconds=4.9)
    assert not link_up(world)
    world.run(seconds=3)
    assert link_up(world)


def test_of_faults_that_overlap_the_last_one_mends(world: World) -> None:
    faults = Faults(world, ())
    faults.apply(fault("freeze", for_s=4.0))
    faults.apply(fault("freeze", for_s=2.0))
    faults.apply(fault("delay", for_s=4.0, amount=0.1))
    faults.apply(fault("delay", for_s=2.0, amount=0.2))
    way = world.links["b", "c"].ways[0]
    assert way.extra_s == pytest.approx(0.3)
    world.run(seconds=3)
    assert world.nodes["b"].frozen
    assert way.extra_s == pytest.approx(0.1)
    world.run(seconds=2)
    assert (world.nodes["b"].undisturbed_since < world.now, way.extra_s) == (True, 0.0)


def test_faults_of_nodes_that_are_not_there_are_left_out(world: World) -> None:
    Faults(world, (Fault(0.0, "crash", ("z",)), Fault(0.0, "cut", ("a", "z")))).start()
    world.run(seconds=1)
    assert world.agree()


def test_the_same_seed_draws_the_same_faults_in_order_and_in_bounds() -> None:
    plan = FaultPlan(every_s=0.5, for_s=(1.0, 2.0), kinds=dict.fromkeys(KINDS, 1.0))

    def drawn(seed: int) -> tuple[Fault, ...]:
        rng = Random(seed)  # noqa: S311
        return draw(rng, nodes=NODES, links=LINKS, plan=plan, seconds=200)

    schedule = drawn(1)
    assert schedule == drawn(1) != drawn(2)
    assert 300 < len(schedule) < 500
    assert {one.kind for one in schedule} == set(KINDS)
    assert [one.at_s for one in schedule] == sorted(one.at_s for one in schedule)
    for one in schedule:
        low, high = KINDS[one.kind].amount or (0.0, 0.0)
        assert low <= one.amount <= high
        assert 1.0 <= one.for_s <= 2.0
        assert set(one.targets) < set(NODES)


def test_without_links_or_kinds_nothing_is_drawn() -> None:
    rng = Random(1)  # noqa: S311
    cut = FaultPlan(kinds={"cut": 1.0, "partition": 1.0})
    assert draw(rng, nodes=("a",), links=(), plan=cut, seconds=100) == ()
    assert draw(rng, nodes=NODES, links=LINKS, plan=FaultPlan(), seconds=100) == ()
    never = FaultPlan(every_s=0.0, kinds={"crash": 1.0})
    assert draw(rng, nodes=NODES, links=LINKS, plan=never, seconds=100) == ()
