"""Simulated hosts: machines with an address, a disk and clocks, and the processes on them."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from mreza.io.host import Deliver, IpAddress
from mreza.sim.loop import PROCESS, VirtualTimeLoop
from mreza.sim.memory_socket import ANY, MemorySocket
from mreza.sim.memory_transport import MemoryTransport, SocketAddress

if TYPE_CHECKING:
    from mreza.sim.memory_net import MemoryNet

INTERFACE = "sim0"
FIRST_FREE_PORT = 49_152
"Of those that a system gives out (RFC 6335)."
LAST_PORT = 65_535
_LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


class SimClock:
    """The clocks of one machine; its wall clock may be wrong."""

    def __init__(self, loop: VirtualTimeLoop, *, wall: float) -> None:
        self._loop = loop
        self._wall_at_zero = wall
        self.skew_s = 0.0

    def monotonic(self) -> float:
        return self._loop.time()

    def wall(self) -> float:
        return self._wall_at_zero + self._loop.time() + self.skew_s


class SimMachine:
    """What stays when a process dies: name, address, disk, clocks."""

    def __init__(
        self,
        net: MemoryNet,
        *,
        name: str,
        address: str,
        lan: str,
        folder: Path,
        wall: float,
        rng: Random,
    ) -> None:
        self.net = net
        self.name = name
        self.address = address
        self.lan = lan
        self.folder = folder
        self.clock = SimClock(net.loop, wall=wall)
        self.rng = rng
        self.environment: dict[str, str] = {}
        self.is_on = True
        self.boots = 0
        self._when_up: list[Callable[[], None]] = []
        self.process = SimProcess(self)

    def new_process(self) -> SimProcess:
        """After the last one died."""
        self.boots += 1
        self.is_on = True
        self.process = SimProcess(self)
        waiting, self._when_up = self._when_up, []
        for callback in waiting:
            callback()
        return self.process

    def when_up(self, callback: Callable[[], None]) -> None:
        """Call now, or when the machine is on again."""
        if self.is_on:
            callback()
        else:
            self._when_up.append(callback)

    def owns(self, address: str) -> bool:
        return address in (self.address, ANY) or ipaddress.ip_address(address) in _LOOPBACK


class SimProcess:
    """One run of a program on a machine; a `mreza.io.host.Host` for the nodes in it."""

    is_simulated = True

    def __init__(self, machine: SimMachine) -> None:
        self.machine = machine
        self.runs = True
        self.is_frozen = False
        self.is_dead = False
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)
        self.transports: dict[MemoryTransport, None] = {}
        self.sockets: dict[MemorySocket, None] = {}
        self.unix: dict[str, Any] = {}
        "Servers on paths of the file system, by path."
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._parked: list[asyncio.Handle] = []
        self._next_port = FIRST_FREE_PORT

    # Its life.

    def park(self, handle: asyncio.Handle) -> None:
        if self.is_frozen and not self.is_dead:
            self._parked.append(handle)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        self.tasks.add(task)

    def freeze(self) -> None:
        """Nothing of it runs from now on; what its kernel does goes on."""
        self.is_frozen, self.runs = True, False

    def thaw(self) -> None:
        """All that should have run since, runs now."""
        if self.is_frozen and not self.is_dead:
            self.is_frozen, self.runs = False, True
            parked, self._parked = self._parked, []
            self.machine.net.loop.resume(parked)

    def die(self, *, silently: bool) -> list[asyncio.Task[Any]]:
        """Nothing of it ever runs again; returns its tasks, to be kept from the collector.

        `silently`: the machine went with it, and no kernel closes its connections.
        """
        self.is_dead, self.runs = True, False
        self._parked.clear()
        if silently:
            self.machine.is_on = False
        for transport in list(self.transports):
            if silently:
                transport.vanish()
            else:
                transport.kill()
        for sock in list(self.sockets):
            sock.close()
        self.unix.clear()
        return sorted(self.tasks, key=asyncio.Task.get_name)

    # Sockets.

    def bind(self, sock: MemorySocket, host: str, port: int) -> SocketAddress:
        """Give a port to a socket.

        Raises:
            OSError: it is taken, or the address is not of this machine.
        """
        try:
            known = self.machine.owns(host)
        except ValueError:
            known = False
        multicast = sock.kind == socket.SOCK_DGRAM
        if not known:
            raise OSError(errno.EADDRNOTAVAIL, f"{self.machine.name} has no address {host}")
        taken = {
            other.bound[1]
            for other in self.sockets
            if other.bound is not None and other.kind == sock.kind
        }
        if port == 0:
            port = self.free_port(taken)
        elif port in taken and not multicast:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        self.sockets[sock] = None
        return host, port

    def free_port(self, taken: set[int] | None = None) -> int:
        """The next port that nobody has."""
        while True:
            port = self._next_port
            self._next_port = port + 1 if port < LAST_PORT else FIRST_FREE_PORT
            if taken is None or port not in taken:
                return port

    def release(self, sock: MemorySocket) -> None:
        self.sockets.pop(sock, None)

    def listener(self, address: SocketAddress) -> MemorySocket | None:
        """Who accepts at this address."""
        for sock in self.sockets:
            bound = sock.bound
            if sock.on_accept is None or bound is None or bound[1] != address[1]:
                continue
            if bound[0] in (ANY, address[0]):
                return sock
        return None

    def read_soon(self, sock: MemorySocket) -> None:
        """Call who reads this socket, for as long as there is something to read."""
        if sock.readable is not None:
            self.machine.net.loop.call_soon(self._read, sock, context=sock.context)

    def _read(self, sock: MemorySocket) -> None:
        if sock.readable is not None and sock.queue:
            sock.readable()
            if sock.queue:
                self.read_soon(sock)

    # What its nodes ask of their machine.

    @property
    def host(self) -> SimProcess:
        return self

    @property
    def clock(self) -> SimClock:
        return self.machine.clock

    def random(self) -> Random:
        return Random(self.machine.rng.getrandbits(64))  # noqa: S311 - a seeded world

    def open_socket(self, family: int, kind: int) -> socket.socket:
        return MemorySocket(self, family, kind)

    def interfaces(self, family: int) -> Iterator[tuple[str, IpAddress]]:
        if family == socket.AF_INET:
            yield INTERFACE, ipaddress.ip_address(self.machine.address)

    def interface_index(self, name: str) -> int:
        if name != INTERFACE:
            raise OSError(errno.ENODEV, "No such device")
        return 1

    def cpu_times(self) -> tuple[float, float]:
        return 0.0, self.clock.monotonic()

    def memory(self) -> float:
        return 0.0

    def environment(self) -> Mapping[str, str]:
        return {"MREZA_STATE": str(self.machine.folder / "state"), **self.machine.environment}

    def work_outside(self) -> Deliver:
        return self.machine.net.loop.work_outside()
