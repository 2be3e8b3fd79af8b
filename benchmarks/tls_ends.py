"""The peers: mutual TLS 1.3 over uvloop, as bare blocks, as batches, and message by message.

None of them routes, acknowledges, suppresses duplicates, limits memory or finds anybody: they show
what the connection itself costs.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import struct
import time
from collections.abc import Callable
from typing import Any, cast

import msgspec

from benchmarks.timing import SAMPLE_S, WAIT_S, timed

BLOCK_BYTES = 64 * 1024
"What is handed to TLS at once: the size that measured best."
HIGH_WATER = 512 * 1024
_U32 = struct.Struct(">I")


def context(*, server: bool, pem: str, roots: str) -> ssl.SSLContext:
    """TLS 1.3, both sides authenticated with certificates of one mesh."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.load_verify_locations(roots)
    made.load_cert_chain(pem)
    return made


class _Counting:
    """What all receivers share: a number of messages, and when it was reached."""

    def __init__(self) -> None:
        self.messages = 0
        self.bytes_in = 0
        self.size = 1
        self.echoing = False

    async def count(self, *, size: int) -> None:
        self.messages = self.bytes_in = 0
        self.size = size
        self.echoing = False

    async def echo(self) -> None:
        self.echoing = True

    async def received(self, *, count: int) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            while self.messages < count:  # noqa: ASYNC110 - an event would cost each message
                await asyncio.sleep(SAMPLE_S)
        return {"received": self.messages, "at": time.monotonic()}


class _Wire(asyncio.Protocol):
    """One connection. Tells the owner of bytes; knows when the transport wants no more."""

    def __init__(self, owner: BlocksEnd) -> None:
        self._owner = owner
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(HIGH_WATER)
        self._owner.wire = self

    def data_received(self, data: bytes) -> None:
        self._owner.heard(data)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def write(self, block: bytes) -> None:
        self.transport.write(block)
        if not self._writable.is_set():
            await self._writable.wait()


class BlocksEnd(_Counting):
    """64 KiB blocks without frames: a message is so many bytes, and Python runs per block."""

    wire: _Wire

    def __init__(self) -> None:
        super().__init__()
        self._server: asyncio.Server | None = None
        self._missing = 0
        self._whole: asyncio.Future[None] | None = None

    async def open(
        self, *, pem: str, roots: str, address: list[Any] | None = None
    ) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        if address is None:
            self._server = await loop.create_server(
                lambda: _Wire(self),
                "127.0.0.1",
                0,
                ssl=context(server=True, pem=pem, roots=roots),
            )
            return {"address": list(self._server.sockets[0].getsockname())}
        await loop.create_connection(
            lambda: _Wire(self), *address, ssl=context(server=False, pem=pem, roots=roots)
        )
        return {}

    async def close(self) -> None:
        self.wire.transport.close()
        if self._server is not None:
            self._server.close()

    def heard(self, data: bytes) -> None:
        if self.echoing:
            self.wire.transport.write(data)
        elif self._whole is not None:
            self._missing -= len(data)
            if self._missing <= 0 and not self._whole.done():
                self._whole.set_result(None)
        else:
            self.bytes_in += len(data)
            self.messages = self.bytes_in // self.size

    async def one_way(self, *, size: int, seconds: float) -> dict[str, Any]:
        block, sent = bytes(BLOCK_BYTES), 0
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            await self.wire.write(block)
            sent += len(block)
            await asyncio.sleep(0)
        return {"sent": sent // size, "at": started}

    async def round_trips(self, *, size: int, seconds: float) -> dict[str, Any]:
        loop, payload = asyncio.get_running_loop(), bytes(size)

        async def once() -> None:
            self._missing, self._whole = size, loop.create_future()
            self.wire.transport.write(payload)
            await self._whole

        try:
            return await timed(once, seconds)
        finally:
            self._whole = None


class BatchesEnd(BlocksEnd):
    """Messages as msgpack lists of 64 KiB behind a length; a Python call per message per side."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = b""
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._decode = msgspec.msgpack.Decoder(list[bytes]).decode

    def heard(self, data: bytes) -> None:
        if self.echoing or self._whole is not None:
            super().heard(data)
            return
        data, at = self._rest + data, 0
        while at + 4 <= len(data):
            (length,) = _U32.unpack_from(data, at)
            if at + 4 + length > len(data):
                break
            for message in self._decode(memoryview(data)[at + 4 : at + 4 + length]):
                self._on_message(message)
            at += 4 + length
        self._rest = data[at:]

    def _on_message(self, _: bytes) -> None:
        self.messages += 1

    def _send(self, message: bytes) -> None:
        self._batch.append(message)
        self._batch_bytes += len(message)

    async def one_way(self, *, size: int, seconds: float) -> dict[str, Any]:
        payload, sent = bytes(size), 0
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            while self._batch_bytes < BLOCK_BYTES:
                self._send(payload)
            encoded = msgspec.msgpack.encode(self._batch)
            sent += len(self._batch)
            self._batch, self._batch_bytes = [], 0
            await self.wire.write(_U32.pack(len(encoded)) + encoded)
            await asyncio.sleep(0)
        return {"sent": sent, "at": started}


class StreamsEnd(_Counting):
    """asyncio streams, a write and a drain per message: what a program without a library does."""

    def __init__(self) -> None:
        super().__init__()
        self._server: asyncio.Server | None = None
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(
        self, *, pem: str, roots: str, address: list[Any] | None = None
    ) -> dict[str, Any]:
        if address is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", 0, ssl=context(server=True, pem=pem, roots=roots)
            )
            return {"address": list(self._server.sockets[0].getsockname())}
        self._reader, self._writer = await asyncio.open_connection(
            *address, ssl=context(server=False, pem=pem, roots=roots)
        )
        return {}

    async def close(self) -> None:
        self._writer.close()
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        try:
            while True:
                message = await _read_message(reader)
                if self.echoing:
                    await _write_message(writer, message)
                else:
                    self.messages += 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            # Cancelled only at the end of the process; asyncio would complain about it.
            writer.close()

    async def one_way(self, *, size: int, seconds: float) -> dict[str, Any]:
        payload, sent = bytes(size), 0
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            for _ in range(100):
                await _write_message(self._writer, payload)
            sent += 100
        return {"sent": sent, "at": started}

    async def round_trips(self, *, size: int, seconds: float) -> dict[str, Any]:
        payload = bytes(size)

        async def once() -> None:
            await _write_message(self._writer, payload)
            await _read_message(self._reader)

        return await timed(once, seconds)

    async def calls_many(self, *, size: int, seconds: float, in_flight: int) -> dict[str, Any]:
        """So many round trips in flight on one connection."""
        payload, numbers = bytes(size), itertools.count()
        for _ in range(in_flight):
            await _write_message(self._writer, payload)
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            await _read_message(self._reader)
            next(numbers)
            await _write_message(self._writer, payload)
        for _ in range(in_flight):
            await _read_message(self._reader)
            next(numbers)
        return {"messages": next(numbers), "seconds": time.monotonic() - started}


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    (length,) = _U32.unpack(await reader.readexactly(4))
    return await reader.readexactly(length)


async def _write_message(writer: asyncio.StreamWriter, message: bytes) -> None:
    writer.write(_U32.pack(len(message)) + message)
    await writer.drain()


ENDS: dict[str, Callable[[], Any]] = {
    "tls-blocks": BlocksEnd,
    "tls-batches": BatchesEnd,
    "tls-streams": StreamsEnd,
}
