"""A call that may run twice asks a second node when the first is late; the first answer counts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mreza.balancing.endpoint import NodeLoad
from mreza.balancing.hedging import SAMPLES_MIN
from mreza.config.load_balancer import LoadBalancerConfig
from mreza.errors import ConfigError, DeadlineExceeded, Overloaded, WorkerLost
from mreza.planes.service import SendRequest
from mreza.qos import Priority
from mreza.wire.packet import Load, Response, Status
from tests.support.service_bench import NAME, A, B, Bench, C, raw


@pytest.fixture
def bench() -> Bench:
    return Bench()


def hedged(bench: Bench, **options: Any) -> list[SendRequest]:
    """Both copies of a call whose first is late."""
    bench.call(idempotent=True, hedge=0.2, **options)
    first = bench.one_sent()
    bench.later(0.2)
    return [first, bench.one_sent()]


def result(bench: Bench) -> Any:
    return msgspec.msgpack.decode(bench.outcome().result)


def test_a_second_node_is_asked_when_the_first_is_late(bench: Bench) -> None:
    bench.call(idempotent=True, hedge=0.2)
    first = bench.one_sent()
    assert bench.plane.next_deadline() == pytest.approx(100.2)
    bench.later(0.19)
    assert bench.sent() == []
    bench.later(0.01)
    second = bench.one_sent()
    assert (first.destination, second.destination, second.request.attempt) == (A, B, 2)
    bench.later(5)
    assert bench.sent() == [], "and no third"


@pytest.mark.parametrize("winner", [0, 1])
def test_the_first_answer_counts_and_the_other_may_stop(bench: Bench, winner: int) -> None:
    copies = hedged(bench)
    bench.answer(copies[winner], value=winner)
    assert result(bench) == winner
    (stopped,) = bench.withdrawn()
    assert (stopped.destination, stopped.request_id) == (
        copies[1 - winner].destination,
        copies[1 - winner].request.id,
    )
    assert bench.plane.next_deadline() is None
    assert [bench.plane.balancer.load_of(node).in_flight for node in (A, B)] == [0, 0]


@pytest.mark.parametrize("loser", [0, 1])
@pytest.mark.parametrize("status", [Status.OVERLOADED, Status.CLOSING, Status.NO_SUCH_PROCESS])
def test_while_one_is_out_the_refusal_of_the_other_does_not_matter(
    bench: Bench, loser: int, status: Status
) -> None:
    copies = hedged(bench)
    bench.answer(copies[loser], status)
    assert (bench.resolved(), bench.sent()) == ([], [])
    bench.answer(copies[1 - loser], value="done")
    assert result(bench) == "done"


def test_when_both_refuse_a_third_is_asked(bench: Bench) -> None:
    first, second = hedged(bench)
    bench.answer(first, Status.OVERLOADED)
    bench.answer(second, Status.OVERLOADED)
    assert bench.one_sent().destination == C


def test_what_a_handler_raised_is_the_outcome(bench: Bench) -> None:
    first, second = hedged(bench)
    bench.answer(first, Status.FAILED, type_name="KeyError")
    failure = bench.outcome().failure
    assert failure is not None
    assert failure.type_name == "KeyError"
    assert [stopped.destination for stopped in bench.withdrawn()] == [second.destination]


def test_the_loss_of_one_is_survived_and_of_both_goes_elsewhere(bench: Bench) -> None:
    hedged(bench)
    bench.lost(A)
    assert (bench.resolved(), bench.sent()) == ([], [])
    bench.lost(B)
    third = bench.one_sent()
    assert third.destination == C
    bench.lost(C)
    assert isinstance(bench.error(), WorkerLost)


def test_both_are_withdrawn_when_nobody_waits_any_more(bench: Bench) -> None:
    call_id = bench.call(idempotent=True, hedge=0.2)
    bench.later(0.2)
    bench.plane.cancel(call_id)
    assert sorted(stopped.destination for stopped in bench.withdrawn()) == [A, B]


def test_a_call_that_is_late_on_both_counts_against_both(bench: Bench) -> None:
    hedged(bench, timeout_s=1)
    bench.later(1)
    assert isinstance(bench.error(), DeadlineExceeded)
    for node in (A, B):
        assert "0 succeeded, 1 failed" in bench.plane.balancer.why(node)


def test_with_true_the_second_is_asked_when_most_would_have_answered(bench: Bench) -> None:
    bench.call(idempotent=True, hedge=True)
    assert bench.plane.next_deadline() == 130.0, "nothing is known of latencies"
    bench.answer(bench.one_sent())
    for number in range(SAMPLES_MIN):
        bench.call()
        bench.later(number / 100)
        bench.answer(bench.one_sent())
    bench.call(idempotent=True, hedge=True)
    assert bench.plane.next_deadline() == pytest.approx(bench.now + 0.19, abs=0.011)


@pytest.mark.parametrize(
    "options", [{"idempotent": False}, {"idempotent": True, "node": A}], ids=["once", "pinned"]
)
def test_never_hedged(bench: Bench, options: dict[str, Any]) -> None:
    bench.call(hedge=0.2, **options)
    bench.one_sent()
    bench.later(1)
    assert bench.sent() == []


def test_without_another_node_or_a_retry_left_there_is_no_second(bench: Bench) -> None:
    bench.offers[B] = bench.offers[C] = []
    bench.call(idempotent=True, hedge=0.2)
    bench.later(0.2)
    bench.one_sent()
    bench.offers[B] = ["p"]
    while bench.plane.balancer.may_retry("p", now=bench.now):
        pass
    bench.call(idempotent=True, hedge=0.2)
    bench.later(0.2)
    bench.one_sent()


@pytest.mark.parametrize("hedge", [0, -1.0, float("nan")])
def test_an_impossible_delay_is_refused(bench: Bench, hedge: float) -> None:
    with pytest.raises(ConfigError, match="hedge"):
        bench.call(hedge=hedge)


# What else a call tells the balancer.


def test_a_call_chooses_its_strategy(bench: Bench) -> None:
    assert bench.plane.balancer.strategy_for("q") == "round_robin"
    for _ in range(3):
        bench.call(key="k", strategy="consistent_hash")
        bench.answer(bench.one_sent())
    assert len({bench.plane.balancer.why(number).split(" by ")[0] for number in (1, 2, 3)}) == 1
    with pytest.raises(ConfigError, match="draws lots"):
        bench.call(strategy="random")
    with pytest.raises(ConfigError, match="allowed"):
        bench.call(strategy="prequal")
    assert bench.plane.stats["calls_in_flight"] == 0


def test_a_process_chooses_its_strategy() -> None:
    bench = Bench(load_balancer=LoadBalancerConfig(per_process={"p": "least_loaded"}))  # type: ignore[dict-item]
    bench.call()
    assert "by least_loaded among 3" in bench.plane.balancer.why(1)


def test_work_that_does_not_matter_enough_is_shed_at_once(bench: Bench) -> None:
    for node in (A, B, C):
        bench.load(node, in_flight=85, capacity=100)
    bench.call(priority=Priority.LOW)
    error = bench.error()
    assert isinstance(error, Overloaded)
    assert "above 80%" in str(error)
    bench.call(priority=Priority.NORMAL)
    assert NAME[bench.one_sent().destination] == "a"


def test_when_the_budget_is_spent_an_overloaded_worker_ends_the_call(bench: Bench) -> None:
    while bench.plane.balancer.may_retry("p", now=bench.now):
        pass
    bench.call()
    bench.answer(bench.one_sent(), Status.OVERLOADED, retry_after_ms=700)
    error = bench.error()
    assert isinstance(error, Overloaded)
    assert error.retry_after_s == 0.7
    assert bench.sent() == []


def test_what_a_worker_says_of_its_load_counts(bench: Bench) -> None:
    bench.call()
    sent = bench.one_sent()
    load = Load(in_flight=70, capacity=80, cpu=250, memory=400, loop_lag_us=1500)
    bench.responses(A, Response(sent.request.id, Status.OK, raw(1), load))
    told = bench.plane.balancer.load_of(A)
    assert told == NodeLoad(
        A, in_flight=70, capacity=80, cpu=0.25, memory=0.4, loop_lag_s=0.0015, room=80 + 1024
    )
    assert {bench.call() and NAME[bench.one_sent().destination] for _ in range(4)} == {"b", "c"}
    bench.call(node=A)
    refused = bench.one_sent()
    busy = Response(refused.request.id, Status.OVERLOADED, raw(None), Load(75, 80))
    bench.responses(A, busy)
    assert bench.plane.balancer.load_of(A).in_flight == 75


def test_a_node_that_fails_at_once_is_not_believed_to_hold_a_thousand_times_more(
    bench: Bench,
) -> None:
    bench.call(node=A)
    failed = Response(bench.one_sent().request.id, Status.FAILED, raw(None), Load(0, 1024))
    bench.responses(A, failed)
    bench.outcome()
    assert bench.plane.balancer.load_of(A) == NodeLoad(A)
