"""One connection of the control socket, its bytes fed and read by hand."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from mreza.errors import NoRoute, WorkerLost
from mreza.messaging.message import Message
from mreza.node import control_socket
from mreza.node.control_protocol import (
    Answer,
    Call,
    Events,
    Leave,
    Links,
    Nodes,
    Ping,
    Request,
    Routes,
    Send,
    Snapshot,
    Status,
    Trace,
    Trouble,
    decode_answer,
    encode_line,
)
from mreza.node.control_socket import ControlSocket
from mreza.qos import MessageType, Priority
from tests.support.fake_node import ME, PEER, FakeNode, link_up


class Written:
    """Stands in for a StreamWriter; keeps what was written."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = False
        self.broken = False

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        if self.broken:
            raise ConnectionResetError("gone")

    def close(self) -> None:
        self.closed = True

    async def wait_closed(self) -> None:
        return

    @property
    def answers(self) -> list[Answer]:
        return [decode_answer(line) for line in self.data.splitlines()]


class Asker:
    """The client's end of one connection."""

    def __init__(self, control: ControlSocket) -> None:
        self.reader = asyncio.StreamReader(limit=1 << 16)
        self.written = Written()
        self.task = asyncio.create_task(control.serve(self.reader, self.written))  # type: ignore[arg-type]

    def say(self, *requests: Request) -> None:
        for request in requests:
            self.reader.feed_data(encode_line(request))

    async def answers(self, count: int) -> list[Answer]:
        """The first answers, once so many are there."""
        for _ in range(1000):
            if len(self.written.answers) >= count:
                return self.written.answers
            await asyncio.sleep(0)
        raise AssertionError(f"{len(self.written.answers)} answers of {count}")

    async def end(self) -> None:
        self.reader.feed_eof()
        await asyncio.wait([self.task])


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def control(node: FakeNode, tmp_path: Path) -> ControlSocket:
    return ControlSocket(node, tmp_path / "control.sock")


async def result_of(control: ControlSocket, request: Request) -> Any:
    asker = Asker(control)
    asker.say(request)
    (answer,) = await asker.answers(1)
    await asker.end()
    assert answer.error is not None
    return answer.error if isinstance(answer.error, Trouble) else answer.result


async def test_reading_commands_have_the_json_of_the_design(control: ControlSocket) -> None:
    status = await result_of(control, Status())
    assert status == {"node": str(ME), "name": "a", "health": None, "pid": os.getpid()}
    me, peer = await result_of(control, Nodes())
    assert {"id", "name", "state", "cause", "since_s", "offers"} <= me.keys()
    assert (peer["state"], peer["cause"], peer["offers"]) == ("suspect", "silent", ["x"])
    (link,) = await result_of(control, Links())
    assert {"peer", "name", "state", "rtt_ms", "cost", "dialed"} <= link.keys()
    (route,) = await result_of(control, Routes())
    assert {"destination", "name", "next_hop", "cost", "hops"} <= route.keys()
    assert await result_of(control, Snapshot()) == {"forwarded_envelopes": 3}
    assert await result_of(control, Ping(node="b")) == 0.001
    assert await result_of(control, Trace(node="b")) == {
        "path": [
            {"node": str(PEER), "name": "b", "rtt_ms": 2.0},
            {"node": str(ME), "name": "z", "rtt_ms": None},
        ]
    }


async def test_a_call_gives_its_result_or_why_there_is_none(
    control: ControlSocket, node: FakeNode
) -> None:
    request = Call(process="x", payload=[1], node="b", key="k", priority="high", timeout_s=3.0)
    answer = await result_of(control, request)
    assert answer == {"result": "done", "node": str(PEER), "latency_s": 0.25, "attempts": 1}
    assert node.calls == [("call", "x", [1], 3.0, Priority.HIGH, "b", "k")]

    await result_of(control, Call(process="x", data=b"\x00"))
    assert node.calls[-1][2] == b"\x00"

    node.error = WorkerLost("gone", may_have_run=True)
    assert await result_of(control, Call(process="x")) == Trouble(
        text="gone", type="WorkerLost", may_have_run=True
    )
    node.error = NoRoute("no path")
    assert (await result_of(control, Call(process="x"))).type == "NoRoute"
    node.error = KeyError("a bug of ours")
    assert (await result_of(control, Call(process="x"))).type == "KeyError"


async def test_a_result_that_is_no_json_is_an_answer_too(
    control: ControlSocket, node: FakeNode
) -> None:
    node.result = "\ud800"
    assert "JSON" in (await result_of(control, Call(process="x"))).text


async def test_send_waits_for_the_receipt_unless_told_otherwise(
    control: ControlSocket, node: FakeNode
) -> None:
    receipt = await result_of(control, Send(node="b", payload={"a": 1}, timeout_s=2.0))
    assert receipt["node"] == str(PEER)
    assert receipt["path"] == [str(ME), str(PEER)]
    assert receipt["result"] == "done"
    (_, message) = node.calls[-1]
    assert message == Message(
        type=MessageType.DATA, payload={"a": 1}, destination="b", timeout_s=2.0
    )
    assert await result_of(control, Send(node="b", data=b"x", wait=False, priority="low")) is None
    assert node.calls[-1] == ("send", "b", b"x", Priority.LOW)


async def test_requests_of_one_connection_are_answered_in_order(control: ControlSocket) -> None:
    asker = Asker(control)
    asker.say(Ping(node="b"), Ping(node="nobody"), Ping(node="b"))
    first, second, third = await asker.answers(3)
    assert (first.result, third.result) == (0.001, 0.001)
    assert isinstance(second.error, Trouble)
    assert second.error.type == "UnknownNode"
    await asker.end()
    assert asker.written.closed


async def test_a_line_that_is_no_request_is_answered_and_the_next_one_counts(
    control: ControlSocket,
) -> None:
    asker = Asker(control)
    asker.reader.feed_data(b"hello\n" + encode_line(Snapshot()))
    bad, good = await asker.answers(2)
    assert isinstance(bad.error, Trouble)
    assert "commands are status" in bad.error.text
    assert good.result == {"forwarded_envelopes": 3}
    await asker.end()


async def test_a_line_over_the_limit_is_refused_and_ends_the_connection(
    control: ControlSocket,
) -> None:
    asker = Asker(control)
    asker.reader.feed_data(b"x" * (1 << 17))
    await asyncio.wait([asker.task])
    (answer,) = asker.written.answers
    assert isinstance(answer.error, Trouble)
    assert "limit" in answer.error.text
    assert asker.written.closed


async def test_one_connection_too_many_is_told_so(
    control: ControlSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_socket, "CONNECTIONS_MAX", 2)
    first, second = Asker(control), Asker(control)
    await asyncio.sleep(0)
    third = Asker(control)
    (answer,) = await third.answers(1)
    assert isinstance(answer.error, Trouble)
    assert "limit" in answer.error.text
    for asker in (first, second, third):
        await asker.end()
    assert await result_of(control, Ping(node="b")) == 0.001


async def test_a_request_whose_asker_went_away_is_cancelled(
    control: ControlSocket, node: FakeNode
) -> None:
    node.hold = asyncio.Event()
    asker = Asker(control)
    asker.say(Call(process="x"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert node.calls
    await asker.end()
    assert node.cancelled == 1
    assert asker.written.data == b""


async def test_a_connection_that_breaks_while_answered_is_no_error(control: ControlSocket) -> None:
    asker = Asker(control)
    asker.written.broken = True
    asker.say(Ping(node="b"))
    await asyncio.wait([asker.task])
    assert asker.task.exception() is None


async def test_past_events_are_told_and_the_last_ones_alone_if_asked(
    control: ControlSocket, node: FakeNode
) -> None:
    for label in "xyz":
        node.hub.emit(link_up(label))
    asker = Asker(control)
    asker.say(Events(), Events(last=1), Events(last=0))
    answers = await asker.answers(7)
    labels = [answer.event["label"] if answer.event else None for answer in answers]
    assert labels == ["x", "y", "z", None, "z", None, None]
    assert answers[0].event["event"] == "link_up"
    assert answers[3].result is None
    await asker.end()


async def test_followed_events_come_until_the_asker_or_the_node_ends(
    control: ControlSocket, node: FakeNode
) -> None:
    node.hub.emit(link_up("before"))
    asker, other = Asker(control), Asker(control)
    asker.say(Events(follow=True))
    other.say(Events(follow=True))
    await asker.answers(1)
    await other.answers(1)
    node.hub.emit(link_up("after"))
    node.hub.emit(link_up("last"))
    labels = [answer.event["label"] for answer in await asker.answers(3)]
    assert labels == ["before", "after", "last"]
    await asker.end()
    node.hub.close()
    assert (await other.answers(4))[3].result is None
    await other.end()


async def test_closing_ends_all_connections_but_answers_who_asked_to_leave(tmp_path: Path) -> None:
    class Leaving(FakeNode):
        async def leave(self, reason: str) -> None:
            await super().leave(reason)
            await socket.close()
            await socket.answered()

    leaving = Leaving()
    leaving.hold = asyncio.Event()
    socket = ControlSocket(leaving, tmp_path / "control.sock")
    waiting, asker = Asker(socket), Asker(socket)
    waiting.say(Call(process="x"))
    asker.say(Leave(reason="moved"))
    (answer,) = await asker.answers(1)
    assert answer.result is None
    assert answer.error is not None
    assert leaving.left == ["moved"]
    await asyncio.wait([waiting.task])
    assert waiting.written.data == b""
    asker.reader.feed_eof()
    await socket.answered()
    assert asker.task.done()


async def test_after_close_nothing_is_served(control: ControlSocket) -> None:
    await control.close()
    await control.close()
    asker = Asker(control)
    await asyncio.wait([asker.task])
    assert asker.written.closed
