"""The on_message inbox calls the handler once per message and gives the credit back."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from mreza.errors import ConfigError, PayloadError
from mreza.ids import MessageId, NodeId
from mreza.messaging.message import ReceivedMessage
from mreza.node.inbox import Inbox, payload_type_of
from mreza.planes.effects import InboundData
from mreza.qos import Priority
from tests.support.eventually import eventually_async

PEER = NodeId(b"p" * 16)


class Order(msgspec.Struct):
    item: str
    count: int = 1


class Picky(msgspec.Struct):
    item: str

    def __post_init__(self) -> None:
        raise LookupError(self.item)


class Seen:
    def __init__(self) -> None:
        self.consumed: list[tuple[NodeId, int, int]] = []
        self.failed: list[BaseException] = []
        self.dropped = 0

    def inbox(self) -> Inbox:
        return Inbox(
            consumed=lambda *given: self.consumed.append(given),
            failed=lambda _, error: self.failed.append(error),
            dropped=self._drop,
        )

    def _drop(self, count: int) -> None:
        self.dropped += count


def batch(*payloads: Any, sequence: int = 1) -> InboundData:
    body = msgspec.msgpack.encode(list(payloads))
    return InboundData(
        source=PEER,
        stream_epoch=7,
        priority=2,
        sequence=sequence,
        inbox=0,
        body=body,
        credit_bytes=len(body),
    )


async def run(inbox: Inbox, seen: Seen, *batches: InboundData) -> None:
    inbox.start()
    for one in batches:
        inbox.put(one)
    await eventually_async(lambda: len(seen.consumed) == len(batches))
    await inbox.close()


async def test_a_plain_handler_is_called_for_every_message_in_order() -> None:
    seen = Seen()
    got: list[ReceivedMessage[Any]] = []
    inbox = seen.inbox()
    inbox.set_handler(got.append)
    await run(inbox, seen, batch("a", b"b"), batch({"c": 1}, sequence=2))
    assert [message.payload for message in got] == ["a", b"b", {"c": 1}]
    assert got[1].id == MessageId(PEER, 7, 2, 1, 1)
    assert (got[0].source, got[0].priority) == (PEER, Priority.HIGH)
    assert seen.consumed[0][:2] == (PEER, 0)
    assert inbox.bytes_waiting == 0


async def test_an_async_handler_is_awaited_one_message_after_another() -> None:
    seen, running, most = Seen(), 0, 0

    async def handle(message: ReceivedMessage[int]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= message.payload

    inbox = seen.inbox()
    inbox.set_handler(handle)
    await run(inbox, seen, batch(1, 1), batch(1, sequence=2))
    assert (running, most) == (0, 1)


async def test_the_annotation_chooses_the_type_and_misfits_are_reported_one_by_one() -> None:
    seen, got = Seen(), []

    def handle(message: ReceivedMessage[Order]) -> None:
        got.append(message.payload)

    inbox = seen.inbox()
    inbox.set_handler(handle)
    await run(inbox, seen, batch({"item": "net"}, {"thing": 1}, {"item": "rope", "count": 2}))
    assert got == [Order("net"), Order("rope", 2)]
    assert len(seen.failed) == 1
    assert isinstance(seen.failed[0], msgspec.ValidationError)


async def test_a_handler_that_raises_is_reported_and_the_next_message_is_handled() -> None:
    seen, got = Seen(), []

    def handle(message: ReceivedMessage[Any]) -> None:
        if message.payload == "bad":
            raise ValueError("no")
        got.append(message.payload)

    inbox = seen.inbox()
    inbox.set_handler(handle)
    await run(inbox, seen, batch("bad", "good"))
    assert got == ["good"]
    assert [str(error) for error in seen.failed] == ["no"]


async def test_bytes_that_are_no_batch_cost_nothing_but_a_report() -> None:
    seen = Seen()
    got: list[ReceivedMessage[Any]] = []
    inbox = seen.inbox()
    inbox.set_handler(got.append)
    broken = batch()
    broken.body = b"\xff\x00"
    await run(inbox, seen, broken, batch("after", sequence=2))
    assert [message.payload for message in got] == ["after"]
    assert len(seen.failed) == 1


async def test_text_that_is_none_and_types_that_raise_do_not_end_the_inbox() -> None:
    seen = Seen()
    got: list[Any] = []
    inbox = seen.inbox()
    inbox.set_handler(got.append)
    broken = batch()
    broken.body = b"\x92\xa1\xff\xa1a"
    await run(inbox, seen, broken, batch("after", sequence=2))
    assert [message.payload for message in got] == ["a", "after"]
    assert [type(error) for error in seen.failed] == [UnicodeDecodeError]

    seen = Seen()
    inbox = seen.inbox()

    def handle(message: ReceivedMessage[Picky]) -> None: ...

    inbox.set_handler(handle)
    await run(inbox, seen, batch({"item": "x"}), batch({"item": "y"}, sequence=2))
    assert [str(error) for error in seen.failed] == ["x", "y"]


@pytest.mark.parametrize("raised", [asyncio.CancelledError, SystemExit])
async def test_what_ends_other_tasks_does_not_end_the_inbox(raised: type[BaseException]) -> None:
    seen, got = Seen(), []

    async def handle(message: ReceivedMessage[Any]) -> None:
        if message.payload == "bad":
            raise raised
        got.append(message.payload)

    inbox = seen.inbox()
    inbox.set_handler(handle)
    await run(inbox, seen, batch("bad", "good"), batch("after", sequence=2))
    assert got == ["good", "after"]
    assert [type(error) for error in seen.failed] == [raised]


async def test_a_handler_that_will_not_be_cancelled_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mreza.node.inbox.CLOSE_TIMEOUT_S", 0.01)
    seen, started, may_end = Seen(), asyncio.Event(), asyncio.Event()
    handled: list[Any] = []

    async def handle(message: ReceivedMessage[Any]) -> None:
        handled.append(message.payload)
        started.set()
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    inbox = seen.inbox()
    inbox.set_handler(handle)
    inbox.start()
    inbox.put(batch(1, 2))
    await started.wait()
    async with asyncio.timeout(5):
        await inbox.close()
    may_end.set()
    await eventually_async(lambda: len(seen.consumed) == 1)
    assert handled == [1]


async def test_failures_are_told_only_so_often() -> None:
    seen = Seen()

    def handle(message: ReceivedMessage[Any]) -> None:
        raise ValueError

    inbox = seen.inbox()
    inbox.set_handler(handle)
    await run(inbox, seen, batch(*range(1000)))
    assert 100 <= len(seen.failed) < 200
    assert len(seen.failed) + inbox.unreported == 1000


def test_without_a_handler_the_batch_is_counted_and_its_credit_given_back() -> None:
    seen = Seen()
    inbox = seen.inbox()
    inbox.put(batch("a"))
    assert seen.dropped == 1
    assert len(seen.consumed) == 1
    assert not inbox.has_handler


def test_an_inbox_that_nobody_has_is_no_inbox() -> None:
    seen = Seen()
    inbox = seen.inbox()
    inbox.set_handler(lambda _: None)
    stray = batch("a")
    stray.inbox = 7
    inbox.put(stray)
    assert (seen.dropped, inbox.bytes_waiting) == (1, 0)
    assert seen.consumed == [(PEER, 7, stray.credit_bytes)]


async def test_an_answer_is_what_the_handler_returns() -> None:
    inbox = Seen().inbox()
    message: ReceivedMessage[Any] = ReceivedMessage(PEER, None, Priority.LOW, (1, 0, 1), 0)
    raw = msgspec.Raw(msgspec.msgpack.encode({"item": "net"}))
    with pytest.raises(LookupError, match="no on_message handler"):
        await inbox.answer(message, raw)

    async def handle(received: ReceivedMessage[Order]) -> str:
        return received.payload.item

    inbox.set_handler(handle)
    assert await inbox.answer(message, raw) == "net"
    with pytest.raises(PayloadError, match="does not fit"):
        await inbox.answer(message, msgspec.Raw(b"\x01"))


def test_a_handler_takes_one_argument() -> None:
    def nothing() -> None: ...

    with pytest.raises(ConfigError, match="takes one, the message"):
        payload_type_of(nothing)  # type: ignore[arg-type]


def test_without_an_annotation_the_payload_is_anything() -> None:
    def handle(message):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return message

    assert payload_type_of(handle) is Any
