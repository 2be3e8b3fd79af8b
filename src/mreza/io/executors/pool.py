"""Plain functions in processes of their own, on this machine.

Each thread of the pool owns one process at a time, started when it is first needed: writing to and
reading from a pipe may take long, and must not hold up the loop. A process that dies, or is killed
because its work was cancelled, is replaced when the next work comes.

Not `multiprocessing`: its processes run the program's main module again whether the handler is
there or not, and leave a resource tracker behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO

import msgspec

from mreza.io.executors.invoke import Told
from mreza.io.executors.pool_frames import (
    TELL_FAILURE,
    JobHead,
    Kind,
    read_frame,
    write_frame,
)
from mreza.io.executors.thread import Done, ThreadExecutor
from mreza.processes.handlers import CallContext, ProcessSpec
from mreza.wire.packet import Failure, Status

_BOOT = (
    "import json, sys\n"
    "sys.path[:] = json.loads(sys.argv.pop())\n"
    "from mreza.io.executors.pool_child import main\n"
    "main()\n"
)
END_TIMEOUT_S = 5.0
"A killed process ends at once; one that does not is the kernel's."


class PoolProcess:
    """One process and the pipes to it. Used by one thread at a time, killed by any."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own program
            [sys.executable, "-c", _BOOT, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(
        self, head: bytes, payload: bytes | msgspec.Raw, report: Callable[[bytes], None]
    ) -> bytes:
        """Have a job done.

        Raises:
            Told: the handler failed.
            EOFError, OSError: the process is gone.
        """
        to, back = self._pipes()
        write_frame(to, Kind.JOB, head)
        write_frame(to, Kind.PAYLOAD, payload)
        to.flush()
        while True:
            kind, body = read_frame(back)
            if kind == Kind.RESULT:
                return body
            if kind == Kind.FAILURE:
                told = TELL_FAILURE.decode(body)
                raise Told(Status(told.status), told.failure)
            report(body)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()

    def end(self) -> str:
        """Clear away what is left of it; says how it ended."""
        self._process.kill()
        status = self._process.wait(END_TIMEOUT_S)
        for pipe in self._pipes():
            with contextlib.suppress(OSError):
                pipe.close()
        if status < 0:
            with contextlib.suppress(ValueError):
                return f"was ended by {signal.Signals(-status).name}"
        return f"ended with exit status {status}"

    def _pipes(self) -> tuple[BinaryIO, BinaryIO]:
        to, back = self._process.stdin, self._process.stdout
        if to is None or back is None:
            raise OSError("a pool process without pipes")
        return to, back  # type: ignore[return-value]  # IO[bytes] it is


class PoolJob:
    """One piece of work for a pool."""

    def __init__(
        self,
        pool: PoolExecutor,
        head: bytes,
        payload: bytes | msgspec.Raw,
        report: Callable[[bytes], None],
    ) -> None:
        self._pool = pool
        self._head = head
        self._payload = payload
        self._report = report
        self._process: PoolProcess | None = None
        self._lock = threading.Lock()
        self._cancelled = False
        self.withdraw: Callable[[], bool] = lambda: False
        "Takes it back if it has not started."

    def run(self) -> bytes:
        """In a thread of the pool: do it in a process."""
        process = self._pool.take()
        with self._lock:
            cancelled = self._cancelled
            self._process = process
        broken = False
        try:
            if cancelled:
                raise asyncio.CancelledError
            return process.run(self._head, self._payload, self._report)
        except (EOFError, OSError) as error:
            broken = True
            how = process.end()
            if self._cancelled:
                raise asyncio.CancelledError from error
            text = f"the pool process {process.pid} that did the work {how}; the work may have run"
            failure = Failure(type_name="WorkerLost", message=text)
            raise Told(Status.LOST, failure) from None
        finally:
            with self._lock:
                self._process = None
                killed = self._cancelled
            if killed and not broken:
                process.end()
            self._pool.give_back(process, reusable=not broken and not killed)

    def cancel(self) -> bool:
        """Kill the process that does it; True: it has not started, and nothing will come of it."""
        if self.withdraw():
            return True
        with self._lock:
            self._cancelled = True
            if self._process is not None:
                self._process.kill()
        return False


class PoolExecutor:
    """At most `processes` processes, which start when needed and stay until `close`."""

    def __init__(self, processes: int, *, name: str = "mreza-pool") -> None:
        self._threads = ThreadExecutor(processes, name=name)
        self._lock = threading.Lock()
        self._idle: list[PoolProcess] = []
        self._all: dict[PoolProcess, None] = {}
        self._closed = False

    def submit(
        self,
        spec: ProcessSpec,
        payload: bytes | msgspec.Raw,
        context: CallContext,
        done: Done,
        report: Callable[[bytes], None] | None,
    ) -> PoolJob:
        """Run the handler, then call `done` on the event loop with its result as msgpack.

        `report` is called in a thread.
        """
        head = _head(spec, context, progress=report is not None)
        job = PoolJob(self, msgspec.msgpack.encode(head), payload, report or _ignore)
        submitted = self._threads.submit(job.run, done)
        job.withdraw = partial(self._threads.withdraw, submitted)
        return job

    def take(self) -> PoolProcess:
        """A process that does nothing: an old one, or a new one."""
        with self._lock:
            if self._closed:
                raise asyncio.CancelledError
            if self._idle:
                return self._idle.pop()
            # Within the lock, so that `close` sees every process that there is.
            process = PoolProcess()
            self._all[process] = None
            return process

    def give_back(self, process: PoolProcess, *, reusable: bool) -> None:
        """It has done its work, or is gone."""
        with self._lock:
            if reusable and not self._closed:
                self._idle.append(process)
            elif not reusable:
                self._all.pop(process, None)

    @property
    def pids(self) -> tuple[int, ...]:
        """Of all processes that live."""
        with self._lock:
            return tuple(process.pid for process in self._all)

    async def close(self, timeout_s: float) -> int:
        """Kill all processes; how many threads are busy even then."""
        with self._lock:
            self._closed = True
            left = list(self._all)
        for process in left:
            process.kill()
        busy = await self._threads.close(timeout_s)
        await asyncio.to_thread(self._clear)
        return busy

    def _clear(self) -> None:
        with self._lock:
            left, self._all, self._idle = list(self._all), {}, []
        for process in left:
            process.end()


def _head(spec: ProcessSpec, context: CallContext, *, progress: bool) -> JobHead:
    module: str = spec.handler.__module__
    main_name = main_path = ""
    if module == "__main__":
        main: Any = sys.modules["__main__"]
        main_name = getattr(getattr(main, "__spec__", None), "name", None) or ""
        main_path = getattr(main, "__file__", None) or ""
    message = context.message_id
    return JobHead(
        module=module,
        function=spec.handler.__qualname__,
        process=spec.name,
        source=bytes(context.source),
        deadline=context.deadline,
        attempt=context.attempt,
        message=(message.epoch, message.priority, message.sequence, message.place),
        headers=dict(context.headers),
        key=context.key,
        idempotency_key=context.idempotency_key,
        progress=progress,
        main_name=main_name,
        main_path=main_path,
    )


def _ignore(_: bytes) -> None:
    """Nobody wants to know how far the work is."""
