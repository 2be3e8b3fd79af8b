"""Two nodes' links over real sockets: how they come up, carry frames, and end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import Any

import pytest

from mreza.address import Address
from mreza.config.link import LinkConfig
from mreza.ids import NodeId
from mreza.node.links import DialOutcome
from mreza.qos import Priority
from mreza.security.identity import Identity
from mreza.wire.frame import FrameType
from mreza.wire.records import AgedRecord, Record
from tests.integration.link_ends import LinkEnd, MeshOfLinks, ends
from tests.support.eventually import eventually_async
from tests.support.leaks import no_leaks_async

ENVELOPE = int(FrameType.ENVELOPE)
NORMAL = int(Priority.NORMAL)


def introduction_of(node: NodeId, epoch: int) -> AgedRecord:
    record = Record(
        origin=node, kind=1, key=b"", epoch=epoch, sequence=1, body=b"", signature=b"s" * 64
    )
    return AgedRecord(record=record, age_s=0.0)


@pytest.fixture(scope="module")
def mesh() -> MeshOfLinks:
    return MeshOfLinks()


async def linked(a: LinkEnd, b: LinkEnd) -> None:
    assert (await a.links.dial(b.address, expected=b.me)).outcome is DialOutcome.UP
    await eventually_async(lambda: b.links.has(a.me))


async def test_a_dialed_link_comes_up_at_both_ends_and_carries_frames(mesh: MeshOfLinks) -> None:
    async with no_leaks_async():
        a, b = (LinkEnd(credentials) for credentials in mesh.pair())
        async with ends(a, b):
            await linked(a, b)
            a.links.send(b.me, ENVELOPE, b"hello b", NORMAL)
            b.links.send(a.me, FrameType.RECORDS, b"hello a", NORMAL)
            a.links.flush()
            b.links.flush()
            await eventually_async(lambda: a.frames and b.frames)
            assert b.frames == [(a.me, ENVELOPE, b"hello b")]
            assert a.frames == [(b.me, FrameType.RECORDS, b"hello a")]
            await eventually_async(lambda: a.rtts and b.rtts)
            view = a.links.peers[b.me]
            assert (view.dialed, view.address, view.epoch) == (True, b.address, b.epoch)
            assert view.rtt_s is not None
            assert view.rtt_s < 1
        assert a.log == [("up", b.me, b.epoch), ("down", b.me, "closed")]
        assert b.log == [("up", a.me, a.epoch), ("down", a.me, "closed")]


async def test_big_envelopes_arrive_whole_and_in_order_of_priority(mesh: MeshOfLinks) -> None:
    a, b = (LinkEnd(credentials) for credentials in mesh.pair())
    async with ends(a, b):
        await linked(a, b)
        bodies = [os.urandom(64 * 1024) for _ in range(40)]
        for body in bodies:
            a.links.send(b.me, ENVELOPE, body, NORMAL)
        a.links.send(b.me, ENVELOPE, b"urgent", int(Priority.CRITICAL))
        a.links.flush()
        await eventually_async(lambda: len(b.frames) == 41)
        received = [body for _, _, body in b.frames]
        assert received[0] == b"urgent"
        assert received[1:] == bodies


async def test_a_full_queue_reports_what_it_gives_up(mesh: MeshOfLinks) -> None:
    config = LinkConfig(queue_bytes=256 * 1024)
    a, b = (LinkEnd(credentials, config=config) for credentials in mesh.pair())
    async with ends(a, b):
        await linked(a, b)
        for number in range(10):
            a.links.send(b.me, ENVELOPE, bytes([number]) * 60_000, NORMAL)
        assert [body[0] for body in a.dropped] == [4, 5, 6, 7, 8, 9]
        assert not a.links.send(NodeId(bytes(16)), ENVELOPE, b"nobody", NORMAL)
        assert a.dropped[-1] == b"nobody"


async def chatter(a: LinkEnd, b: LinkEnd, count: int) -> None:
    """Send as soon as there is a link, through whatever happens to it."""
    sent = 0
    while sent < count:
        if a.links.has(b.me):
            sent += 1
            a.links.send(b.me, ENVELOPE, sent.to_bytes(4), NORMAL)
            a.links.flush()
        await asyncio.sleep(0)


async def dial_each_other(small: LinkEnd, large: LinkEnd, *, reverse: bool) -> None:
    count = 200
    chats = asyncio.gather(chatter(small, large, count), chatter(large, small, count))
    pairs = [(small, large), (large, small)]
    if reverse:
        pairs.reverse()
    dials = [a.links.dial(b.address, expected=b.me) for a, b in pairs]
    results = [result.outcome for result in await asyncio.gather(*dials)]
    assert set(results) <= {DialOutcome.UP, DialOutcome.ALREADY}
    await chats
    await eventually_async(lambda: len(small.frames) == len(large.frames) == count)
    for end, other in pairs:
        assert end.log == [("up", other.me, other.epoch)]
        assert end.dropped == []
        numbers = sorted(int.from_bytes(body) for _, _, body in end.frames)
        assert numbers == list(range(1, count + 1))
    await eventually_async(lambda: small.links.connections == large.links.connections == 1)
    assert small.links.peers[large.me].dialed != large.links.peers[small.me].dialed


async def test_both_ends_dial_at_once_and_one_link_stays(mesh: MeshOfLinks) -> None:
    async with no_leaks_async():
        for turn in range(25):
            small, large = (LinkEnd(credentials) for credentials in mesh.pair())
            async with ends(small, large):
                await dial_each_other(small, large, reverse=turn % 2 == 1)


async def test_an_address_dialed_twice_in_parallel_makes_one_link(mesh: MeshOfLinks) -> None:
    a, b = (LinkEnd(credentials) for credentials in mesh.pair())
    async with ends(a, b):
        dials = [a.links.dial(b.address) for _ in range(6)]
        outcomes = sorted(str(r.outcome.value) for r in await asyncio.gather(*dials))
        assert outcomes == ["already"] * 5 + ["up"]
        assert a.log == [("up", b.me, b.epoch)]
        await eventually_async(lambda: b.log == [("up", a.me, a.epoch)])
        await eventually_async(lambda: b.links.connections == 1)


async def test_a_peer_that_lost_its_end_replaces_the_link(mesh: MeshOfLinks) -> None:
    mine, theirs = mesh.pair()
    rarely = LinkConfig(probe_interval_s=20.0, silent_after_s=60.0)
    a, b = LinkEnd(mine, config=rarely), LinkEnd(theirs, config=rarely)
    async with ends(a, b):
        await linked(a, b)
        await eventually_async(lambda: a.rtts and b.rtts)
        a.links.send(b.me, ENVELOPE, b"unsent", NORMAL)
        again = LinkEnd(theirs, epoch=b.epoch + 1)
        async with ends(again):
            assert (await again.links.dial(a.address)).outcome is DialOutcome.UP
            assert a.log[1:] == [("down", b.me, "replaced"), ("up", b.me, b.epoch + 1)]
            assert a.dropped == [b"unsent"]
            await eventually_async(lambda: b.codes() == ["old_epoch"])
            assert b.log[-1] == ("down", a.me, "old_epoch")


async def test_an_old_epoch_is_answered_with_the_newest_introduction(mesh: MeshOfLinks) -> None:
    mine, theirs = mesh.pair()
    newest = introduction_of(theirs.node_id, 9 << 32)
    a = LinkEnd(mine, newest_introduction=lambda node: newest if node == theirs.node_id else None)
    b = LinkEnd(theirs, epoch=3 << 32)
    async with ends(a, b):
        result = await b.links.dial(a.address, expected=a.me)
        assert result.outcome is DialOutcome.REFUSED
        assert [(r.code, r.introduction) for r in b.refusals] == [("old_epoch", newest)]
        assert a.log == b.log == []
        # The same when the end with the old epoch is dialed.
        assert (await a.links.dial(b.address)).cause == "old_epoch"
        await eventually_async(lambda: len(b.refusals) == 2)
        assert b.refusals[1].introduction == newest


async def test_a_node_that_dials_itself_is_not_an_error(mesh: MeshOfLinks) -> None:
    a = LinkEnd(mesh.credentials())
    async with ends(a):
        result = await a.links.dial(a.address)
        assert (result.outcome, result.peer) == (DialOutcome.OURSELF, a.me)
        assert (a.log, a.refusals, a.conflicts) == ([], [], [])


async def test_two_processes_with_one_key_hear_of_each_other(mesh: MeshOfLinks) -> None:
    credentials = mesh.credentials()
    mine = introduction_of(credentials.node_id, 5 << 32)
    a = LinkEnd(credentials, epoch=5 << 32, newest_introduction=lambda _: mine)
    b = LinkEnd(credentials, epoch=4 << 32)
    async with ends(a, b):
        result = await b.links.dial(a.address)
        assert (result.outcome, result.cause) == (DialOutcome.REFUSED, "old_epoch")
        assert b.conflicts == [(5 << 32, mine)]
        assert a.conflicts == [(4 << 32, None)]
        b.epoch = 6 << 32
        assert (await b.links.dial(a.address)).cause == "duplicate_identity"
        assert a.conflicts[1] == (6 << 32, None)


async def test_a_dialed_node_must_be_the_one_expected(mesh: MeshOfLinks) -> None:
    a, b = (LinkEnd(credentials) for credentials in mesh.pair())
    async with ends(a, b):
        result = await a.links.dial(b.address, expected=NodeId(b"x" * 16))
        assert (result.outcome, result.peer) == (DialOutcome.REFUSED, b.me)
        assert a.codes() == ["other_node"]
        await eventually_async(lambda: b.codes() == ["other_node"])
        assert not b.refusals[0].by_us


async def test_nobody_there_is_told_from_no_answer(mesh: MeshOfLinks) -> None:
    a = LinkEnd(mesh.credentials(), config=LinkConfig(dial_timeout_s=0.2))
    async with ends(a):
        b = LinkEnd(mesh.credentials())
        closed_port = await b.listen()
        await b.links.close()
        assert (await a.links.dial(closed_port)).outcome is DialOutcome.NOBODY
        nowhere = await a.links.dial(Address("no-such-host.invalid", 1))
        assert nowhere.outcome is DialOutcome.UNREACHABLE


async def test_a_silent_peer_is_given_up_and_a_talking_one_is_not(mesh: MeshOfLinks) -> None:
    config = LinkConfig(probe_interval_s=0.05, silent_after_s=0.4)
    a, b = (LinkEnd(credentials, config=config) for credentials in mesh.pair())
    async with ends(a, b):
        await linked(a, b)
        await asyncio.sleep(0.8)
        assert a.links.has(b.me)
        for link in list(b.links._all):
            # The peer hangs: nothing leaves it any more.
            link._timer.cancel()  # type: ignore[union-attr]
            link.flush = lambda: None  # type: ignore[method-assign]
        await eventually_async(lambda: ("down", b.me, "silent") in a.log)
        await eventually_async(lambda: a.codes() == ["silent"])


async def test_a_reset_is_told_from_a_goodbye(mesh: MeshOfLinks) -> None:
    a, b = (LinkEnd(credentials) for credentials in mesh.pair())
    async with ends(a, b):
        await linked(a, b)
        for link in list(b.links._all):
            link.abort("killed")
        await eventually_async(lambda: a.log[-1] == ("down", b.me, "reset"))


async def test_a_link_closed_for_a_reason_says_it(mesh: MeshOfLinks) -> None:
    a, b = (LinkEnd(credentials) for credentials in mesh.pair())
    async with ends(a, b):
        await linked(a, b)
        a.links.close_link(b.me, "malformed", "a record with a bad signature")
        assert a.log[-1] == ("down", b.me, "malformed")
        await eventually_async(lambda: b.log[-1] == ("down", a.me, "malformed"))
        assert [(r.text, r.by_us) for r in b.refusals] == [("a record with a bad signature", False)]


async def test_closing_sends_what_waits_and_returns_though_the_peer_hangs(
    mesh: MeshOfLinks,
) -> None:
    async with no_leaks_async():
        a, b = (LinkEnd(credentials) for credentials in mesh.pair())
        async with ends(a, b):
            await linked(a, b)
            bodies = [os.urandom(60_000) for _ in range(50)]
            for body in bodies:
                a.links.send(b.me, ENVELOPE, body, NORMAL)
            await a.links.close(5.0)
            await eventually_async(lambda: ("down", a.me, "closed") in b.log)
            assert [body for _, _, body in b.frames] == bodies
        c, d = (LinkEnd(credentials) for credentials in mesh.pair())
        async with ends(c, d):
            await linked(c, d)
            for link in d.links._all:
                link._connection._transport.pause_reading()  # type: ignore[union-attr]
            for _ in range(100):
                c.links.send(d.me, ENVELOPE, bytes(60_000), NORMAL)
            started = time.monotonic()
            await c.links.close(0.3)
            assert time.monotonic() - started < 3


async def test_dials_under_way_end_with_their_task_or_with_the_links(mesh: MeshOfLinks) -> None:
    async with no_leaks_async():
        a = LinkEnd(mesh.credentials())
        silent = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
        held: list[asyncio.StreamWriter] = []
        port = silent.sockets[0].getsockname()[1]
        async with ends(a):
            task = asyncio.create_task(a.links.dial(Address("127.0.0.1", port)))
            await eventually_async(lambda: held)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await eventually_async(lambda: a.links.connections == 0)
            left = asyncio.create_task(a.links.dial(Address("127.0.0.1", port)))
            await eventually_async(lambda: len(held) == 2)
        assert (await left).outcome is DialOutcome.UNREACHABLE
        for writer in held:
            writer.close()
        silent.close()
        await silent.wait_closed()


async def test_renewed_credentials_are_shown_on_the_next_link(mesh: MeshOfLinks) -> None:
    identity = Identity.generate()
    old, new = mesh.credentials(identity), mesh.credentials(identity)
    seen: list[int] = []
    a = LinkEnd(old)
    b = LinkEnd(mesh.credentials(), why_revoked=lambda member: seen.append(member.serial))
    async with ends(a, b):
        await linked(a, b)
        a.links.close_link(b.me, "shutdown", "")
        await eventually_async(lambda: not b.links.has(a.me))
        a.links.use(new)
        await linked(a, b)
        assert len(set(seen)) == 2


async def test_a_revoked_member_gets_no_link(mesh: MeshOfLinks) -> None:
    mine, theirs = mesh.pair()
    thief = theirs.node_id
    a = LinkEnd(mine, why_revoked=lambda member: "stolen" if member.node_id == thief else None)
    b = LinkEnd(theirs)
    async with ends(a, b):
        result = await b.links.dial(a.address)
        assert (result.outcome, result.cause) == (DialOutcome.REFUSED, "revoked")
        assert a.codes() == b.codes() == ["revoked"]
        assert (await a.links.dial(b.address)).cause == "revoked"


async def test_renewed_links_end_everywhere_and_lose_nothing_that_waited(
    mesh: MeshOfLinks,
) -> None:
    a, b = (LinkEnd(credentials) for credentials in mesh.pair())
    async with ends(a, b):
        await linked(a, b)
        a.links.send(b.me, ENVELOPE, b"waiting", NORMAL)
        a.epoch += 1
        a.links.renew("this node raised its epoch")
        assert a.log[-1] == ("down", b.me, "closed")
        await eventually_async(lambda: b.log[-1] == ("down", a.me, "closed"))
        assert b.frames == [(a.me, ENVELOPE, b"waiting")]
        await linked(a, b)
        assert b.log[-1] == ("up", a.me, a.epoch)
        await eventually_async(lambda: a.links.connections == b.links.connections == 1)


async def test_every_address_of_the_machine_is_listened_on_with_one_port(
    mesh: MeshOfLinks,
) -> None:
    a, b = (LinkEnd(credentials) for credentials in mesh.pair())
    async with ends(a):
        bound = await b.links.listen("", 0)
        assert len({address.port for address in bound}) == 1
        port = bound[0].port
        for host in ("127.0.0.1", "localhost"):
            assert (await a.links.dial(Address(host, port))).outcome is DialOutcome.UP
            a.links.close_link(b.me, "shutdown", "")
            await eventually_async(lambda: not b.links.has(a.me))
        taken = await a.links.listen("127.0.0.1", port, next_free=True)
        assert taken[0].port > port
        with pytest.raises(OSError, match="in use"):
            await a.links.listen("127.0.0.1", port)
        await b.links.close()


async def test_all_addresses_of_a_host_name_are_tried_together(
    mesh: MeshOfLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (LinkEnd(credentials) for credentials in mesh.pair())
    async with no_leaks_async(), ends(a, b):
        loop, targets = asyncio.get_running_loop(), ["127.0.0.2", "127.0.0.1", "127.0.0.3"]

        async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, (target, port)) for target in targets]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        # 127.0.0.2 and .3 are this machine, too, but nobody listens there.
        result = await a.links.dial(Address("b.example", b.address.port))
        assert result.outcome is DialOutcome.UP
        a.links.close_link(b.me, "shutdown", "")
        targets.remove("127.0.0.1")
        result = await a.links.dial(Address("b.example", b.address.port))
        assert result.outcome is DialOutcome.NOBODY
