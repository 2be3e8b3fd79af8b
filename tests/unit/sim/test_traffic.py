"""Programs talk in conversations, ask for work and wait for receipts; the ledger has it all."""

from __future__ import annotations

from collections import Counter
from random import Random

from mreza.qos import Delivery
from mreza.sim.plan import TrafficPlan
from mreza.sim.traffic import Traffic
from mreza.sim.world import World


def talked(plan: TrafficPlan, *, seconds: float = 30.0, seed: int = 3) -> tuple[World, Traffic]:
    world = World(seed=1)
    world.line("a", "b", "c")
    world.run_until(world.agree, within_s=10)
    traffic = Traffic(world, plan, Random(seed))  # noqa: S311 - a seeded world
    traffic.start()
    world.run(seconds=seconds)
    traffic.stop()
    world.run(seconds=20)
    return world, traffic


def test_everything_that_is_promised_arrives_in_a_mesh_at_rest() -> None:
    _, traffic = talked(TrafficPlan(messages_per_s=20, at_most_once=0.0, cancel=0.0))
    ledger = traffic.ledger
    assert len(ledger.messages) > 300
    assert all(sent.handled_at is not None for sent in ledger.messages.values())
    assert len(ledger.calls) > 30
    for called in ledger.calls.values():
        assert called.outcome is not None
        assert called.outcome.error is None
        assert len(called.runs) == 1


def test_conversations_do_most_of_the_talking() -> None:
    _, traffic = talked(TrafficPlan(conversations=1, talkative=0.9, receipts=0.0, large=0.0))
    pairs = Counter((s.source, s.destination) for s in traffic.ledger.messages.values())
    assert pairs.most_common(1)[0][1] > 0.8 * pairs.total()


def test_the_plan_says_what_is_sent() -> None:
    plan = TrafficPlan(
        ordered=1.0, receipts=0.0, large=0.0, size_bytes=(5, 9), calls_per_s=0, high=0.0
    )
    _, traffic = talked(plan)
    assert not traffic.ledger.calls
    for sent in traffic.ledger.messages.values():
        assert sent.delivery is Delivery.ORDERED
        assert 5 <= sent.size <= 9
        assert sent.priority == 1


def test_all_messages_can_want_receipts_and_some_calls_are_given_up() -> None:
    _, traffic = talked(TrafficPlan(receipts=1.0, cancel=1.0, calls_per_s=4))
    assert not traffic.ledger.messages
    kinds = Counter(bool(called.destination) for called in traffic.ledger.calls.values())
    assert kinds[True] > 100
    given_up = [called for called in traffic.ledger.calls.values() if called.cancelled]
    assert given_up
    assert all(called.outcome is None for called in given_up)


def test_large_messages_arrive_whole() -> None:
    _, traffic = talked(TrafficPlan(large=1.0, receipts=0.0, messages_per_s=4, at_most_once=0.0))
    sizes = [sent.size for sent in traffic.ledger.messages.values()]
    assert sizes
    assert min(sizes) >= 70_000
    assert all(sent.handled_at is not None for sent in traffic.ledger.messages.values())


def test_nothing_is_sent_by_who_is_dead_or_after_the_end() -> None:
    world, traffic = talked(TrafficPlan())
    count = len(traffic.ledger.messages) + len(traffic.ledger.calls)
    world.run(seconds=20)
    assert len(traffic.ledger.messages) + len(traffic.ledger.calls) == count
    for name in "abc":
        world.crash(name)
    traffic._on = True
    traffic._talk()
    world.run(seconds=1)
    assert len(traffic.ledger.messages) + len(traffic.ledger.calls) == count
