"""Events from one node to any number of listeners, none of whom can hold up the node."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Self, TypeVar

from mreza.events import Event

LISTENER_EVENTS_MAX = 1024
"A listener that falls this far behind loses the oldest events; nobody else notices."
HISTORY_MAX = 256
"Events kept for whoever asks later (`mreza events`)."

Found = TypeVar("Found")


class EventHub:
    """Fans events out. A listener's queue is bounded; when full, its oldest event gives way."""

    def __init__(self) -> None:
        self._listeners: list[weakref.ref[Listener]] = []
        "Weak: a loop over events that is left does not say so."
        self._history: deque[Event] = deque(maxlen=HISTORY_MAX)
        self._closed = False

    @property
    def history(self) -> list[Event]:
        """The last events, oldest first."""
        return list(self._history)

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listening())

    def emit(self, event: Event) -> None:
        """Hand the event to every listener."""
        self._history.append(event)
        for listener in self._listening():
            listener.put(event)

    def close(self) -> None:
        """End every listener's iteration."""
        self._closed = True
        for listener in self._listening():
            listener.put(None)

    def listen(self) -> Listener:
        """Events from now on, until the node is closed."""
        listener = Listener()
        if self._closed:
            listener.put(None)
        else:
            self._listeners.append(weakref.ref(listener))
        return listener

    async def until(self, find: Callable[[], Found | None]) -> Found | None:
        """What `find` returns, asked now and after each event, unless it is None.

        None: the node was closed before.
        """
        listener = self.listen()
        while (found := find()) is None:
            if await anext(listener, None) is None:
                return None
        return found

    def _listening(self) -> list[Listener]:
        """Who listens still; the others are forgotten."""
        living = [(ref, listener) for ref in self._listeners if (listener := ref()) is not None]
        living = [(ref, listener) for ref, listener in living if not listener.closed]
        self._listeners = [ref for ref, _ in living]
        return [listener for _, listener in living]


class Listener(AsyncIterator[Event]):
    """One listener's bounded queue; iterating takes from it, and ends with the node."""

    def __init__(self) -> None:
        self._events: deque[Event | None] = deque(maxlen=LISTENER_EVENTS_MAX)
        self._ready = asyncio.Event()
        self.closed = False
        "Nothing more will come out."

    def put(self, event: Event | None) -> None:
        """One more event; None: it was the last."""
        self._events.append(event)
        self._ready.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events and not self.closed:
            self._ready.clear()
            await self._ready.wait()
        event = None if self.closed else self._events.popleft()
        if event is None:
            self.closed = True
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """Listen no longer."""
        self.closed = True
        self._ready.set()
