"""Work on bad days in virtual time: its worker dies, leaves or is cut off; nobody waits in vain."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from mreza.config.mesh import MeshConfig
from mreza.config.records import RecordsConfig
from mreza.errors import DeadlineExceeded, NoSuchProcess, WorkerLost
from mreza.planes.effects import Resolve
from mreza.sim.node import SimNode
from mreza.sim.world import World
from mreza.wire.records import RecordKind

CALLS = 40


def farm(
    *workers: str, seed: int = 0, idempotent: bool = True, handler_s: float = 0.5
) -> tuple[World, SimNode, list[SimNode]]:
    """A requester `a`, linked to each worker; all know what is offered."""
    world = World(seed=seed)
    (a,) = world.add("a")
    nodes = world.add(*workers)
    for node in nodes:
        world.link("a", node.name)
        node.handler_s = handler_s
        node.process("work", lambda value: value, idempotent=idempotent)
    world.run_until(lambda: len(offering(a)) == len(workers), within_s=30)
    return world, a, nodes


def offering(node: SimNode, process: str = "work") -> tuple[str, ...]:
    ids = node.core.control.offering(process)
    return tuple(sorted(node.core.control.label_of(identity) for identity in ids))


def results(a: SimNode, calls: list[int]) -> list[int]:
    """What the calls returned; each must have succeeded."""
    found = [a.outcomes[call] for call in calls]
    errors = [e for e in (outcome.error or outcome.failure for outcome in found) if e is not None]
    assert not errors, errors[:3]
    return [msgspec.msgpack.decode(outcome.result) for outcome in found]


def error_of(outcome: Resolve) -> Exception:
    assert outcome.error is not None
    return outcome.error


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dies_after_s", [0.0, 0.004, 0.25, 0.502, 0.6, 1.2])
def test_idempotent_work_is_done_whenever_its_worker_dies(dies_after_s: float, seed: int) -> None:
    """Before the request has arrived, while it runs, and after it was answered but not heard."""
    world, a, (b, _) = farm("b", "c", seed=seed)
    calls = [a.call("work", number, timeout_s=60) for number in range(CALLS)]
    world.run(seconds=dies_after_s)
    world.crash("b")
    world.run(seconds=30)
    assert results(a, calls) == list(range(CALLS))
    assert not b.alive


@pytest.mark.parametrize("dies_after_s", [0.0, 0.004, 0.25, 0.502, 0.6, 1.2])
def test_other_work_has_a_result_or_a_lost_worker(dies_after_s: float) -> None:
    world, a, (b, c) = farm("b", "c", idempotent=False)
    calls = [a.call("work", number, timeout_s=60) for number in range(CALLS)]
    world.run(seconds=dies_after_s)
    world.crash("b")
    world.run(seconds=30)
    outcomes = [a.outcomes[call] for call in calls]
    lost = [outcome for outcome in outcomes if outcome.error is not None]
    assert lost
    for outcome in lost:
        error = error_of(outcome)
        assert isinstance(error, WorkerLost)
        assert outcome.node == b.id
    done = sum(outcome.error is None for outcome in outcomes)
    assert done + len(lost) == CALLS
    ran = Counter(c.served)
    assert all(times == 1 for times in ran.values()), "nothing ran twice"
    safe = [outcome for outcome in lost if not may_have_run(outcome)]
    assert not (safe and b.served), "may_have_run=False is never wrong"


def may_have_run(outcome: Resolve) -> bool:
    error = error_of(outcome)
    assert isinstance(error, WorkerLost)
    return error.may_have_run


@pytest.mark.parametrize("others", [(), ("c",)])
def test_what_was_not_sent_to_a_frozen_worker_did_not_run_there(others: tuple[str, ...]) -> None:
    """Its window fills; what waits behind it is never sent, and so is free to go elsewhere."""
    world, a, (b, *_) = farm("b", *others, idempotent=False, handler_s=0.1)
    b.freeze()
    payloads = [[number, "x" * 30_000] for number in range(CALLS)]
    calls = [a.call("work", payload, timeout_s=30) for payload in payloads]
    world.run(seconds=2)
    world.crash("b")
    world.run(seconds=40)
    outcomes = [a.outcomes[call] for call in calls]
    lost = [outcome for outcome in outcomes if outcome.error is not None]
    unsent = [outcome for outcome in lost if not may_have_run(outcome)]
    if others:
        assert unsent == [], "another did it"
        assert any(outcome.attempts > 1 for outcome in outcomes)
    else:
        assert 0 < len(unsent) < len(lost) == CALLS
    assert b.served == []


@pytest.mark.parametrize("after_s", [0.02, 0.03, 0.04, 0.05])
@pytest.mark.parametrize("seed", range(4))
def test_work_said_not_to_have_run_never_ran(seed: int, after_s: float) -> None:
    """A worker freezes, thaws, is heard no more and dies; what ran there it knows best."""
    world, a, (b,) = farm("b", idempotent=False, handler_s=0.0, seed=seed)
    ran: set[int] = set()
    b.processes["work"] = (b.processes["work"][0], lambda value: ran.add(value[0]))
    calls = [a.call("work", [number, "x" * 20_000], timeout_s=20) for number in range(200)]
    world.run(seconds=after_s)
    b.freeze()
    world.run(seconds=0.2)
    world.partition_oneway(["b"], ["a"])
    b.thaw()
    world.run(seconds=after_s)
    world.crash("b")
    world.run(seconds=30)
    lost = [n for n, call in enumerate(calls) if a.outcomes[call].error is not None]
    unsent = {n for n in lost if not may_have_run(a.outcomes[calls[n]])}
    assert not unsent & ran
    assert unsent
    assert ran & set(lost), "else this shows nothing"


def test_a_lost_answer_comes_again_and_the_work_is_not_done_twice() -> None:
    world, a, (b,) = farm("b", idempotent=False)
    calls = [a.call("work", number, timeout_s=60) for number in range(6)]
    world.run(seconds=0.4)
    link = world.link_between("a", "b")
    assert link is not None
    link.loss = 1.0
    world.run(seconds=3)
    assert len(b.served) == 6
    assert not a.outcomes
    link.loss = 0.0
    world.run(seconds=30)
    assert results(a, calls) == list(range(6))
    assert len(b.served) == 6


def test_an_answer_lost_with_its_node_is_work_that_may_have_run() -> None:
    world, a, (b,) = farm("b", idempotent=False)
    call = a.call("work", 1, timeout_s=60)
    world.run(seconds=0.4)
    world.cut("a", "b")
    world.run(seconds=0.2)
    assert len(b.served) == 1
    world.crash("b")
    world.run(seconds=30)
    error = error_of(a.outcomes[call])
    assert isinstance(error, WorkerLost)
    assert error.may_have_run


@pytest.mark.parametrize("seed", range(3))
def test_work_goes_on_when_a_relay_dies_and_there_is_another_way(seed: int) -> None:
    world = World(seed=seed)
    a, _, _, d = world.line("a", "r", "s", "d")
    world.link("a", "s", delay_s=0.05)
    d.handler_s = 0.3
    d.process("work", lambda value: value)
    world.run_until(lambda: offering(a) == ("d",), within_s=30)
    calls = [a.call("work", number, timeout_s=60) for number in range(CALLS)]
    world.run(seconds=0.35)
    world.crash("r")
    world.run(seconds=30)
    assert results(a, calls) == list(range(CALLS))
    assert len(d.served) == CALLS, "nothing ran twice, though nobody said that it may"


def test_work_waits_out_a_partition_that_is_shorter_than_suspicion() -> None:
    world, a, (b,) = farm("b", idempotent=False)
    calls = [a.call("work", number, timeout_s=60) for number in range(6)]
    world.run(seconds=0.2)
    with world.partitioned():
        world.run(seconds=4)
    world.run(seconds=30)
    assert results(a, calls) == list(range(6))
    assert len(b.served) == 6


def test_a_suspect_gets_no_new_work_and_gets_it_again_when_it_is_back() -> None:
    world, a, (b, c) = farm("b", "c", handler_s=0.05)

    def done_by(count: int) -> Counter[str]:
        before = {node.name: len(node.served) for node in (b, c)}
        calls = [a.call("work", number, timeout_s=60) for number in range(count)]
        world.run(seconds=2)
        assert results(a, calls) == list(range(count))
        return Counter({node.name: len(node.served) - before[node.name] for node in (b, c)})

    assert done_by(10) == {"b": 5, "c": 5}
    balancer = a.core.service.balancer
    with world.partitioned(["b"]):
        world.run(seconds=4)
        assert "gets no work: suspect (unreachable)" in balancer.why(b.id)
        assert done_by(10) == {"b": 0, "c": 10}
    world.run_until(lambda: len(offering(a)) == 2, within_s=30)
    assert "gets work in its turn" in balancer.why(b.id)
    assert done_by(10) == {"b": 5, "c": 5}


def test_a_worker_that_is_frozen_is_lost_and_its_idempotent_work_moves() -> None:
    world, a, (b, c) = farm("b", "c")
    calls = [a.call("work", number, timeout_s=60) for number in range(8)]
    world.run(seconds=0.1)
    b.frozen = True
    world.cut("a", "b")
    world.run(seconds=30)
    assert results(a, calls) == list(range(8))
    assert len(c.served) == 8


def test_a_restarted_worker_gets_the_work_again_only_if_it_may_run_twice() -> None:
    for idempotent in (True, False):
        world, a, (b,) = farm("b", idempotent=idempotent)
        call = a.call("work", 1, timeout_s=60)
        world.run(seconds=0.2)
        world.crash("b")
        world.run(seconds=0.2)
        world.restart("b")
        world.run(seconds=30)
        outcome = a.outcomes[call]
        if idempotent:
            assert outcome.error is None
            assert outcome.attempts == 2
        else:
            assert isinstance(outcome.error, WorkerLost)
        assert b.alive


def test_a_node_that_retires_ends_its_work_and_takes_no_more() -> None:
    world, a, (b, c) = farm("b", "c", idempotent=False, handler_s=2.0)
    calls = [a.call("work", number, timeout_s=60) for number in range(CALLS)]
    world.run(seconds=1)
    running = b.core.service.stats["work_running"]
    assert running
    assert b.core.service.stats["work_waiting"]
    b.core.retire(now=world.now)
    world.wake(b)
    world.run(seconds=1)
    assert offering(a) == ("c",)
    b.process("late", lambda value: value)
    world.run(seconds=40)
    assert offering(a, "late") == ()
    assert sorted(results(a, calls)) == list(range(CALLS))
    by = Counter(a.outcomes[call].node for call in calls)
    assert by == {b.id: running, c.id: CALLS - running}


def test_a_cancelled_call_ends_where_it_runs() -> None:
    world, a, (b,) = farm("b", handler_s=3600.0)
    calls = [a.call("work", number, timeout_s=60) for number in range(200)]
    world.run(seconds=1)
    running = b.core.service.stats["work_running"]
    assert running > 1
    for call in calls[1:]:
        a.core.service.cancel(call)
    world.wake(a)
    world.run(seconds=1)
    assert len(b.cancelled) == running - 1
    assert b.core.service.stats["work_waiting"] == 0
    assert a.core.service.stats["calls_in_flight"] == 1


def test_handlers_that_come_and_go_are_seen_by_all() -> None:
    world = World(seed=2).grow(8)
    world.run_until(world.agree, within_s=30)
    nodes = list(world.nodes.values())
    for node in nodes[:3]:
        node.process("new", lambda value: value)
    world.run_until(lambda: all(len(offering(n, "new")) == 3 for n in nodes), within_s=2)
    gone = nodes[1]
    gone.core.service.registry.unregister("new")
    gone.core.offers_changed(now=world.now)
    world.wake(gone)
    world.run_until(lambda: all(len(offering(n, "new")) == 2 for n in nodes), within_s=2)
    calls = [nodes[7].call("new", number, timeout_s=10) for number in range(20)]
    world.run(seconds=5)
    assert results(nodes[7], calls) == list(range(20))
    assert all(process != "new" for process, _ in gone.served)


def test_work_for_a_process_that_goes_away_waits_for_one_that_comes() -> None:
    world, a, (b,) = farm("b", handler_s=0.1)
    b.core.service.registry.unregister("work")
    b.core.offers_changed(now=world.now)
    world.wake(b)
    call, too_short = a.call("work", 1, timeout_s=30), a.call("work", 2, timeout_s=1)
    world.run(seconds=3)
    assert isinstance(a.outcomes[too_short].error, NoSuchProcess)
    (c,) = world.add("c")
    world.link("a", "c")
    c.process("work", lambda value: value)
    world.run(seconds=10)
    assert results(a, [call]) == [1]


def test_no_call_outlives_its_deadline() -> None:
    world, a, _ = farm("b", "c", handler_s=100.0)
    calls = [a.call("work", number, timeout_s=5) for number in range(CALLS)]
    world.run(seconds=5.1)
    errors = [a.outcomes[call].error for call in calls]
    assert all(isinstance(error, DeadlineExceeded) for error in errors)


def test_a_message_that_waited_for_a_forgotten_node_is_handled_once() -> None:
    """It comes back when its records are too old to be known: a stranger, and yet a restart."""
    config = MeshConfig(records=RecordsConfig(refresh_s=4.0, max_age_s=8.0))
    world = World(config=config)
    a, c, b = world.line("a", "c", "b")
    world.run_until(world.agree, within_s=30)
    world.crash("b")
    world.run(seconds=20)
    assert a.core.control.database.get(b.id, RecordKind.INTRODUCTION) is None
    call = a.call("", 7, node="b", to_handler=True, timeout_s=60)
    handled: list[int] = []
    b.on_message = handled.append
    # All that a hears of it comes in one turn.
    world.hold("a", "c")
    world.restart("b")
    world.run_until(lambda: "b" in c.view(), within_s=5)
    world.run(seconds=0.1)
    world.release("a", "c")
    world.run(seconds=20)
    assert handled == [7]
    assert a.outcomes[call].error is None
