"""One connection from its first byte to its last; real TLS over a network without sockets."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from mreza.config.link import LinkConfig
from mreza.errors import CertificateRejected
from mreza.ids import NodeId
from mreza.io.tcp import HIGH_WATER
from mreza.io.tls import joiner_context, member_context
from mreza.node.link_connection import JOIN_TIMEOUT_S, LinkConnection
from mreza.node.link_events import DialOutcome
from mreza.wire.frame import FrameType
from mreza.wire.link import ALPN_MEMBER, HELLO, RefusalCode
from tests.integration.link_ends import LinkEnd, MeshOfLinks, ends
from tests.integration.test_joins import OpenDoor
from tests.support.fake_net import FakeNetwork, Visitor, turns, until
from tests.support.hand_clock import HandClock

MESH = MeshOfLinks()
ENVELOPE = int(FrameType.ENVELOPE)


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    return FakeNetwork.install(monkeypatch)


def stranger(*, alpn: str | None) -> ssl.SSLContext:
    context = joiner_context()
    if alpn is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.set_alpn_protocols([alpn])
    return context


@pytest.mark.parametrize(
    ("alpn", "code"), [(ALPN_MEMBER, "no_certificate"), ("h2", "wrong_alpn"), (None, "wrong_alpn")]
)
async def test_who_is_no_member_is_told_so_in_a_frame(
    network: FakeNetwork, alpn: str | None, code: str
) -> None:
    a = LinkEnd(MESH.credentials())
    async with ends(a):
        visitor = Visitor(network, a.address, stranger(alpn=alpn))
        await turns()
        assert visitor.refusals == [code]
        assert visitor.ended
        assert a.codes() == [code]
        assert a.refusals[0].peer is None


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("other_mesh", RefusalCode.OTHER_MESH),
        ("revoked", RefusalCode.REVOKED),
        ("expired", RefusalCode.BAD_CERTIFICATE),
    ],
)
async def test_a_certificate_that_is_not_accepted_is_refused_by_name(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    a = LinkEnd(MESH.credentials())

    def judge(certificate: bytes) -> Any:
        assert certificate
        raise CertificateRejected("because", code=code)

    monkeypatch.setattr(a.links, "judge", judge)
    async with ends(a):
        visitor = Visitor(network, a.address, member_context(MESH.credentials()))
        await turns()
        assert visitor.refusals == [said]
        assert a.refusals[0].text == "certificate refused: because"


async def test_another_node_than_the_one_dialed_is_refused(network: FakeNetwork) -> None:
    a, b = (LinkEnd(credentials) for credentials in MESH.pair())
    async with ends(a, b):
        result = await a.links.dial(b.address, expected=NodeId(b"x" * 16))
        assert (result.outcome, result.cause) == (DialOutcome.REFUSED, "other_node")
        await turns()
        assert b.codes() == ["other_node"]


async def test_a_handshake_that_does_not_end_is_cut(network: FakeNetwork) -> None:
    a = LinkEnd(MESH.credentials())
    async with ends(a):
        network.pair(_Silent, network.listening[a.address])
        (link,) = a.links._all
        link._timer_fired()
        await turns()
        assert a.codes() == ["timeout"]
        assert "TLS handshake not finished within 5 s" in a.refusals[0].text
        assert a.links.connections == 0


class _Silent(asyncio.Protocol):
    """Connects, and says nothing."""


async def test_a_member_that_says_no_hello_is_cut(network: FakeNetwork) -> None:
    clock = HandClock()
    a = LinkEnd(MESH.credentials(), clock=clock)
    async with ends(a):
        visitor = Visitor(network, a.address, member_context(MESH.credentials()))
        await turns()
        (link,) = a.links._all
        clock.now += LinkConfig().handshake_timeout_s
        link._timer_fired()
        await turns()
        assert visitor.refusals == a.codes() == ["timeout"]


async def test_a_stranger_that_asks_for_nothing_is_cut(network: FakeNetwork) -> None:
    credentials = MESH.credentials()
    a = LinkEnd(credentials, joins=OpenDoor(MESH, credentials))
    async with ends(a):
        visitor = Visitor(network, a.address, joiner_context())
        await until(lambda: visitor.frames)
        (link,) = a.links._all
        link._timer_fired()
        await turns()
        assert visitor.ended
        assert f"join not finished within {JOIN_TIMEOUT_S:g} s" in a.refusals[0].text


async def links_of(clock: HandClock) -> tuple[LinkEnd, LinkEnd, LinkConnection]:
    a, b = (LinkEnd(credentials, clock=clock) for credentials in MESH.pair())
    await a.listen()
    await b.listen()
    await a.links.dial(b.address)
    await until(lambda: b.links.has(a.me))
    await turns()
    (link,) = a.links._all
    return a, b, link


async def close(*made: LinkEnd) -> None:
    for end in made:
        await end.links.close(0.0)


async def test_a_silent_peer_is_probed_and_then_given_up(network: FakeNetwork) -> None:
    clock = HandClock()
    a, b, link = await links_of(clock)
    ((transport, other),) = network.pairs
    written = len(transport.written)
    clock.now += LinkConfig().probe_interval_s
    link._timer_fired()
    assert len(transport.written) == written + 1
    await turns()
    assert a.links.has(b.me)
    other.hold()
    config = LinkConfig()
    clock.now += config.probe_interval_s
    while link._timer is not None and clock.now < 1e6 and not a.codes():
        session = link.session
        assert session is not None
        clock.now = session.next_deadline() or 1e6
        link._timer_fired()
        if a.log[-1] == ("down", b.me, "silent") and not a.codes():
            assert not a.links.has(b.me)
            assert a.links.connections == 1
    assert a.log[-1] == ("down", b.me, "silent")
    assert a.codes() == ["silent"]
    await close(a, b)


async def test_a_link_that_is_usable_again_is_the_link_again(network: FakeNetwork) -> None:
    clock = HandClock()
    a, b, link = await links_of(clock)
    ((_, other),) = network.pairs
    other.hold()
    session = link.session
    assert session is not None
    while a.links.has(b.me):
        clock.now = session.next_deadline() or 0.0
        link._timer_fired()
    assert a.log[-1] == ("down", b.me, "silent")
    (theirs,) = b.links._all
    theirs._timer_fired()
    other.release()
    await until(lambda: a.links.has(b.me))
    assert [entry[0] for entry in a.log] == ["up", "down", "up"]
    assert a.links.connections == 1
    a.links.send(b.me, ENVELOPE, b"goes over it", 1)
    a.links.flush()
    await until(lambda: b.frames)
    await close(a, b)


async def test_a_full_socket_is_written_when_it_takes_more(network: FakeNetwork) -> None:
    a, b, _ = await links_of(HandClock())
    ((transport, _),) = network.pairs
    transport.hold()
    bodies = [bytes([number]) * 60_000 for number in range(5)]
    for body in bodies:
        a.links.send(b.me, ENVELOPE, body, 1)
    a.links.flush()
    assert transport.get_write_buffer_size() < HIGH_WATER + 100_000
    assert a.links.peers[b.me].queued_bytes > 0
    transport.release()
    await until(lambda: len(b.frames) == 5)
    assert [body for _, _, body in b.frames] == bodies
    await close(a, b)


async def test_a_peer_that_does_not_say_goodbye_is_not_waited_for(network: FakeNetwork) -> None:
    a, b, link = await links_of(HandClock())
    ((_, other),) = network.pairs
    other.hold()
    a.links.renew("new hello")
    assert link.parting
    await turns()
    assert a.links.connections == 1
    link._timer_fired()
    await turns()
    assert a.links.connections == 0
    assert link.cause == "closed"
    await close(a, b)


async def test_a_probe_does_not_cut_a_goodbye_short(network: FakeNetwork) -> None:
    clock = HandClock()
    a, b, link = await links_of(clock)
    (accepted,) = b.links._all
    ((_, other),) = network.pairs
    other.hold()
    b.links.renew("new hello")
    timer = accepted._timer
    assert timer is not None
    clock.now += LinkConfig().probe_interval_s
    link._timer_fired()
    await turns()
    assert accepted.parting
    assert accepted._timer is timer
    other.release()
    await until(lambda: not b.links.connections)
    await close(a, b)


async def test_a_reset_is_told_from_a_goodbye(network: FakeNetwork) -> None:
    a, b, link = await links_of(HandClock())
    network.pairs[0][1].abort()
    await turns()
    assert a.log[-1] == ("down", b.me, "reset")
    assert link.cause == "reset"
    await close(a, b)


async def test_nonsense_on_a_link_that_is_up_ends_it(network: FakeNetwork) -> None:
    a = LinkEnd(MESH.credentials())
    credentials = MESH.credentials()
    async with ends(a):
        visitor = Visitor(network, a.address, member_context(credentials))
        await turns()
        hello = LinkEnd(credentials)._hello()
        visitor.send_frame(FrameType.HELLO, HELLO.encode(hello))
        await until(lambda: a.links.has(credentials.node_id))
        visitor.send_frame(FrameType.HELLO, HELLO.encode(hello))
        await turns()
        assert visitor.refusals == ["malformed"]
        assert a.log[-1] == ("down", credentials.node_id, "malformed")


async def test_who_has_been_refused_is_not_refused_again(network: FakeNetwork) -> None:
    a, b, link = await links_of(HandClock())
    link.refuse("malformed", "first")
    link.refuse("malformed", "second")
    assert [refusal.text for refusal in a.refusals] == ["first"]
    await turns()
    assert [refusal.text for refusal in b.refusals] == ["first"]
    await close(a, b)


async def test_before_tls_there_is_nobody_to_tell(network: FakeNetwork) -> None:
    a = LinkEnd(MESH.credentials())
    async with ends(a):
        transport = network.pair(_Silent, network.listening[a.address])
        (link,) = a.links._all
        link.flush()
        link.refuse("too_many", "not now")
        await turns()
        assert a.codes() == ["too_many"]
        other = transport.other
        assert other is not None
        assert other.written == []
