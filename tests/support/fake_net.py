"""A network inside one loop: transports joined in pairs, listeners in a table, no socket."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

import pytest

from mreza.address import Address
from mreza.io.tcp import TlsConnection
from mreza.io.tls import TlsFailed
from mreza.node import dialing, joins, listener
from mreza.wire.frame import BODY_MAX, FrameReader, FrameType, encode_frame
from mreza.wire.link import REFUSED

Factory = Callable[[], asyncio.BaseProtocol]
EPHEMERAL = 40000


class FakeTransport(asyncio.Transport):
    """One end of a pair. What is written arrives at the other end in a later callback."""

    def __init__(self, *, peername: tuple[str, int] = ("192.0.2.1", 1)) -> None:
        super().__init__({"peername": peername})
        self.loop = asyncio.get_running_loop()
        self.protocol: asyncio.Protocol
        self.other: FakeTransport | None = None
        self.written: list[bytes] = []
        "Every write, for tests that count them."
        self.eof_written = False
        self.aborted = False
        self.held = False
        "True: the socket is full; what is written stays in the buffer."
        self.limits: tuple[int | None, int | None] = (None, None)
        self._buffer: list[bytes] = []
        self._closing = False
        self._lost = False

    # What asyncio's own have.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))
        self._buffer.append(bytes(data))
        high = self.limits[0]
        if self.held and high is not None and self.get_write_buffer_size() > high:
            self.protocol.pause_writing()
        self._flush()

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._buffer))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (high, low)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof_written = True
        self._flush()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.write_eof()
            self.loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self.aborted = True
        self._closing = True
        self._buffer.clear()
        self.loop.call_soon(self._lose, None)
        if self.other is not None:
            self.loop.call_soon(self.other._lose, ConnectionResetError("reset by peer"))

    # What a test does.

    def hold(self) -> None:
        """The peer reads nothing from now on."""
        self.held = True

    def release(self) -> None:
        """It reads again."""
        self.held = False
        self._flush()
        self.protocol.resume_writing()

    # Inside.

    def _flush(self) -> None:
        if self.held:
            return
        data, self._buffer = b"".join(self._buffer), []
        other = self.other
        if other is None:
            return
        if data:
            self.loop.call_soon(other._receive, data)
        if self.eof_written:
            self.loop.call_soon(other._receive_eof)

    def _receive(self, data: bytes) -> None:
        if not self._lost:
            self.protocol.data_received(data)

    def _receive_eof(self) -> None:
        if not self._lost and not self.protocol.eof_received():
            self.close()

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._closing = True
            self.protocol.connection_lost(error)


class FakeSocket:
    """What the network's `connect` and `bind_sockets` hand out."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.closed = False

    def getsockname(self) -> tuple[str, int]:
        return (self.address.host, self.address.port)

    def close(self) -> None:
        self.closed = True


class FakeServer:
    """As much of an asyncio.Server as a listener uses."""

    def __init__(self, network: FakeNetwork, address: Address) -> None:
        self._network = network
        self._address = address

    def close(self) -> None:
        self._network.listening.pop(self._address, None)

    async def wait_closed(self) -> None:
        pass


class FakeNetwork:
    """Who listens where, and what goes wrong on the way."""

    def __init__(self) -> None:
        self.listening: dict[Address, Factory] = {}
        self.failures: dict[Address, Exception] = {}
        "What connecting to an address raises."
        self.broken: dict[Address, Exception] = {}
        "What making a transport of a connected socket raises."
        self.sockets: list[FakeSocket] = []
        self.pairs: list[tuple[FakeTransport, FakeTransport]] = []
        "(who dialed, who listens) of every connection."
        self._ports = EPHEMERAL

    @classmethod
    def install(cls, monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
        """Put it in the place of sockets, for links and joins on the running loop."""
        network, loop = cls(), asyncio.get_running_loop()
        monkeypatch.setattr(dialing, "connect", network.connect)
        monkeypatch.setattr(joins, "connect", network.connect)
        monkeypatch.setattr(listener, "bind_sockets", network.bind_sockets)
        monkeypatch.setattr(loop, "create_connection", network.create_connection)
        monkeypatch.setattr(loop, "create_server", network.create_server)
        return network

    async def connect(self, address: Address, *, timeout_s: float) -> socket.socket:
        assert timeout_s > 0
        if address in self.failures:
            raise self.failures[address]
        if address not in self.listening:
            raise ConnectionRefusedError(111, "Connection refused")
        return self._socket(address)

    async def create_connection(
        self, factory: Factory, *, sock: FakeSocket
    ) -> tuple[FakeTransport, asyncio.BaseProtocol]:
        if sock.address in self.broken:
            raise self.broken[sock.address]
        near = self.pair(factory, self.listening[sock.address])
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            near.close()
            raise
        return near, near.protocol

    def bind_sockets(self, host: str, port: int, *, next_free: bool = False) -> list[socket.socket]:
        address = Address(host or "127.0.0.1", port or self._port())
        if address in self.failures:
            raise self.failures[address]
        while next_free and address in self.listening:
            address = Address(address.host, address.port + 1)
        return [self._socket(address)]

    async def create_server(self, factory: Factory, *, sock: FakeSocket) -> FakeServer:
        self.listening[sock.address] = factory
        return FakeServer(self, sock.address)

    def pair(self, dialing: Factory, listening: Factory) -> FakeTransport:
        """Connect two protocols; returns the transport of the one that dialed."""
        near = FakeTransport(peername=("127.0.0.1", 7000))
        far = FakeTransport(peername=("127.0.0.1", self._port()))
        near.other, far.other = far, near
        self.pairs.append((near, far))
        for transport, factory in ((far, listening), (near, dialing)):
            transport.protocol = cast("asyncio.Protocol", factory())
        for transport in (far, near):
            transport.protocol.connection_made(transport)
        return near

    def _port(self) -> int:
        self._ports += 1
        return self._ports

    def _socket(self, address: Address) -> socket.socket:
        made = FakeSocket(address)
        self.sockets.append(made)
        return cast("Any", made)  # type: ignore[no-any-return]


async def turns(count: int = 20) -> None:
    """Let the loop run what is due, so many iterations of it."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], *, iterations: int = 10_000) -> None:
    """Let the loop run until this holds; iterations, not seconds, bound it."""
    for _ in range(iterations):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError(f"not reached within {iterations} iterations of the loop")


class Visitor:
    """Whoever comes by TLS with any context, and writes down what it hears."""

    def __init__(self, network: FakeNetwork, address: Address, context: ssl.SSLContext) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.ended = False
        self.connection: TlsConnection
        self._reader = FrameReader(limit=BODY_MAX)
        self.transport = network.pair(
            lambda: TlsConnection(context, self._own, server_side=False),
            network.listening[address],
        )

    def send_frame(self, kind: int, body: bytes) -> None:
        self.connection.write([encode_frame(kind, body)])

    @property
    def refusals(self) -> list[str]:
        """Codes of the REFUSED frames that came."""
        return [
            REFUSED.decode(body).code for kind, body in self.frames if kind == FrameType.REFUSED
        ]

    def _own(self, connection: TlsConnection) -> Visitor:
        self.connection = connection
        return self

    def established(self) -> None:
        pass

    def data(self, plaintext: bytes) -> None:
        self.frames += [(kind, bytes(body)) for kind, body in self._reader.feed(plaintext)]

    def writable(self) -> None:
        pass

    def lost(self, failure: TlsFailed | None, error: Exception | None) -> None:
        del failure, error
        self.ended = True
