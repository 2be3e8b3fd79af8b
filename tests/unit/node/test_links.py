"""Who is let in, and which of two links stays; real TLS over a network without sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mreza.address import Address
from mreza.errors import NotRunning
from mreza.ids import NodeId
from mreza.io.tls import member_context
from mreza.link.quality import Quality
from mreza.node import dialing, links as module
from mreza.node.link_connection import REPLACED
from mreza.node.link_events import DialOutcome
from mreza.security.certificates import MemberCertificate
from mreza.security.identity import Identity
from mreza.wire.frame import FrameType
from mreza.wire.link import GOODBYE, HELLO, Goodbye
from mreza.wire.records import AgedRecord, Record
from tests.integration.link_ends import LinkEnd, MeshOfLinks, ends
from tests.support.eventually import eventually_async
from tests.support.fake_net import FakeNetwork, Visitor, turns, until
from tests.support.hand_clock import HandClock

MESH = MeshOfLinks()
ENVELOPE = int(FrameType.ENVELOPE)
EPOCH = 1 << 32


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    return FakeNetwork.install(monkeypatch)


def introduction_of(node: NodeId, epoch: int) -> AgedRecord:
    record = Record(
        origin=node, kind=1, key=b"", epoch=epoch, sequence=1, body=b"", signature=b"s" * 64
    )
    return AgedRecord(record=record, age_s=0.0)


@contextlib.asynccontextmanager
async def linked(**given: Any) -> AsyncIterator[tuple[LinkEnd, LinkEnd]]:
    """Two nodes with a link that the one with the smaller id dialed."""
    a, b = (LinkEnd(credentials, **given) for credentials in MESH.pair())
    async with ends(a, b):
        assert (await a.links.dial(b.address, expected=b.me)).outcome is DialOutcome.UP
        await until(lambda: b.links.has(a.me))
        yield a, b


async def test_frames_of_one_turn_are_one_write_and_arrive(network: FakeNetwork) -> None:
    async with linked() as (a, b):
        await turns()
        ((transport, _),) = network.pairs
        before = len(transport.written)
        for body in (b"one", b"two"):
            assert a.links.send(b.me, ENVELOPE, body, 1)
        a.links.flush()
        assert len(transport.written) == before + 1
        await until(lambda: len(b.frames) == 2)
        assert b.frames == [(a.me, ENVELOPE, b"one"), (a.me, ENVELOPE, b"two")]
        assert a.rtts
        assert b.rtts


async def test_a_peer_that_has_a_link_is_not_dialed(network: FakeNetwork) -> None:
    async with linked() as (a, b):
        assert await a.links.dial(b.address, expected=b.me) == (DialOutcome.ALREADY, b.me, "")
        assert len(network.pairs) == 1


async def test_a_second_link_to_an_address_ends_before_a_hello(network: FakeNetwork) -> None:
    async with linked() as (a, b):
        result = await a.links.dial(b.address)
        assert (result.outcome, result.cause) == (DialOutcome.ALREADY, "duplicate_link")
        await turns()
        assert (a.refusals, b.refusals) == ([], [])
        assert a.links.connections == b.links.connections == 1


@pytest.mark.parametrize("first", ["small", "large"])
async def test_of_two_dials_at_once_one_link_stays_and_nothing_is_lost(
    network: FakeNetwork, first: str
) -> None:
    small, large = (LinkEnd(credentials) for credentials in MESH.pair())
    async with ends(small, large):
        dials = [large.links.dial(small.address), small.links.dial(large.address)]
        both = asyncio.gather(*(dials if first == "large" else reversed(dials)))
        await until(lambda: small.links.has(large.me) or large.links.has(small.me))
        for end, other in ((small, large), (large, small)):
            end.links.send(other.me, ENVELOPE, b"early", 1)
        assert {result.outcome for result in await both} <= {DialOutcome.UP, DialOutcome.ALREADY}
        await until(lambda: small.links.connections == large.links.connections == 1)
        for end, other in ((small, large), (large, small)):
            end.links.send(other.me, ENVELOPE, b"late", 1)
            end.links.flush()
        await until(lambda: small.frames[-1:] and large.frames[-1:])
        await turns()
        assert [entry[0] for entry in small.log + large.log] == ["up", "up"]
        for end in (small, large):
            sent = [body for _, _, body in end.frames] + end.dropped
            assert b"late" in sent


async def test_a_second_link_that_neither_keeps_is_refused(network: FakeNetwork) -> None:
    small, large = (LinkEnd(credentials) for credentials in MESH.pair())
    async with ends(small, large):
        await small.links.dial(large.address)
        await until(lambda: large.links.has(small.me))
        large.links._up._links.clear()  # it has not heard of it yet
        result = await large.links.dial(small.address)
        assert (result.outcome, result.cause) == (DialOutcome.ALREADY, "duplicate_link")
        assert small.log == [("up", large.me, large.epoch)]
        assert (small.refusals, large.refusals) == ([], [])


async def test_a_restarted_peer_takes_the_place_of_its_old_link(network: FakeNetwork) -> None:
    identity = Identity.generate()
    newest = introduction_of(identity.node_id, EPOCH + 1)
    a = LinkEnd(MESH.credentials(), newest_introduction=lambda _: newest)
    old, new = (LinkEnd(MESH.credentials(identity), epoch=EPOCH + age) for age in (1, 2))
    async with ends(a, old, new):
        await old.links.dial(a.address)
        await until(lambda: a.links.has(old.me))
        await turns()
        a.links.send(old.me, ENVELOPE, b"waits", 1)
        assert (await new.links.dial(a.address)).outcome is DialOutcome.UP
        await turns()
        assert a.log == [
            ("up", old.me, EPOCH + 1),
            ("down", old.me, "replaced"),
            ("up", old.me, EPOCH + 2),
        ]
        assert a.dropped == [b"waits"]
        assert old.codes() == ["old_epoch"]
        assert old.conflicts == []


async def test_a_peer_that_lost_its_end_of_a_link_gets_another(
    network: FakeNetwork,
) -> None:
    clock = HandClock()
    a, b = (LinkEnd(credentials, clock=clock) for credentials in MESH.pair())
    async with ends(a, b):
        await a.links.dial(b.address)
        await until(lambda: b.links.has(a.me))
        clock.now += 10.0
        a.links._up._links.clear()  # as if it had crashed, without a word
        assert (await a.links.dial(b.address)).outcome is DialOutcome.UP
        await turns()
        assert [entry[0] for entry in b.log] == ["up", "down", "up"]
        assert b.links.connections == 1


async def test_an_older_epoch_is_shown_the_newest_introduction(network: FakeNetwork) -> None:
    mine, theirs = MESH.pair()
    newest = introduction_of(theirs.node_id, EPOCH + 5)
    a = LinkEnd(mine, newest_introduction=lambda _: newest)
    b = LinkEnd(theirs)
    async with ends(a, b):
        assert (await b.links.dial(a.address)).cause == "old_epoch"
        assert [refusal.introduction for refusal in b.refusals] == [newest]
        assert [refusal.introduction for refusal in a.refusals] == [None]
        assert a.log == b.log == []


async def test_an_epoch_between_two_links_is_refused_without_a_proof(
    network: FakeNetwork,
) -> None:
    identity = Identity.generate()
    a = LinkEnd(MESH.credentials())
    new, old = (LinkEnd(MESH.credentials(identity), epoch=EPOCH + age) for age in (2, 1))
    async with ends(a, new, old):
        await new.links.dial(a.address)
        assert (await old.links.dial(a.address)).cause == "old_epoch"
        assert old.refusals[0].introduction is None


async def test_a_node_with_all_links_taken_says_so(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINKS_MAX", 1)
    async with linked() as (a, _):
        late = LinkEnd(MESH.credentials())
        async with ends(late):
            assert (await late.links.dial(a.address)).cause == "too_many"
            assert "1 links" in late.refusals[0].text


async def test_a_hello_to_a_node_that_closes_is_refused(network: FakeNetwork) -> None:
    a, b = (LinkEnd(credentials) for credentials in MESH.pair())
    async with ends(a, b):
        dial = asyncio.create_task(a.links.dial(b.address))
        await until(lambda: a.links._greeting)
        b.links._closing = True
        assert (await dial).cause == "shutdown"
        assert (a.refusals, b.refusals) == ([], [])
        b.links._closing = False


@pytest.mark.parametrize(
    ("theirs", "code"), [(EPOCH - 1, "old_epoch"), (EPOCH + 1, "duplicate_identity")]
)
async def test_who_has_our_key_is_told_and_the_node_hears_of_it(
    network: FakeNetwork, theirs: int, code: str
) -> None:
    credentials = MESH.credentials()
    mine = introduction_of(credentials.node_id, EPOCH)
    a = LinkEnd(credentials, epoch=EPOCH, newest_introduction=lambda _: mine)
    b = LinkEnd(credentials, epoch=theirs)
    async with ends(a, b):
        assert (await b.links.dial(a.address)).cause == code
        assert a.conflicts == [(theirs, None)]
        assert b.conflicts == [(EPOCH, mine)]
        assert a.codes() == b.codes() == [code]


async def test_our_own_address_is_no_conflict(network: FakeNetwork) -> None:
    a = LinkEnd(MESH.credentials())
    async with ends(a):
        assert (await a.links.dial(a.address)).outcome is DialOutcome.OURSELF
        assert (a.log, a.refusals, a.conflicts) == ([], [], [])


async def test_our_own_address_in_the_name_of_another_is_no_conflict(network: FakeNetwork) -> None:
    a, b = LinkEnd(MESH.credentials()), LinkEnd(MESH.credentials())
    async with ends(a, b):
        assert (await a.links.dial(a.address, expected=b.me)).cause == "other_node"
        await eventually_async(lambda: a.codes() == ["other_node", "other_node"])
        assert a.conflicts == []


async def test_a_revoked_member_is_refused(network: FakeNetwork) -> None:
    asked: list[MemberCertificate] = []

    def why_revoked(member: MemberCertificate) -> str:
        asked.append(member)
        return "it was stolen"

    a, b = LinkEnd(MESH.credentials(), why_revoked=why_revoked), LinkEnd(MESH.credentials())
    async with ends(a, b):
        assert (await b.links.dial(a.address)).cause == "revoked"
        assert [member.node_id for member in asked] == [b.me]
        assert "it was stolen" in b.refusals[0].text


async def test_a_link_is_refused_by_name_and_only_if_there_is_one(network: FakeNetwork) -> None:
    async with linked() as (a, b):
        a.links.close_link(NodeId(b"x" * 16), "malformed", "no such link")
        a.links.close_link(b.me, "malformed", "that was no envelope")
        assert not a.links.has(b.me)
        await turns()
        assert b.refusals[0].text == "that was no envelope"
        assert a.log[-1] == ("down", b.me, "malformed")
        assert b.log[-1] == ("down", a.me, "malformed")


async def test_a_goodbye_ends_the_link_at_both_ends(network: FakeNetwork) -> None:
    async with linked() as (a, b):
        a.links.send(b.me, ENVELOPE, b"last", 1)
        a.links.renew("new hello")
        await turns()
        assert b.frames == [(a.me, ENVELOPE, b"last")]
        assert a.log[-1] == ("down", b.me, "closed")
        assert b.log[-1] == ("down", a.me, "closed")
        assert a.links.connections == b.links.connections == 0
        assert b.links.peers == {}


async def test_a_peer_that_parts_for_another_link_is_waited_for(network: FakeNetwork) -> None:
    a = LinkEnd(MESH.credentials())
    member = MESH.credentials()
    async with ends(a):
        visitor = Visitor(network, a.address, member_context(member))
        hello = LinkEnd(member, epoch=EPOCH)._hello()
        await turns()
        visitor.send_frame(FrameType.HELLO, HELLO.encode(hello))
        await until(lambda: a.links.has(member.node_id))
        visitor.send_frame(FrameType.GOODBYE, GOODBYE.encode(Goodbye(REPLACED)))
        await turns()
        assert a.links.has(member.node_id)
        (link,) = a.links._all
        link._timer_fired()
        await turns()
        assert not a.links.has(member.node_id)
        assert visitor.ended


async def test_a_round_trip_of_a_link_that_ended_is_not_told(network: FakeNetwork) -> None:
    async with linked() as (a, b):
        await turns()
        (link,) = a.links._all
        a.rtts.clear()
        a.links.measured(link, Quality(0.5, 0.0, 0.0))
        assert a.rtts == [0.5]
        a.links.close_link(b.me, "malformed", "")
        a.links.measured(link, Quality(0.7, 0.0, 0.0))
        assert a.rtts == [0.5]


async def test_a_node_that_is_gone_is_told(network: FakeNetwork) -> None:
    a = LinkEnd(MESH.credentials())
    a.links.gone(NodeId(b"x" * 16))
    assert a.log == [("gone", NodeId(b"x" * 16))]
    await a.links.close()


async def test_renewed_credentials_are_used_from_now_on(network: FakeNetwork) -> None:
    other = MeshOfLinks("others")
    a, b = LinkEnd(MESH.credentials()), LinkEnd(other.credentials())
    async with ends(a, b):
        assert (await a.links.dial(b.address)).outcome is DialOutcome.REFUSED
        a.links.use(other.credentials(Identity.generate()))
        result = await a.links.dial(b.address)
        assert result.cause == "other_mesh"  # TLS agrees; the hello still says which mesh
        assert a.codes()[-1] == "other_mesh"


async def test_closing_ends_dials_strangers_and_links(network: FakeNetwork) -> None:
    async with linked() as (a, b):
        Visitor(network, a.address, member_context(MESH.credentials()))
        assert a.links.connections == 2
        await a.links.close()
        await a.links.close()
        assert a.links.connections == 0
        with pytest.raises(NotRunning, match="closed"):
            await a.links.dial(b.address)
        assert a.log[-1] == ("down", b.me, "closed")


async def test_closing_does_not_wait_for_a_peer_that_hangs(network: FakeNetwork) -> None:
    async with linked() as (a, b):
        ((transport, other),) = network.pairs
        transport.hold()
        other.hold()
        a.links.send(b.me, ENVELOPE, b"never read", 1)
        await a.links.close(0.01)
        assert a.links.connections == 0
        assert transport.aborted


async def test_a_dial_that_connects_while_closing_makes_no_link(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (LinkEnd(credentials) for credentials in MESH.pair())

    async def connect(address: Address, *, timeout_s: float) -> Any:
        a.links._closing = True
        return await network.connect(address, timeout_s=timeout_s)

    monkeypatch.setattr(dialing, "connect", connect)
    async with ends(a, b):
        assert await a.links.dial(b.address) == (DialOutcome.UNREACHABLE, None, "closed")
        a.links._closing = False


async def test_joins_are_served_only_where_somebody_decides(network: FakeNetwork) -> None:
    a = LinkEnd(MESH.credentials())
    async with ends(a, LinkEnd(MESH.credentials())):
        Visitor(network, a.address, member_context(MESH.credentials()))
        (link,) = a.links._all
        assert a.links.joiner(link) is None
