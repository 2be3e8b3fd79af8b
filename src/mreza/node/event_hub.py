"""Events from one node to any number of listeners, none of whom can hold up the node."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from mreza.events import Event

LISTENER_EVENTS_MAX = 1024
"A listener that falls this far behind loses the oldest events; nobody else notices."
HISTORY_MAX = 256
"Events kept for whoever asks later (`mreza events`)."


class EventHub:
    """Fans events out. A listener's queue is bounded; when full, its oldest event gives way."""

    def __init__(self) -> None:
        self._listeners: list[_Listener] = []
        self._history: deque[Event] = deque(maxlen=HISTORY_MAX)
        self._closed = False

    @property
    def history(self) -> list[Event]:
        """The last events, oldest first."""
        return list(self._history)

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def emit(self, event: Event) -> None:
        """Hand the event to every listener."""
        self._history.append(event)
        for listener in self._listeners:
            listener.put(event)

    def close(self) -> None:
        """End every listener's iteration."""
        self._closed = True
        for listener in self._listeners:
            listener.put(None)

    async def listen(self) -> AsyncGenerator[Event, None]:
        """Events from now on, until the node is closed."""
        if self._closed:
            return
        listener = _Listener()
        self._listeners.append(listener)
        try:
            while (event := await listener.get()) is not None:
                yield event
        finally:
            self._listeners.remove(listener)


class _Listener:
    """One listener's bounded queue."""

    def __init__(self) -> None:
        self._events: deque[Event | None] = deque(maxlen=LISTENER_EVENTS_MAX)
        self._ready = asyncio.Event()

    def put(self, event: Event | None) -> None:
        self._events.append(event)
        self._ready.set()

    async def get(self) -> Event | None:
        while not self._events:
            self._ready.clear()
            await self._ready.wait()
        return self._events.popleft()
