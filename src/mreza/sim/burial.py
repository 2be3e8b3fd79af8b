"""The dead of a simulation: tasks that never run again, kept so that nothing of them ever does.

A coroutine that the garbage collector finds is closed, and its `finally` runs: goodbyes of a
process that was killed. So they are kept until the simulation is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from typing import Any

from mreza.node.mesh import MeshNetwork

TRIES = 16
"A coroutine that awaits while it is closed is closed again."


class Graveyard:
    """Tasks and nodes of processes that died."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._states: list[Any] = []

    def add(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Tasks that will never run again."""
        self._tasks.update(dict.fromkeys(tasks))

    def add_node(self, node: MeshNetwork) -> None:
        """A node whose process died; it still holds the lock of its folder."""
        running = node._life.running
        if running is not None:
            self._states.append(running.state)

    def living(self, loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[Any]]:
        """Tasks of the loop that can still run."""
        tasks = [task for task in asyncio.all_tasks(loop) if task not in self._tasks]
        return sorted(tasks, key=asyncio.Task.get_name)

    def bury(self, loop: asyncio.AbstractEventLoop) -> None:
        """End all that is left; nothing that it says is heard any more."""
        loop.set_exception_handler(lambda _loop, _context: None)
        for task in [*self._tasks, *self.living(loop)]:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                _close(task.get_coro())
        for state in self._states:
            with contextlib.suppress(Exception):
                state.close()
        self._tasks.clear()


def _close(coroutine: Any) -> None:
    with warnings.catch_warnings():
        # What its last words begin, nobody awaits.
        warnings.simplefilter("ignore")
        for _ in range(TRIES):
            try:
                coroutine.close()
            except BaseException:  # noqa: BLE001, S112 - last words
                continue
            return
