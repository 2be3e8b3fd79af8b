"""What runs in a pool process: read a job, call the function it names, write the outcome.

It ends when its node does: a thread waits at the pipe from the node, and its end is the end. What
handlers print goes to standard error; standard output is the pipe back.
"""

from __future__ import annotations

import importlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import msgspec

from mreza.errors import MeshError
from mreza.io.executors.invoke import Unfit, called, reporter
from mreza.io.executors.pool_frames import (
    JOB_HEAD,
    JobHead,
    Kind,
    TellFailure,
    read_frame,
    write_frame,
)
from mreza.processes.failures import failure_of
from mreza.processes.handlers import ProcessSpec
from mreza.wire.packet import Status

REPORT_INTERVAL_S = 0.02
"Reports of progress in between are skipped, but for the last: a pipe is slower than a loop."

Job = tuple[JobHead, bytes]


class NotFound(MeshError):
    """The handler cannot be imported in a pool process."""


class Specs:
    """The handlers that this process has been asked for."""

    def __init__(self) -> None:
        self._specs: dict[tuple[str, str, str], ProcessSpec] = {}

    def spec(self, head: JobHead) -> ProcessSpec:
        """The handler that a job names."""
        name = (head.module, head.function, head.process)
        spec = self._specs.get(name)
        if spec is None:
            spec = self._specs[name] = ProcessSpec(head.process, _function(head))
        return spec


class Reports:
    """Progress of one job, not more often than is of use."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._last: bytes | None = None
        self._next_at = 0.0

    def report(self, value: bytes) -> None:
        self._last = value
        now = time.monotonic()
        if now >= self._next_at:
            self._next_at = now + REPORT_INTERVAL_S
            self.flush()

    def flush(self) -> None:
        """Write the last one, if it was not."""
        if self._last is not None:
            value, self._last = self._last, None
            self._write(value)


def do(job: Job, specs: Specs, out: BinaryIO) -> None:
    """One piece of work, whatever comes of it."""
    head, payload = job
    lock = threading.Lock()

    def write(kind: Kind, body: bytes) -> None:
        with lock:
            write_frame(out, kind, body)
            out.flush()

    reports = Reports(lambda value: write(Kind.PROGRESS, value))
    context = head.context()
    if head.progress:
        context = msgspec.structs.replace(context, report=reporter(reports.report))
    try:
        result = called(specs.spec(head), payload, context)
    except BaseException as error:  # noqa: BLE001 - also SystemExit: the work ends, not the process
        status = Status.BAD_PAYLOAD if isinstance(error, Unfit) else Status.FAILED
        told = TellFailure(status, failure_of(error))
        reports.flush()
        write(Kind.FAILURE, msgspec.msgpack.encode(told))
    else:
        reports.flush()
        write(Kind.RESULT, result)


def main() -> None:
    """Work until the node closes the pipe."""
    # Ctrl-C at a terminal reaches every process of the program; the node decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe_in, pipe_out = _private_pipes()
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(pipe_in, jobs), name="mreza-jobs", daemon=True).start()
    specs = Specs()
    while True:
        do(jobs.get(), specs, pipe_out)


def _read(pipe: BinaryIO, jobs: queue.SimpleQueue[Job]) -> None:
    try:
        while True:
            _, head = read_frame(pipe)
            _, payload = read_frame(pipe)
            jobs.put((JOB_HEAD.decode(head), payload))
    finally:
        # Whatever the handler is doing: nobody waits for it.
        os._exit(0)


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes under other numbers, so that no handler reads or writes them by accident."""
    pipe_in, pipe_out = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(pipe_in, "rb"), os.fdopen(pipe_out, "wb")


def _function(head: JobHead) -> Callable[..., Any]:
    try:
        module = _main_module(head) if head.module == "__main__" else _module(head.module)
        function = getattr(module, head.function)
    except Exception as error:
        raise NotFound(
            f"a pool process cannot import {head.function} from {head.module}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not callable(function):
        raise NotFound(f"{head.module}.{head.function} is not a function in a pool process")
    return function  # type: ignore[no-any-return]


def _module(name: str) -> Any:
    return importlib.import_module(name)


def _main_module(head: JobHead) -> Any:
    """The program's own module, run again under another name, as `multiprocessing` does."""
    if "__mp_main__" not in sys.modules:
        from multiprocessing.spawn import prepare  # noqa: PLC0415 - few programs need it

        if head.main_name:
            prepare({"init_main_from_name": head.main_name})
        elif head.main_path:
            prepare({"init_main_from_path": head.main_path})
        else:
            raise ImportError("the program has no file")
    return sys.modules["__main__"]
