"""Functions in threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from mreza.io.executors.thread import ThreadExecutor
from tests.support.eventually import eventually_async

Outcomes = list[tuple[Any, BaseException | None]]
WHO = contextvars.ContextVar("WHO", default="nobody")


async def test_results_and_errors_arrive_on_the_loop() -> None:
    executor, outcomes = ThreadExecutor(2), Outcomes()
    here = threading.current_thread()

    def done(result: Any, error: BaseException | None) -> None:
        assert threading.current_thread() is here
        outcomes.append((result, error))

    def fails() -> None:
        raise SystemExit(3)

    executor.submit(threading.current_thread, done)
    await eventually_async(lambda: len(outcomes) == 1)
    executor.submit(fails, done)
    await eventually_async(lambda: len(outcomes) == 2)
    assert outcomes[0][0] is not here
    assert isinstance(outcomes[1][1], SystemExit)
    assert await executor.close(5) == 0


async def test_no_more_threads_than_allowed_and_none_without_need() -> None:
    executor, outcomes = ThreadExecutor(2), Outcomes()
    release, started = threading.Event(), threading.Semaphore(0)

    def wait() -> bool:
        started.release()
        return release.wait(10)

    for _ in range(4):
        executor.submit(wait, lambda *o: outcomes.append(o))
    assert len(executor._threads) == 2
    release.set()
    await eventually_async(lambda: len(outcomes) == 4)
    await eventually_async(lambda: executor._idle == 2)
    executor.submit(wait, lambda *o: outcomes.append(o))
    await eventually_async(lambda: len(outcomes) == 5)
    assert len(executor._threads) == 2
    assert await executor.close(5) == 0


async def test_what_has_not_started_can_be_withdrawn() -> None:
    executor, outcomes = ThreadExecutor(1), Outcomes()
    release = threading.Event()
    running = executor.submit(lambda: release.wait(10), lambda *o: outcomes.append(o))
    waiting = executor.submit(lambda: 2, lambda *o: outcomes.append(o))
    await eventually_async(lambda: running.started)
    assert not executor.withdraw(running)
    assert executor.withdraw(waiting)
    assert not executor.withdraw(waiting)
    release.set()
    await eventually_async(lambda: outcomes == [(True, None)])
    assert await executor.close(5) == 0


async def test_the_context_of_the_caller_is_kept() -> None:
    executor, outcomes = ThreadExecutor(1), Outcomes()
    WHO.set("me")
    executor.submit(WHO.get, lambda *o: outcomes.append(o))
    await eventually_async(lambda: outcomes == [("me", None)])
    assert await executor.close(5) == 0


async def test_closing_does_not_wait_for_ever() -> None:
    executor = ThreadExecutor(1)
    release = threading.Event()
    job = executor.submit(lambda: release.wait(10), lambda *_: None)
    await eventually_async(lambda: job.started)
    executor.submit(lambda: 1, lambda *_: pytest.fail("it must not start"))
    assert await executor.close(0.02) == 1
    with pytest.raises(RuntimeError, match="closed"):
        executor.submit(lambda: 1, lambda *_: None)
    release.set()
    assert await executor.close(5) == 0
    assert not any(thread.is_alive() for thread in executor._threads)


async def test_closing_what_never_ran_is_nothing() -> None:
    assert await ThreadExecutor(1).close(1) == 0


def test_a_loop_that_is_gone_is_not_told() -> None:
    release = threading.Event()

    async def leave_behind() -> ThreadExecutor:
        executor = ThreadExecutor(1)
        job = executor.submit(lambda: release.wait(10), lambda *_: None)
        await eventually_async(lambda: job.started)
        return executor

    executor = asyncio.run(leave_behind())
    release.set()
    executor._threads[0].join(5)
    assert not executor._threads[0].is_alive()
