"""Both sides of a join, frame by frame; real TLS over a network without sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mreza.address import Address
from mreza.errors import AdmissionError
from mreza.io.tcp import TlsConnection
from mreza.io.tls import joiner_context, server_context
from mreza.node import joins as module
from mreza.node.joins import join
from mreza.security.admission import Joiner
from mreza.security.identity import Identity
from mreza.wire.frame import FrameType, encode_frame
from mreza.wire.join import JOIN_CHAIN
from tests.integration.link_ends import LinkEnd, MeshOfLinks, ends
from tests.integration.test_joins import OpenDoor, token_of
from tests.support.fake_net import FakeNetwork, Visitor, turns, until
from tests.support.hand_clock import HandClock

MESH = MeshOfLinks()
JOIN = int(FrameType.JOIN)


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    return FakeNetwork.install(monkeypatch)


def member() -> tuple[OpenDoor, LinkEnd]:
    credentials = MESH.credentials()
    door = OpenDoor(MESH, credentials)
    return door, LinkEnd(credentials, joins=door)


def joiner(mesh: MeshOfLinks = MESH) -> Joiner:
    return Joiner(token_of(mesh), Identity.generate(), name="new")


async def failure(address: Address, who: Joiner | None = None) -> AdmissionError:
    with pytest.raises(AdmissionError) as caught:
        await join(address, who or joiner(), clock=HandClock())
    return caught.value


async def test_who_shows_a_token_gets_its_certificates(network: FakeNetwork) -> None:
    door, end = member()
    async with ends(end):
        granted = await join(end.address, joiner(), clock=HandClock())
        assert granted.mesh == MESH.secrets.mesh
        assert [request.name for request in door.requests] == ["new"]
        await turns()
        assert end.links.connections == 0
        assert end.refusals == []


async def test_a_refusal_comes_with_its_code(network: FakeNetwork) -> None:
    door, end = member()
    door.code = "used"
    async with ends(end):
        assert (await failure(end.address)).code == "used"


async def test_a_member_of_another_mesh_is_told_nothing(network: FakeNetwork) -> None:
    door, end = member()
    async with ends(end):
        await failure(end.address, joiner(MeshOfLinks("test")))
        assert door.requests == []


async def test_a_member_that_takes_no_joins_says_so(network: FakeNetwork) -> None:
    end = LinkEnd(MESH.credentials())
    async with ends(end):
        error = await failure(end.address)
        assert (error.code, str(error)) == (
            "join_refused",
            "not admitted: this node takes no joins",
        )


@pytest.mark.parametrize(
    ("error", "words"), [(None, "connection refused"), (TimeoutError(), "timed out")]
)
async def test_nobody_answers_at_an_address(
    network: FakeNetwork, error: Exception | None, words: str
) -> None:
    where = Address("192.0.2.1", 7)
    if error is not None:
        network.failures[where] = error
    caught = await failure(where)
    assert caught.code == "unreachable"
    assert words in str(caught)


async def test_an_answer_that_does_not_come_is_not_waited_for(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_TIMEOUT_S", 0.1)
    door, end = member()
    door.wait.clear()
    async with ends(end):
        error = await failure(end.address)
        assert (error.code, "did not answer within 0.1 s" in str(error)) == ("unreachable", True)
        await until(lambda: end.links.connections == 0 and not end.links._tasks)


async def test_a_join_that_is_cancelled_leaves_nothing(network: FakeNetwork) -> None:
    door, end = member()
    door.wait.clear()
    async with ends(end):
        asking = asyncio.create_task(join(end.address, joiner(), clock=HandClock()))
        await until(lambda: door.requests)
        asking.cancel()
        await turns()
        assert asking.cancelled()
        assert end.links.connections == 0


async def test_closing_the_node_ends_its_decisions(network: FakeNetwork) -> None:
    door, end = member()
    door.wait.clear()
    await end.listen()
    asking = asyncio.create_task(join(end.address, joiner(), clock=HandClock()))
    await until(lambda: door.requests)
    await end.links.close()
    assert not end.links._tasks
    with pytest.raises(AdmissionError, match="closed the connection"):
        await asking


@pytest.mark.parametrize(
    "frames",
    [
        encode_frame(FrameType.HELLO, b"x"),
        encode_frame(JOIN, b"no request"),
        encode_frame(JOIN, b"no request") * 2,
        b"\xff" * 64,
    ],
    ids=["kind", "body", "twice", "frame"],
)
async def test_a_stranger_that_talks_nonsense_is_refused(
    network: FakeNetwork, frames: bytes
) -> None:
    door, end = member()
    async with ends(end):
        stranger = Visitor(network, end.address, joiner_context())
        await until(lambda: stranger.frames)
        stranger.connection.write([frames])
        await turns()
        assert stranger.refusals == ["malformed"]
        assert stranger.ended
        assert end.codes() == ["malformed"]
        assert door.requests == []


async def test_a_second_request_is_refused(network: FakeNetwork) -> None:
    door, end = member()
    door.wait.clear()
    async with ends(end):
        asking = asyncio.create_task(join(end.address, joiner(), clock=HandClock()))
        await until(lambda: door.requests)
        (link,) = end.links._all
        assert link._join is not None
        link._join.receive(encode_frame(JOIN, b"another"))
        assert end.codes() == ["malformed"]
        with pytest.raises(AdmissionError) as caught:
            await asking
        assert caught.value.code == "malformed"


class Impostor:
    """Listens like a member and says what the test wants."""

    def __init__(self, network: FakeNetwork, *said: bytes) -> None:
        self._said = said
        self.address = Address("192.0.2.9", 7)
        self.connection: TlsConnection
        context = server_context(MESH.credentials())
        network.listening[self.address] = lambda: TlsConnection(
            context, self._own, server_side=True
        )

    def _own(self, connection: TlsConnection) -> Impostor:
        self.connection = connection
        return self

    def established(self) -> None:
        for data in self._said:
            self.connection.write([data])
        if not self._said:
            self.connection.close()

    def data(self, plaintext: bytes) -> None: ...
    def writable(self) -> None: ...
    def lost(self, failure: Any, error: Any) -> None: ...


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ((), "unreachable"),
        ((encode_frame(FrameType.HELLO, b"x"),), "malformed"),
        ((encode_frame(JOIN, b"no chain"), b"more"), "malformed"),
    ],
    ids=["nothing", "kind", "body"],
)
async def test_a_member_that_talks_nonsense_is_named(
    network: FakeNetwork, said: tuple[bytes, ...], code: str
) -> None:
    assert (await failure(Impostor(network, *said).address)).code == code


async def test_a_chain_that_is_not_the_tokens_ends_the_join(network: FakeNetwork) -> None:
    other = MeshOfLinks("test")
    chain = OpenDoor(other, other.credentials()).chain()
    said = encode_frame(JOIN, JOIN_CHAIN.encode(chain))
    assert (await failure(Impostor(network, said).address)).code


async def test_who_does_not_speak_tls_is_named(network: FakeNetwork) -> None:
    class Plain(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(b"SSH-2.0-OpenSSH_9.6\r\n")

    where = Address("192.0.2.8", 22)
    network.listening[where] = Plain
    error = await failure(where)
    assert str(error).startswith("no join: ")
    assert error.code == "malformed"
