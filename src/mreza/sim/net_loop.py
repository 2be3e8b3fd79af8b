"""asyncio's own ways to the network, on a loop whose network is in memory.

Servers, connections and datagrams belong to the process that asks for them. What is not here is
not simulated, and says so.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
import socket
from collections.abc import Callable
from random import Random
from typing import Any

from mreza.sim.agenda import START_S
from mreza.sim.host import SimProcess
from mreza.sim.loop import PATIENCE_S, PROCESS, VirtualTimeLoop
from mreza.sim.memory_net import LAN_LATENCY_S, MemoryNet
from mreza.sim.memory_socket import MemorySocket
from mreza.sim.memory_transport import MemoryTransport, SocketAddress

Factory = Callable[[], asyncio.BaseProtocol]


class SimLoop(VirtualTimeLoop):
    """A virtual-time loop with a network of simulated hosts."""

    def __init__(
        self,
        rng: Random,
        *,
        latency_s: float = LAN_LATENCY_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        super().__init__(start_s=START_S, patience_s=patience_s)
        self.net = MemoryNet(self, rng=rng, latency_s=latency_s)
        self._unix_pairs = 0

    # Names.

    async def getaddrinfo(  # type: ignore[override]
        self,
        host: str | None,
        port: str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[int, int, int, str, SocketAddress]]:
        del proto, flags
        if family not in (0, socket.AF_INET):
            raise socket.gaierror(socket.EAI_ADDRFAMILY, "simulated hosts speak IPv4 only")
        address = self.net.resolve(host or "", _process().machine)
        return [(socket.AF_INET, type, 0, "", (address, int(port or 0)))]

    # Streams.

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        ours = _ours(sock)
        ours.transport = await self._connect(ours.process, address)

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Factory,
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: Any = None,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        **given: Any,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        del given, server_hostname
        _no_tls(ssl)
        if sock is None:
            transport = await self._connect(_process(), (host or "", int(port or 0)))
        else:
            ours = _ours(sock)
            if ours.transport is None:
                raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
            transport, ours.transport = ours.transport, None
            ours.close()
        return await self._attached(transport, protocol_factory)

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Factory,
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: Any = None,
        sock: socket.socket | None = None,
        **given: Any,
    ) -> MemoryServer:
        del given
        _no_tls(ssl)
        if sock is None:
            ours = MemorySocket(_process(), socket.AF_INET, socket.SOCK_STREAM)
            machine = ours.process.machine
            ours.bind((self.net.resolve(host, machine) if host else "", int(port or 0)))
        else:
            ours = _ours(sock)
        server = MemoryServer(self, [ours])

        def accept(transport: MemoryTransport) -> None:
            server.accepted(transport)
            transport.attach(protocol_factory(), None)

        ours.on_accept = accept
        return server

    # Streams on paths of the file system: within one process.

    async def create_unix_server(  # type: ignore[override]
        self,
        protocol_factory: Factory,
        path: Any = None,
        *,
        sock: socket.socket | None = None,
        ssl: Any = None,
        **given: Any,
    ) -> UnixServer:
        del given
        _no_tls(ssl)
        if sock is not None:
            path = sock.getsockname()
            sock.close()
        process, text = _process(), os.fspath(path)
        server = UnixServer(self, process, text)
        context = contextvars.copy_context()

        def accept(transport: MemoryTransport) -> None:
            context.run(lambda: transport.attach(protocol_factory(), None))

        process.unix[text] = accept
        return server

    async def create_unix_connection(  # type: ignore[override]
        self, protocol_factory: Factory, path: Any = None, *, ssl: Any = None, **given: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        del given
        _no_tls(ssl)
        process, text = _process(), os.fspath(path)
        for machine in self.net.machines.values():
            accept = machine.process.unix.get(text)
            if accept is not None:
                self._unix_pairs += 1
                near, far = self.net.pair(
                    process, machine.process, (text, self._unix_pairs), (text, 0)
                )
                self.call_soon(accept, far, context=machine.process.context)
                return await self._attached(near, protocol_factory)
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens at {text}")

    # Datagrams.

    async def create_datagram_endpoint(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local_addr: SocketAddress | None = None,
        remote_addr: SocketAddress | None = None,
        *,
        sock: socket.socket | None = None,
        **given: Any,
    ) -> tuple[MemoryDatagrams, asyncio.DatagramProtocol]:
        del given
        process = _process()
        ours = (
            MemorySocket(process, socket.AF_INET, socket.SOCK_DGRAM)
            if sock is None
            else _ours(sock)
        )
        if ours.bound is None:
            host, port = local_addr or ("", 0)
            ours.bind((self.net.resolve(host, process.machine) if host else "", port))
        protocol = protocol_factory()
        transport = MemoryDatagrams(self, ours, protocol, remote_addr)
        self.call_soon(protocol.connection_made, transport)
        await asyncio.sleep(0)
        return transport, protocol

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        ours = self._datagrams(fd)
        if ours is None:
            super().add_reader(fd, callback, *args)
        else:
            ours.readable = lambda: callback(*args)
            ours.process.read_soon(ours)

    def remove_reader(self, fd: Any) -> bool:
        ours = self._datagrams(fd)
        if ours is None:
            return super().remove_reader(fd)
        had, ours.readable = ours.readable is not None, None
        return had

    # Inside.

    def _datagrams(self, fd: Any) -> MemorySocket | None:
        if isinstance(fd, MemorySocket):
            return fd
        process = PROCESS.get(None)
        if isinstance(fd, int) and isinstance(process, SimProcess):
            return next((sock for sock in process.sockets if sock.fileno() == fd), None)
        return None

    async def _connect(self, process: SimProcess, address: SocketAddress) -> MemoryTransport:
        host = self.net.resolve(str(address[0]), process.machine)
        return await self.net.connect(process, (host, int(address[1])))

    async def _attached(
        self, transport: MemoryTransport, protocol_factory: Factory
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        protocol, waiter = protocol_factory(), self.create_future()
        transport.attach(protocol, waiter)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol


class MemoryServer(asyncio.AbstractServer):
    """Accepts until it is closed."""

    def __init__(self, loop: SimLoop, sockets: list[MemorySocket]) -> None:
        self._loop = loop
        self._sockets = sockets
        self._accepted: dict[MemoryTransport, None] = {}

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        return tuple(self._sockets)

    def accepted(self, transport: MemoryTransport) -> None:
        """One more connection."""
        self._accepted[transport] = None

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()
        self._sockets = []

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return bool(self._sockets)

    async def start_serving(self) -> None:
        """It serves from the beginning."""

    async def serve_forever(self) -> None:
        try:
            await self._loop.create_future()
        finally:
            self.close()

    async def wait_closed(self) -> None:
        """As asyncio before Python 3.12.1: does not wait for connections."""
        await asyncio.sleep(0)


class UnixServer(MemoryServer):
    """The same on a path."""

    def __init__(self, loop: SimLoop, process: SimProcess, path: str) -> None:
        super().__init__(loop, [])
        self._process = process
        self._path = path

    def close(self) -> None:
        self._process.unix.pop(self._path, None)

    def is_serving(self) -> bool:
        return self._path in self._process.unix


class MemoryDatagrams(asyncio.DatagramTransport):
    """A datagram socket as asyncio shows it."""

    def __init__(
        self,
        loop: SimLoop,
        sock: MemorySocket,
        protocol: asyncio.DatagramProtocol,
        remote: SocketAddress | None,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._socket = sock
        self._protocol = protocol
        self._remote = remote
        self._closing = False
        sock.readable = self._read

    def sendto(self, data: Any, addr: Any = None) -> None:
        if not self._closing:
            self._socket.sendto(data, addr or self._remote)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._socket.close()
            self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        return self._closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        known = {
            "sockname": self._socket.getsockname(),
            "peername": self._remote,
            "socket": self._socket,
        }
        return known.get(name, default)

    def _read(self) -> None:
        data, source = self._socket.recvfrom(65_535)
        if self._remote is None or source == self._remote:
            self._protocol.datagram_received(data, source)


def _process() -> SimProcess:
    process = PROCESS.get(None)
    if not isinstance(process, SimProcess):
        raise RuntimeError("only a simulated process has a network; use SimMesh.spawn")
    return process


def _ours(sock: socket.socket) -> MemorySocket:
    if not isinstance(sock, MemorySocket):
        raise OSError(
            errno.ENOTSOCK,
            f"{sock!r} is a real socket; a simulation has only those of its own loop",
        )
    return sock


def _no_tls(ssl: Any) -> None:
    if ssl is not None and ssl is not False:
        raise NotImplementedError("asyncio's own TLS is not simulated; mreza brings its own")
