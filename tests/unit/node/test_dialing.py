"""What comes of a dial, by what happens on the way; over a network without sockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator

import pytest

from mreza.address import Address
from mreza.io.tcp import TlsConnection
from mreza.io.tls import member_context
from mreza.node.dialing import dial_link
from mreza.node.link_connection import LinkConnection
from mreza.node.link_events import DialOutcome
from tests.integration.link_ends import LinkEnd, MeshOfLinks, ends
from tests.support.fake_net import FakeNetwork, turns, until
from tests.support.hand_clock import HandClock

MESH = MeshOfLinks()
NOWHERE = Address("192.0.2.1", 7467)


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    return FakeNetwork.install(monkeypatch)


@contextlib.asynccontextmanager
async def two(network: FakeNetwork) -> AsyncIterator[tuple[LinkEnd, LinkEnd]]:
    a, b = (LinkEnd(credentials) for credentials in MESH.pair())
    async with ends(a, b):
        yield a, b


async def test_a_link_that_comes_up(network: FakeNetwork) -> None:
    async with two(network) as (a, b):
        result = await a.links.dial(b.address)
        assert (result.outcome, result.peer) == (DialOutcome.UP, b.me)


async def test_nobody_listens(network: FakeNetwork) -> None:
    async with two(network) as (a, b):
        result = await a.links.dial(NOWHERE, expected=b.me)
        assert result == (DialOutcome.NOBODY, b.me, "connection refused")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (TimeoutError(), "timed out"),
        (OSError(errno.ENETUNREACH, "no route"), "[Errno 101] no route"),
        (UnicodeError("label too long"), "label too long"),
    ],
    ids=["timeout", "route", "name"],
)
async def test_no_way_there(network: FakeNetwork, error: Exception, cause: str) -> None:
    async with two(network) as (a, _):
        network.failures[NOWHERE] = error
        assert await a.links.dial(NOWHERE) == (DialOutcome.UNREACHABLE, None, cause)


async def test_a_socket_that_breaks_before_it_is_used_is_closed(network: FakeNetwork) -> None:
    async with two(network) as (a, b):
        network.broken[b.address] = OSError(errno.ENOTCONN, "gone")
        result = await a.links.dial(b.address)
        assert result.outcome is DialOutcome.UNREACHABLE
        assert network.sockets[-1].closed


async def test_the_node_dialed_itself(network: FakeNetwork) -> None:
    async with two(network) as (a, _):
        assert (await a.links.dial(a.address)).outcome is DialOutcome.OURSELF


async def test_it_was_refused(network: FakeNetwork) -> None:
    async with two(network) as (_, b):
        stranger = LinkEnd(MeshOfLinks("others").credentials())
        result = await stranger.links.dial(b.address)
        assert (result.outcome, result.cause) == (DialOutcome.REFUSED, "other_mesh")
        await stranger.links.close()


async def test_it_was_cut(network: FakeNetwork) -> None:
    async with two(network) as (a, b):
        dial = asyncio.create_task(a.links.dial(b.address))
        await until(lambda: network.pairs)
        network.pairs[0][1].abort()
        result = await dial
        assert (result.outcome, result.cause) == (DialOutcome.UNREACHABLE, "reset")


async def test_who_adopts_nothing_gets_no_link(network: FakeNetwork) -> None:
    async with two(network) as (_, b):
        asked: list[float] = []

        def adopt(_: TlsConnection, rtt_s: float) -> LinkConnection | None:
            asked.append(rtt_s)
            return None

        result = await dial_link(
            b.address,
            expected=None,
            context=member_context(MESH.credentials()),
            adopt=adopt,
            timeout_s=1.0,
            clock=HandClock(),
        )
        assert result == (DialOutcome.UNREACHABLE, None, "closed")
        assert asked == [0.0]


async def test_cancelled_before_our_hello_it_ends_and_after_it_takes_its_course(
    network: FakeNetwork,
) -> None:
    async with two(network) as (a, b):
        dial = asyncio.create_task(a.links.dial(b.address))
        await until(lambda: network.pairs)
        dial.cancel()
        await turns()
        assert dial.cancelled()
        assert a.links.connections == b.links.connections == 0

        dial = asyncio.create_task(a.links.dial(b.address))
        await until(lambda: a.links._greeting)
        dial.cancel()
        await turns()
        assert a.links.has(b.me)
