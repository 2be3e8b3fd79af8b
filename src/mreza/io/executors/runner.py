"""Runs handlers and turns what they do into an answer: bytes, or a failure with its traceback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from mreza.errors import MeshError, PayloadError
from mreza.io.executors.loop import LoopExecutor
from mreza.io.executors.thread import ThreadExecutor
from mreza.messaging.payload import encode_payload
from mreza.processes.failures import failure_of
from mreza.processes.handlers import CallContext, ProcessSpec
from mreza.wire.packet import PAYLOAD_MAX, Failure, Status

Finished = Callable[[int, bytes | None, Failure | None, Status], None]
"(run id, result as msgpack, failure, status): called once for each run, on the event loop."
Failed = Callable[[int, BaseException], None]


class HandlerRunner:
    """Runs handlers, each on the executor of its process. How many at a time is not decided here.

    A cancelled coroutine gets CancelledError; a function in a thread cannot be stopped, so its
    `finished` comes when it returns. One that had not started is finished at once.
    """

    def __init__(self, *, threads: int, finished: Finished, failed: Failed | None = None) -> None:
        self._finished = finished
        self._failed = failed
        self._threads = threads
        self._thread_executor: ThreadExecutor | None = None
        self._loop_executor = LoopExecutor()
        self._cancel: dict[int, Callable[[], Any]] = {}
        self._closed = False

    @property
    def running(self) -> int:
        return len(self._cancel)

    def start(
        self, run_id: int, spec: ProcessSpec, payload: msgspec.Raw, context: CallContext
    ) -> None:
        """Decode the payload, run the handler, encode what it returns."""
        if spec.is_async:
            self.start_coroutine(
                run_id,
                partial(_awaited, spec, payload, context),
                name=f"mreza-process-{spec.name}",
            )
            return
        done = partial(self._done, run_id)
        executor = self._thread_executor
        if executor is None:
            executor = self._thread_executor = ThreadExecutor(self._threads)
        job = executor.submit(partial(_called, spec, payload, context), done)

        def cancel() -> None:
            if executor.withdraw(job):
                self._done(run_id, None, asyncio.CancelledError())

        self._cancel[run_id] = cancel

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
        if self._thread_executor is not None:
            busy += await self._thread_executor.close(timeout_s)
        return busy

    def _encode_and_done(self, run_id: int, result: Any, error: BaseException | None) -> None:
        encoded: bytes | None = None
        if error is None:
            try:
                encoded = _encoded(result)
            except PayloadError as refused:
                error = refused
        self._done(run_id, encoded, error)

    def _done(self, run_id: int, result: bytes | None, error: BaseException | None) -> None:
        if self._cancel.pop(run_id, None) is None or self._closed:
            return
        if error is None:
            self._finished(run_id, result, None, Status.OK)
            return
        if self._failed is not None:
            self._failed(run_id, error)
        status = Status.BAD_PAYLOAD if isinstance(error, _Unfit) else Status.FAILED
        self._finished(run_id, None, failure_of(error), status)


class _Unfit(PayloadError):
    """The payload or the result does not fit; not an error of the handler's own."""


async def _awaited(spec: ProcessSpec, payload: msgspec.Raw, context: CallContext) -> Any:
    return await spec.invoke(_decoded(spec, payload), context)


def _called(spec: ProcessSpec, payload: msgspec.Raw, context: CallContext) -> bytes:
    # All of it in the thread: decoding a large payload holds up the loop as much as work does.
    return _encoded(spec.invoke(_decoded(spec, payload), context))


def _decoded(spec: ProcessSpec, payload: msgspec.Raw) -> Any:
    try:
        return spec.decode(payload)
    except PayloadError as error:
        raise _Unfit(str(error)) from None


def _encoded(result: Any) -> bytes:
    try:
        return bytes(encode_payload(result, limit=PAYLOAD_MAX))
    except MeshError as error:
        raise _Unfit(f"the result cannot be sent: {error}") from None
