"""What a program asks of its node, against a core that writes down what it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from mreza.config.messaging import MessagingConfig
from mreza.errors import DeadlineExceeded, NoRoute, NotRunning, PayloadError
from mreza.ids import NodeId
from mreza.messaging.message import Message
from mreza.node.program import Program
from mreza.planes.effects import Resolve
from mreza.processes.handlers import ProcessSpec
from mreza.qos import Delivery, MessageType, Priority
from mreza.wire.packet import Control
from tests.support.fake_net import until
from tests.support.hand_clock import HandClock

ME, PEER, RELAY = NodeId(b"m" * 16), NodeId(b"p" * 16), NodeId(b"r" * 16)
CONFIG = MessagingConfig(outbox_bytes=65536, timeout_s=7.0, payload_max=100_000)


class Core:
    """Control, data and service in one, as far as a program reaches."""

    def __init__(self) -> None:
        self.me = ME
        self.control = self.data = self.service = self
        self.members = {PEER: None}
        self.sent: list[tuple[Any, ...]] = []
        self.calls: list[dict[str, Any]] = []
        self.cancelled: list[int] = []
        self.waiting_bytes = 0
        self.registered: list[str] = []
        self.registry = self
        self.offered = 0
        self.probes: list[tuple[NodeId, int]] = []
        self.found: list[object] = []

    def find(self, node: NodeId | str) -> NodeId:
        self.found.append(node)
        return PEER

    def label_of(self, node: NodeId) -> str:
        return {PEER: "peer", RELAY: "relay"}[node]

    def send(self, destination: NodeId, payload: Any, **named: Any) -> None:
        self.sent.append((destination, payload, *named.values()))

    def fullest(self, destination: NodeId | None) -> int:
        assert destination in (None, PEER)
        return self.waiting_bytes

    def call(self, process: str, payload: msgspec.Raw, **named: Any) -> int:
        self.calls.append({"process": process, "payload": msgspec.msgpack.decode(payload), **named})
        return len(self.calls)

    def cancel(self, call_id: int) -> None:
        self.cancelled.append(call_id)

    def register(self, spec: ProcessSpec) -> None:
        self.registered.append(spec.name)

    def unregister(self, name: str) -> None:
        self.registered.remove(name)

    def offers_changed(self, *, now: float) -> None:
        assert now == 1000.0
        self.offered += 1

    def send_control(self, destination: NodeId, control: Control, **named: Any) -> None:
        self.probes.append((destination, named["hop_limit"]))


class Driver:
    def __init__(self) -> None:
        self.wakes = 0

    def wake(self) -> None:
        self.wakes += 1


class Case:
    def __init__(self) -> None:
        self.core = Core()
        self.driver = Driver()
        self.handlers: list[Any] = []
        inbox: Any = type("Inbox", (), {"set_handler": self.handlers.append})()
        core: Any = self.core
        driver: Any = self.driver
        self.program = Program(core, config=CONFIG, driver=driver, inbox=inbox, clock=HandClock())

    def resolve(self, result: object) -> None:
        raw = msgspec.Raw(msgspec.msgpack.encode(result))
        self.program.waiting.resolve(Resolve(len(self.core.calls), PEER, 1, result=raw))


@pytest.fixture
async def case() -> Case:
    return Case()


async def test_a_member_given_by_its_id_is_not_looked_up(case: Case) -> None:
    for node in (PEER, "peer", NodeId(b"u" * 16)):
        case.program.send(node, 1, priority=Priority.HIGH, delivery=Delivery.AT_MOST_ONCE)
    assert case.core.sent == [(PEER, 1, Priority.HIGH, Delivery.AT_MOST_ONCE)] * 3
    assert case.core.found == ["peer", NodeId(b"u" * 16)]
    assert case.driver.wakes == 3


async def test_draining_lets_others_run_even_where_there_is_room(case: Case) -> None:
    others: list[int] = []
    asyncio.get_running_loop().call_soon(others.append, 1)
    await case.program.drain(None, timeout_s=None)
    assert others == [1]


async def test_draining_waits_for_half_of_the_outbox(case: Case) -> None:
    case.core.waiting_bytes = CONFIG.outbox_bytes
    draining = asyncio.create_task(case.program.drain("peer", timeout_s=None))
    await asyncio.sleep(0)
    case.program.written()
    case.program.written()
    await asyncio.sleep(0)
    assert not draining.done()
    case.core.waiting_bytes = CONFIG.outbox_bytes // 2
    case.program.written()
    await draining


async def test_a_drain_that_takes_too_long_says_what_waits(case: Case) -> None:
    case.core.waiting_bytes = 65536
    with pytest.raises(DeadlineExceeded, match="65536 bytes still wait"):
        await case.program.drain(None, timeout_s=0.01)


async def test_a_call_has_the_default_deadline_unless_it_names_one(case: Case) -> None:
    for timeout_s in (None, 2.0):
        calling = asyncio.create_task(
            case.program.call(
                "work", {"a": 1}, node="peer", timeout_s=timeout_s, priority=Priority.LOW, key="k"
            )
        )
        await until(lambda: len(case.program.waiting))
        case.resolve("done")
        assert (await calling).call_result().result == "done"
    first, second = case.core.calls
    expected = {
        "process": "work",
        "payload": {"a": 1},
        "node": PEER,
        "timeout_s": 7.0,
        "priority": Priority.LOW,
        "key": "k",
        "headers": None,
        "target_is_handler": False,
        "now": 1000.0,
    }
    assert {name: first[name] for name in expected} == expected
    assert second["timeout_s"] == 2.0
    assert case.driver.wakes == 2


async def test_a_payload_over_the_limit_is_refused_before_it_is_sent(case: Case) -> None:
    with pytest.raises(PayloadError):
        await case.program.call(
            "work", bytes(200_000), node=None, timeout_s=None, priority=Priority.LOW
        )
    assert case.core.calls == []


@pytest.mark.parametrize(
    ("message", "process", "to_handler"),
    [
        (Message(type=MessageType.PROCESS, payload=1, process="work"), "work", False),
        (Message(type=MessageType.DATA, payload=1, destination="peer"), "", True),
    ],
)
async def test_a_message_goes_to_a_process_or_to_the_handler(
    case: Case, message: Message, process: str, *, to_handler: bool
) -> None:
    sending = asyncio.create_task(case.program.send_message(message))
    await until(lambda: len(case.program.waiting))
    case.resolve("done")
    assert (await sending).result == "done"
    (call,) = case.core.calls
    assert (call["process"], call["target_is_handler"]) == (process, to_handler)
    assert call["node"] == (PEER if to_handler else None)


async def test_whoever_stops_waiting_cancels_the_call(case: Case) -> None:
    calling = asyncio.create_task(
        case.program.call("work", 1, node=None, timeout_s=None, priority=Priority.LOW)
    )
    await until(lambda: len(case.program.waiting))
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    assert case.core.cancelled == [1]
    assert case.driver.wakes == 2


async def test_a_closed_node_answers_everybody(case: Case) -> None:
    calling = asyncio.create_task(
        case.program.call("work", 1, node=None, timeout_s=None, priority=Priority.LOW)
    )
    await until(lambda: len(case.program.waiting))
    case.program.close(NotRunning("closed"))
    with pytest.raises(NotRunning):
        await calling


async def test_work_offered_and_not_offered_any_more_is_told(case: Case) -> None:
    case.program.register_process(ProcessSpec("work", lambda _: None))
    assert case.core.registered == ["work"]
    case.program.unregister_process("work")
    assert case.core.registered == []
    assert (case.core.offered, case.driver.wakes) == (2, 2)


async def test_the_message_handler_is_the_inboxs(case: Case) -> None:
    def handler(_: Any) -> None: ...

    case.program.set_message_handler(handler)
    assert case.handlers == [handler]


async def answer(case: Case, *nodes: NodeId) -> None:
    """Answer one probe after the other."""
    for number, node in enumerate(nodes, 1):
        await until(lambda expected=number: len(case.core.probes) == expected)  # type: ignore[misc]
        control: Any = type("Control", (), {"number": number})()
        case.program.probes.answered(node, control)


async def test_pings_come_one_after_another(case: Case) -> None:
    asking = asyncio.create_task(case.program.ping("peer", count=2, interval_s=0.0, timeout_s=5.0))
    await answer(case, PEER, PEER)
    assert await asking == [0.0, 0.0]
    assert await case.program.ping("peer", count=1, interval_s=1.0, timeout_s=0.01) == [None]


async def test_a_trace_asks_every_node_on_the_way(case: Case) -> None:
    asking = asyncio.create_task(case.program.trace("peer", timeout_s=5.0, hops_max=9))
    await answer(case, RELAY, PEER)
    assert [(hop.node, hop.name) for hop in await asking] == [(RELAY, "relay"), (PEER, "peer")]
    assert case.core.probes == [(PEER, 1), (PEER, 2)]


async def test_a_trace_that_ends_on_the_way_says_how_far_it_came(case: Case) -> None:
    asking = asyncio.create_task(case.program.trace("peer", timeout_s=0.05, hops_max=9))
    await answer(case, RELAY)
    assert [(hop.name, hop.rtt_s) for hop in await asking] == [("relay", 0.0), ("peer", None)]


async def test_a_trace_stops_at_the_last_hop_it_may_ask(case: Case) -> None:
    asking = asyncio.create_task(case.program.trace("peer", timeout_s=5.0, hops_max=1))
    await answer(case, RELAY)
    assert [hop.name for hop in await asking] == ["relay", "peer"]


async def test_a_trace_without_any_answer_is_no_route(case: Case) -> None:
    with pytest.raises(NoRoute, match="no node on the way to peer answered"):
        await case.program.trace("peer", timeout_s=0.01, hops_max=3)
