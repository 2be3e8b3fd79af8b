"""Find what a test leaves behind: threads, tasks, descriptors and child processes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.support.eventually import GENEROUS_S, eventually, eventually_async

_EXECUTOR = "asyncio_"
"Threads of a loop's default executor end with the loop, not with what used them."


class Held(NamedTuple):
    """What this process holds now, by name, so that a complaint can say what is left."""

    threads: tuple[str, ...]
    descriptors: tuple[str, ...]
    children: tuple[int, ...]
    tasks: tuple[str, ...] = ()

    def beyond(self, before: Held) -> str:
        """What is held now and was not before, in words; empty if nothing."""
        left = []
        for field, now, then in zip(self._fields, self, before, strict=True):
            if len(now) > len(then):
                rest = [str(name) for name in now]
                for name in then:
                    if str(name) in rest:
                        rest.remove(str(name))
                left.append(f"{len(now) - len(then)} {field}: {', '.join(rest)}")
        return "; ".join(left)


def held() -> Held:
    """Take stock. Inside a running loop its tasks count, the current one left out."""
    gc.collect()
    threads = tuple(t.name for t in threading.enumerate() if not t.name.startswith(_EXECUTOR))
    children = tuple(child.pid for child in psutil.Process().children())
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        tasks: tuple[str, ...] = ()
    else:
        current = asyncio.current_task()
        tasks = tuple(task.get_name() for task in asyncio.all_tasks(loop) if task is not current)
    return Held(threads, tuple(_descriptors()), children, tasks)


def _descriptors() -> list[str]:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        process = psutil.Process()
        count = process.num_fds() if hasattr(process, "num_fds") else 0
        return ["?"] * count
    names = []
    for entry in os.listdir(folder):  # noqa: PTH208 - Path.iterdir holds a descriptor of its own
        with contextlib.suppress(OSError):  # the one that listed the folder
            names.append(f"{entry} {os.readlink(folder / entry)}")  # noqa: PTH115
    return names


@contextlib.contextmanager
def no_leaks(*, timeout_s: float = GENEROUS_S) -> Iterator[None]:
    """Fail if what was opened inside is not closed soon after."""
    before = held()
    yield
    with contextlib.suppress(AssertionError):
        eventually(lambda: not held().beyond(before), timeout_s=timeout_s)
    left = held().beyond(before)
    assert not left, f"left behind: {left}"


@contextlib.asynccontextmanager
async def no_leaks_async(*, timeout_s: float = GENEROUS_S) -> AsyncIterator[None]:
    """As `no_leaks` inside a running loop, tasks included."""
    before = held()
    yield
    with contextlib.suppress(AssertionError):
        await eventually_async(lambda: not held().beyond(before), timeout_s=timeout_s)
    left = held().beyond(before)
    assert not left, f"left behind: {left}"
