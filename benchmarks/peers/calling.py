"""What the peers share: one call after the other, or so many at a time."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

from benchmarks.timing import timed


class CallingEnd:
    """Measures `call`. The far end has nothing to be told."""

    async def call(self, payload: bytes) -> bytes:
        raise NotImplementedError

    async def count(self, *, size: int) -> None:
        del size

    async def echo(self) -> None:
        """It echoes anyway."""

    async def calls(self, *, size: int, seconds: float) -> dict[str, Any]:
        payload = bytes(size)

        async def once() -> None:
            await self.call(payload)

        return await timed(once, seconds)

    async def calls_many(self, *, size: int, seconds: float, in_flight: int) -> dict[str, Any]:
        payload, numbers = bytes(size), itertools.count()
        started = time.monotonic()

        async def caller() -> None:
            while time.monotonic() - started < seconds:
                await self.call(payload)
                next(numbers)

        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(caller())
        return {"messages": next(numbers), "seconds": time.monotonic() - started}
