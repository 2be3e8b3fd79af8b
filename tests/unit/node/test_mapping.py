"""A map gives each payload's outcome once, with so many in flight, in order if asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from mreza.errors import MeshError, NoRoute, Overloaded
from mreza.ids import NodeId
from mreza.node.mapping import WAITS_MAX, Mapping, MapResult
from mreza.node.views import CallResult

NODE = NodeId(b"n" * 16)


class Workers:
    """Answers when told, and counts how many wait."""

    def __init__(self) -> None:
        self.waiting: dict[Any, asyncio.Future[CallResult]] = {}
        self.most = 0
        self.cancelled: list[Any] = []

    async def ask(self, payload: Any) -> CallResult:
        future: asyncio.Future[CallResult] = asyncio.get_running_loop().create_future()
        self.waiting[payload] = future
        self.most = max(self.most, len(self.waiting))
        try:
            return await future
        except asyncio.CancelledError:
            self.cancelled.append(payload)
            raise
        finally:
            del self.waiting[payload]

    def answer(self, payload: Any) -> None:
        self.waiting[payload].set_result(CallResult(payload * 10, NODE, 0.1, 1))


def mapping(
    ask: Callable[[Any], Any],
    payloads: Any,
    *,
    in_flight: int = 3,
    ordered: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Mapping:
    return Mapping(
        lambda _, payload: ask(payload),
        payloads,
        in_flight=in_flight,
        ordered=ordered,
        on_progress=on_progress,
    )


async def at_once(payload: Any) -> CallResult:
    await asyncio.sleep(0)
    return CallResult(payload + 1, NODE, 0.0, 2)


async def collected(results: Any) -> list[MapResult]:
    return [result async for result in results]


@pytest.mark.parametrize("ordered", [False, True])
async def test_every_payload_has_its_result_once(*, ordered: bool) -> None:
    seen: list[int] = []
    mapped = mapping(at_once, range(50), ordered=ordered, on_progress=seen.append)
    results = await collected(mapped.results())
    assert sorted(result.index for result in results) == list(range(50))
    assert all(result.result == result.payload + 1 for result in results)
    assert results[0].node == NODE
    assert results[0].attempts == 2
    assert seen == list(range(1, 51))


async def test_results_come_as_they_finish_and_no_more_than_allowed_are_in_flight() -> None:
    workers = Workers()
    results = mapping(workers.ask, range(5)).results()
    first = asyncio.ensure_future(anext(results))
    for _ in range(5):
        await asyncio.sleep(0)
    assert list(workers.waiting) == [0, 1, 2]
    workers.answer(2)
    assert (await first).value == 20
    await results.aclose()
    assert workers.most == 3
    assert workers.cancelled == [0, 1]


async def test_in_order_a_slow_item_holds_back_the_others_within_the_bound() -> None:
    workers = Workers()
    results = mapping(workers.ask, range(9), ordered=True).results()
    first = asyncio.ensure_future(anext(results))
    for _ in range(5):
        await asyncio.sleep(0)
    for payload in (1, 2):
        workers.answer(payload)
    for _ in range(5):
        await asyncio.sleep(0)
    assert list(workers.waiting) == [0], "nothing new begins while three wait for the first"
    workers.answer(0)
    assert [(await first).index, (await anext(results)).index, (await anext(results)).index] == [
        0,
        1,
        2,
    ]
    await results.aclose()


async def test_payloads_may_come_from_an_asynchronous_source() -> None:
    async def source() -> AsyncIterator[int]:
        for number in range(4):
            await asyncio.sleep(0)
            yield number

    results = await collected(mapping(at_once, source()).results())
    assert sorted(result.value for result in results) == [1, 2, 3, 4]


async def test_an_error_is_the_outcome_of_its_item_only() -> None:
    async def ask(payload: int) -> CallResult:
        if payload == 1:
            raise NoRoute("gone")
        return await at_once(payload)

    results = await collected(mapping(ask, range(3), ordered=True).results())
    assert [result.error is None for result in results] == [True, False, True]
    with pytest.raises(NoRoute, match="gone"):
        _ = results[1].result


async def test_an_overloaded_item_waits_and_tries_again_but_not_for_ever() -> None:
    refusals: Iterable[None] = iter([None] * 2)

    async def soon(payload: int) -> CallResult:
        for _ in refusals:
            raise Overloaded("full", retry_after_s=0)
        return await at_once(payload)

    assert [r.value for r in await collected(mapping(soon, [1]).results())] == [2]

    asked = 0

    async def never(_: int) -> CallResult:
        nonlocal asked
        asked += 1
        raise Overloaded("full", retry_after_s=0)

    (result,) = await collected(mapping(never, [1]).results())
    assert isinstance(result.error, MeshError)
    assert asked == WAITS_MAX


async def test_a_mistake_in_the_source_ends_the_map_and_its_calls() -> None:
    workers = Workers()

    def source() -> Iterable[int]:
        yield 1
        raise ValueError("bad source")

    with pytest.raises(ValueError, match="bad source"):
        await collected(mapping(workers.ask, source()).results())
    assert not workers.waiting
