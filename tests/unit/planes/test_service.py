"""A node that is both requester and worker."""

from __future__ import annotations

import msgspec
import pytest

from mreza.config.processes import ProcessesConfig
from tests.support.service_bench import ME, NAME, Bench, C, request


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
