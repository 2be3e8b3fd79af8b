"""Plain functions in threads.

Not `concurrent.futures`: its threads are joined when the interpreter ends, so that one handler
that never returns keeps a program from ending. These are daemons.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from mreza.io.host import Deliver, current_host

Done = Callable[[Any, BaseException | None], None]
"Called on the event loop with the result or the error."


class _Job:
    """One function to run."""

    __slots__ = ("context", "deliver", "done", "function", "started")

    def __init__(self, function: Callable[[], Any], done: Done, deliver: Deliver) -> None:
        self.function = function
        self.done = done
        self.deliver = deliver
        self.context = contextvars.copy_context()
        self.started = False


class ThreadExecutor:
    """Runs functions in at most `threads` threads, which start when needed and stay until `close`.

    The queue has no bound of its own: the service plane hands over no more than may run at a time.
    """

    def __init__(self, threads: int, *, name: str = "mreza-work") -> None:
        self._loop = asyncio.get_running_loop()
        self._host = current_host()
        self._limit = threads
        self._name = name
        self._jobs: deque[_Job] = deque()
        self._threads: list[threading.Thread] = []
        self._alive = 0
        self._all_gone = asyncio.Event()
        self._last_gone: Deliver = self._loop.call_soon_threadsafe
        self._idle = 0
        self._lock = threading.Condition()
        self._closed = False

    def submit(self, function: Callable[[], Any], done: Done) -> _Job:
        """Run `function` in a thread, then call `done` on the event loop, in any case."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is closed")
            job = _Job(function, done, self._host.work_outside())
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._lock.notify()
            elif len(self._threads) < self._limit:
                self._start_thread()
        return job

    def withdraw(self, job: _Job) -> bool:
        """Take back what has not started; False: it runs, and nothing can stop it."""
        with self._lock:
            if job.started:
                return False
            job.started = True
            self._jobs.remove(job)
        job.deliver(_nothing)
        return True

    async def close(self, timeout_s: float) -> int:
        """Drop what has not started, wait for what runs; how many threads are busy even then."""
        with self._lock:
            self._closed = True
            dropped, self._jobs = self._jobs, deque()
            self._lock.notify_all()
        for job in dropped:
            job.deliver(_nothing)
        if self._alive:
            self._last_gone = self._host.work_outside()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_gone.wait(), timeout_s)
        for thread in self._threads:
            thread.join(0 if self._alive else None)
        return self._alive

    def _start_thread(self) -> None:
        number = len(self._threads)
        thread = threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True)
        self._threads.append(thread)
        self._alive += 1
        thread.start()

    def _next_job(self) -> _Job | None:
        with self._lock:
            self._idle += 1
            while not self._jobs and not self._closed:
                self._lock.wait()
            self._idle -= 1
            if not self._jobs:
                return None
            job = self._jobs.popleft()
            job.started = True
            return job

    def _gone(self) -> None:
        self._alive -= 1
        if not self._alive:
            self._last_gone(self._all_gone.set)

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            result, error = None, None
            try:
                result = job.context.run(job.function)
            except BaseException as raised:  # noqa: BLE001 - also SystemExit: a handler ends, not the thread
                error = raised
            try:
                job.deliver(job.done, result, error)
            except RuntimeError:
                return  # The loop is closed: nobody is there to be told.
            # Not kept until the next job comes: it may be large.
            del job, result, error
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._gone)


def _nothing() -> None:
    """What comes of work that is not begun."""
