"""Work that nodes asked for: from the service plane's RunHandler to the runner, and back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial

import msgspec

from mreza.clock import Clock
from mreza.errors import NoSuchProcess
from mreza.ids import MessageId
from mreza.io.executors.runner import HandlerRunner
from mreza.messaging.message import ReceivedMessage
from mreza.node.inbox import Inbox
from mreza.node.logs import Log
from mreza.planes.core import NodeCore
from mreza.planes.effects import RunHandler
from mreza.processes.failures import failure_of
from mreza.processes.handlers import CallContext
from mreza.qos import Priority
from mreza.wire.packet import Failure, Status

CLOSE_TIMEOUT_S = 1.0
"How long handlers get to notice that the node closes."
_log = Log("mreza")


class Work:
    """Starts handlers and reports how they ended."""

    def __init__(
        self,
        core: NodeCore,
        *,
        inbox: Inbox,
        threads: int,
        pool_processes: int = 1,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._core = core
        self._inbox = inbox
        self._clock = clock
        self._wake = wake
        self._runner = HandlerRunner(
            threads=threads,
            pool_processes=pool_processes,
            finished=self._finished,
            failed=self._failed,
            progress=self._progress,
        )
        self._ended = asyncio.Event()
        "Set whenever a handler has ended."

    @property
    def running(self) -> int:
        """Handlers that run now."""
        return self._runner.running

    def run(self, effect: RunHandler) -> None:
        """Start the handler of a process, or the message handler for a request without a target."""
        request = effect.request
        epoch, priority, sequence, place = effect.message
        headers = request.headers or {}
        if not request.target:
            message = ReceivedMessage(
                effect.source, None, Priority(priority), (epoch, priority, sequence), place, headers
            )
            answer = partial(self._inbox.answer, message, request.payload)
            self._runner.start_coroutine(effect.run_id, answer, name="mreza-on-message")
            return
        spec = self._core.service.registry.get(request.target)
        if spec is None:
            error = NoSuchProcess(f"process {request.target!r} was unregistered a moment ago")
            self._finished(effect.run_id, None, failure_of(error), Status.NO_SUCH_PROCESS)
            return
        context = CallContext(
            source=effect.source,
            deadline=effect.deadline,
            attempt=request.attempt,
            message_id=MessageId(effect.source, epoch, priority, sequence, place),
            headers=headers,
            key=request.key,
            idempotency_key=request.idempotency_key,
        )
        self._runner.start(effect.run_id, spec, request.payload, context, progress=request.progress)

    def cancel(self, run_id: int) -> None:
        """Nobody waits for this run any more."""
        self._runner.cancel(run_id)

    async def idle(
        self, timeout_s: float, on_progress: Callable[[int], None] = lambda _: None
    ) -> int:
        """Wait until no handler runs, so long at most; how many run even then.

        `on_progress` is told how many run, at once and whenever one has ended.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                on_progress(self.running)
                while self.running:
                    self._ended.clear()
                    await self._ended.wait()
                    on_progress(self.running)
        return self.running

    async def close(self) -> None:
        """Cancel all handlers; one that does not end in time is left to its thread."""
        busy = await self._runner.close(CLOSE_TIMEOUT_S)
        if busy:
            _log.warning("handlers_still_busy", count=busy)

    def _finished(
        self, run_id: int, result: bytes | None, failure: Failure | None, status: Status
    ) -> None:
        self._core.service.finished(
            run_id, result=result, failure=failure, status=status, now=self._clock.monotonic()
        )
        self._wake()
        self._ended.set()

    def _progress(self, run_id: int, value: msgspec.Raw) -> None:
        self._core.service.progress(run_id, value, now=self._clock.monotonic())
        self._wake()

    def _failed(self, run_id: int, error: BaseException) -> None:
        _log.debug("handler_raised", run=run_id, error=repr(error))
