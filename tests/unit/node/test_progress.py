"""A call that waits hears of its progress and its end, and of nothing after that."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from mreza.errors import MeshError
from mreza.ids import NodeId
from mreza.node.outcomes import Waiting
from mreza.planes.effects import CallProgress, Resolve

ME, NODE = NodeId(b"m" * 16), NodeId(b"n" * 16)


class Time:
    def monotonic(self) -> float:
        return 100.0

    def wall(self) -> float:
        return 100.0


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(value))


def waiting(cancelled: list[int]) -> Waiting:
    return Waiting(ME, clock=Time(), cancel=cancelled.append)


async def test_progress_is_told_until_the_result_comes() -> None:
    calls, told = waiting([]), list[Any]()
    task = asyncio.create_task(calls.outcome(1, told.append))
    await asyncio.sleep(0)
    calls.progressed(CallProgress(1, NODE, raw("half")))
    calls.progressed(CallProgress(2, NODE, raw("of another")))
    calls.resolve(Resolve(call_id=1, node=NODE, attempts=1, result=raw(5)))
    outcome = await task
    calls.progressed(CallProgress(1, NODE, raw("late")))
    assert told == ["half"]
    assert outcome.call_result().result == 5
    assert len(calls) == 0


async def test_a_listener_that_fails_costs_nothing_but_a_line_in_the_log() -> None:
    calls = waiting([])

    def fails(_: Any) -> None:
        raise ValueError("no")

    task = asyncio.create_task(calls.outcome(1, fails))
    await asyncio.sleep(0)
    calls.progressed(CallProgress(1, NODE, raw(1)))
    calls.resolve(Resolve(call_id=1, node=NODE, attempts=1, result=raw(5)))
    assert (await task).call_result().result == 5


async def test_cancelling_the_wait_cancels_the_call() -> None:
    cancelled: list[int] = []
    calls = waiting(cancelled)
    task = asyncio.create_task(calls.outcome(1, lambda _: None))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled == [1]
    assert len(calls) == 0


async def test_closing_fails_all_that_wait() -> None:
    calls = waiting([])
    task = asyncio.create_task(calls.outcome(1))
    await asyncio.sleep(0)
    calls.fail_all(MeshError("closed"))
    with pytest.raises(MeshError, match="closed"):
        await task
