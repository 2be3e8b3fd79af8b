"""Joining, leaving, saying and hearing with a socket that pretends to be one."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from mreza.io import multicast
from mreza.io.multicast import RECEIVE_MAX, MulticastSocket

GROUP, GROUP6, PORT = "239.255.74.67", "ff02::7467", 7467


class Datagrams:
    """A socket whose interfaces come and go."""

    def __init__(self, family: int) -> None:
        self.family = family
        self.options: list[tuple[int, int]] = []
        self.joined: list[int] = []
        self.waiting: list[Any] = []
        "(data, source) to receive, or what receiving raises."
        self.sent: list[tuple[bytes, tuple[Any, ...]]] = []
        self.gone: set[int] = set()
        self.index = 0
        self.bound: tuple[str, int] | None = None
        self.bind_error: OSError | None = None
        self.closed = False

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def fileno(self) -> int:
        return 99

    def setsockopt(self, level: int, name: int, value: Any) -> None:
        self.options.append((level, name))
        if not isinstance(value, bytes):
            return
        (index,) = struct.unpack("@i", value[-4:])
        if index in self.gone:
            raise OSError("no such device")
        if name in (socket.IP_ADD_MEMBERSHIP, socket.IPV6_JOIN_GROUP):
            self.joined.append(index)
        elif name in (socket.IP_DROP_MEMBERSHIP, socket.IPV6_LEAVE_GROUP):
            self.joined.remove(index)
        else:
            self.index = index

    def bind(self, address: tuple[str, int]) -> None:
        if self.bind_error is not None:
            raise self.bind_error
        self.bound = address

    def sendto(self, data: bytes, target: tuple[Any, ...]) -> None:
        index = target[3] if len(target) == 4 else self.index
        if index in self.gone:
            raise OSError("no such device")
        self.sent.append((data, target))

    def recvfrom(self, size: int) -> tuple[bytes, tuple[Any, ...]]:
        assert size == multicast.DATAGRAM_MAX
        if not self.waiting:
            raise BlockingIOError
        datagram = self.waiting.pop(0)
        if isinstance(datagram, OSError):
            raise datagram
        found: tuple[bytes, tuple[Any, ...]] = datagram
        return found

    def close(self) -> None:
        self.closed = True


class Machine:
    """Interfaces, and the sockets made on this machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.interfaces = {2: "eth0", 3: "wlan0"}
        self.sockets: list[Datagrams] = []
        self.readers: dict[int, Callable[[], None]] = {}
        self.reader_error: Exception | None = None
        self.bind_error: OSError | None = None
        loop = asyncio.get_running_loop()
        # Not in `socket` itself: loops make real ones.
        pretended = {"socket": self.make, "if_indextoname": self.name_of}
        module = SimpleNamespace(**{**vars(socket), **pretended})
        monkeypatch.setattr(multicast, "socket", module)
        monkeypatch.setattr(multicast, "open_socket", self.make)
        monkeypatch.setattr(multicast, "usable_interfaces", lambda _: dict(self.interfaces))
        monkeypatch.setattr(loop, "add_reader", self.add_reader)
        monkeypatch.setattr(loop, "remove_reader", self.readers.pop)

    def make(self, family: int, kind: int) -> Datagrams:
        assert kind == socket.SOCK_DGRAM
        made = Datagrams(family)
        made.bind_error = self.bind_error
        self.sockets.append(made)
        return made

    def name_of(self, index: int) -> str:
        if index not in self.interfaces:
            raise OSError("no such device")
        return self.interfaces[index]

    def add_reader(self, number: int, callback: Callable[[], None]) -> None:
        if self.reader_error is not None:
            raise self.reader_error
        self.readers[number] = callback


@pytest.fixture
async def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def open_on(group: str) -> tuple[MulticastSocket, list[tuple[bytes, str]]]:
    heard: list[tuple[bytes, str]] = []
    return MulticastSocket(group, PORT, received=lambda *what: heard.append(what)), heard


@pytest.mark.parametrize("group", [GROUP, GROUP6])
async def test_every_interface_is_joined_once_and_spoken_on(machine: Machine, group: str) -> None:
    sock, _ = open_on(group)
    (made,) = machine.sockets
    assert made.bound == ("", PORT)
    assert made.family == (socket.AF_INET6 if ":" in group else socket.AF_INET)
    sock.join_interfaces()
    sock.join_interfaces()
    assert sock.interfaces == ("eth0", "wlan0")
    assert made.joined == [2, 3]
    assert sock.send(b"here") == 2
    assert [(data, target[:2]) for data, target in made.sent] == [(b"here", (group, PORT))] * 2
    sock.close()
    assert made.closed
    assert machine.readers == {}


@pytest.mark.parametrize("group", [GROUP, GROUP6])
async def test_an_interface_that_fails_is_left_and_joined_anew(
    machine: Machine, group: str
) -> None:
    sock, _ = open_on(group)
    sock.join_interfaces()
    (made,) = machine.sockets
    made.gone = {2}
    assert sock.send(b"here") == 1
    assert sock.interfaces == ("wlan0",)
    sock.join_interfaces()
    assert sock.interfaces == ("wlan0",)
    made.gone.clear()
    sock.join_interfaces()
    assert set(sock.interfaces) == {"eth0", "wlan0"}
    assert sock.send(b"again") == 2
    sock.close()


async def test_an_interface_that_went_is_forgotten_and_a_new_one_joined(machine: Machine) -> None:
    sock, _ = open_on(GROUP)
    sock.join_interfaces()
    machine.interfaces = {3: "wlan0", 4: "usb0"}
    sock.join_interfaces()
    assert sock.interfaces == ("wlan0", "usb0")
    sock.close()


async def test_what_is_heard_comes_with_its_host(machine: Machine) -> None:
    sock, heard = open_on(GROUP6)
    (made,) = machine.sockets
    made.waiting = [
        (b"a", ("192.0.2.7", 7467)),
        (b"b", ("fe80::1", 7467, 0, 2)),
        OSError("an earlier datagram was refused"),
        (b"c", ("fe80::1", 7467, 0, 9)),
        (b"d", ("fe80::1%eth0", 7467, 0, 2)),
        (b"e", ("2001:db8::1", 7467, 0, 2)),
    ]
    machine.readers[99]()
    assert heard == [
        (b"a", "192.0.2.7"),
        (b"b", "fe80::1%eth0"),
        (b"c", "fe80::1"),
        (b"d", "fe80::1%eth0"),
        (b"e", "2001:db8::1"),
    ]
    sock.close()


async def test_a_flood_does_not_hold_the_loop(machine: Machine) -> None:
    sock, heard = open_on(GROUP)
    machine.sockets[0].waiting = [(b"x", ("192.0.2.7", 1))] * (RECEIVE_MAX + 1)
    machine.readers[99]()
    assert len(heard) == RECEIVE_MAX
    machine.readers[99]()
    assert len(heard) == RECEIVE_MAX + 1
    sock.close()


async def test_a_socket_that_cannot_be_used_is_closed(machine: Machine) -> None:
    machine.reader_error = NotImplementedError("this loop has none")
    with pytest.raises(NotImplementedError):
        open_on(GROUP)
    machine.bind_error = OSError("in use")
    with pytest.raises(OSError, match="in use"):
        open_on(GROUP)
    assert [sock.closed for sock in machine.sockets] == [True, True]


@pytest.mark.parametrize(("platform", "shares"), [("linux", False), ("darwin", True)])
async def test_several_nodes_share_one_port(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, platform: str, *, shares: bool
) -> None:
    monkeypatch.setattr(multicast, "sys", SimpleNamespace(platform=platform))
    sock, _ = open_on(GROUP)
    options = machine.sockets[0].options
    assert (socket.SOL_SOCKET, socket.SO_REUSEADDR) in options
    assert ((socket.SOL_SOCKET, socket.SO_REUSEPORT) in options) is shares
    sock.close()
