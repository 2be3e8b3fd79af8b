"""Work finds a place and an answer, and nothing runs for nobody."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mreza.config.messaging import MessagingConfig
from mreza.config.processes import ProcessesConfig
from mreza.ids import NodeId
from mreza.planes.lobby import HANDLER_CONCURRENCY
from mreza.planes.work import PROGRESS_INTERVAL_S, WITHDRAWN_MAX
from mreza.wire.packet import FAILURE, Load, Request, Response, Status
from tests.support.service_bench import A, B, Bench, raw, request


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_request_runs_and_is_answered(bench: Bench) -> None:
    bench.register()
    bench.requests(request(7), priority=2)
    (run,) = bench.runs()
    assert (run.request.id, run.source, run.message, run.deadline) == (7, A, (5, 2, 9, 0), 110.0)
    bench.finish(run, {"x": 1})
    (answer,) = bench.answers()
    assert (answer.destination, answer.priority, answer.stream_epoch) == (A, 2, 5)
    assert answer.response == Response(7, Status.OK, raw({"x": 1}), answer.response.load)
    assert bench.plane.stats["work_running"] == 0


def test_a_failed_handler_is_answered_with_its_failure(bench: Bench) -> None:
    bench.register()
    bench.requests(request(1), request(2))
    first, second = bench.runs()
    bench.finish(first, status=Status.FAILED, error="KeyError")
    bench.finish(second, status=Status.BAD_PAYLOAD)
    failures = [FAILURE.decode(answer.response.payload) for answer in bench.answers()]
    assert [failure.type_name for failure in failures] == ["KeyError", "Error"]


def test_an_ended_run_is_answered_once(bench: Bench) -> None:
    bench.register()
    bench.requests(request(1))
    (run,) = bench.runs()
    bench.finish(run)
    bench.finish(run)
    assert len(bench.answers()) == 1


def test_no_result_at_all_is_none(bench: Bench) -> None:
    bench.register()
    bench.requests(request(1))
    (run,) = bench.runs()
    bench.plane.finished(run.run_id, result=None, failure=None, status=Status.OK, now=bench.now)
    (answer,) = bench.answers()
    assert msgspec.msgpack.decode(answer.response.payload) is None


def test_no_more_run_at_a_time_than_the_process_allows(bench: Bench) -> None:
    bench.register(concurrency=2)
    bench.requests(*(request(number) for number in range(1, 5)))
    first, _ = bench.runs()
    assert bench.plane.stats["work_waiting"] == 2
    bench.finish(first)
    (third,) = bench.runs()
    assert third.request.id == 3
    assert bench.plane.stats["work_running"] == 2


def test_higher_priorities_overtake_in_the_line(bench: Bench) -> None:
    bench.register(concurrency=1)
    bench.requests(request(1), request(2))
    bench.requests(request(3), priority=3)
    (first,) = bench.runs()
    bench.finish(first)
    assert [run.request.id for run in bench.runs()] == [3]


def test_messages_with_a_receipt_may_overlap_but_not_without_limit(bench: Bench) -> None:
    bench.requests(*(request(number, "") for number in range(HANDLER_CONCURRENCY + 1)))
    runs = bench.runs()
    assert len(runs) == HANDLER_CONCURRENCY
    bench.finish(runs[3])
    assert [run.request.id for run in bench.runs()] == [HANDLER_CONCURRENCY]


def test_a_full_line_answers_overloaded_with_the_time_to_come_back() -> None:
    bench = Bench(processes=ProcessesConfig(inbox_requests=4))
    bench.register(concurrency=2)
    bench.requests(request(1))
    (run,) = bench.runs()
    bench.now += 1
    bench.finish(run)
    bench.answers()
    bench.requests(*(request(number) for number in range(2, 9)))
    assert len(bench.runs()) == 2
    (answer,) = bench.answers()
    assert (answer.response.id, answer.response.status) == (8, Status.OVERLOADED)
    assert FAILURE.decode(answer.response.payload).retry_after_ms == 1000
    assert bench.plane.stats["work_refused"] == 1


def test_waiting_payloads_have_a_bound_in_bytes() -> None:
    bench = Bench(messaging=MessagingConfig(reassembly_bytes=1000))
    bench.register(concurrency=1)
    bench.requests(*(request(number, payload=raw("x" * 700)) for number in range(4)))
    assert len(bench.runs()) == 1
    (two, three) = bench.answers()
    assert {two.response.status, three.response.status} == {Status.OVERLOADED}


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"target": "unknown"}, Status.NO_SUCH_PROCESS),
        ({"target": "x" * 100_000}, Status.NO_SUCH_PROCESS),
        ({"timeout_ms": 0}, Status.EXPIRED),
        ({"timeout_ms": -5}, Status.EXPIRED),
        ({"headers": {str(n): "" for n in range(33)}}, Status.BAD_PAYLOAD),
    ],
)
def test_what_will_not_run_is_answered_at_once(
    bench: Bench, options: dict[str, Any], status: Status
) -> None:
    bench.register()
    bench.requests(request(1, **options))
    assert bench.runs() == []
    assert bench.statuses() == [status]


def test_work_that_waited_too_long_does_not_run(bench: Bench) -> None:
    bench.register(concurrency=1)
    bench.requests(request(1), request(2, timeout_ms=1000))
    (first,) = bench.runs()
    bench.later(1)
    assert bench.statuses() == [Status.EXPIRED]
    bench.finish(first)
    assert bench.runs() == []


def test_work_whose_deadline_passes_in_the_same_instant_as_its_turn_does_not_run(
    bench: Bench,
) -> None:
    bench.register(concurrency=1)
    bench.requests(request(1), request(2, timeout_ms=1000))
    (first,) = bench.runs()
    bench.now += 1
    bench.finish(first)
    assert bench.runs() == []
    assert bench.statuses() == [Status.OK, Status.EXPIRED]
    assert bench.plane.stats["work_waiting"] == 0


def test_work_is_stopped_at_its_deadline_and_keeps_its_place_until_it_has_ended(
    bench: Bench,
) -> None:
    bench.register(concurrency=1)
    bench.requests(request(1, timeout_ms=1000), request(2))
    (first,) = bench.runs()
    bench.later(1)
    assert bench.cancelled() == [first.run_id]
    assert bench.statuses() == [Status.FAILED]
    assert bench.runs() == [], "a thread cannot be stopped: the next one waits"
    bench.finish(first, "too late")
    assert bench.answers() == []
    assert [run.request.id for run in bench.runs()] == [2]


def test_a_process_may_have_a_shorter_time_limit_of_its_own(bench: Bench) -> None:
    bench.register(timeout_s=0.5)
    bench.requests(request(1), request(2, timeout_ms=100))
    first, second = bench.runs()
    assert (first.deadline, second.deadline) == (100.5, 100.1)
    bench.later(0.5)
    assert sorted(bench.cancelled()) == [first.run_id, second.run_id]
    failure = FAILURE.decode(bench.answers()[1].response.payload)
    assert (failure.type_name, failure.message) == (
        "TimeoutError",
        "process 'mine' was stopped after 0.5 s",
    )


def test_a_message_is_handled_to_its_end(bench: Bench) -> None:
    bench.requests(request(1, "", timeout_ms=1000))
    (run,) = bench.runs()
    bench.later(5)
    bench.requests(request(2, "x"), epoch=6)
    assert bench.cancelled() == []
    bench.finish(run)
    assert bench.statuses() == [Status.NO_SUCH_PROCESS, Status.OK]


def test_the_work_of_an_earlier_life_of_its_requester_is_stopped(bench: Bench) -> None:
    bench.register(concurrency=1)
    bench.requests(request(1), request(2), request(3, ""), request(4, ""))
    bench.requests(request(5), source=B)
    running, _, _ = bench.runs()
    bench.requests(request(1), epoch=6)
    assert bench.cancelled() == [running.run_id]
    bench.finish(running)
    assert bench.answers() == []
    assert [(run.source, run.message[0]) for run in bench.runs()] == [(B, 5)]
    bench.requests(request(9), epoch=5)
    bench.requests(request(10), epoch=7)
    assert bench.cancelled() == []


def test_who_is_lost_is_forgotten_and_its_work_goes_on(bench: Bench) -> None:
    bench.register()
    bench.requests(request(1))
    bench.lost(A)
    bench.requests(request(2), epoch=4)
    assert bench.cancelled() == []
    assert len(bench.runs()) == 2


def test_nobody_waits_for_a_process_that_was_unregistered(bench: Bench) -> None:
    bench.register(concurrency=1)
    bench.requests(request(1), request(2), request(3, ""), request(4, ""))
    run = bench.runs()[0]
    bench.plane.registry.unregister("mine")
    bench.changed()
    assert bench.statuses() == [Status.NO_SUCH_PROCESS]
    bench.finish(run)
    assert bench.statuses() == [Status.OK], "what runs may end"


def test_a_closing_node_takes_nothing_and_ends_what_runs(bench: Bench) -> None:
    bench.register(concurrency=1)
    bench.requests(request(1), request(2))
    bench.plane.close(now=bench.now)
    bench.requests(request(3))
    assert bench.statuses() == [Status.CLOSING, Status.CLOSING]
    (run,) = bench.runs()
    bench.finish(run)
    assert bench.statuses() == [Status.OK]


def test_stopped_work_is_not_stopped_twice(bench: Bench) -> None:
    bench.register()
    bench.requests(request(1, timeout_ms=1000))
    (run,) = bench.runs()
    bench.later(1)
    assert bench.cancelled() == [run.run_id]
    bench.requests(request(1), epoch=6)
    assert bench.cancelled() == []


# Cancelling.


def cancel(bench: Bench, number: int, *, source: NodeId = A, epoch: int = 5) -> None:
    bench.plane.receive_cancel(source, stream_epoch=epoch, request_id=number, now=bench.now)


def test_cancelled_work_leaves_the_line_or_is_told(bench: Bench) -> None:
    bench.register(concurrency=1)
    bench.requests(request(1), request(2), request(3))
    (first,) = bench.runs()
    cancel(bench, 2)
    cancel(bench, 1)
    assert bench.cancelled() == [first.run_id]
    assert bench.runs() == [], "its handler has not ended"
    bench.finish(first)
    assert [run.request.id for run in bench.runs()] == [3]
    assert bench.answers() == []


def test_only_who_asked_can_cancel(bench: Bench) -> None:
    bench.register()
    bench.requests(request(1))
    cancel(bench, 1, source=B)
    cancel(bench, 1, epoch=4)
    cancel(bench, 9)
    assert bench.cancelled() == []


def test_a_request_that_was_overtaken_by_its_cancellation_does_not_run(bench: Bench) -> None:
    bench.register()
    cancel(bench, 1)
    bench.requests(request(1), request(2))
    assert [run.request.id for run in bench.runs()] == [2]
    assert bench.answers() == []
    bench.requests(request(1), epoch=6)
    assert len(bench.runs()) == 1, "another life of the requester"


def test_cancellations_that_came_too_early_are_not_remembered_without_limit(bench: Bench) -> None:
    bench.register()
    for number in range(WITHDRAWN_MAX + 1):
        cancel(bench, number)
    bench.requests(request(0), request(1))
    assert [run.request.id for run in bench.runs()] == [0]


def test_a_cancelled_message_is_handled_all_the_same(bench: Bench) -> None:
    bench.requests(request(1, ""))
    cancel(bench, 1)
    (run,) = bench.runs()
    assert bench.cancelled() == []
    bench.finish(run)
    assert bench.statuses() == [Status.OK]


def test_cancelling_what_has_ended_does_nothing(bench: Bench) -> None:
    bench.register()
    bench.requests(request(1))
    (run,) = bench.runs()
    bench.finish(run)
    cancel(bench, 1)
    assert bench.cancelled() == []


def test_two_requests_of_one_number_are_both_answered(bench: Bench) -> None:
    bench.register()
    bench.requests(request(1), request(1))
    for run in bench.runs():
        bench.finish(run)
    assert bench.statuses() == [Status.OK, Status.OK]


# Idempotency keys.


def keyed(number: int, **options: Any) -> Request:
    return request(number, idempotency_key="k", **options)


def test_work_with_a_key_is_done_once(bench: Bench) -> None:
    bench.register()
    bench.requests(keyed(1), keyed(2))
    (run,) = bench.runs()
    bench.finish(run, "done")
    bench.requests(keyed(3))
    assert bench.runs() == []
    answers = [answer.response for answer in bench.answers()]
    assert [(answer.id, answer.payload) for answer in answers] == [
        (number, raw("done")) for number in (1, 2, 3)
    ]


def test_requests_that_wait_for_one_run_are_bounded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mreza.planes.work.WAITERS_MAX", 2)
    bench.register()
    bench.requests(keyed(1), keyed(2), keyed(3))
    (run,) = bench.runs()
    assert bench.statuses() == [Status.OVERLOADED]
    bench.finish(run)
    assert bench.statuses() == [Status.OK, Status.OK]


def test_keys_are_of_one_requester_and_process(bench: Bench) -> None:
    bench.register()
    bench.register("other")
    bench.requests(keyed(1), keyed(2, target="other"))
    bench.requests(keyed(1), source=B)
    assert len(bench.runs()) == 3


def test_work_that_failed_is_done_again(bench: Bench) -> None:
    bench.register()
    bench.requests(keyed(1))
    (run,) = bench.runs()
    bench.finish(run, status=Status.FAILED, error="OSError")
    bench.requests(keyed(2))
    assert len(bench.runs()) == 1


def test_results_are_remembered_for_a_time(bench: Bench) -> None:
    bench.register()
    bench.requests(keyed(1))
    (run,) = bench.runs()
    bench.finish(run)
    bench.now += ProcessesConfig().remember_s
    bench.requests(keyed(2))
    assert len(bench.runs()) == 1


def test_shared_work_goes_on_while_one_waits_for_it(bench: Bench) -> None:
    bench.register()
    bench.requests(keyed(1), keyed(2))
    (run,) = bench.runs()
    cancel(bench, 1)
    assert bench.cancelled() == []
    cancel(bench, 2)
    assert bench.cancelled() == [run.run_id]
    bench.requests(keyed(3))
    assert len(bench.runs()) == 1, "what was cancelled has no result to wait for"


def test_work_with_a_key_outlives_the_restart_of_its_requester(bench: Bench) -> None:
    bench.register(concurrency=1)
    bench.requests(keyed(1), request(2))
    (run,) = bench.runs()
    bench.requests(keyed(1), epoch=6)
    assert bench.cancelled() == []
    bench.finish(run, 5)
    (answer,) = bench.answers()
    assert (answer.stream_epoch, answer.response.payload) == (6, raw(5))
    assert bench.plane.stats["work_waiting"] == 0


def test_who_joins_with_more_time_gives_it_to_the_work(bench: Bench) -> None:
    bench.register(timeout_s=20, concurrency=1)
    bench.requests(keyed(1, timeout_ms=1000), keyed(2, timeout_ms=500), keyed(3, timeout_ms=5000))
    (run,) = bench.runs()
    bench.later(4)
    assert bench.cancelled() == []
    bench.requests(keyed(4, timeout_ms=100_000))
    bench.later(15.9)
    assert bench.cancelled() == []
    bench.later(0.2)
    assert bench.cancelled() == [run.run_id]
    assert bench.statuses() == [Status.FAILED] * 4


# Progress.


def reports(bench: Bench) -> list[tuple[int, Any]]:
    return [
        (answer.response.id, msgspec.msgpack.decode(answer.response.payload))
        for answer in bench.answers()
        if answer.response.status == Status.PROGRESS
    ]


def test_progress_goes_to_who_wants_it_and_not_too_often(bench: Bench) -> None:
    bench.register()
    bench.requests(keyed(1, progress=True), keyed(2))
    (run,) = bench.runs()
    for value in (10, 20, 30):
        bench.plane.progress(run.run_id, raw(value), now=bench.now)
    assert reports(bench) == [(1, 10)]
    assert bench.plane.next_deadline() == bench.now + PROGRESS_INTERVAL_S
    bench.later(PROGRESS_INTERVAL_S)
    assert reports(bench) == [(1, 30)]
    bench.later(PROGRESS_INTERVAL_S)
    assert reports(bench) == []


def test_the_last_report_comes_before_the_result(bench: Bench) -> None:
    bench.register()
    bench.requests(request(1, progress=True))
    (run,) = bench.runs()
    for value in (10, 99):
        bench.plane.progress(run.run_id, raw(value), now=bench.now)
    bench.finish(run)
    bench.plane.progress(run.run_id, raw(100), now=bench.now)
    statuses = bench.statuses()
    assert statuses == [Status.PROGRESS, Status.PROGRESS, Status.OK]
    bench.later(1)
    assert bench.answers() == []


def test_cancelled_work_reports_nothing(bench: Bench) -> None:
    bench.register()
    bench.requests(request(1, progress=True))
    (run,) = bench.runs()
    bench.plane.progress(run.run_id, raw(1), now=bench.now)
    bench.plane.progress(run.run_id, raw(2), now=bench.now)
    cancel(bench, 1)
    bench.plane.progress(run.run_id, raw(3), now=bench.now)
    bench.later(1)
    assert len(reports(bench)) == 1


# Load.


def loads(bench: Bench) -> list[Load | None]:
    return [answer.response.load for answer in bench.answers()]


def test_answers_tell_how_busy_the_node_is(bench: Bench) -> None:
    bench.register(concurrency=2)
    bench.requests(request(0, "unknown"))
    assert loads(bench) == [None], "nothing is known of it yet"
    bench.requests(*(request(number) for number in range(5)))
    bench.plane.measured(cpu=0.25, memory=1.7, loop_lag_s=0.002)
    bench.now += 0.5
    bench.finish(bench.runs()[0])
    (load,) = loads(bench)
    assert load is not None
    assert (load.in_flight, load.cpu, load.memory, load.loop_lag_us) == (4, 250, 1000, 2000)
    assert load.capacity == 2 + 40, "what two at a time do in ten seconds, 0.5 s each so far"
    bench.plane.measured(cpu=None, memory=None, loop_lag_s=None)
    bench.requests(request(9, "unknown"))
    assert loads(bench) == [Load(4, 42)]


def test_progress_says_nothing_of_load(bench: Bench) -> None:
    bench.register()
    bench.requests(request(1, progress=True))
    (run,) = bench.runs()
    bench.plane.progress(run.run_id, raw(1), now=bench.now)
    assert loads(bench) == [None]
