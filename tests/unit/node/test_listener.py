"""Who is accepted, and who is turned away before a byte is read."""

from __future__ import annotations

import errno
import ssl
from typing import Any, cast

import pytest

from mreza.address import Address
from mreza.io.tcp import TlsConnection
from mreza.node import listener as module
from mreza.node.listener import Listener
from tests.support.fake_net import FakeNetwork, FakeTransport, turns
from tests.support.hand_clock import HandClock

HERE = Address("127.0.0.1", 7467)


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    return FakeNetwork.install(monkeypatch)


class Nobody:
    """Owns connections and does nothing with them."""

    def established(self) -> None: ...
    def data(self, plaintext: bytes) -> None: ...
    def writable(self) -> None: ...
    def lost(self, failure: Any, error: Any) -> None: ...


def listener_of(
    admitted: list[TlsConnection], *, per_s: float = 1000.0, clock: HandClock | None = None
) -> Listener:
    def admit(connection: TlsConnection) -> Nobody:
        admitted.append(connection)
        return Nobody()

    return Listener(
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        admitted=admit,
        per_address_per_s=per_s,
        clock=clock or HandClock(),
    )


def call(network: FakeNetwork, host: str) -> FakeTransport:
    """One connection from this host."""
    transport = FakeTransport(peername=(host, 5))
    transport.protocol = cast("Any", network.listening[HERE]())
    transport.protocol.connection_made(transport)
    return transport


async def test_what_was_bound_is_returned(network: FakeNetwork) -> None:
    listener = listener_of([])
    assert await listener.open("127.0.0.1", 7467) == (HERE,)
    assert await listener.open("127.0.0.1", 7467, next_free=True) == (HERE._replace(port=7468),)


async def test_an_address_that_cannot_be_bound_is_named(network: FakeNetwork) -> None:
    network.failures[HERE] = OSError(errno.EADDRINUSE, "Address already in use")
    with pytest.raises(OSError, match=r"cannot listen on 127.0.0.1:7467: .* in use") as caught:
        await listener_of([]).open("127.0.0.1", 7467)
    assert caught.value.errno == errno.EADDRINUSE


async def test_calls_within_the_limits_are_admitted_and_others_counted(
    network: FakeNetwork,
) -> None:
    admitted: list[TlsConnection] = []
    clock = HandClock()
    listener = listener_of(admitted, per_s=1.0, clock=clock)
    await listener.open("127.0.0.1", 7467)
    transports = [call(network, "192.0.2.1") for _ in range(7)]
    assert len(admitted) == 5
    assert [transport.aborted for transport in transports] == [False] * 5 + [True] * 2
    ((why, count),) = listener.refused.items()
    assert "connections a second from 192.0.2.1" in why
    assert count == 2
    clock.now += 1.0
    listener.settled("192.0.2.1")
    call(network, "192.0.2.1")
    assert len(admitted) == 6
    await turns()


async def test_reasons_are_counted_for_the_newest_only(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REASONS_MAX", 2)
    listener = listener_of([], per_s=0.1)
    await listener.open("127.0.0.1", 7467)
    for host in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"):
        call(network, host)
    assert [why.rpartition(" ")[2] for why in listener.refused] == ["192.0.2.1", "192.0.2.3"]
    assert list(listener.refused.values()) == [2, 1]
    await turns()


async def test_a_closed_listener_admits_nobody(network: FakeNetwork) -> None:
    admitted: list[TlsConnection] = []
    listener = listener_of(admitted)
    await listener.open("127.0.0.1", 7467)
    late = network.listening[HERE]
    listener.close()
    assert network.listening == {}
    transport = FakeTransport()
    transport.protocol = cast("Any", late())
    transport.protocol.connection_made(transport)
    assert transport.aborted
    assert admitted == []
    await listener.wait_closed(timeout_s=1.0)


async def test_waiting_for_the_end_has_an_end(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: Any) -> None:
        await turns(10**9)

    monkeypatch.setattr("tests.support.fake_net.FakeServer.wait_closed", never)
    listener = listener_of([])
    await listener.open("127.0.0.1", 7467)
    listener.close()
    await listener.wait_closed(timeout_s=0.01)
