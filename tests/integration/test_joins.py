"""A stranger with a token, over real sockets."""

from __future__ import annotations

import asyncio
import time

import pytest

from mreza.address import Address
from mreza.errors import AdmissionError
from mreza.io.clock import SystemClock
from mreza.node.joins import join
from mreza.security.admission import Joiner, join_chain, refusal
from mreza.security.credentials import Credentials
from mreza.security.identity import Identity
from mreza.security.join_token import JoinToken, fingerprint, new_secret
from mreza.wire.frame import FrameType, encode_frame
from mreza.wire.join import JOIN_CHAIN, JoinAnswer, JoinChain, JoinRequest
from mreza.wire.link import ALPN_JOIN
from tests.integration.link_ends import LinkEnd, MeshOfLinks, ends
from tests.integration.test_hostile_links import told, visit
from tests.support.eventually import eventually_async
from tests.support.leaks import no_leaks_async
from tests.support.stranger import Stranger


class OpenDoor:
    """Lets everybody in who comes this far; the desk behind it has tests of its own."""

    def __init__(self, mesh: MeshOfLinks, credentials: Credentials) -> None:
        self._mesh = mesh
        self._credentials = credentials
        self.requests: list[JoinRequest] = []
        self.code = ""
        self.wait = asyncio.Event()
        self.wait.set()

    def chain(self) -> JoinChain:
        return join_chain(self._credentials)

    async def answer(self, request: JoinRequest, address: Address) -> JoinAnswer:
        self.requests.append(request)
        await self.wait.wait()
        if self.code:
            return refusal(self.code)
        chain = self._mesh.authority.issue(request.public_key, name=request.name, wall=time.time())
        return JoinAnswer(certificates=chain)


@pytest.fixture(scope="module")
def mesh() -> MeshOfLinks:
    return MeshOfLinks()


def token_of(mesh: MeshOfLinks) -> JoinToken:
    token_id, secret = new_secret()
    return JoinToken(
        mesh=mesh.secrets.mesh,
        root_fingerprint=fingerprint(mesh.secrets.root_der),
        token_id=token_id,
        secret=secret,
        expires=int(time.time()) + 3600,
        authority_id=mesh.authority.authority_id,
        addresses=(),
        mesh_name="test",
        uses=1,
        role="member",
    )


def door_and_end(mesh: MeshOfLinks) -> tuple[OpenDoor, LinkEnd]:
    credentials = mesh.credentials()
    door = OpenDoor(mesh, credentials)
    return door, LinkEnd(credentials, joins=door)


async def test_a_stranger_with_a_token_gets_its_certificates(mesh: MeshOfLinks) -> None:
    async with no_leaks_async():
        door, end = door_and_end(mesh)
        async with ends(end):
            identity = Identity.generate()
            joiner = Joiner(token_of(mesh), identity, name="new")
            granted = await join(end.address, joiner, clock=SystemClock())
            assert [request.name for request in door.requests] == ["new"]
            credentials = Credentials(
                identity, granted.mesh, granted.mesh_name, granted.chain, granted.roots
            )
            assert credentials.check(wall=time.time()).node_id == identity.node_id
            other = LinkEnd(credentials)
            async with ends(other):
                assert (await other.links.dial(end.address)).outcome.value == "up"
        assert end.refusals == []


async def test_a_refused_join_says_why(mesh: MeshOfLinks) -> None:
    door, end = door_and_end(mesh)
    door.code = "used"
    async with ends(end):
        joiner = Joiner(token_of(mesh), Identity.generate(), name="new")
        with pytest.raises(AdmissionError, match="has been used") as caught:
            await join(end.address, joiner, clock=SystemClock())
        assert caught.value.code == "used"


async def test_a_token_of_another_mesh_gives_nothing_away(mesh: MeshOfLinks) -> None:
    door, end = door_and_end(mesh)
    async with ends(end):
        joiner = Joiner(token_of(MeshOfLinks("test")), Identity.generate(), name="new")
        with pytest.raises(AdmissionError):
            await join(end.address, joiner, clock=SystemClock())
        assert door.requests == []


async def test_a_member_that_takes_no_joins_and_a_dead_address_are_named(
    mesh: MeshOfLinks,
) -> None:
    async with no_leaks_async():
        end = LinkEnd(mesh.credentials())
        joiner = Joiner(token_of(mesh), Identity.generate(), name="new")
        async with ends(end):
            with pytest.raises(AdmissionError, match="takes no joins") as caught:
                await join(end.address, joiner, clock=SystemClock())
            assert caught.value.code == "join_refused"
        with pytest.raises(AdmissionError, match=r"answers at \S+: connection refused$") as caught:
            await join(end.address, joiner, clock=SystemClock())
        assert caught.value.code == "unreachable"


async def test_what_is_not_mreza_is_no_door(mesh: MeshOfLinks) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = Address(*server.sockets[0].getsockname()[:2])
    joiner = Joiner(token_of(mesh), Identity.generate(), name="new")
    with pytest.raises(AdmissionError, match="not TLS"):
        await join(address, joiner, clock=SystemClock())
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "talk",
    [
        encode_frame(FrameType.HELLO, b""),
        encode_frame(FrameType.JOIN, b"\xc1"),
        encode_frame(FrameType.JOIN, bytes(5000)),
    ],
)
async def test_nonsense_in_a_join_is_refused(mesh: MeshOfLinks, talk: bytes) -> None:
    door, end = door_and_end(mesh)
    async with ends(end):
        ended = await visit(end.address, lambda s: s.send(talk), alpn=ALPN_JOIN)
        assert told(ended) == "malformed"
        assert JOIN_CHAIN.decode(ended.frames[0][1]).mesh == mesh.secrets.mesh
        assert door.requests == []
        assert end.codes() == ["malformed"]


async def test_a_stranger_that_leaves_takes_its_decision_with_it(mesh: MeshOfLinks) -> None:
    async with no_leaks_async():
        door, end = door_and_end(mesh)
        door.wait.clear()
        async with ends(end):
            joiner = Joiner(token_of(mesh), Identity.generate(), name="new")
            task = asyncio.create_task(join(end.address, joiner, clock=SystemClock()))
            await eventually_async(lambda: door.requests)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await eventually_async(lambda: end.links.connections == 0)
            # And one that is decided on while the node closes.
            task = asyncio.create_task(join(end.address, joiner, clock=SystemClock()))
            await eventually_async(lambda: len(door.requests) == 2)
        with pytest.raises(AdmissionError, match="closed the connection"):
            await task


async def test_a_second_request_on_one_connection_is_refused(mesh: MeshOfLinks) -> None:
    door, end = door_and_end(mesh)
    door.wait.clear()
    async with ends(end):
        identity = Identity.generate()
        joiner = Joiner(token_of(mesh), identity, name="new")
        request = joiner.challenged(
            door.chain(), server_leaf=door._credentials.chain[0], wall=time.time()
        )

        def twice(stranger: Stranger) -> None:
            from mreza.wire.join import JOIN_REQUEST

            for _ in range(2):
                stranger.send_frame(FrameType.JOIN, JOIN_REQUEST.encode(request))

        assert told(await visit(end.address, twice, alpn=ALPN_JOIN)) == "malformed"
        assert len(door.requests) <= 1
