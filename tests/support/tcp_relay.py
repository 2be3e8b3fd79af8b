"""A wire that can be cut: bytes between two TCP connections, held in one direction or in both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from mreza.address import Address


class TcpRelay:
    """Listens on loopback and carries what comes to `target` and back.

    A cut is silent: connections stay, and nothing passes until the wire is whole again.
    """

    def __init__(self, target: Address) -> None:
        self.target = target
        self.address = Address("127.0.0.1", 0)
        self.connections = 0
        "Accepted so far."
        self._there = asyncio.Event()
        self._back = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.repair()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.address = Address("127.0.0.1", self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    def cut(self, *, there: bool = True, back: bool = True) -> None:
        """Let nothing pass to the target (`there`), or from it (`back`)."""
        if there:
            self._there.clear()
        if back:
            self._back.clear()

    def repair(self) -> None:
        self._there.set()
        self._back.set()

    def reset(self) -> None:
        """End every connection without a word."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(
                self.target.host, self.target.port
            )
            self._writers.append(far_writer)
            for source, sink, whole in (
                (reader, far_writer, self._there),
                (far_reader, writer, self._back),
            ):
                task = asyncio.create_task(_carry(source, sink, whole))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)


async def _carry(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, whole: asyncio.Event
) -> None:
    try:
        while data := await source.read(65536):
            await whole.wait()
            sink.write(data)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()


@contextlib.asynccontextmanager
async def relay_to(target: Address) -> AsyncIterator[TcpRelay]:
    """A relay in front of an address."""
    relay = TcpRelay(target)
    await relay.open()
    try:
        yield relay
    finally:
        await relay.close()
