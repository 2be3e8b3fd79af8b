"""Sockets of simulated hosts: as much as programs ask of them, and no descriptor behind.

They are of the type `socket.socket`, because event loops and type checkers ask for that; all that
they do goes to the network in memory.
"""

from __future__ import annotations

import contextvars
import errno
import itertools
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mreza.sim.memory_transport import MemoryTransport, SocketAddress

if TYPE_CHECKING:
    from mreza.sim.host import SimProcess

DATAGRAMS_MAX = 1024
"That wait for a reader; more are lost."
_NUMBERS = itertools.count(1 << 30)
"Descriptors that no system gives out."
ANY = "0.0.0.0"  # noqa: S104 - a name for it


class MemorySocket(socket.socket):
    """One socket of one process."""

    def __init__(self, process: SimProcess, family: int, kind: int) -> None:
        # Not super().__init__(): that would open a real one.
        if family != socket.AF_INET:
            raise OSError(errno.EAFNOSUPPORT, "simulated hosts speak IPv4 only")
        self.process = process
        self.kind = kind
        self.bound: SocketAddress | None = None
        self.groups: set[str] = set()
        self.transport: MemoryTransport | None = None
        "Of a connected stream, until a loop takes it."
        self.on_accept: Callable[[MemoryTransport], None] | None = None
        self.readable: Callable[[], None] | None = None
        self.queue: deque[tuple[bytes, SocketAddress]] = deque()
        self.context = contextvars.copy_context()
        "In which its news are told."
        self._number = next(_NUMBERS)
        self._is_closed = False

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET

    @property
    def type(self) -> socket.SocketKind:
        return socket.SocketKind(self.kind)

    @property
    def proto(self) -> int:
        return 0

    def fileno(self) -> int:
        return -1 if self._is_closed else self._number

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - as the real one
        del flag

    def settimeout(self, value: float | None, /) -> None:
        del value

    def gettimeout(self) -> float | None:
        return 0.0

    def setsockopt(self, level: int, optname: int, value: Any, *rest: Any) -> None:
        del rest
        if level == socket.IPPROTO_IP and isinstance(value, bytes):
            if optname == socket.IP_ADD_MEMBERSHIP:
                self.groups.add(socket.inet_ntoa(value[:4]))
            elif optname == socket.IP_DROP_MEMBERSHIP:
                self.groups.discard(socket.inet_ntoa(value[:4]))

    def getsockopt(self, *what: Any) -> int:  # type: ignore[override]
        del what
        return 0

    def bind(self, address: Any, /) -> None:
        host, port = str(address[0]), int(address[1])
        self.bound = self.process.bind(self, host or ANY, port)

    def listen(self, backlog: int = 0, /) -> None:
        del backlog

    def getsockname(self) -> SocketAddress:
        if self.transport is not None:
            return self.transport.local
        return self.bound or (ANY, 0)

    def getpeername(self) -> SocketAddress:
        if self.transport is None:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return self.transport.remote

    def sendto(self, data: Any, *where: Any) -> int:
        self._check()
        host, port = where[-1][:2]
        if self.bound is None:
            self.bind((ANY, 0))
        self.process.machine.net.send_datagram(self, bytes(data), (str(host), int(port)))
        return len(data)

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, SocketAddress]:
        del flags
        self._check()
        if not self.queue:
            raise BlockingIOError(errno.EAGAIN, "nothing has come")
        data, source = self.queue.popleft()
        return data[:bufsize], source

    def receive(self, data: bytes, source: SocketAddress) -> None:
        """A datagram has come (called by the network, as the process)."""
        if not self._is_closed and len(self.queue) < DATAGRAMS_MAX:
            self.queue.append((data, source))
            self.process.read_soon(self)

    def detach(self) -> int:
        number = self.fileno()
        self._is_closed = True
        return number

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self.on_accept = self.readable = None
        self.queue.clear()
        self.process.release(self)
        if self.transport is not None:
            self.transport.abort()

    def _check(self) -> None:
        if self._is_closed:
            raise OSError(errno.EBADF, "Bad file descriptor")

    def __repr__(self) -> str:
        return f"<MemorySocket of {self.process.machine.name} at {self.bound}>"
