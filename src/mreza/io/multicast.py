"""Multicast on every network interface by name, IPv4 and IPv6.

Interfaces are looked up again now and then: one that appears is joined, one that went is forgotten.
Sending never waits: a datagram that cannot go now is not worth keeping.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable

from mreza.io.host import open_socket
from mreza.io.interfaces import usable_interfaces

DATAGRAM_MAX = 2048
RECEIVE_MAX = 64
"Datagrams read in one turn; the rest waits for the next, so that a flood does not hold the loop."
_IP_MULTICAST_ALL = 49
"Linux: deliver only groups joined by this socket (linux/in.h; Python has no name for it)."


class MulticastSocket:
    """One group of one address family, on all interfaces. Needs a running loop."""

    def __init__(self, group: str, port: int, *, received: Callable[[bytes, str], None]) -> None:
        """`received` gets each datagram and the host it came from (with %scope for link-local)."""
        self._family = socket.AF_INET6 if ":" in group else socket.AF_INET
        self._group = group
        self._port = port
        self._received = received
        self._loop = asyncio.get_running_loop()
        self._joined: dict[int, str] = {}
        self._socket = _open(self._family, port)
        try:
            self._loop.add_reader(self._socket.fileno(), self._readable)
        except BaseException:
            self._socket.close()
            raise

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Names of the interfaces joined."""
        return tuple(self._joined.values())

    def join_interfaces(self) -> None:
        """Join the group on every interface that is up; forget those that went."""
        present = usable_interfaces(self._family)
        for index in [index for index in self._joined if index not in present]:
            del self._joined[index]
        for index, name in present.items():
            if index not in self._joined and self._join(index):
                self._joined[index] = name

    def send(self, data: bytes) -> int:
        """Say it on every interface; returns on how many it went."""
        sent = 0
        for index in list(self._joined):
            try:
                if self._family == socket.AF_INET6:
                    target: tuple[object, ...] = (self._group, self._port, 0, index)
                else:
                    self._socket.setsockopt(
                        socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _ip_mreqn(index)
                    )
                    target = (self._group, self._port)
                self._socket.sendto(data, target)
                sent += 1
            except OSError:
                # Gone, full or forbidden: the interface is joined anew at the next look.
                self._leave(index)
        return sent

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _join(self, index: int) -> bool:
        try:
            if self._family == socket.AF_INET6:
                request = socket.inet_pton(socket.AF_INET6, self._group) + struct.pack("@I", index)
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            else:
                request = _ip_mreqn(index, self._group)
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        except OSError:
            return False
        return True

    def _leave(self, index: int) -> None:
        del self._joined[index]
        with contextlib.suppress(OSError):
            if self._family == socket.AF_INET6:
                request = socket.inet_pton(socket.AF_INET6, self._group) + struct.pack("@I", index)
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, request)
            else:
                request = _ip_mreqn(index, self._group)
                self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, request)

    def _readable(self) -> None:
        for _ in range(RECEIVE_MAX):
            try:
                data, source = self._socket.recvfrom(DATAGRAM_MAX)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # An earlier datagram of ours was refused somewhere; nothing to do about it.
                continue
            self._received(data, _host_of(source))


def _host_of(source: tuple[object, ...]) -> str:
    host = str(source[0])
    scope = source[3] if len(source) > 3 else 0
    if isinstance(scope, int) and scope and "%" not in host and host.lower().startswith("fe80:"):
        with contextlib.suppress(OSError):
            return f"{host}%{socket.if_indextoname(scope)}"
    return host


def _ip_mreqn(index: int, group: str = "") -> bytes:
    """Pack struct ip_mreqn: group, no address, the interface's index."""
    packed = socket.inet_aton(group) if group else b""
    if sys.platform == "win32":  # pragma: no cover - Windows takes 0.0.0.x for the index
        return packed + struct.pack("!I", index)
    return struct.pack("@4s4si", packed, b"", index)


def _open(family: int, port: int) -> socket.socket:
    sock = open_socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)  # noqa: FBT003
        # Several nodes of one machine hear on one port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform != "linux" and hasattr(socket, "SO_REUSEPORT"):
            # Linux shares by SO_REUSEADDR alone, with other users' nodes, too.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            if sys.platform == "linux":
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        sock.bind(("", port))
    except BaseException:
        sock.close()
        raise
    return sock
