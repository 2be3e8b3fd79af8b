"""Events reach every listener, and no listener can hold up the node."""

from __future__ import annotations

import asyncio

from mreza.events import EpochRaised, Event
from mreza.node.event_hub import HISTORY_MAX, LISTENER_EVENTS_MAX, EventHub


def event(number: int) -> EpochRaised:
    return EpochRaised(at=float(number), epoch=number)


async def collect(hub: EventHub, into: list[Event]) -> None:
    into.extend([heard async for heard in hub.listen()])


async def listening(hub: EventHub, into: list[Event]) -> asyncio.Task[None]:
    task = asyncio.create_task(collect(hub, into))
    await asyncio.sleep(0)
    return task


async def test_every_listener_hears_every_event_until_the_hub_closes() -> None:
    hub = EventHub()
    first: list[Event] = []
    second: list[Event] = []
    tasks = [await listening(hub, first), await listening(hub, second)]
    hub.emit(event(1))
    hub.emit(event(2))
    hub.close()
    await asyncio.gather(*tasks)
    assert first == second == [event(1), event(2)]


async def test_a_listener_that_falls_behind_loses_the_oldest() -> None:
    hub = EventHub()
    heard: list[Event] = []
    task = await listening(hub, heard)
    for number in range(LISTENER_EVENTS_MAX + 10):
        hub.emit(event(number))
    await asyncio.sleep(0)
    hub.close()
    await task
    assert heard[-1] == event(LISTENER_EVENTS_MAX + 9)
    assert heard[0] == event(10)


async def test_a_listener_that_stops_is_forgotten() -> None:
    hub = EventHub()
    listener = hub.listen()
    waiting = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)
    hub.emit(event(1))
    assert await waiting == event(1)
    await listener.aclose()
    assert hub.listeners == 0


async def test_a_closed_hub_ends_a_new_listener_at_once() -> None:
    hub = EventHub()
    hub.close()
    assert [heard async for heard in hub.listen()] == []


def test_the_history_keeps_the_last_events() -> None:
    hub = EventHub()
    for number in range(HISTORY_MAX + 5):
        hub.emit(event(number))
    assert hub.history[0] == event(5)
    assert len(hub.history) == HISTORY_MAX


async def test_listening_begins_at_once_and_ends_with_whoever_listens() -> None:
    hub = EventHub()
    listener = hub.listen()
    hub.emit(event(1))
    assert await anext(listener) == event(1)
    del listener
    assert hub.listeners == 0


async def test_what_is_looked_for_is_found_now_or_after_an_event() -> None:
    hub = EventHub()
    seen: list[int] = []
    assert await hub.until(lambda: 7) == 7
    waiting = asyncio.create_task(hub.until(lambda: seen[0] if seen else None))
    await asyncio.sleep(0)
    hub.emit(event(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    seen.append(8)
    hub.emit(event(2))
    assert await waiting == 8
    assert hub.listeners == 0


async def test_a_hub_that_closes_ends_the_looking() -> None:
    hub = EventHub()
    seen: list[int] = []

    def find() -> int | None:
        return seen[0] if seen else None

    waiting = asyncio.create_task(hub.until(find))
    await asyncio.sleep(0)
    hub.close()
    assert await waiting is None
    assert await hub.until(find) is None
    assert [heard async for heard in hub.listen()] == []
