"""Calls find a worker, or an error, in time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mreza.balancing.balancer import Balancer
from mreza.balancing.endpoint import NodeLoad
from mreza.config.messaging import MessagingConfig
from mreza.errors import (
    ConfigError,
    DeadlineExceeded,
    NoRoute,
    NoSuchProcess,
    OutboxFull,
    Overloaded,
    PayloadError,
    WorkerLost,
)
from mreza.ids import NodeId
from mreza.planes.calls import LOSSES_MAX
from mreza.planes.effects import (
    RequestsReturned,
    WorkLost,
)
from mreza.processes.handlers import idempotent_offer
from mreza.qos import Priority
from mreza.wire.packet import Request, Response, Status
from tests.support.service_bench import ME, NAME, A, B, Bench, C, raw


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_calls_go_round_over_those_who_offer_the_process(bench: Bench) -> None:
    for _ in range(7):
        bench.call()
    assert [NAME[sent.destination] for sent in bench.sent()] == list("abcabca")


def test_each_process_goes_round_by_itself(bench: Bench) -> None:
    bench.offers[A].append("q")
    bench.offers[C].append("q")
    for process in ("p", "q", "p", "q", "p", "q"):
        bench.call(process)
    assert [NAME[sent.destination] for sent in bench.sent()] == list("aabcca")


def test_a_request_says_what_the_worker_must_know(bench: Bench) -> None:
    bench.call(payload=[1, 2], timeout_s=2.5, key="k", headers={"h": "v"}, priority=Priority.HIGH)
    sent = bench.one_sent()
    assert sent.priority == Priority.HIGH
    assert sent.request == Request(1, "p", raw([1, 2]), 2500, False, 1, "k", {"h": "v"})


def test_a_result_resolves_the_call(bench: Bench) -> None:
    call_id = bench.call()
    sent = bench.one_sent()
    bench.plane.numbered(sent.request.id, (77, 1, 4, 2))
    bench.later(0.5)
    bench.answer(sent, value="done")
    outcome = bench.outcome()
    assert (outcome.call_id, outcome.node, outcome.attempts) == (call_id, A, 1)
    assert msgspec.msgpack.decode(outcome.result) == "done"
    assert outcome.message == (77, 1, 4, 2)
    assert outcome.path == (ME, A)
    assert "1 succeeded, 0 failed, 500.0 ms" in bench.plane.balancer.why(A)
    assert bench.plane.stats == dict.fromkeys(bench.plane.stats, 0)
    assert bench.plane.next_deadline() is None


def test_a_remote_error_resolves_the_call_with_what_was_raised(bench: Bench) -> None:
    bench.call()
    bench.answer(bench.one_sent(), Status.FAILED, type_name="KeyError", traceback="tb")
    failure = bench.outcome().failure
    assert failure is not None
    assert (failure.type_name, failure.traceback) == ("KeyError", "tb")
    assert "0 succeeded, 1 failed" in bench.plane.balancer.why(A)


@pytest.mark.parametrize(
    ("status", "error"),
    [(Status.EXPIRED, DeadlineExceeded), (Status.BAD_PAYLOAD, PayloadError), (99, None)],
)
def test_other_refusals_become_errors(bench: Bench, status: Any, error: type | None) -> None:
    bench.call()
    bench.answer(bench.one_sent(), status)
    assert isinstance(bench.error(), error or Exception)


def test_a_refusal_that_cannot_be_read_is_one_all_the_same(bench: Bench) -> None:
    bench.call()
    sent = bench.one_sent()
    bench.responses(A, Response(sent.request.id, Status.BAD_PAYLOAD, raw("nonsense")))
    assert "reason is unreadable" in str(bench.error())


def test_only_the_worker_may_answer_and_only_once(bench: Bench) -> None:
    bench.call()
    sent = bench.one_sent()
    bench.responses(B, Response(sent.request.id, Status.OK, raw("forged")))
    bench.responses(A, Response(12345, Status.OK, raw("unknown")))
    assert bench.resolved() == []
    bench.answer(sent, value=1)
    bench.answer(sent, value=2)
    assert msgspec.msgpack.decode(bench.outcome().result) == 1


def test_a_call_to_a_given_node_goes_there(bench: Bench) -> None:
    for _ in range(3):
        bench.call(node=B)
    assert {sent.destination for sent in bench.sent()} == {B}
    assert bench.plane.balancer.load_of(B).in_flight == 3


def test_a_call_that_can_never_be_made_is_refused_at_once(bench: Bench) -> None:
    for options, error in (
        ({"process": "x" * 129}, ConfigError),
        ({"process": ""}, ConfigError),
        ({"timeout_s": 0}, ConfigError),
        ({"headers": {str(n): "" for n in range(33)}}, PayloadError),
        ({"headers": {"h": "x" * 9000}}, PayloadError),
        ({"target_is_handler": True}, PayloadError),
    ):
        with pytest.raises(error):
            bench.call(**options)
    assert bench.plane.stats["calls_in_flight"] == 0


def test_a_node_above_the_threshold_gets_no_calls(bench: Bench) -> None:
    balancer = Balancer(threshold=0.5)
    balancer.update(NodeLoad(A, in_flight=6, capacity=10), now=bench.now)
    bench.plane.balancer = balancer
    assert bench.plane.balancer is balancer
    for _ in range(4):
        bench.call()
    assert [NAME[sent.destination] for sent in bench.sent()] == list("bcbc")


# Waiting for a worker.


def test_a_call_waits_until_somebody_offers_its_process(bench: Bench) -> None:
    bench.call("new")
    assert bench.sent() == []
    assert bench.plane.stats["calls_waiting"] == 1
    bench.later(10)
    bench.offers[B].append("new")
    bench.changed()
    sent = bench.one_sent()
    assert (sent.destination, sent.request.timeout_ms) == (B, 20_000)
    bench.changed()
    assert bench.sent() == []


def test_a_call_that_nobody_offers_ends_at_its_deadline(bench: Bench) -> None:
    bench.call("none", timeout_s=3)
    bench.changed()
    bench.later(2.9)
    assert bench.resolved() == []
    assert bench.plane.next_deadline() == pytest.approx(103)
    bench.later(0.1)
    error = bench.error()
    assert isinstance(error, NoSuchProcess)
    assert "'none' in 3 s" in str(error)


def test_a_given_node_that_does_not_offer_it_or_cannot_be_reached_is_told_apart(
    bench: Bench,
) -> None:
    bench.call("none", node=A, timeout_s=1)
    bench.later(1)
    assert isinstance(bench.error(), NoSuchProcess)
    bench.unreachable.append(A)
    bench.call("p", node=A, timeout_s=1)
    bench.later(1)
    assert isinstance(bench.error(), NoRoute)


def test_a_worker_that_is_silent_is_a_deadline_exceeded(bench: Bench) -> None:
    bench.call(timeout_s=1)
    sent = bench.one_sent()
    bench.later(1)
    assert isinstance(bench.error(), DeadlineExceeded)
    bench.answer(sent, value="late")
    assert bench.resolved() == []
    assert bench.plane.balancer.load_of(A).in_flight == 0


def test_waiting_calls_have_a_bound_in_bytes() -> None:
    bench = Bench(messaging=MessagingConfig(outbox_bytes=1000))
    bench.call("none", "x" * 5000)
    assert bench.resolved() == [], "one may always wait"
    bench.call("none", "y")
    assert isinstance(bench.error(), OutboxFull)
    bench.later(30)
    bench.resolved()
    bench.call("none", "y")
    assert bench.resolved() == []


def test_a_cancelled_call_is_not_resolved(bench: Bench) -> None:
    waiting, sent = bench.call("none"), bench.call()
    bench.plane.cancel(waiting)
    bench.plane.cancel(sent)
    bench.plane.cancel(sent)
    bench.later(60)
    assert bench.resolved() == []
    assert bench.plane.balancer.load_of(A).in_flight == 0
    assert bench.plane.next_deadline() is None


# Going elsewhere.


def test_an_overloaded_worker_is_passed_over_and_all_of_them_are_told(bench: Bench) -> None:
    bench.call()
    for number, node in enumerate((A, B, C)):
        sent = bench.one_sent()
        assert (sent.destination, sent.request.attempt) == (node, number + 1)
        bench.answer(sent, Status.OVERLOADED, retry_after_ms=1000 * (3 - number))
    outcome = bench.outcome()
    assert isinstance(outcome.error, Overloaded)
    assert outcome.error.retry_after_s == 1.0
    assert outcome.attempts == 3


def test_an_overloaded_node_that_was_asked_for_is_told_at_once(bench: Bench) -> None:
    bench.call(node=B)
    bench.answer(bench.one_sent(), Status.OVERLOADED, retry_after_ms=250)
    error = bench.error()
    assert isinstance(error, Overloaded)
    assert error.retry_after_s == 0.25


@pytest.mark.parametrize("status", [Status.NO_SUCH_PROCESS, Status.CLOSING])
def test_who_does_not_do_it_any_more_is_not_asked_again(bench: Bench, status: Status) -> None:
    bench.call()
    for _ in range(3):
        bench.answer(bench.one_sent(), status)
    bench.changed()
    assert bench.sent() == []
    assert bench.resolved() == []
    bench.offers[B] = []
    bench.changed()
    bench.offers[B] = ["p"]
    bench.changed()
    assert bench.one_sent().destination == B, "it offers anew"


def test_who_restarted_is_asked_again(bench: Bench) -> None:
    bench.call(node=A)
    bench.answer(bench.one_sent(), Status.CLOSING)
    assert bench.sent() == []
    bench.restarted(A)
    assert bench.one_sent().destination == A


def test_a_message_that_nobody_handles_there_is_told(bench: Bench) -> None:
    bench.message(A)
    bench.answer(bench.one_sent(), Status.NO_SUCH_PROCESS)
    assert isinstance(bench.error(), NoSuchProcess)


def test_an_outbox_that_is_full_makes_a_call_go_elsewhere(bench: Bench) -> None:
    bench.call()
    for node in (A, B, C):
        sent = bench.one_sent()
        assert sent.destination == node
        bench.plane.not_sent(sent.request.id, OutboxFull("full", retry_after_s=0.5), now=bench.now)
    assert isinstance(bench.error(), Overloaded)
    bench.plane.not_sent(999, OutboxFull("full"), now=bench.now)
    bench.message(A)
    full = OutboxFull("full")
    bench.plane.not_sent(bench.one_sent().request.id, full, now=bench.now)
    assert bench.error() is full


# Losing workers.


def test_lost_work_that_must_not_run_twice_is_told(bench: Bench) -> None:
    bench.call()
    sent = bench.one_sent()
    bench.lost(A)
    error = bench.error()
    assert isinstance(error, WorkerLost)
    assert error.may_have_run
    assert bench.sent() == []
    bench.answer(sent, value="too late")
    assert bench.resolved() == []


@pytest.mark.parametrize("by", ["caller", "registry", "worker"])
def test_lost_work_that_may_run_twice_goes_elsewhere(bench: Bench, by: str) -> None:
    if by == "registry":
        bench.register("p", idempotent=True)
    if by == "worker":
        bench.offers[A].append(idempotent_offer("p"))
    bench.call(idempotent=by == "caller")
    first = bench.one_sent()
    assert first.destination == A
    assert first.request.idempotent
    bench.lost(A)
    second = bench.one_sent()
    assert (second.destination, second.request.attempt) == (B, 2)
    bench.answer(second, value="done")
    outcome = bench.outcome()
    assert (outcome.node, outcome.attempts, outcome.error) == (B, 2, None)


def test_the_answer_of_a_worker_that_was_only_believed_lost_counts(bench: Bench) -> None:
    bench.call(idempotent=True)
    first = bench.one_sent()
    bench.lost(A)
    second = bench.one_sent()
    bench.answer(first, Status.FAILED)
    assert bench.resolved() == [], "its failure does not: another is at work"
    bench.answer(first, value="first")
    bench.answer(second, value="second")
    assert msgspec.msgpack.decode(bench.outcome().result) == "first"
    assert bench.plane.balancer.load_of(B).in_flight == 0


def test_work_that_kills_its_workers_is_given_up(bench: Bench) -> None:
    bench.call(idempotent=True)
    for _ in range(LOSSES_MAX):
        bench.lost(bench.one_sent().destination)
    assert isinstance(bench.error(), WorkerLost)


def test_a_worker_that_only_raised_its_epoch_lost_nothing(bench: Bench) -> None:
    bench.call()
    bench.plane.peer_restarted(A, same_process=True, now=bench.now)
    assert bench.resolved() == []


def test_requests_that_came_back_are_lost_work(bench: Bench) -> None:
    bench.call()
    bench.call(idempotent=True)
    ids = [sent.request.id for sent in bench.sent()]
    bench.plane.requests_returned(RequestsReturned(B, [*ids, 99]), now=bench.now)
    bench.plane.requests_returned(RequestsReturned(A, ids), now=bench.now)
    assert isinstance(bench.error(), WorkerLost)
    assert bench.one_sent().destination == C, "the second call was at b"


def test_what_became_of_a_lost_workers_calls_is_said_once(bench: Bench) -> None:
    bench.lost(C)
    assert bench.losses() == [], "it had none"
    bench.call(idempotent=True, node=A)
    bench.call(node=A)
    bench.call(node=A)
    bench.message(A)
    bench.sent()
    bench.lost(A)
    assert bench.losses() == [WorkLost(A, "reset", 1, 2)]
    bench.restarted(A)
    assert bench.losses() == [WorkLost(A, "restarted", 1, 0)], "the message"


# Losing workers to which nothing was sent.


def test_work_of_which_nothing_was_sent_goes_elsewhere_though_it_must_not_run_twice(
    bench: Bench,
) -> None:
    bench.transmits = False
    bench.call()
    assert bench.one_sent().destination == A
    bench.lost(A)
    again = bench.one_sent()
    assert (again.destination, again.request.attempt) == (B, 2)
    bench.answer(again, value="done")
    assert bench.outcome().error is None


def test_what_never_ran_counts_for_no_loss_and_costs_no_retry(bench: Bench) -> None:
    bench.transmits = False
    bench.call()
    for node in (A, B, C):
        assert bench.one_sent().destination == node
        bench.plane.peer_restarted(node, same_process=False, now=bench.now)
    assert bench.sent() != [], f"{LOSSES_MAX} were lost, none has run it"
    retries = sum(bench.plane.balancer.may_retry("p", now=bench.now) for _ in range(200))
    assert retries == 100, "ten a second for ten seconds, and none is spent"


@pytest.mark.parametrize("node", [None, A])
def test_unsent_work_that_nobody_else_takes_is_lost_and_did_not_run(
    bench: Bench, node: NodeId | None
) -> None:
    bench.transmits = False
    bench.offers = {A: ["p"]}
    bench.call(timeout_s=5, node=node)
    bench.one_sent()
    bench.lost(A)
    assert bench.resolved() == [], "somebody may offer it yet"
    bench.later(5)
    error = bench.error()
    assert isinstance(error, WorkerLost)
    assert not error.may_have_run
    assert "is lost (reset)" in str(error)
    assert "did not run" in str(error)


def test_work_refused_by_a_node_that_closes_did_not_run(bench: Bench) -> None:
    bench.offers = {A: ["p"]}
    bench.call(timeout_s=5)
    bench.answer(bench.one_sent(), Status.CLOSING)
    bench.later(5)
    error = bench.error()
    assert isinstance(error, WorkerLost)
    assert not error.may_have_run
    assert "is closing" in str(error)


def test_work_that_may_have_run_once_is_never_said_not_to_have_run(bench: Bench) -> None:
    """Sent to a, which was lost; then to b, to which nothing was sent; then nobody is left."""
    bench.offers = {A: ["p"], B: ["p"]}
    bench.call(idempotent=True, timeout_s=5)
    bench.one_sent()
    bench.transmits = False
    bench.lost(A)
    assert bench.one_sent().destination == B
    bench.lost(B)
    bench.later(5)
    error = bench.error()
    assert isinstance(error, WorkerLost)
    assert error.may_have_run


# Messages with a receipt.


def test_a_message_is_sent_again_when_its_node_restarts(bench: Bench) -> None:
    bench.message(A)
    first = bench.one_sent()
    assert first.request.target == ""
    bench.restarted(A)
    bench.plane.requests_returned(RequestsReturned(A, [first.request.id]), now=bench.now)
    second = bench.one_sent()
    assert (second.destination, second.request.attempt) == (A, 2)
    bench.answer(second, value=None)
    assert bench.outcome().attempts == 2


def test_a_message_waits_for_a_lost_node_and_for_a_path(bench: Bench) -> None:
    bench.message(A)
    sent = bench.one_sent()
    bench.lost(A)
    bench.message(A, timeout_s=5)
    assert bench.resolved() == []
    assert bench.sent() == []
    bench.plane.requests_returned(RequestsReturned(A, [sent.request.id]), now=bench.now)
    assert bench.sent() == []
    bench.unreachable.clear()
    bench.changed()
    assert [again.request.attempt for again in bench.sent()] == [1, 2]


def test_a_message_without_a_path_ends_as_no_route(bench: Bench) -> None:
    bench.unreachable.append(A)
    bench.message(A, timeout_s=2)
    bench.later(2)
    error = bench.error()
    assert isinstance(error, NoRoute)
    assert "may have arrived" not in str(error)
    bench.unreachable.clear()
    bench.message(A, timeout_s=2)
    bench.unreachable.append(A)
    bench.later(2)
    assert "may have arrived" in str(bench.error())


def test_a_message_that_is_not_answered_or_not_taken_ends_at_its_deadline(bench: Bench) -> None:
    bench.message(A, timeout_s=2)
    bench.message(A, timeout_s=2)
    first, _ = bench.sent()
    bench.answer(first, Status.CLOSING)
    bench.later(2)
    errors = [outcome.error for outcome in bench.resolved()]
    assert all(isinstance(error, DeadlineExceeded) for error in errors)
    assert any("was not taken" in str(error) for error in errors)


def test_the_number_of_a_request_that_nobody_waits_for_is_not_kept(bench: Bench) -> None:
    bench.plane.numbered(999, (1, 1, 1, 1))
    assert bench.plane.stats["calls_in_flight"] == 0
