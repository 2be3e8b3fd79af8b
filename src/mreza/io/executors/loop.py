"""Coroutines on the event loop, one task each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

Outcome = tuple[Any, BaseException | None]
Done = Callable[[Any, BaseException | None], None]


class LoopExecutor:
    """Runs coroutine functions as tasks that it owns and names."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[Outcome], None] = {}

    def submit(
        self, function: Callable[[], Awaitable[Any]], done: Done, *, name: str
    ) -> asyncio.Task[Outcome]:
        """Await `function()`, then call `done`, in any case, also after cancelling the task."""
        task = self._loop.create_task(_outcome(function), name=name)
        self._tasks[task] = None
        task.add_done_callback(partial(self._ended, done))
        return task

    async def close(self, timeout_s: float) -> int:
        """Cancel all and wait; how many have not ended by then."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        return len(self._tasks)

    def _ended(self, done: Done, task: asyncio.Task[Outcome]) -> None:
        del self._tasks[task]
        # Here and not in the task: one that is cancelled before its first step never gets to run.
        result, error = (None, asyncio.CancelledError()) if task.cancelled() else task.result()
        done(result, error)


async def _outcome(function: Callable[[], Awaitable[Any]]) -> Outcome:
    try:
        return await function(), None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a handler raises is its outcome
        return None, error
