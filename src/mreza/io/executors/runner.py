"""Runs handlers and turns what they do into an answer: bytes, or a failure with its traceback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from mreza.errors import PayloadError
from mreza.io.executors.invoke import Told, Unfit, called, decoded, encoded, reporter
from mreza.io.executors.loop import LoopExecutor
from mreza.io.executors.pool import PoolExecutor
from mreza.io.executors.thread import ThreadExecutor
from mreza.processes.failures import failure_of
from mreza.processes.handlers import CallContext, ProcessSpec
from mreza.wire.packet import Failure, Status

Finished = Callable[[int, bytes | None, Failure | None, Status], None]
"(run id, result as msgpack, failure, status): called once for each run, on the event loop."
Failed = Callable[[int, BaseException], None]
Progress = Callable[[int, msgspec.Raw], None]
"(run id, value as msgpack): called on the event loop, with the newest value of each iteration."


class HandlerRunner:
    """Runs handlers, each on the executor of its process. How many at a time is not decided here.

    A cancelled coroutine gets CancelledError, and a pool process is killed. A function in a thread
    cannot be stopped, so its `finished` comes when it returns. One that had not started is finished
    at once.
    """

    def __init__(
        self,
        *,
        threads: int,
        pool_processes: int = 1,
        finished: Finished,
        failed: Failed | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._finished = finished
        self._failed = failed
        self._progress = progress
        self._threads = threads
        self._pool_processes = pool_processes
        self._thread_executor: ThreadExecutor | None = None
        self._pool: PoolExecutor | None = None
        self._loop_executor = LoopExecutor()
        self._cancel: dict[int, Callable[[], Any]] = {}
        self._news: dict[int, bytes] = {}
        "What runs have reported since the loop looked last."
        self._closed = False

    @property
    def running(self) -> int:
        return len(self._cancel)

    @property
    def pool_pids(self) -> tuple[int, ...]:
        """The pool processes that live."""
        return () if self._pool is None else self._pool.pids

    def start(
        self,
        run_id: int,
        spec: ProcessSpec,
        payload: msgspec.Raw,
        context: CallContext,
        *,
        progress: bool = False,
    ) -> None:
        """Decode the payload, run the handler, encode what it returns.

        `progress`: pass on what the handler reports.
        """
        report = partial(self._report, run_id) if progress else None
        if spec.executor == "process":
            self._start_in_pool(run_id, spec, payload, context, report)
            return
        if report is not None:
            context = msgspec.structs.replace(context, report=reporter(report))
        if spec.is_async:
            self.start_coroutine(
                run_id,
                partial(_awaited, spec, payload, context),
                name=f"mreza-process-{spec.name}",
            )
            return
        executor = self._thread_executor
        if executor is None:
            executor = self._thread_executor = ThreadExecutor(self._threads)
        work = partial(called, spec, payload, context)
        job = executor.submit(work, partial(self._done, run_id))
        self._cancel[run_id] = partial(
            self._cancel_unless_started, run_id, partial(executor.withdraw, job)
        )

    def start_coroutine(
        self, run_id: int, function: Callable[[], Awaitable[Any]], *, name: str = "mreza-handler"
    ) -> None:
        """Run a coroutine function of no arguments; what it returns is the result."""
        done = partial(self._encode_and_done, run_id)
        task = self._loop_executor.submit(function, done, name=name)
        self._cancel[run_id] = task.cancel

    def cancel(self, run_id: int) -> None:
        """Nobody waits for this run any more."""
        cancel = self._cancel.get(run_id)
        if cancel is not None:
            cancel()

    async def close(self, timeout_s: float) -> int:
        """Cancel all and wait so long at most; how many handlers run on regardless."""
        self._closed = True
        busy = await self._loop_executor.close(timeout_s)
        if self._pool is not None:
            busy += await self._pool.close(timeout_s)
        if self._thread_executor is not None:
            busy += await self._thread_executor.close(timeout_s)
        return busy

    def _start_in_pool(
        self,
        run_id: int,
        spec: ProcessSpec,
        payload: msgspec.Raw,
        context: CallContext,
        report: Callable[[bytes], None] | None,
    ) -> None:
        pool = self._pool
        if pool is None:
            pool = self._pool = PoolExecutor(self._pool_processes)
        job = pool.submit(spec, payload, context, partial(self._done, run_id), report)
        self._cancel[run_id] = partial(self._cancel_unless_started, run_id, job.cancel)

    def _cancel_unless_started(self, run_id: int, withdraw: Callable[[], bool]) -> None:
        if withdraw():
            self._done(run_id, None, asyncio.CancelledError())

    def _report(self, run_id: int, value: bytes) -> None:
        """Called anywhere, as often as a handler likes: the loop hears of the newest."""
        pending = run_id in self._news
        self._news[run_id] = value
        if not pending:
            try:
                self._loop.call_soon_threadsafe(self._tell, run_id)
            except RuntimeError:
                return  # The loop is closed: nobody is there to be told.

    def _tell(self, run_id: int) -> None:
        value = self._news.pop(run_id, None)
        if value is not None and run_id in self._cancel and self._progress is not None:
            self._progress(run_id, msgspec.Raw(value))

    def _encode_and_done(self, run_id: int, result: Any, error: BaseException | None) -> None:
        result_bytes: bytes | None = None
        if error is None:
            try:
                result_bytes = encoded(result)
            except PayloadError as refused:
                error = refused
        self._done(run_id, result_bytes, error)

    def _done(self, run_id: int, result: bytes | None, error: BaseException | None) -> None:
        self._tell(run_id)
        if self._cancel.pop(run_id, None) is None or self._closed:
            return
        if error is None:
            self._finished(run_id, result, None, Status.OK)
            return
        if self._failed is not None:
            self._failed(run_id, error)
        if isinstance(error, Told):
            self._finished(run_id, None, error.failure, error.status)
            return
        status = Status.BAD_PAYLOAD if isinstance(error, Unfit) else Status.FAILED
        self._finished(run_id, None, failure_of(error), status)


async def _awaited(spec: ProcessSpec, payload: msgspec.Raw, context: CallContext) -> Any:
    return await spec.invoke(decoded(spec, payload), context)
