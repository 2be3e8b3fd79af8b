"""What strangers and bad members can do to one node's links: nothing, and both ends know why."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest

from mreza.address import Address
from mreza.config.link import LinkConfig
from mreza.security.credentials import Credentials
from mreza.wire.frame import BODY_MAX, BODY_MAX_BEFORE_HELLO, FrameType, encode_frame
from mreza.wire.link import ALPN_JOIN, ALPN_MEMBER, HELLO, PROTOCOL_VERSION, Hello
from tests.integration.link_ends import LinkEnd, MeshOfLinks, ends
from tests.support.eventually import eventually_async
from tests.support.leaks import no_leaks_async
from tests.support.stranger import Ended, Stranger

DAY_S = 86_400.0


@pytest.fixture(scope="module")
def mesh() -> MeshOfLinks:
    return MeshOfLinks()


async def visit(
    address: Address,
    do: Callable[[Stranger], None] = lambda _: None,
    *,
    credentials: Credentials | None = None,
    alpn: str | None = ALPN_MEMBER,
) -> Ended:
    """Connect by TLS from a thread, do something, and read until the node closes."""

    def run() -> Ended:
        try:
            with Stranger.tls(str(address), credentials=credentials, alpn=alpn) as stranger:
                do(stranger)
                return stranger.read_to_end()
        except ssl.SSLError as error:
            return Ended([], error.reason or str(error))

    return await asyncio.to_thread(run)


def say_without_tls(address: Address, *data: bytes) -> float:
    """Send bytes as they are, read until the node closes; returns how long that took."""
    started = time.monotonic()
    plain = socket.create_connection(address, timeout=20)
    with plain, contextlib.suppress(ConnectionError):
        for piece in data:
            plain.sendall(piece)
        while plain.recv(1 << 16):
            pass
    return time.monotonic() - started


def told(ended: Ended) -> str:
    return ended.refusal.code if ended.refusal is not None else ended.alert.lower()


@pytest.mark.parametrize(
    ("dates", "code", "words", "alert"),
    [
        ({"backdated_s": -DAY_S, "lifetime_s": 2 * DAY_S}, "bad_certificate", "not yet", "bad_"),
        ({"backdated_s": DAY_S, "lifetime_s": -3600.0}, "bad_certificate", "expired", "expired"),
    ],
)
async def test_dates_decide_and_both_ends_hear_it(
    mesh: MeshOfLinks, dates: dict[str, Any], code: str, words: str, alert: str
) -> None:
    a, bad = LinkEnd(mesh.credentials()), LinkEnd(mesh.credentials(**dates))
    async with ends(a, bad):
        result = await bad.links.dial(a.address)
        assert result.cause == code
        await eventually_async(lambda: a.codes() == bad.codes() == [code])
        assert words in a.refusals[0].text
        assert alert in bad.refusals[0].text.replace(" ", "_")
        assert (a.refusals[0].by_us, bad.refusals[0].by_us) == (True, False)
        # The same verdict when the bad one is dialed.
        assert (await a.links.dial(bad.address)).cause == code
        assert a.log == bad.log == []


async def test_another_mesh_is_told_from_a_broken_signature(mesh: MeshOfLinks) -> None:
    other = MeshOfLinks("test")
    a, stranger = LinkEnd(mesh.credentials()), LinkEnd(other.credentials())
    async with ends(a, stranger):
        assert (await a.links.dial(stranger.address)).cause == "other_mesh"
        await eventually_async(lambda: stranger.codes() == ["other_mesh"])
        assert (a.refusals[0].by_us, stranger.refusals[0].by_us) == (True, False)

        good = mesh.credentials()
        leaf = bytearray(good.chain[0])
        leaf[-1] ^= 1
        forged = Credentials(
            good.identity, good.mesh, good.mesh_name, (bytes(leaf), good.chain[1]), good.roots
        )
        ended = await visit(a.address, credentials=forged)
        await eventually_async(lambda: a.codes()[1:] == ["bad_certificate"])
        assert "signature is broken" in a.refusals[1].text
        assert "decrypt_error" in told(ended)


@pytest.mark.parametrize(
    ("alpn", "certificate", "code"),
    [
        (ALPN_MEMBER, False, "no_certificate"),
        ("h2", True, "wrong_alpn"),
        (None, True, "wrong_alpn"),
        (ALPN_JOIN, False, "join_refused"),
    ],
)
async def test_what_is_refused_after_tls_is_said_in_a_frame(
    mesh: MeshOfLinks, alpn: str | None, certificate: bool, code: str
) -> None:
    a = LinkEnd(mesh.credentials())
    async with ends(a):
        ended = await visit(
            a.address, alpn=alpn, credentials=mesh.credentials() if certificate else None
        )
        assert told(ended) == code
        assert a.codes() == [code]


def _old_tls(address: Address) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(address, timeout=10) as plain:
        try:
            context.wrap_socket(plain).close()
        except ssl.SSLError as error:
            return error.reason or ""
    return ""


async def test_only_tls_1_3_is_spoken(mesh: MeshOfLinks) -> None:
    a = LinkEnd(mesh.credentials())
    async with ends(a):
        assert "PROTOCOL_VERSION" in await asyncio.to_thread(_old_tls, a.address)
        await eventually_async(lambda: a.codes() == ["version"])


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", bytes(5000), b"\x16\x03\x01\x02\x00\x01" + b"\xff" * 600],
    ids=["http", "zeros", "hello"],
)
async def test_bytes_that_are_not_tls_are_refused(mesh: MeshOfLinks, data: bytes) -> None:
    a = LinkEnd(mesh.credentials())
    async with ends(a):
        await asyncio.to_thread(say_without_tls, a.address, data)
        await eventually_async(lambda: a.codes() == ["malformed"])
        await eventually_async(lambda: a.links.connections == 0)


def hello(member: Credentials, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "version": PROTOCOL_VERSION,
        "features": (),
        "epoch": 1 << 32,
        "uptime_s": 0.0,
        "name": "bad",
        "addresses": (),
        "mesh": member.mesh,
    }
    return encode_frame(FrameType.HELLO, HELLO.encode(Hello(**{**fields, **changes})))


BAD_TALK: dict[str, tuple[Callable[[Credentials], bytes], str]] = {
    "too large before the hello": (
        lambda m: encode_frame(FrameType.HELLO, bytes(BODY_MAX_BEFORE_HELLO + 1)),
        "malformed",
    ),
    "no hello": (lambda m: encode_frame(FrameType.ENVELOPE, b"x"), "malformed"),
    "garbage for a hello": (lambda m: encode_frame(FrameType.HELLO, b"\xc1"), "malformed"),
    "unknown frame": (lambda m: hello(m) + encode_frame(77, b""), "malformed"),
    "second hello": (lambda m: hello(m) + hello(m), "malformed"),
    "another mesh": (lambda m: hello(m, mesh=type(m.mesh)(bytes(16))), "other_mesh"),
    "old version": (lambda m: hello(m, version=0), "version"),
    "too large after the hello": (
        lambda m: hello(m) + encode_frame(FrameType.ENVELOPE, bytes(BODY_MAX + 1)),
        "malformed",
    ),
    "piece without a first": (
        lambda m: hello(m) + encode_frame(FrameType.ENVELOPE_PART, b"\x02x"),
        "malformed",
    ),
    "malformed probe": (lambda m: hello(m) + encode_frame(FrameType.PROBE, b"\xc1"), "malformed"),
}


@pytest.mark.parametrize("name", BAD_TALK)
async def test_a_member_that_talks_nonsense_is_told_and_cut(mesh: MeshOfLinks, name: str) -> None:
    talk, code = BAD_TALK[name]
    async with no_leaks_async():
        a, member = LinkEnd(mesh.credentials()), mesh.credentials()
        async with ends(a):
            ended = await visit(a.address, lambda s: s.send(talk(member)), credentials=member)
            assert told(ended) == code
            assert a.codes() == [code]
            await eventually_async(lambda: a.links.connections == 0)
            assert [entry[0] for entry in a.log] in ([], ["up", "down"])
            assert not a.links.peers


async def test_who_does_not_finish_in_time_is_cut(mesh: MeshOfLinks) -> None:
    async with no_leaks_async():
        a = LinkEnd(mesh.credentials(), config=LinkConfig(handshake_timeout_s=0.3))
        async with ends(a):
            assert await asyncio.to_thread(say_without_tls, a.address) < 5
            ended = await visit(a.address, credentials=mesh.credentials())
            assert told(ended) == "timeout"
            assert a.codes() == ["timeout", "timeout"]


async def test_a_stranger_that_sends_a_handshake_without_end_is_cut(mesh: MeshOfLinks) -> None:
    a = LinkEnd(mesh.credentials())
    async with ends(a):
        # A client hello announced as long as TLS allows, in records that go on and on.
        record = b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + os.urandom(16_380)
        await asyncio.to_thread(say_without_tls, a.address, *([record] * 100))
        await eventually_async(lambda: len(a.refusals) == 1)
        assert a.codes()[0] in ("malformed", "too_large")


async def test_an_address_that_connects_too_often_is_not_even_read(mesh: MeshOfLinks) -> None:
    a = LinkEnd(mesh.credentials(), config=LinkConfig(accepts_per_address_per_s=1))
    b = LinkEnd(mesh.credentials())
    async with ends(a, b):

        def run() -> None:
            for _ in range(12):
                Stranger.tcp(str(a.address)).__exit__()

        await asyncio.to_thread(run)
        await eventually_async(lambda: sum(a.links.accepts_refused.values()) >= 6)
        assert (await b.links.dial(a.address)).outcome.value == "unreachable"
        await asyncio.sleep(1.1)
        assert (await b.links.dial(a.address)).outcome.value == "up"


async def test_a_peer_that_reads_nothing_holds_no_more_than_the_queue(mesh: MeshOfLinks) -> None:
    config = LinkConfig(queue_bytes=1 << 20, silent_after_s=60.0)
    a, member = LinkEnd(mesh.credentials(), config=config), mesh.credentials()
    async with ends(a):
        stranger = await asyncio.to_thread(
            Stranger.tls, str(a.address), credentials=member, alpn=ALPN_MEMBER
        )
        stranger.send(hello(member))
        await eventually_async(lambda: a.links.has(member.node_id))
        for _ in range(2000):
            a.links.send(member.node_id, FrameType.ENVELOPE, bytes(60_000), 1)
            a.links.flush()
            await asyncio.sleep(0)
        assert a.links.peers[member.node_id].queued_bytes <= 1 << 20
        assert len(a.dropped) > 1000
        stranger.__exit__()
        await eventually_async(lambda: a.log[-1] == ("down", member.node_id, "reset"))
