"""The same measurements without the mesh: one child process that knows nothing of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections import deque
from typing import Self

from mreza.cli.demo.measure import LENGTH, Measurement
from mreza.cli.demo.nodes import child_environment
from mreza.cli.problems import CommandFailed


class Baseline:
    """Measures files in a process beside the mesh; answers come in the order of the questions."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[Measurement]] = deque()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            # -P: a file of the current folder must not stand in for a module.
            *(sys.executable, "-P", "-m", "mreza.cli.demo.measure"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment({}),
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read(), name="demo-baseline")
        return self

    async def __aexit__(self, *exc: object) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        await process.wait()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        process._transport.close()  # type: ignore[attr-defined]

    async def measure(self, source: bytes) -> Measurement:
        """The measurement of a file.

        Raises:
            CommandFailed: the child process ended.
        """
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            raise CommandFailed("the process that measures without the mesh has ended")
        answer: asyncio.Future[Measurement] = asyncio.get_running_loop().create_future()
        # No await in between: questions and answers stay in step.
        self._waiting.append(answer)
        process.stdin.write(LENGTH.pack(len(source)) + source)
        with contextlib.suppress(ConnectionError):
            await process.stdin.drain()
        return await answer

    async def _read(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        while line := await process.stdout.readline():
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_result(json.loads(line))
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(
                    CommandFailed("the process that measures without the mesh has ended")
                )
