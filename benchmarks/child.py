"""A process of the benchmark: obeys JSON lines on standard input, answers on standard output."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from typing import Any

import uvloop

ANSWER_LIMIT = 1 << 20


def cpu_s() -> float:
    """CPU time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def make_end(kind: str) -> Any:
    """The end of a system; imported here, so that each process has only what it needs."""
    if kind == "mesh":
        from benchmarks.mesh_end import MeshEnd  # noqa: PLC0415

        return MeshEnd()
    from benchmarks import tls_ends  # noqa: PLC0415

    return tls_ends.ENDS[kind]()


async def serve(kind: str) -> None:
    """Obey until standard input ends."""
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
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:
        await end.close()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
