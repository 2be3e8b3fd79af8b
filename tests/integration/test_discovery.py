"""Nodes that find each other: by the user, the state directory, the address book and beacons."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from random import Random
from typing import Any

import pytest

from mreza.address import Address
from mreza.config.mesh import MeshConfig
from mreza.discovery.beacon import Ignored
from mreza.errors import StateError
from mreza.ids import NodeId
from mreza.io import multicast
from mreza.io.clock import SystemClock
from mreza.io.multicast import MulticastSocket
from mreza.node import beacon_source as module
from mreza.node.discovery import Discovery
from mreza.security.credentials import Credentials
from mreza.wire.link import Hello
from tests.integration.link_ends import LinkEnd, MeshOfLinks
from tests.support.eventually import eventually_async
from tests.support.leaks import no_leaks_async


class Book:
    def __init__(self) -> None:
        self.known: dict[NodeId, tuple[str, ...]] = {}
        self.saved = 0

    def addresses(self) -> dict[NodeId, tuple[str, ...]]:
        return dict(self.known)

    def learn(self, node: NodeId, addresses: tuple[str, ...], *, wall: float) -> None:
        self.known[node] = addresses

    def save(self) -> bool:
        self.saved += 1
        return True


class State:
    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.addresses = Book()
        self.beside: list[tuple[NodeId, tuple[str, ...]]] = []
        self.broken = False

    def siblings(self) -> Iterable[tuple[NodeId, tuple[str, ...]]]:
        if self.broken:
            raise StateError("not readable")
        return self.beside


class Finder(LinkEnd):
    """A node's links and discovery, joined as a node joins them."""

    def __init__(self, credentials: Credentials, *, epoch: int = 1 << 32, **config: Any) -> None:
        super().__init__(credentials, epoch=epoch)
        self.state = State(credentials)
        self.discovery = Discovery(
            MeshConfig(**{"discovery": {"lan": False}, **config}),
            state=self.state,
            links=self.links,
            rng=Random(1),  # noqa: S311 - jitter
            clock=SystemClock(),
        )

    async def start(self) -> None:
        self.discovery.advertised((self.address,))
        await self.discovery.start(self._hello())

    def link_up(
        self, peer: NodeId, hello: Hello, address: Address, *, dialed: bool, rtt_s: float
    ) -> None:
        super().link_up(peer, hello, address, dialed=dialed, rtt_s=rtt_s)
        self.discovery.link_up(peer, address, dialed=dialed, addresses=hello.addresses)

    def link_down(self, peer: NodeId, cause: str) -> None:
        super().link_down(peer, cause)
        self.discovery.link_down(peer, cause)


@contextlib.asynccontextmanager
async def running(*finders: Finder) -> AsyncIterator[None]:
    try:
        for finder in finders:
            await finder.listen()
        yield
    finally:
        for finder in finders:
            await finder.discovery.close()
            await finder.links.close(2.0)


@pytest.fixture(scope="module")
def mesh() -> MeshOfLinks:
    return MeshOfLinks()


async def met(a: Finder, b: Finder) -> None:
    await eventually_async(lambda: a.links.has(b.me) and b.links.has(a.me))


async def test_nodes_of_one_state_directory_meet(mesh: MeshOfLinks) -> None:
    async with no_leaks_async():
        a, b = (Finder(credentials) for credentials in mesh.pair())
        async with running(a, b):
            await a.start()
            await b.start()
            a.state.broken = True
            b.state.beside = [(a.me, (str(a.address),)), (b.me, (str(b.address),))]
            await met(a, b)
            assert a.state.addresses.known == {b.me: (str(b.address),)}
        assert a.state.addresses.saved


async def test_an_address_of_the_user_is_dialed_until_somebody_is_there(
    mesh: MeshOfLinks,
) -> None:
    one, two = mesh.pair()
    b = Finder(two)
    address = await b.listen()
    await b.links.close()
    a = Finder(one, discovery={"lan": False, "peers": [str(address)], "redial_max_s": 0.5})
    b = Finder(two)
    async with running(a):
        await a.start()
        await asyncio.sleep(0.3)
        try:
            await b.links.listen(address.host, address.port)
            await met(a, b)
        finally:
            await b.links.close()


async def test_a_node_finds_its_old_neighbors_in_the_address_book(mesh: MeshOfLinks) -> None:
    a, b = (Finder(credentials) for credentials in mesh.pair())
    async with running(a, b):
        a.state.addresses.known = {b.me: ("not an address/", str(b.address))}
        await a.start()
        await met(a, b)


async def test_with_only_peers_nobody_else_is_dialed(mesh: MeshOfLinks) -> None:
    one, two = mesh.pair()
    c = Finder(mesh.credentials())
    b = Finder(two)
    async with running(b, c):
        a = Finder(
            one,
            topology={"only_peers": True},
            discovery={"lan": False, "peers": [str(b.address)]},
        )
        async with running(a):
            a.state.addresses.known = {c.me: (str(c.address),)}
            a.state.beside = [(c.me, (str(c.address),))]
            await a.start()
            a.discovery.learned(c.me, [str(c.address)])
            await met(a, b)
            await asyncio.sleep(0.5)
            assert not a.links.has(c.me)


async def test_a_killed_process_is_noticed_by_its_refused_redial(mesh: MeshOfLinks) -> None:
    a, b = (Finder(credentials) for credentials in mesh.pair())
    async with running(a, b):
        await a.start()
        a.discovery.learned(b.me, [str(b.address)])
        await met(a, b)
        loop = asyncio.get_running_loop()
        killed_at = loop.time()
        b.links._listener.close()
        for link in list(b.links._all):
            link.abort("killed")
        await eventually_async(lambda: ("gone", b.me) in a.log)
        assert loop.time() - killed_at < 0.3


async def test_a_lost_link_comes_back_at_once(mesh: MeshOfLinks) -> None:
    a, b = (Finder(credentials) for credentials in mesh.pair())
    async with running(a, b):
        await a.start()
        await b.start()
        a.discovery.learned(b.me, [str(b.address)])
        await met(a, b)
        for link in list(b.links._all):
            link.abort("cut")
        await eventually_async(lambda: [e[0] for e in a.log] == ["up", "down", "up"])
        assert ("gone", b.me) not in a.log


def test_what_is_advertised_is_what_others_can_dial(mesh: MeshOfLinks) -> None:
    async def ask(config: dict[str, Any], bound: tuple[Address, ...]) -> tuple[str, ...]:
        return Finder(mesh.credentials(), **config).discovery.advertised(bound)

    loopback = (Address("127.0.0.1", 7000),)
    assert asyncio.run(ask({}, loopback)) == ("127.0.0.1:7000",)
    assert asyncio.run(ask({"advertise": "example.org"}, loopback)) == ("example.org:7000",)
    assert asyncio.run(ask({"advertise": "192.0.2.1:5"}, loopback)) == ("192.0.2.1:5",)


# Beacons. They stay on the loopback interface here: nobody else on the network must hear a test.


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    index = socket.if_nametoindex("lo")
    monkeypatch.setattr(multicast, "usable_interfaces", lambda family: {index: "lo"})
    return lambda: monkeypatch.setattr(multicast, "usable_interfaces", lambda family: {})


@pytest.mark.parametrize("group", ["239.255.74.67", "ff02::7467"])
async def test_every_socket_of_a_group_hears_what_one_says(
    group: str, on_loopback: Callable[[], None]
) -> None:
    heard: list[tuple[bytes, str]] = []
    port = free_udp_port()

    def listen(data: bytes, host: str) -> None:
        heard.append((data, host))

    async with no_leaks_async():
        sockets = [MulticastSocket(group, port, received=listen) for _ in range(2)]
        try:
            for sock in sockets:
                sock.join_interfaces()
                sock.join_interfaces()
                assert sock.interfaces == ("lo",)
            if ":" in group and not sockets[0].send(b""):
                pytest.skip("this kernel has no IPv6 multicast route on loopback")
            heard.clear()
            assert sockets[0].send(b"here") == 1
            await eventually_async(lambda: [data for data, _ in heard].count(b"here") == 2)
            assert all(host for _, host in heard)
            on_loopback()
            sockets[0].join_interfaces()
            assert sockets[0].interfaces == ()
            assert sockets[0].send(b"nobody") == 0
        finally:
            for sock in sockets:
                sock.close()


async def test_nodes_meet_by_beacon(mesh: MeshOfLinks, on_loopback: Callable[[], None]) -> None:
    async with no_leaks_async():
        lan = {"lan": True, "beacon_port": free_udp_port(), "beacon_interval_s": 0.2}
        a, b = (Finder(credentials, discovery=lan) for credentials in mesh.pair())
        async with running(a, b):
            for finder in (a, b):
                await finder.start()
                # These listen on loopback only, which a node does not shout about.
                finder.discovery._port = finder.address.port
            await met(a, b)
            assert a.discovery.interfaces == ("lo",)
            await eventually_async(lambda: a.discovery.beacons_ignored[Ignored.OURSELF] > 0)
            a.discovery.hello_changed(a._hello())
            before = len(b.log)
            await asyncio.sleep(0.5)
            assert len(b.log) == before


async def test_without_multicast_a_node_goes_on(
    mesh: MeshOfLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("not here")

    monkeypatch.setattr(module, "MulticastSocket", refuse)
    a = Finder(mesh.credentials(), discovery={"lan": True})
    async with running(a):
        await a.start()
        assert a.discovery.interfaces == ()
