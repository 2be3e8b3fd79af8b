"""Each checker fails when what it watches over is broken, and says where."""

from __future__ import annotations

import pytest

from mreza.errors import WorkerLost
from mreza.planes.effects import Resolve
from mreza.qos import Delivery
from mreza.routing.spf import Route
from mreza.sim.check_messages import Calls, Messages, OneOwner
from mreza.sim.check_routes import Routes
from mreza.sim.check_state import Agreement, Bounds, database_difference
from mreza.sim.checker import Checker, CheckFailed
from mreza.sim.checkers import KNOWN
from mreza.sim.ledger import Called, Ledger, Sent, content_of
from mreza.sim.world import World


@pytest.fixture
def world() -> World:
    world = World(seed=5)
    world.line("a", "b", "c")
    world.run_until(world.agree, within_s=10)
    world.run(seconds=2)
    return world


def fails(checker: Checker, world: World, words: str, *, at_the_end: bool = False) -> None:
    with pytest.raises(CheckFailed, match=words):
        (checker.finish if at_the_end else checker.step)(world)


def sent(number: int, *, delivery: Delivery = Delivery.AT_LEAST_ONCE) -> Sent:
    return Sent(
        number=number,
        source="a",
        destination="b",
        delivery=delivery,
        priority=1,
        at=1001.0,
        life=1,
        size=4,
    )


def test_every_known_checker_holds_in_a_mesh_at_rest(world: World) -> None:
    for name, make in KNOWN.items():
        checker = make(world, Ledger())
        assert checker.name == name
        world.run(seconds=2)
        checker.step(world)
        checker.finish(world)


def test_a_node_that_is_not_seen_is_named(world: World) -> None:
    world.partition(["c"])
    world.run(seconds=12)
    fails(Agreement(world, Ledger()), world, "a does not see c", at_the_end=True)


def test_databases_that_differ_are_told_apart(world: World) -> None:
    nodes = world.living()
    assert database_difference(nodes) == ""
    assert database_difference([]) == ""
    database = nodes[2].core.control.database
    record = database.get(nodes[0].id, 2)
    assert record is not None
    database._remove(record.slot)
    assert "holds nothing" in database_difference(nodes)
    fails(Agreement(world, Ledger()), world, "equal databases", at_the_end=True)


def test_an_outbox_beyond_its_bound_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    checker = Bounds(world, Ledger())
    checker.step(world)
    monkeypatch.setattr(world.nodes["b"].core.data, "fullest", lambda: 1 << 40)
    world.run(seconds=2)
    fails(checker, world, "b: 1099511627776 bytes wait in an outbox")


def test_routes_in_a_circle_are_noticed(world: World) -> None:
    a, b, c = (world.nodes[name] for name in "abc")
    checker = Routes(world, Ledger())
    checker.step(world)
    paths = b.core.control.router._paths
    paths.routes[c.id] = Route(a.id, 1, 1)
    b.core.control.computation.computed += 1
    world.run(seconds=2)
    fails(checker, world, "comes back to")


def test_a_message_that_never_came_is_lost_unless_its_sender_died(world: World) -> None:
    ledger = Ledger()
    checker = Messages(world, ledger)
    ledger.messages[1] = sent(1)
    ledger.messages[2] = sent(2, delivery=Delivery.AT_MOST_ONCE)
    fails(checker, world, "message 1 of a to b, sent at 1.000000 s, was never", at_the_end=True)
    world.bounce("a")
    checker.finish(world)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [((1, 1), "message 1 twice"), ((2, 1), "after 2"), ((9,), "which nobody sent")],
)
def test_what_a_handler_must_not_see_is_noticed(
    world: World, numbers: tuple[int, ...], words: str
) -> None:
    ledger = Ledger()
    checker = Messages(world, ledger)
    for number in (1, 2):
        ledger.messages[number] = sent(number, delivery=Delivery.ORDERED)
    for number in numbers:
        world.nodes["a"].send("b", [number, content_of(number, 4)])
        world.run(seconds=1)
    fails(checker, world, words)


def called(**given: object) -> Called:
    facts: dict[str, object] = {
        "number": 1,
        "source": "a",
        "once": True,
        "at": 1001.0,
        "deadline": 1010.0,
        "life": 1,
    }
    return Called(**{**facts, **given})  # type: ignore[arg-type]


def lost(*, may_have_run: bool) -> Resolve:
    return Resolve(1, None, 1, error=WorkerLost("gone", may_have_run=may_have_run))


def test_work_that_ran_twice_is_noticed(world: World) -> None:
    ledger = Ledger()
    checker = Calls(world, ledger)
    for hear in ledger.hears_run:
        hear(called(runs=(("b", 1),)))
    checker.step(world)
    for hear in ledger.hears_run:
        hear(called(runs=(("b", 1), ("c", 1))))
    fails(checker, world, "must not run twice")


def test_a_call_without_an_outcome_is_noticed(world: World) -> None:
    ledger = Ledger()
    checker = Calls(world, ledger)
    ledger.calls[1] = called()
    fails(checker, world, "has no outcome", at_the_end=True)


@pytest.mark.parametrize(
    ("outcome", "runs", "words"),
    [
        (Resolve(1, None, 1, result=b"\x01"), (), "succeeded and never ran"),
        (Resolve(1, None, 1, result=b"\x02"), (("b", 1),), "result of another call"),
        (lost(may_have_run=False), (("b", 1),), "was told that it did not"),
    ],
)
def test_an_outcome_that_is_not_true_is_noticed(
    world: World, outcome: Resolve, runs: tuple[tuple[str, int], ...], words: str
) -> None:
    ledger = Ledger()
    checker = Calls(world, ledger)
    for hear in ledger.hears_outcome:
        hear(called(outcome=outcome, runs=runs, resolved_at=1002.0))
    fails(checker, world, words)


def test_two_owners_of_one_epoch_are_noticed(world: World) -> None:
    checker = OneOwner(world, Ledger())
    for claim in ((1, "a"), (1, "a"), (2, "b")):
        for hear in world.hears_claims:
            hear("work", 0, *claim)
        checker.step(world)
    world.hears_claims[0]("work", 0, 2, "c")
    fails(checker, world, "b and c both own work/0 in epoch 2")
