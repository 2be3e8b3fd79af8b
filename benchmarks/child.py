"""A process of the benchmark: obeys JSON lines on standard input, answers on standard output."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
from typing import Any

import psutil
import uvloop

from benchmarks.peers import PEERS

ANSWER_LIMIT = 1 << 20


def cpu_s() -> float:
    """CPU time of this process so far, and of the processes it has started and that live."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    total = used.ru_utime + used.ru_stime
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            total += times.user + times.system
    return total


def make_end(kind: str) -> Any:
    """The end of a system; imported here, so that each process has only what it needs."""
    if kind == "mesh":
        from benchmarks.mesh_end import MeshEnd  # noqa: PLC0415

        return MeshEnd()
    if kind in PEERS:
        from benchmarks.peers import make_peer  # noqa: PLC0415

        return make_peer(kind)
    from benchmarks import tls_ends  # noqa: PLC0415

    return tls_ends.ENDS[kind]()


async def serve(kind: str) -> None:
    """Obey until standard input ends."""
    # Answers go where standard output went; what a library prints goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    end = make_end(kind)
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader(limit=ANSWER_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    marked = 0.0
    try:
        while line := await commands.readline():
            command = json.loads(line)
            do = command.pop("do")
            answer: dict[str, Any] = {}
            if do == "mark":
                marked = cpu_s()
            elif do == "cpu":
                answer = {"cpu_s": cpu_s() - marked}
            else:
                answer = await getattr(end, do)(**command) or {}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
    finally:
        await end.close()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
