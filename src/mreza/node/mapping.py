"""Many calls of one process: so many in flight, results as they finish or in order.

Owns one task for each call in flight. Whoever stops iterating early ends what has not finished.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
)
from typing import Any

import msgspec

from mreza.errors import MeshError, Overloaded
from mreza.ids import NodeId
from mreza.node.views import CallResult

IN_FLIGHT = 64
"Calls at a time, if nobody says: enough to keep a handful of workers busy over a LAN."
WAITS_MAX = 100
"How often one item waits for overloaded workers before the answer is taken for final."

Ask = Callable[[int, Any], Awaitable[CallResult]]
"Takes an item's place and its payload."


class MapResult(msgspec.Struct, frozen=True):
    """What became of one item of a `map`."""

    index: int
    "Its place among the payloads, from 0."
    payload: Any
    value: Any = None
    error: Exception | None = None
    node: NodeId | None = None
    attempts: int = 0
    call_id: int = 0
    "`mesh.load_balancer.why(call_id)` says how it came to its node; of an error: `error.call_id`."

    @property
    def result(self) -> Any:
        """The result; raises the error of an item that failed."""
        if self.error is not None:
            raise self.error
        return self.value


class Mapping:
    """One `map` under way: takes payloads only as fast as their calls end."""

    def __init__(
        self,
        ask: Ask,
        payloads: Iterable[Any] | AsyncIterable[Any],
        *,
        in_flight: int,
        ordered: bool,
        on_progress: Callable[[int], None] | None,
    ) -> None:
        self._ask = ask
        self._payloads = _as_async(payloads)
        self._in_flight = in_flight
        self._ordered = ordered
        self._on_progress = on_progress
        self._tasks: dict[asyncio.Task[MapResult], int] = {}
        self._taken = 0
        self._exhausted = False

    async def results(self) -> AsyncGenerator[MapResult, None]:
        """Each item's outcome, once."""
        held: dict[int, MapResult] = {}
        done = 0
        try:
            while True:
                await self._fill(room=self._in_flight - len(held))
                if not self._tasks and not held:
                    return
                for result in await self._finished():
                    held[result.index] = result
                while (index := done if self._ordered else next(iter(held), done)) in held:
                    done += 1
                    if self._on_progress is not None:
                        self._on_progress(done)
                    yield held.pop(index)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _fill(self, *, room: int) -> None:
        while not self._exhausted and len(self._tasks) < room:
            try:
                payload = await anext(self._payloads)
            except StopAsyncIteration:
                self._exhausted = True
                return
            index = self._taken
            self._taken += 1
            task = asyncio.create_task(self._one(index, payload), name=f"mreza-map-{index}")
            self._tasks[task] = index

    async def _finished(self) -> list[MapResult]:
        if not self._tasks:
            return []
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            del self._tasks[task]
        return [task.result() for task in done]

    async def _one(self, index: int, payload: Any) -> MapResult:
        for _ in range(WAITS_MAX):
            try:
                call = await self._ask(index, payload)
            except Overloaded as error:
                overloaded = error
                await asyncio.sleep(error.retry_after_s)
            except MeshError as error:
                return MapResult(index, payload, error=error)
            else:
                return MapResult(
                    index,
                    payload,
                    value=call.result,
                    node=call.node,
                    attempts=call.attempts,
                    call_id=call.call_id,
                )
        return MapResult(index, payload, error=overloaded)


async def _as_async(payloads: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(payloads, AsyncIterable):
        async for payload in payloads:
            yield payload
    else:
        for payload in payloads:
            yield payload
