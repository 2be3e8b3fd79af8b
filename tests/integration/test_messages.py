"""Messages and calls between real nodes: every kind of payload, every kind of failure."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from mreza import (
    AmbiguousName,
    DeadlineExceeded,
    Delivery,
    DiscoveryConfig,
    LinkConfig,
    MeshNetwork,
    Message,
    MessageType,
    MessagingConfig,
    NodeId,
    NoRoute,
    NoSuchProcess,
    NotRunning,
    OutboxFull,
    Overloaded,
    PayloadError,
    Priority,
    ReceivedMessage,
    RemoteError,
    SecurityConfig,
    UnknownNode,
    WorkerLost,
)
from mreza.node.control_protocol import Call
from mreza.wire.envelope import Envelope, EnvelopeKind
from mreza.wire.frame import BODY_MAX, FrameType
from tests.support.eventually import eventually_async
from tests.support.leaks import no_leaks_async
from tests.support.meshes import offers, running, sees
from tests.support.processes import AskFailed, Processes, done, mreza
from tests.support.stranger import Stranger, member_of

WORKER = "tests.support.apps:worker"
MIB = 1024 * 1024


@dataclasses.dataclass
class Point:
    x: float
    y: float
    tags: list[str] = dataclasses.field(default_factory=list)


class Reading(msgspec.Struct):
    sensor: str
    values: tuple[float, ...]
    of: Point | None = None


# Payloads.


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes(range(256)),
        "",
        "čćžšđ 🌐",
        0,
        -(2**63),
        2**64 - 1,
        1.5,
        math.inf,
        None,
        True,
        [],
        [1, "two", b"three", None, [4.0]],
        {"a": {"b": [1, 2, {"c": b"d"}]}, "": None},
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_plain_payloads_arrive_as_they_were(payload: Any) -> None:
    async with running("a", "b") as (a, b):
        got: list[Any] = []

        @b.on_message
        def on_message(message: ReceivedMessage[Any]) -> Any:
            got.append(message.payload)
            return message.payload

        a.send("b", payload)
        receipt = await a.send_message(
            Message(type=MessageType.DATA, payload=payload, destination=b.node_id)
        )
        await eventually_async(lambda: len(got) == 2, "both have arrived")
        assert got == [payload, payload]
        assert type(got[0]) is type(payload)
        assert receipt.result == payload


async def test_annotations_choose_the_type_that_a_handler_receives() -> None:
    async with running("a", "b") as (a, b):
        messages: list[Any] = []

        @b.on_message
        async def on_message(message: ReceivedMessage[Reading]) -> None:
            messages.append(message.payload)

        @b.process("norm")
        async def norm(point: Point) -> float:
            assert isinstance(point, Point)
            return math.hypot(point.x, point.y)

        @b.process("mirror")
        def mirror(point: Point) -> Point:
            return Point(-point.x, -point.y, [*point.tags, "mirrored"])

        await offers(a, "b", "mirror")
        reading = Reading("t1", (1.0, 2.5), Point(1, 2))
        a.send("b", reading)
        assert await a.call("norm", Point(3, 4)) == 5.0
        assert await a.call("mirror", Point(1, 2, ["p"]), result_type=Point) == Point(
            -1, -2, ["p", "mirrored"]
        )
        await eventually_async(lambda: messages, "the reading has arrived")
        assert messages == [reading]

        with pytest.raises(PayloadError, match=r"fit"):
            await a.call("norm", {"x": "not a number"})


async def test_a_receipt_tells_who_and_how() -> None:
    async with running("a", "b") as (a, b):
        seen: list[ReceivedMessage[Any]] = []

        @b.on_message
        async def on_message(message: ReceivedMessage[Any]) -> str:
            seen.append(message)
            return "done"

        receipt = await a.send_message(
            Message(
                type=MessageType.DATA,
                payload=b"x",
                destination="b",
                priority=Priority.HIGH,
                headers={"trace": "7"},
            )
        )
        assert receipt.node == b.node_id
        assert receipt.path == (a.node_id, b.node_id)
        assert receipt.attempts == 1
        assert receipt.latency_s > 0
        assert receipt.result == "done"
        (message,) = seen
        assert message.id == receipt.message_id
        assert message.source == a.node_id
        assert message.priority is Priority.HIGH
        assert dict(message.headers) == {"trace": "7"}


async def test_64_mib_travel_there_and_back_and_more_is_refused() -> None:
    async with running("a", "b") as (a, b):

        @b.process("reverse")
        def reverse(data: bytes) -> bytes:
            return data[::-1]

        await offers(a, "b", "reverse")
        # What stands around the payload on the wire is not counted against it.
        payload = os.urandom(64 * MIB)
        started = time.monotonic()
        result = await a.call("reverse", payload, timeout_s=120)
        print(f"64 MiB there and back in {time.monotonic() - started:.1f} s")
        assert result == payload[::-1]
        with pytest.raises(PayloadError, match=r"limit"):
            await a.call("reverse", bytes(64 * MIB + 1))


async def test_what_msgpack_cannot_say_is_refused_where_it_is_sent() -> None:
    async with running("a", "b") as (a, _):
        for payload in (object(), lambda: None, {1: {2, 3}, "f": open}):
            with pytest.raises(PayloadError):
                a.send("b", payload)
        with pytest.raises(PayloadError):
            await a.call("any", object())


# Failures.


async def test_a_remote_error_is_typed_and_brings_its_traceback() -> None:
    async with running("a", "b") as (a, b):

        class TooCold(Exception):
            pass

        @b.process("look up")
        async def look_up(key: str) -> None:
            raise KeyError(key)

        @b.process("freeze")
        def freeze(_: None) -> None:
            raise TooCold("-40")

        @b.on_message
        async def on_message(message: ReceivedMessage[Any]) -> None:
            raise ValueError(message.payload)

        await offers(a, "b", "freeze")
        with pytest.raises(KeyError) as caught:
            await a.call("look up", "nothing")
        assert isinstance(caught.value, RemoteError)
        assert caught.value.type_name == "KeyError"
        assert "look_up" in caught.value.traceback_text
        assert "raise KeyError(key)" in caught.value.traceback_text

        with pytest.raises(RemoteError, match="-40") as other:
            await a.call("freeze")
        assert other.value.type_name == "TooCold"
        assert not isinstance(other.value, ValueError | KeyError)

        with pytest.raises(ValueError, match="bad luck") as third:
            await a.send_message(
                Message(type=MessageType.DATA, payload="bad luck", destination="b")
            )
        assert isinstance(third.value, RemoteError)


async def test_unknown_and_ambiguous_destinations_are_refused_at_once() -> None:
    async with running("a", "b") as (a, _):
        nobody = NodeId(os.urandom(16))
        for destination in ("nobody", nobody, str(nobody)):
            with pytest.raises(UnknownNode):
                a.send(destination, 1)
            with pytest.raises(UnknownNode):
                await a.send_message(
                    Message(type=MessageType.DATA, payload=1, destination=destination)
                )
            with pytest.raises(UnknownNode):
                await a.call("x", node=destination)


async def test_a_name_that_two_members_have_is_ambiguous(
    processes: Processes, tmp_path: Path
) -> None:
    # Names are labels: each state directory has its own.
    first = processes.up("twin", state=tmp_path / "one", app=WORKER)
    token = done(mreza("invite", state=tmp_path / "one"))
    done(mreza("join", token, "--name", "twin", state=tmp_path / "two"))
    second = processes.up("twin", state=tmp_path / "two", peers=[first.listen], app=WORKER)
    async with MeshNetwork(name="a", security_config=SecurityConfig(state=tmp_path / "one")) as a:
        await eventually_async(
            lambda: {first.node_id, second.node_id} <= {str(m.id) for m in a.members}, "both twins"
        )
        with pytest.raises(AmbiguousName):
            a.send("twin", 1)
        answered = await a.call("who", node=NodeId.parse(second.node_id))
        assert answered["pid"] == second.pid


async def test_work_that_nobody_offers_waits_until_the_deadline() -> None:
    async with running("a", "b") as (a, b):
        with pytest.raises(NoSuchProcess, match="nothing"):
            await a.call("nothing", timeout_s=0.3)

        call = asyncio.create_task(a.call("later", 20, timeout_s=30))
        await asyncio.sleep(0)

        @b.process("later")
        async def later(number: int) -> int:
            return number + 1

        assert await call == 21


async def test_a_deadline_ends_the_wait_and_the_handler() -> None:
    async with running("a", "b") as (a, b):
        ended: list[str] = []

        @b.process("sleep", timeout_s=60)
        async def sleep(seconds: float) -> None:
            try:
                await asyncio.sleep(seconds)
                ended.append("slept")
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        await offers(a, "b", "sleep")
        with pytest.raises(DeadlineExceeded):
            await a.call("sleep", 3600.0, timeout_s=0.5)
        await eventually_async(lambda: ended == ["cancelled"], "the handler was told")


async def test_cancelling_a_call_cancels_its_handler_on_the_same_node() -> None:
    async with running("a") as (a,):
        states: list[str] = []

        @a.process("sleep")
        async def sleep(_: None) -> None:
            states.append("begun")
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                states.append("cancelled")
                raise

        call = asyncio.create_task(a.call("sleep"))
        await eventually_async(lambda: states == ["begun"], "the handler runs")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually_async(lambda: states == ["begun", "cancelled"], "the handler was told")


async def test_a_known_node_without_a_route_is_no_route_at_the_deadline(
    processes: Processes, state_dir: Path
) -> None:
    b = processes.up("b", state=state_dir, app=WORKER)
    async with MeshNetwork(name="a") as a:
        await sees(a, "b")
        b.kill()
        await eventually_async(lambda: not a.routes, "the route is gone")
        with pytest.raises(NoRoute):
            await a.send_message(
                Message(type=MessageType.DATA, payload=1, destination="b", timeout_s=0.5)
            )
        with pytest.raises(NoRoute):
            await a.trace("b", timeout_s=0.5)
        assert await a.ping("b", timeout_s=0.2) == [None]


async def test_a_lost_worker_is_told_from_work_that_may_be_repeated(
    processes: Processes, state_dir: Path
) -> None:
    b = processes.up("b", state=state_dir, app=WORKER)
    async with MeshNetwork(name="a") as a:
        await offers(a, "b", "sleep")
        call = asyncio.create_task(a.call("sleep", 3600.0, timeout_s=120))
        # Calls of one priority arrive in order: when the second is answered, the first runs.
        assert await a.call("double", 2, node="b") == 4
        b.kill()
        with pytest.raises(WorkerLost) as lost:
            await call
        assert lost.value.may_have_run


async def test_idempotent_work_goes_to_another_node_when_its_worker_is_lost(
    processes: Processes, state_dir: Path
) -> None:
    victims = {
        name: processes.up(name, state=state_dir, app="tests.support.apps:patient")
        for name in ("b", "c")
    }
    async with MeshNetwork(name="a") as a:
        for name in victims:
            await offers(a, name, "patient")
        call = asyncio.create_task(a.call_detailed("patient", 7, timeout_s=120))
        (first,) = await eventually_async(
            lambda: [n for n in victims.values() if n.output("begun")], "work has begun"
        )
        first.kill()
        second = next(node for node in victims.values() if node is not first)
        await eventually_async(lambda: second.output("begun"), "the other has begun")
        (second.folder / "finish").touch()
        answered = await call
        assert answered.result == 7
        assert str(answered.node) == second.node_id
        assert answered.attempts == 2


async def test_a_full_process_answers_overloaded() -> None:
    gate = asyncio.Event()
    async with running("a", "b") as (a, b):

        @b.process("narrow", concurrency=1)
        async def narrow(_: int) -> None:
            await gate.wait()

        await offers(a, "b", "narrow")
        waiting = b.config.processes.inbox_requests + 200
        calls = [
            asyncio.create_task(a.call("narrow", number, timeout_s=60)) for number in range(waiting)
        ]
        await eventually_async(lambda: any(call.done() for call in calls), "some are refused")
        gate.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        refused = [result for result in results if result is not None]
        assert refused
        assert all(isinstance(result, Overloaded) for result in refused)
        assert len(refused) < waiting


async def test_a_node_that_is_closed_says_so_and_fails_what_is_in_flight() -> None:
    async with running("b") as (b,):

        @b.process("sleep")
        async def sleep(_: None) -> None:
            await asyncio.sleep(3600)

        a = MeshNetwork(name="a")
        with pytest.raises(NotRunning):
            a.send("b", 1)
        await a.initialize()
        await offers(a, "b", "sleep")
        call = asyncio.create_task(a.call("sleep"))
        await asyncio.sleep(0)
        await a.close()
        with pytest.raises(NotRunning):
            await call
        with pytest.raises(NotRunning):
            a.send("b", 1)


# Sending much.


async def test_send_raises_when_the_outbox_is_full_and_drain_makes_room() -> None:
    settings = {"messaging_config": MessagingConfig(outbox_bytes=MIB)}
    async with running("a", "b", **settings) as (a, b):
        received: Counter[int] = Counter()

        @b.on_message
        def on_message(message: ReceivedMessage[tuple[int, bytes]]) -> None:
            received[message.payload[0]] += 1

        number, full = 0, 0
        padding = bytes(1000)
        while full < 5:
            try:
                a.send("b", (number, padding))
                number += 1
            except OutboxFull:
                full += 1
                await a.drain("b")
        await eventually_async(lambda: len(received) == number, "all have arrived")
        assert set(received.values()) == {1}


async def test_ordered_messages_arrive_in_order_and_each_once() -> None:
    async with running("a", "b") as (a, b):
        got: list[int] = []

        @b.on_message
        async def on_message(message: ReceivedMessage[tuple[int, bytes]]) -> None:
            got.append(message.payload[0])
            if len(got) % 97 == 0:
                await asyncio.sleep(0)

        # Sizes on both sides of what travels alone, in pieces and in batches.
        sizes = [
            200_000 if n % 101 == 0 else 40_000 if n % 53 == 0 else n % 7 * 200 for n in range(3000)
        ]
        for number, size in enumerate(sizes):
            try:
                a.send("b", (number, bytes(size)), delivery=Delivery.ORDERED)
            except OutboxFull:
                await a.drain("b")
                a.send("b", (number, bytes(size)), delivery=Delivery.ORDERED)
        await eventually_async(lambda: len(got) >= len(sizes), "all have arrived")
        assert got == list(range(len(sizes)))


@pytest.mark.parametrize("delivery", [Delivery.AT_LEAST_ONCE, Delivery.ORDERED])
async def test_messages_survive_a_connection_that_is_cut_again_and_again(
    delivery: Delivery,
) -> None:
    async with running("a", "b") as (a, b):
        got: list[int] = []

        @b.on_message
        def on_message(message: ReceivedMessage[int]) -> None:
            got.append(message.payload)

        total = 3000
        for number in range(total):
            a.send("b", number, delivery=delivery)
            if number % 1000 == 500:
                await asyncio.sleep(0)
                cut_links(a)
            if number % 100 == 0:
                await asyncio.sleep(0.001)
        await eventually_async(lambda: len(got) >= total, "all have arrived", timeout_s=60)
        assert sorted(got) == list(range(total))
        if delivery is Delivery.ORDERED:
            assert got == sorted(got)


def cut_links(mesh: MeshNetwork) -> None:
    """Reset every connection of a node, as a network that loses its state would."""
    for link in list(mesh._node.links._all):
        link.abort("reset")


async def test_a_slow_handler_holds_up_its_sender_and_no_memory() -> None:
    """What a handler has not taken waits at its sender, up to the outbox's bound."""
    async with running("a", "b") as (a, b):
        gate = asyncio.Event()
        got = 0

        @b.on_message
        async def on_message(message: ReceivedMessage[bytes]) -> None:
            nonlocal got
            await gate.wait()
            got += 1

        @b.process("quick")
        async def quick(number: int) -> int:
            return number

        await offers(a, "b", "quick")
        before = psutil.Process().memory_info().rss
        sent, refused = 0, 0
        payload = os.urandom(16 * 1024)
        while refused < 3:
            try:
                a.send("b", payload)
                sent += 1
            except OutboxFull:
                refused += 1
                try:
                    await a.drain("b", timeout_s=1.0)
                    refused = 0
                except DeadlineExceeded:
                    pass
        # Its handler is stuck, the node is not.
        assert await a.call("quick", 1, node="b") == 1
        grown = psutil.Process().memory_info().rss - before
        limits = a.config.messaging
        bound = limits.outbox_bytes + limits.window_max_bytes + limits.inbox_bytes
        assert sent * len(payload) <= bound
        print(f"{sent * len(payload) / MIB:.1f} MiB taken, RSS {grown / MIB:+.1f} MiB")
        assert grown < 64 * MIB
        assert got == 0
        gate.set()
        await eventually_async(lambda: got == sent, "all have arrived")


async def test_urgent_messages_overtake_bulk() -> None:
    async with running("a", "b") as (a, b):
        order: list[Priority] = []

        @b.on_message
        def on_message(message: ReceivedMessage[bytes]) -> None:
            order.append(message.priority)

        bulk = os.urandom(16 * 1024)
        for _ in range(200):
            a.send("b", bulk, priority=Priority.LOW)
        a.send("b", b"now", priority=Priority.CRITICAL)
        await eventually_async(lambda: len(order) == 201, "all have arrived")
        assert order.index(Priority.CRITICAL) < 100


# Peers that keep no rules.


HOSTILE = {
    "an unknown frame type": (99, b"?"),
    "an envelope of noise": (FrameType.ENVELOPE, os.urandom(300)),
    "an envelope that ends early": (FrameType.ENVELOPE, b"\x01\x01"),
    "a piece out of order": (FrameType.ENVELOPE_PART, b"\x02tail"),
    "records of noise": (FrameType.RECORDS, os.urandom(300)),
    "records nested too deeply": (FrameType.RECORDS, b"\x91" * 5000),
    "a digest of noise": (FrameType.DIGEST, os.urandom(300)),
    "a probe of noise": (FrameType.PROBE, os.urandom(20)),
    "a second hello": (FrameType.HELLO, b"\x90"),
    "a join": (FrameType.JOIN, b"\x90"),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_hostile_bytes_of_a_member_cost_it_the_link_and_nobody_else_anything(
    what: str, state_dir: Path
) -> None:
    kind, body = HOSTILE[what]
    async with running("a", "b") as (a, b):

        @b.process("who")
        async def who(_: Any) -> str:
            return "b"

        await offers(a, "b", "who")
        before = a.links[0]
        address = str(b.listen_addresses[0])

        def attack() -> str:
            member = member_of(state_dir, wall=time.time())
            with Stranger.tls(address, credentials=member) as stranger:
                stranger.say_hello(member)
                stranger.wait_for(FrameType.HELLO)
                stranger.send_frame(kind, body)
                ended = stranger.read_to_end()
            return ended.refusal.code if ended.refusal is not None else ""

        assert await asyncio.to_thread(attack) in ("malformed", "too_large")
        assert await a.call("who", node="b") == "b"
        assert a.links[0].peer == before.peer
        assert a.links[0].address == before.address


async def test_a_frame_over_the_limit_ends_the_link_before_it_is_read(state_dir: Path) -> None:
    async with running("a", "b") as (a, b):
        address = str(b.listen_addresses[0])

        def attack() -> str:
            member = member_of(state_dir, wall=time.time())
            with Stranger.tls(address, credentials=member) as stranger:
                stranger.say_hello(member)
                stranger.wait_for(FrameType.HELLO)
                # Only the header: who waited for the body would wait for ever.
                stranger.send((BODY_MAX + 1).to_bytes(4, "big") + bytes((FrameType.ENVELOPE,)))
                ended = stranger.read_to_end()
            assert ended.refusal is not None
            return f"{ended.refusal.code}: {ended.refusal.text}"

        told = await asyncio.to_thread(attack)
        assert str(BODY_MAX) in told
        assert (await a.ping("b"))[0] is not None


async def test_envelopes_that_nobody_can_open_are_dropped_and_counted(state_dir: Path) -> None:
    """A member may send anything well-formed: it is dropped with a reason, and its link stays."""
    async with running("a", "b") as (a, b):
        address, me = str(b.listen_addresses[0]), b.node_id
        member = member_of(state_dir, wall=time.time())

        def forged(source: NodeId, kind: int, sealed: bytes) -> bytes:
            return Envelope(
                kind=kind,
                priority=1,
                source=source,
                source_epoch=1 << 32,
                destinations=(me,),
                session_id=7,
                counter=1,
                sealed=sealed,
            ).encode()

        def attack() -> None:
            with Stranger.tls(address, credentials=member) as stranger:
                stranger.say_hello(member)
                stranger.wait_for(FrameType.HELLO)
                for source in (member.identity.node_id, a.node_id, NodeId(os.urandom(16))):
                    for kind in EnvelopeKind:
                        body = forged(source, kind, os.urandom(100))
                        stranger.send_frame(FrameType.ENVELOPE, body)

        await asyncio.to_thread(attack)
        assert (await a.ping("b"))[0] is not None
        receipt_of = asyncio.create_task(
            a.send_message(Message(type=MessageType.PROCESS, payload=1, process="p"))
        )

        @b.process("p")
        async def p(number: int) -> int:
            return number + 1

        assert (await receipt_of).result == 2


async def test_connections_that_say_nothing_are_closed_in_time() -> None:
    async with running("b", link_config=LinkConfig(handshake_timeout_s=0.5)) as (b,):
        address = str(b.listen_addresses[0])

        def wait() -> None:
            with Stranger.tcp(address) as stranger:
                stranger.read_to_end()

        async with asyncio.timeout(30):
            await asyncio.to_thread(wait)


async def test_closing_leaves_nothing_behind() -> None:
    async with no_leaks_async(), running("a", "b") as (a, b):

        @b.process("double")
        def double(number: int) -> int:
            return 2 * number

        await offers(a, "b", "double")
        assert await a.call("double", 4) == 8
        a.send("b", b"on its way")


async def test_a_call_through_the_control_socket_reports_remote_errors(
    processes: Processes, state_dir: Path
) -> None:
    b = processes.up("b", state=state_dir, app=WORKER)
    with pytest.raises(AskFailed, match="out of luck") as failed:
        await asyncio.to_thread(b.ask, Call(process="fail", payload="out of luck"))
    assert failed.value.trouble.type == "ValueError"
    assert failed.value.trouble.may_have_run
    assert "raise ValueError(text)" in (failed.value.trouble.traceback or "")


async def test_discovery_by_peers_alone(tmp_path: Path) -> None:
    """Two state directories, one token: `peers` and nothing else brings the nodes together."""
    from mreza import SecurityConfig

    one, two = tmp_path / "one", tmp_path / "two"
    async with MeshNetwork(name="a", security_config=SecurityConfig(state=one)) as a:
        token = await asyncio.to_thread(lambda: done(mreza("invite", state=one)))
        await asyncio.to_thread(lambda: done(mreza("join", token, "--name", "b", state=two)))
        async with MeshNetwork(
            name="b",
            security_config=SecurityConfig(state=two),
            discovery_config=DiscoveryConfig(peers=(str(a.listen_addresses[0]),)),
        ) as b:
            await sees(a, "a", "b")
            await sees(b, "a", "b")
            assert a.mesh_id == b.mesh_id
