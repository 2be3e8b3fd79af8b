"""Coroutines on the loop."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from mreza.io.executors.loop import LoopExecutor
from tests.support.eventually import eventually_async

Outcomes = list[tuple[Any, BaseException | None]]


async def work(value: Any) -> Any:
    if isinstance(value, BaseException):
        raise value
    return value


async def test_results_and_errors_arrive() -> None:
    executor, outcomes = LoopExecutor(), Outcomes()
    error, ending = ValueError("x"), SystemExit(3)
    for value in (1, error, ending):
        executor.submit(partial(work, value), lambda *o: outcomes.append(o), name="test")
    await eventually_async(lambda: len(outcomes) == 3)
    assert outcomes == [(1, None), (None, error), (None, ending)]


async def test_a_cancelled_one_is_told_even_before_it_began() -> None:
    executor, outcomes = LoopExecutor(), Outcomes()
    task = executor.submit(lambda: work(1), lambda *o: outcomes.append(o), name="test")
    task.cancel()
    await eventually_async(lambda: outcomes != [])
    assert isinstance(outcomes[0][1], asyncio.CancelledError)


async def test_closing_cancels_and_counts_the_unwilling() -> None:
    executor, outcomes = LoopExecutor(), Outcomes()
    release = asyncio.Event()

    async def unwilling() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await release.wait()
        return "at last"

    executor.submit(asyncio.Event().wait, lambda *o: outcomes.append(o), name="willing")
    executor.submit(unwilling, lambda *o: outcomes.append(o), name="unwilling")
    await asyncio.sleep(0)
    assert await executor.close(0.05) == 1
    release.set()
    await eventually_async(lambda: len(outcomes) == 2)
    assert outcomes[1] == ("at last", None)
    assert await executor.close(1.0) == 0
