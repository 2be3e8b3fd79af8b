"""Handlers run where they belong and become answers."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mreza.ids import MessageId, NodeId
from mreza.io.executors.invoke import PROGRESS_MAX
from mreza.io.executors.runner import HandlerRunner
from mreza.processes.handlers import CallContext, ProcessSpec
from mreza.wire.packet import Failure, Status
from tests.support.eventually import eventually_async
from tests.support.leaks import no_leaks_async
from tests.unit.io.executors import pool_handlers

NODE = NodeId(b"n" * 16)
CONTEXT = CallContext(
    source=NODE, deadline=9.0, attempt=2, message_id=MessageId(NODE, 1, 1, 1, 0), headers={"h": "v"}
)


@dataclass
class Job:
    size: int


class Bench:
    """A runner and what it said."""

    def __init__(self) -> None:
        self.finished: dict[int, tuple[bytes | None, Failure | None, Status]] = {}
        self.failed: list[BaseException] = []
        self.reports: list[Any] = []
        self.runner = HandlerRunner(
            threads=2,
            finished=self._finished,
            failed=lambda _, error: self.failed.append(error),
            progress=lambda _, value: self.reports.append(msgspec.msgpack.decode(value)),
        )

    def _finished(
        self, run_id: int, result: bytes | None, failure: Failure | None, status: Status
    ) -> None:
        assert run_id not in self.finished
        self.finished[run_id] = (result, failure, status)

    def start(
        self,
        run_id: int,
        handler: Any,
        payload: Any = None,
        *,
        executor: Any = None,
        progress: bool = False,
    ) -> None:
        raw = msgspec.Raw(msgspec.msgpack.encode(payload))
        spec = ProcessSpec("p", handler, executor=executor)
        self.runner.start(run_id, spec, raw, CONTEXT, progress=progress)

    async def outcome(self, run_id: int = 1) -> tuple[Any, Failure | None, Status]:
        await eventually_async(lambda: run_id in self.finished)
        result, failure, status = self.finished[run_id]
        return (None if result is None else msgspec.msgpack.decode(result)), failure, status


async def double(payload: Job) -> Job:
    return Job(payload.size * 2)


def plain_double(payload: Job) -> Job:
    return Job(payload.size * 2)


async def fails(payload: Any) -> None:
    raise KeyError(payload)


def plain_fails(payload: Any) -> None:
    raise KeyError(payload)


@pytest.mark.parametrize("handler", [double, plain_double])
async def test_a_typed_payload_goes_in_and_a_result_comes_out(handler: Any) -> None:
    bench = Bench()
    bench.start(1, handler, {"size": 4})
    assert await bench.outcome() == ({"size": 8}, None, Status.OK)
    assert bench.runner.running == 0
    assert await bench.runner.close(5) == 0


@pytest.mark.parametrize("handler", [fails, plain_fails])
async def test_an_error_becomes_a_failure_with_the_handlers_traceback(handler: Any) -> None:
    bench = Bench()
    bench.start(1, handler, "k")
    _, failure, status = await bench.outcome()
    assert status is Status.FAILED
    assert failure is not None
    assert (failure.type_name, failure.message) == ("KeyError", "'k'")
    assert "raise KeyError(payload)" in failure.traceback
    assert failure.traceback.count("File ") == 1, "only the handler's own frame"
    assert len(bench.failed) == 1
    await bench.runner.close(5)


@pytest.mark.parametrize("handler", [double, plain_double])
async def test_a_payload_that_does_not_fit_is_told(handler: Any) -> None:
    bench = Bench()
    bench.start(1, handler, {"size": "large"})
    _, failure, status = await bench.outcome()
    assert status is Status.BAD_PAYLOAD
    assert failure is not None
    assert "does not fit process 'p'" in failure.message
    await bench.runner.close(5)


async def test_a_result_that_cannot_be_sent_is_told() -> None:
    async def handler(_: Any) -> Any:
        return object()

    bench = Bench()
    bench.start(1, handler)
    bench.start(2, lambda _: threading.Lock())
    for run_id in (1, 2):
        _, failure, status = await bench.outcome(run_id)
        assert status is Status.BAD_PAYLOAD
        assert failure is not None
        assert "the result cannot be sent" in failure.message
    await bench.runner.close(5)


async def test_a_plain_function_never_runs_on_the_loop() -> None:
    bench = Bench()
    bench.start(1, lambda _: threading.current_thread() is threading.main_thread())
    assert (await bench.outcome())[0] is False
    await bench.runner.close(5)


async def test_the_context_is_there_for_who_wants_it() -> None:
    async def handler(payload: int, context: CallContext) -> list[Any]:
        return [payload, context.attempt, context.headers["h"]]

    bench = Bench()
    bench.start(1, handler, 7)
    assert (await bench.outcome())[0] == [7, 2, "v"]


async def test_a_cancelled_coroutine_ends_and_is_told() -> None:
    async def handler(_: Any) -> None:
        await asyncio.Event().wait()

    bench = Bench()
    bench.start(1, handler)
    bench.runner.cancel(1)
    bench.runner.cancel(99)
    _, failure, status = await bench.outcome()
    assert status is Status.FAILED
    assert failure is not None
    assert failure.type_name == "CancelledError"


async def test_a_cancelled_thread_ends_when_it_does_and_one_that_waits_at_once() -> None:
    release = threading.Event()
    bench = Bench()
    for run_id in (1, 2, 3):
        bench.start(run_id, lambda _: release.wait(10))
    await asyncio.sleep(0)
    for run_id in (1, 3):
        bench.runner.cancel(run_id)
    assert list(bench.finished) == [3]
    release.set()
    assert (await bench.outcome(1))[0] is True
    await bench.outcome(2)
    assert await bench.runner.close(5) == 0


async def test_any_coroutine_function_can_be_run() -> None:
    async def answer() -> str:
        return "x"

    bench = Bench()
    bench.runner.start_coroutine(1, answer)
    assert await bench.outcome() == ("x", None, Status.OK)


async def test_after_closing_nothing_is_told() -> None:
    bench = Bench()
    started, release = threading.Event(), threading.Event()

    def wait(_: Any) -> bool:
        started.set()
        return release.wait(10)

    bench.start(1, wait)
    await eventually_async(started.is_set)
    bench.runner.start_coroutine(2, asyncio.Event().wait)
    assert await bench.runner.close(0.02) == 1
    release.set()
    assert await bench.runner.close(5) == 0
    assert bench.finished == {}


async def test_a_failure_nobody_listens_for_is_answered_all_the_same() -> None:
    told: list[Status] = []
    runner = HandlerRunner(threads=1, finished=lambda *outcome: told.append(outcome[3]))
    runner.start(1, ProcessSpec("p", fails), msgspec.Raw(b"\xc0"), CONTEXT)
    await eventually_async(lambda: told == [Status.FAILED])


async def tells(payload: int, context: CallContext) -> str:
    for number in range(payload):
        context.progress(number)
        await asyncio.sleep(0)
    return "done"


async def tells_too_much(_: Any, context: CallContext) -> None:
    context.progress(bytes(PROGRESS_MAX + 1))


@pytest.mark.parametrize(
    ("handler", "executor"),
    [(tells, "async"), (pool_handlers.tells, None), (pool_handlers.tells, "process")],
)
async def test_progress_comes_before_the_result_from_wherever_the_handler_runs(
    handler: Any, executor: Any
) -> None:
    bench = Bench()
    bench.start(1, handler, 50, executor=executor, progress=True)
    _, _, status = await bench.outcome()
    assert status is Status.OK
    assert bench.reports[-1] == 49
    assert bench.reports == sorted(bench.reports)
    bench.reports.clear()
    bench.start(2, handler, 50, executor=executor)
    await bench.outcome(2)
    assert bench.reports == []
    assert await bench.runner.close(5) == 0


async def test_a_report_of_progress_is_no_place_for_a_result() -> None:
    bench = Bench()
    bench.start(1, tells_too_much, progress=True)
    _, failure, status = await bench.outcome()
    assert status is Status.FAILED
    assert failure is not None
    assert failure.type_name == "PayloadError"


async def test_a_pool_process_is_killed_with_its_work_and_replaced(tmp_path: Path) -> None:
    async with no_leaks_async():
        bench = Bench()
        begun = tmp_path / "begun"
        bench.start(1, pool_handlers.waits, str(begun), executor="process")
        bench.start(2, pool_handlers.double, 4, executor="process")
        await eventually_async(begun.exists)
        assert len(bench.runner.pool_pids) == 1
        bench.runner.cancel(1)
        _, failure, _ = await bench.outcome(1)
        assert failure is not None
        assert failure.type_name == "CancelledError"
        assert await bench.outcome(2) == (8, None, Status.OK)
        bench.start(3, pool_handlers.dies, "exit", executor="process")
        _, failure, status = await bench.outcome(3)
        assert (status, failure is not None) == (Status.LOST, True)
        assert await bench.runner.close(5) == 0
    assert not bench.runner.pool_pids


async def test_work_that_waits_for_a_pool_process_can_be_taken_back(tmp_path: Path) -> None:
    bench = Bench()
    begun = tmp_path / "begun"
    bench.start(1, pool_handlers.waits, str(begun), executor="process")
    bench.start(2, pool_handlers.double, 4, executor="process")
    bench.runner.cancel(2)
    assert list(bench.finished) == [2]
    assert await bench.runner.close(5) == 0
