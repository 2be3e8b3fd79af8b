"""A connection over transports without sockets; binding and connecting with pretended ones."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mreza.address import Address
from mreza.io import tcp
from mreza.io.tcp import (
    HIGH_WATER,
    LOW_WATER,
    NOT_SENT_LOW_WATER,
    PORTS_TRIED,
    TlsConnection,
    bind_sockets,
    connect,
    tune,
)
from mreza.io.tls import TlsFailed, member_context, server_context
from mreza.security.credentials import Credentials
from tests.integration.link_ends import MeshOfLinks
from tests.support.eventually import eventually_async
from tests.support.fake_net import FakeNetwork, FakeTransport, turns

MESH = MeshOfLinks()
OTHERS = MeshOfLinks("others")


class Owner:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.received = b""
        self.connection: TlsConnection

    def own(self, connection: TlsConnection) -> Owner:
        self.connection = connection
        return self

    def established(self) -> None:
        self.told.append("established")

    def data(self, plaintext: bytes) -> None:
        self.received += plaintext

    def writable(self) -> None:
        self.told.append("writable")

    def lost(self, failure: TlsFailed | None, error: Exception | None) -> None:
        self.told.append(("lost", failure, error))

    @property
    def ends(self) -> list[Any]:
        return [word for word in self.told if word not in ("established", "writable")]


def pair_of(
    dialer: Credentials, listener: Credentials
) -> tuple[Owner, Owner, FakeTransport, FakeTransport]:
    near, far = Owner(), Owner()
    server, member = server_context(listener), member_context(dialer)
    network = FakeNetwork()
    network.pair(
        lambda: TlsConnection(member, near.own, server_side=False),
        lambda: TlsConnection(server, far.own, server_side=True),
    )
    transport, other = network.pairs[0]
    return near, far, transport, other


async def connected() -> tuple[Owner, Owner, FakeTransport, FakeTransport]:
    near, far, transport, other = pair_of(MESH.credentials(), MESH.credentials())
    await turns()
    assert near.told == far.told == ["established"]
    return near, far, transport, other


async def test_bytes_go_both_ways_encrypted_and_are_counted() -> None:
    near, far, transport, _ = await connected()
    near.connection.write([b"hello ", b"there"])
    far.connection.write([b"hello, too"])
    await turns()
    assert (near.received, far.received) == (b"hello, too", b"hello there")
    assert b"hello" not in b"".join(transport.written)
    assert near.connection.bytes_out == far.connection.bytes_in == sum(map(len, transport.written))
    near.connection.abort()
    await turns()


async def test_batches_of_one_call_are_one_write() -> None:
    near, _, transport, _ = await connected()
    before = len(transport.written)
    near.connection.write([b"one", b"two", b"three"])
    assert len(transport.written) == before + 1
    near.connection.abort()
    await turns()


async def test_each_knows_where_the_other_is_and_both_tune_their_socket() -> None:
    near, far, transport, other = await connected()
    assert near.connection.remote == Address("127.0.0.1", 7000)
    assert far.connection.remote.host == "127.0.0.1"
    assert transport.limits == other.limits == (HIGH_WATER, LOW_WATER)
    near.connection.abort()
    await turns()


async def test_a_closed_connection_says_its_last_words_and_both_hear_the_end_once() -> None:
    near, far, transport, _ = await connected()
    near.connection.write([b"goodbye"])
    near.connection.close()
    near.connection.close()
    assert near.connection.is_closing
    near.connection.write([b"not sent"])
    await turns()
    assert far.received == b"goodbye"
    assert near.ends == far.ends == [("lost", None, None)]
    assert transport.eof_written
    assert not transport.aborted


async def test_a_closed_connection_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "LINGER_S", 0.0)
    near, _, transport, other = await connected()
    other.loop.call_soon(setattr, other, "_lost", True)  # the other end is frozen
    await turns()
    near.connection.close()
    await eventually_async(lambda: near.ends)
    assert transport.aborted


async def test_where_one_direction_cannot_end_both_do(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far, transport, _ = await connected()
    monkeypatch.setattr(transport, "can_write_eof", lambda: False)
    near.connection.close()
    await turns()
    assert near.ends == far.ends == [("lost", None, None)]


async def test_an_aborted_connection_is_reset_at_the_other_end() -> None:
    near, far, _, _ = await connected()
    near.connection.abort()
    assert near.connection.room == 0
    await turns()
    assert near.ends == [("lost", None, None)]
    ((_, failure, error),) = far.ends
    assert failure is None
    assert isinstance(error, ConnectionResetError)


async def test_what_arrives_after_closing_is_not_passed_on() -> None:
    near, far, _, _ = await connected()
    far.connection.write([b"late"])
    near.connection.close()
    await turns()
    assert near.received == b""


async def test_a_full_socket_leaves_no_room_until_it_takes_more() -> None:
    near, far, transport, _ = await connected()
    transport.hold()
    assert near.connection.room == HIGH_WATER + 1
    near.connection.write([bytes(HIGH_WATER + 1)])
    assert near.connection.paused
    assert near.connection.room == 0
    transport.release()
    assert near.told[-1] == "writable"
    assert near.connection.room > 0
    await turns()
    assert len(far.received) == HIGH_WATER + 1
    near.connection.abort()
    near.connection.resume_writing()
    assert near.told.count("writable") == 1
    await turns()


async def test_nobody_owns_it_nobody_reads_it() -> None:
    server = server_context(MESH.credentials())
    connection = TlsConnection(server, lambda _: None, server_side=True)
    transport = FakeTransport()
    transport.protocol = connection
    connection.close()
    assert connection.room == 0
    connection.connection_made(transport)
    assert transport.aborted
    connection.data_received(b"anything")
    connection.resume_writing()
    await turns()
    assert transport.written == []


async def test_a_certificate_of_another_mesh_ends_it_with_the_reason_at_both_ends() -> None:
    near, far, _, _ = pair_of(OTHERS.credentials(), MESH.credentials())
    await turns(40)
    for owner in (near, far):
        ((_, failure, _),) = owner.ends
        assert isinstance(failure, TlsFailed)
    assert far.received == b""


async def test_bytes_that_are_not_tls_end_it_with_the_reason() -> None:
    owner = Owner()
    connection = TlsConnection(server_context(MESH.credentials()), owner.own, server_side=True)
    transport = FakeTransport()
    transport.protocol = connection
    connection.connection_made(transport)
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    assert connection.is_closing
    transport.abort()
    await turns()
    ((_, failure, _),) = owner.ends
    assert isinstance(failure, TlsFailed)


# Sockets that pretend.


class Pretended:
    """A socket that writes down what it is asked, and fails as the test says."""

    made: list[Pretended]
    taken: frozenset[tuple[str, int]] = frozenset()
    fails: Callable[[Pretended], None] = staticmethod(lambda _: None)
    refuses: dict[int, OSError]
    "By family: what making one raises."

    def __init__(self, family: int, kind: int) -> None:
        assert kind == socket.SOCK_STREAM
        if family in Pretended.refuses:
            raise Pretended.refuses[family]
        self.family = family
        self.options: dict[tuple[int, int], int] = {}
        self.bound: tuple[str, int] | None = None
        self.backlog = 0
        self.closed = False
        Pretended.made.append(self)

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def setsockopt(self, level: int, name: int, value: int) -> None:
        self.options[level, name] = value

    def bind(self, address: tuple[str, int]) -> None:
        Pretended.fails(self)
        if address in Pretended.taken:
            raise OSError(errno.EADDRINUSE, "in use")
        self.bound = (address[0], address[1] or 45000)

    def getsockname(self) -> tuple[str, int]:
        assert self.bound is not None
        return self.bound

    def listen(self, backlog: int) -> None:
        self.backlog = backlog

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Pretended]]:
    # Not in `socket` itself: loops make real ones.
    module = SimpleNamespace(**{**vars(socket), "socket": Pretended})
    monkeypatch.setattr(tcp, "socket", module)
    monkeypatch.setattr(tcp, "open_socket", Pretended)
    Pretended.made, Pretended.refuses = [], {}
    Pretended.taken = frozenset()
    Pretended.fails = staticmethod(lambda _: None)
    yield Pretended
    del Pretended.made


def bound(sockets: list[socket.socket]) -> list[tuple[str, int]]:
    return [cast("Pretended", sock).getsockname() for sock in sockets]


def test_all_addresses_means_both_families_on_one_port(pretend: type[Pretended]) -> None:
    assert bound(bind_sockets("", 0)) == [("0.0.0.0", 45000), ("::", 45000)]  # noqa: S104
    four, six = pretend.made
    assert four.backlog == six.backlog == tcp.BACKLOG
    assert six.options[socket.IPPROTO_IPV6, socket.IPV6_V6ONLY] == 1
    assert (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) not in four.options


def test_a_machine_without_ipv6_listens_on_ipv4(pretend: type[Pretended]) -> None:
    pretend.refuses[socket.AF_INET6] = OSError(errno.EAFNOSUPPORT, "no")
    assert bound(bind_sockets("*", 7467)) == [("0.0.0.0", 7467)]  # noqa: S104


def test_a_machine_whose_ipv6_is_off_listens_on_ipv4(pretend: type[Pretended]) -> None:
    def fails(sock: Pretended) -> None:
        if sock.family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "off")

    pretend.fails = staticmethod(fails)
    assert bound(bind_sockets("", 7467)) == [("0.0.0.0", 7467)]  # noqa: S104
    assert pretend.made[1].closed


def test_without_ipv4_nothing_is_left_open(pretend: type[Pretended]) -> None:
    pretend.refuses[socket.AF_INET] = OSError(errno.EAFNOSUPPORT, "no")
    with pytest.raises(OSError, match="no"):
        bind_sockets("", 7467)
    assert pretend.made == []


def test_the_next_free_port_is_taken_where_that_was_asked(pretend: type[Pretended]) -> None:
    pretend.taken = frozenset({("127.0.0.1", 7467), ("127.0.0.1", 7468)})
    assert bound(bind_sockets("127.0.0.1", 7467, next_free=True)) == [("127.0.0.1", 7469)]
    assert [sock.closed for sock in pretend.made] == [True, True, False]
    with pytest.raises(OSError, match="in use"):
        bind_sockets("127.0.0.1", 7467)


def test_after_a_hundred_taken_ports_it_gives_up(pretend: type[Pretended]) -> None:
    pretend.taken = frozenset(("127.0.0.1", 7467 + step) for step in range(PORTS_TRIED))
    with pytest.raises(OSError, match="in use"):
        bind_sockets("127.0.0.1", 7467, next_free=True)
    assert len(pretend.made) == PORTS_TRIED


def test_an_address_that_is_not_ours_is_not_tried_on_other_ports(pretend: type[Pretended]) -> None:
    def fails(_: Pretended) -> None:
        raise OSError(errno.EADDRNOTAVAIL, "not ours")

    pretend.fails = staticmethod(fails)
    with pytest.raises(OSError, match="not ours"):
        bind_sockets("192.0.2.1", 7467, next_free=True)
    assert len(pretend.made) == 1


def test_a_tuned_socket_does_not_wait_and_queues_little(pretend: type[Pretended]) -> None:
    sock = Pretended(socket.AF_INET, socket.SOCK_STREAM)
    tune(cast("socket.socket", sock))
    assert sock.options[socket.IPPROTO_TCP, socket.TCP_NODELAY] == 1
    name = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if name is not None:
        assert sock.options[socket.IPPROTO_TCP, name] == NOT_SENT_LOW_WATER


# Connecting.


class Outside:
    """Names with addresses, and what comes of connecting to each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
        self.hosts = hosts
        self.outcomes: dict[str, Exception | asyncio.Event] = {}
        self.order: list[str] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", self.getaddrinfo)
        monkeypatch.setattr(loop, "sock_connect", self.sock_connect)
        monkeypatch.setattr(tcp, "STAGGER_S", 0.0)

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        assert host == "example.org"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in self.hosts]

    async def sock_connect(self, sock: Pretended, target: tuple[str, int]) -> None:
        self.order.append(target[0])
        outcome = self.outcomes.get(target[0])
        if isinstance(outcome, asyncio.Event):
            await outcome.wait()
        elif outcome is not None:
            raise outcome
        sock.bound = target


WHERE = Address("example.org", 7467)
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "refused")


async def test_one_address_is_connected_to(
    pretend: type[Pretended], monkeypatch: pytest.MonkeyPatch
) -> None:
    Outside(monkeypatch, "192.0.2.1", "192.0.2.1")
    sock = await connect(WHERE, timeout_s=5)
    assert sock.getsockname() == ("192.0.2.1", 7467)
    assert len(pretend.made) == 1


async def test_the_first_address_that_answers_wins_and_the_others_are_closed(
    pretend: type[Pretended], monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = Outside(monkeypatch, "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")
    outside.outcomes = {"192.0.2.1": REFUSED, "192.0.2.4": asyncio.Event()}
    sock = await connect(WHERE, timeout_s=5)
    assert sock.getsockname()[0] in ("192.0.2.2", "192.0.2.3")
    assert [one.closed for one in pretend.made].count(False) == 1
    assert outside.order[0] == "192.0.2.1"


async def test_refused_by_all_is_refused(
    pretend: type[Pretended], monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = Outside(monkeypatch, "192.0.2.1", "192.0.2.2")
    outside.outcomes = dict.fromkeys(outside.hosts, REFUSED)
    with pytest.raises(ConnectionRefusedError):
        await connect(WHERE, timeout_s=5)
    assert all(sock.closed for sock in pretend.made)


async def test_one_without_a_route_makes_it_no_proof_that_nobody_listens(
    pretend: type[Pretended], monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = Outside(monkeypatch, "192.0.2.1", "192.0.2.2")
    outside.outcomes = {"192.0.2.1": REFUSED, "192.0.2.2": OSError(errno.ENETUNREACH, "no route")}
    with pytest.raises(OSError, match="no route"):
        await connect(WHERE, timeout_s=5)


async def test_nobody_answers_in_time_and_nothing_is_left_open(
    pretend: type[Pretended], monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = Outside(monkeypatch, "192.0.2.1", "192.0.2.2")
    outside.outcomes = {host: asyncio.Event() for host in outside.hosts}
    with pytest.raises(TimeoutError):
        await connect(WHERE, timeout_s=0.02)
    assert len(pretend.made) == 2
    assert all(sock.closed for sock in pretend.made)
