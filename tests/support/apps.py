"""What node processes of the tests do: `mreza up --app tests.support.apps:worker`."""

from __future__ import annotations

import asyncio
import os
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mreza import MeshNetwork, ReceivedMessage
from mreza.link.send_queue import SendQueue
from mreza.processes.handlers import CallContext
from mreza.security.sealing import Sealing
from tests.support.processes import OUTPUT

_LENGTH = struct.Struct(">I")


def worker(mesh: MeshNetwork) -> None:
    """Echoes, tells who it is, fails on demand, and logs each message with its id."""
    messages = _appender("messages")

    @mesh.process("echo")
    async def echo(payload: Any) -> Any:
        return payload

    @mesh.process("repeat-after-me")
    async def repeat(payload: Any) -> Any:
        return payload

    @mesh.process("who")
    async def who(_: Any) -> dict[str, Any]:
        return {"pid": os.getpid(), "node": str(mesh.node_id), "name": mesh.name}

    @mesh.process("double")
    def double(number: int) -> int:
        return 2 * number

    @mesh.process("fail")
    async def fail(text: str) -> None:
        raise ValueError(text)

    @mesh.process("sleep")
    async def sleep(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @mesh.on_message
    def on_message(message: ReceivedMessage[Any]) -> Any:
        messages(f"{message.id} {message.payload!r:.80}\n".encode())
        return message.payload


def default_worker(mesh: MeshNetwork) -> None:
    """Does the work of messages that name no process."""

    @mesh.process()
    def process(data: dict[str, list[int]], context: CallContext) -> dict[str, Any]:
        return {
            "sum": sum(data["numbers"]),
            "pid": os.getpid(),
            "asked by": str(context.source),
        }


def patient(mesh: MeshNetwork) -> None:
    """Idempotent work that writes `begun` and returns its payload once there is a file `finish`."""
    begun = _appender("begun")
    finish = Path(os.environ[OUTPUT]) / "finish"

    @mesh.process("patient", idempotent=True)
    async def wait(payload: Any) -> Any:
        begun(b".")
        while not finish.exists():  # noqa: ASYNC110 - what happens is outside of this process
            await asyncio.sleep(0.02)
        return payload


def numbered(mesh: MeshNetwork) -> None:
    """Squares numbers, each written into `begun` first: `movable` may run twice, `once` may not."""
    begun = _appender("begun")

    async def square(number: int) -> int:
        begun(f"{number}\n".encode())
        await asyncio.sleep(0.02)
        return number * number

    @mesh.process("heavy", concurrency=4)
    async def heavy(job: tuple[int, bytes]) -> int:
        return await square(job[0])

    mesh.process("movable", idempotent=True, concurrency=4)(square)
    mesh.process("once", concurrency=4)(square)


def server(mesh: MeshNetwork) -> None:
    """One at a time, `MEAN_S` each on average; `FAILS=1`: none, at once. Held while `hold` exists.

    Writes the time and the number of each request that it begins into `begun`.
    """
    begun = _appender("begun")
    mean_s = float(os.environ.get("MEAN_S", "0.02"))
    fails = os.environ.get("FAILS") == "1"
    hold = Path(os.environ["HOLD"]) if "HOLD" in os.environ else None
    chance = random.Random(int(os.environ.get("SEED", "1")))  # noqa: S311

    @mesh.process("serve", concurrency=1, idempotent=True)
    async def serve(number: int) -> int:
        begun(f"{time.monotonic()} {number}\n".encode())
        if fails:
            raise ValueError("broken")
        await asyncio.sleep(chance.expovariate(1.0 / mean_s))
        while hold is not None and hold.exists():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
        return number


def relay_recorder(mesh: MeshNetwork) -> None:
    """A worker that also keeps every frame given to any of its send queues, in the file `sent`."""
    record = _appender("sent")
    push: Callable[..., Any] = SendQueue.push

    def recorded(queue: SendQueue, kind: int, body: bytes | bytearray, priority: int) -> Any:
        record(_LENGTH.pack(len(body) + 1) + bytes((kind,)) + bytes(body))
        return push(queue, kind, body, priority)

    SendQueue.push = recorded  # type: ignore[method-assign, assignment]
    worker(mesh)


def open_recorder(mesh: MeshNetwork) -> None:
    """A worker that also keeps every packet it opened, in the file `opened`."""
    record = _appender("opened")
    opening: Callable[..., Any] = Sealing.open

    def recorded(sealing: Sealing, *arguments: Any, **named: Any) -> Any:
        opened = opening(sealing, *arguments, **named)
        plaintext = getattr(opened, "plaintext", None)
        if plaintext is not None:
            record(_LENGTH.pack(len(plaintext)) + bytes(plaintext))
        return opened

    Sealing.open = recorded  # type: ignore[method-assign, assignment]
    worker(mesh)


def records(data: bytes) -> list[bytes]:
    """What a recorder wrote, one entry a call; an unfinished last one is left out."""
    found, at = [], 0
    while at + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if at + length <= len(data):
            found.append(data[at : at + length])
        at += length
    return found


def _appender(file: str) -> Callable[[bytes], None]:
    """Appends to a file of this process, unbuffered: what was written survives `kill -9`."""
    out = (Path(os.environ[OUTPUT]) / file).open("ab", buffering=0)

    def append(data: bytes) -> None:
        out.write(data)

    return append
