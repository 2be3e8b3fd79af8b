"""A node that is both requester and worker."""

from __future__ import annotations

import msgspec
import pytest

from mreza.config.processes import ProcessesConfig
from mreza.errors import PayloadError, WorkerLost
from mreza.planes.calls import LOSSES_MAX
from mreza.wire.packet import Load, Response, Status
from tests.support.service_bench import ME, NAME, A, B, Bench, C, raw, request


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_this_node_works_in_its_turn_without_the_network(bench: Bench) -> None:
    bench.register("p")
    for _ in range(4):
        bench.call()
    assert [NAME[sent.destination] for sent in bench.sent()] == list("abc")
    (run,) = bench.runs()
    assert (run.source, run.message) == (ME, (77, 1, run.request.id, 0))
    bench.finish(run, "mine")
    outcome = bench.outcome()
    assert (outcome.node, outcome.path, outcome.message) == (ME, (ME,), run.message)
    assert msgspec.msgpack.decode(outcome.result) == "mine"
    assert bench.answers() == []


def test_about_itself_a_node_believes_its_registry(bench: Bench) -> None:
    bench.offers = {ME: ["p"]}
    bench.call("p", timeout_s=1)
    assert bench.runs() == [], "its record still says so, but it was unregistered"
    bench.register("p")
    assert len(bench.runs()) == 1
    bench.offers = {}
    bench.register("q", idempotent=True)
    bench.call("q", node=ME)
    assert len(bench.runs()) == 1


def test_a_message_to_itself_is_handled(bench: Bench) -> None:
    bench.message(ME)
    (run,) = bench.runs()
    bench.finish(run, 5)
    assert msgspec.msgpack.decode(bench.outcome().result) == 5


def test_own_work_that_nobody_waits_for_is_stopped(bench: Bench) -> None:
    bench.register("p", concurrency=1)
    bench.offers = {}
    first, second = bench.call(), bench.call(timeout_s=1)
    (run,) = bench.runs()
    bench.later(1)
    assert bench.outcome().call_id == second
    assert bench.plane.stats["work_waiting"] == 0
    bench.plane.cancel(first)
    assert bench.cancelled() == [run.run_id]
    bench.finish(run)
    assert bench.resolved() == []
    last = bench.call(timeout_s=1)
    (run,) = bench.runs()
    bench.later(1)
    assert bench.outcome().call_id == last
    assert bench.cancelled() == [run.run_id]


def test_own_overload_makes_a_call_go_elsewhere() -> None:
    bench = Bench(processes=ProcessesConfig(inbox_requests=1))
    bench.offers = {C: ["p"]}
    bench.register("p", concurrency=1)
    bench.requests(request(1, "p"), request(2, "p"))
    assert len(bench.runs()) == 1
    bench.call()
    assert bench.one_sent().destination == C
    bench.call()
    assert bench.one_sent().destination == C, "this node is full"


def test_a_cancelled_call_is_withdrawn_from_its_worker_once(bench: Bench) -> None:
    bench.offers = {C: ["p"]}
    call = bench.call()
    sent = bench.one_sent()
    bench.plane.cancel(call)
    bench.plane.cancel(call)
    (withdrawn,) = bench.withdrawn()
    assert (withdrawn.destination, withdrawn.request_id) == (C, sent.request.id)
    bench.answer(sent)
    assert bench.resolved() == []


def test_neither_messages_nor_calls_that_wait_are_withdrawn(bench: Bench) -> None:
    bench.plane.cancel(bench.message(C))
    bench.offers = {}
    bench.plane.cancel(bench.call())
    assert bench.withdrawn() == []


def test_a_deadline_is_known_to_the_worker_and_not_told_again(bench: Bench) -> None:
    bench.call(timeout_s=1)
    bench.later(1)
    assert len(bench.resolved()) == 1
    assert bench.withdrawn() == []


def test_progress_of_a_call_is_told_while_it_runs(bench: Bench) -> None:
    first, second = bench.call(progress=True, idempotency_key="k"), bench.call()
    wanted, unwanted = bench.sent()
    assert (wanted.request.progress, wanted.request.idempotency_key) == (True, "k")
    assert (unwanted.request.progress, unwanted.request.idempotency_key) == (False, "")
    for sent in (wanted, unwanted):
        bench.responses(sent.destination, Response(sent.request.id, Status.PROGRESS, raw(5)))
    (told,) = bench.told()
    assert (told.call_id, told.node, told.value) == (first, wanted.destination, raw(5))
    bench.answer(wanted)
    bench.responses(wanted.destination, Response(wanted.request.id, Status.PROGRESS, raw(6)))
    assert bench.told() == []
    assert second != first


def test_own_work_reports_progress_too(bench: Bench) -> None:
    bench.offers = {}
    bench.register("p")
    bench.call(progress=True)
    (run,) = bench.runs()
    bench.plane.progress(run.run_id, raw(1), now=bench.now)
    assert [told.value for told in bench.told()] == [raw(1)]


def test_work_lost_with_its_pool_process_is_a_lost_worker(bench: Bench) -> None:
    bench.offers = {C: ["p"]}
    bench.call()
    bench.answer(bench.one_sent(), Status.LOST, message="exit status -9")
    error = bench.error()
    assert isinstance(error, WorkerLost)
    assert error.may_have_run
    assert "exit status -9" in str(error)
    bench.call(idempotent=True)
    for _ in range(LOSSES_MAX):
        bench.answer(bench.one_sent(), Status.LOST)
    assert isinstance(bench.error(), WorkerLost)
    assert bench.sent() == []


def test_work_goes_only_to_nodes_whose_role_allows_it(bench: Bench) -> None:
    bench.roles = {A: "gpu", B: "member", C: "gpu"}
    bench.register("p", roles=("gpu",))
    for _ in range(4):
        bench.call()
    assert [NAME[sent.destination] for sent in bench.sent()] == list("acac")
    assert bench.plane.registry.offers() == ()
    bench.requests(request(1, "p"))
    assert bench.statuses() == [Status.NO_SUCH_PROCESS]


def test_what_workers_say_of_their_load_reaches_the_balancer(bench: Bench) -> None:
    bench.offers = {C: ["p"]}
    bench.call()
    sent = bench.one_sent()
    told = Load(3, 10, 500, 250, 2000)
    bench.responses(C, Response(sent.request.id, Status.OK, raw(1), told))
    load = bench.plane.balancer.load_of(C, now=bench.now)
    assert (load.in_flight, load.capacity, load.cpu, load.memory) == (3, 10, 0.5, 0.25)
    assert load.loop_lag_s == 0.002


def test_the_balancer_hears_of_this_node_too(bench: Bench) -> None:
    bench.offers = {}
    bench.register("p", concurrency=5)
    bench.plane.measured(cpu=0.75, memory=None, loop_lag_s=None)
    bench.call()
    bench.finish(bench.runs()[0])
    assert bench.plane.balancer.load_of(ME, now=bench.now).cpu == 0.75


def test_an_idempotency_key_keeps_repeats_together_and_has_a_limit(bench: Bench) -> None:
    bench.call(idempotency_key="order 7")
    bench.call(idempotency_key="order 8", key="customer")
    assert [sent.request.key for sent in bench.sent()] == ["order 7", "customer"]
    with pytest.raises(PayloadError, match="257 characters, limit 256"):
        bench.call(idempotency_key="k" * 257)
