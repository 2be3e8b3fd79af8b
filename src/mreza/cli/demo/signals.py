"""Ends a demo in order, whoever ends it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

TERMINATED = 128 + 15


def run_to_the_end(demo: Callable[[], Awaitable[int]]) -> int:
    """Run a demo; its exit status. SIGTERM and SIGHUP end it as Ctrl-C does: in order."""
    try:
        return asyncio.run(_with_signals(demo))
    except asyncio.CancelledError:
        return TERMINATED


async def _with_signals(demo: Callable[[], Awaitable[int]]) -> int:
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and task is not None:
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, task.cancel)
    return await demo()
