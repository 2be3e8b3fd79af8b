"""From RunHandler to the handler and back to the service plane."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec
import pytest

from mreza import ReceivedMessage
from mreza.ids import MessageId, NodeId
from mreza.node import work as module
from mreza.node.inbox import Inbox
from mreza.node.work import Work
from mreza.planes.effects import RunHandler
from mreza.processes.handlers import CallContext, ProcessSpec
from mreza.wire.packet import Failure, Request, Status
from tests.support.fake_net import until
from tests.support.hand_clock import HandClock

PEER = NodeId(b"p" * 16)


class Service:
    """The service plane, as far as work sees it."""

    def __init__(self) -> None:
        self.specs: dict[str, ProcessSpec] = {}
        self.ended: dict[int, tuple[Any, Failure | None, Status]] = {}

    @property
    def registry(self) -> dict[str, ProcessSpec]:
        return self.specs

    def finished(
        self,
        run_id: int,
        *,
        result: bytes | None,
        failure: Failure | None,
        status: Status,
        now: float,
    ) -> None:
        assert now == 1000.0
        value = None if result is None else msgspec.msgpack.decode(result)
        self.ended[run_id] = (value, failure, status)


class Case:
    def __init__(self) -> None:
        self.service = Service()
        self.wakes = 0
        self.inbox = Inbox(consumed=lambda *_: None, failed=lambda *_: None, dropped=lambda _: None)
        core: Any = type("Core", (), {"service": self.service})()
        self.work = Work(core, inbox=self.inbox, threads=2, clock=HandClock(), wake=self.woken)

    def woken(self) -> None:
        self.wakes += 1

    def run(self, target: str, payload: object, **request: Any) -> None:
        raw = msgspec.Raw(msgspec.msgpack.encode(payload))
        self.work.run(
            RunHandler(
                run_id=7,
                request=Request(1, target, raw, 1000, **request),
                source=PEER,
                message=(5, 2, 30, 4),
                deadline=1001.0,
            )
        )

    async def end(self) -> tuple[Any, Failure | None, Status]:
        await until(lambda: self.service.ended)
        await self.work.close()
        return self.service.ended[7]


@pytest.fixture
async def case() -> Case:
    return Case()


async def test_a_process_gets_its_payload_and_its_context(case: Case) -> None:
    contexts: list[CallContext] = []

    async def double(number: int, context: CallContext) -> int:
        contexts.append(context)
        return 2 * number

    case.service.specs["double"] = ProcessSpec("double", double)
    case.run("double", 21, attempt=3, key="k", headers={"h": "v"})
    assert case.work.running == 1
    assert await case.end() == (42, None, Status.OK)
    (context,) = contexts
    assert context.source == PEER
    assert context.message_id == MessageId(PEER, 5, 2, 30, 4)
    assert (context.attempt, context.key, context.headers) == (3, "k", {"h": "v"})
    assert case.wakes == 1


async def test_a_message_whose_sender_waits_is_handled_by_on_message(case: Case) -> None:
    heard: list[ReceivedMessage[Any]] = []

    def on_message(message: ReceivedMessage[Any]) -> str:
        heard.append(message)
        return "got it"

    case.inbox.set_handler(on_message)
    case.run("", {"a": 1}, headers={"h": "v"})
    assert await case.end() == ("got it", None, Status.OK)
    assert heard[0].payload == {"a": 1}
    assert heard[0].source == PEER
    assert heard[0].headers == {"h": "v"}


async def test_a_process_that_has_just_gone_is_named(case: Case) -> None:
    case.run("gone", None)
    _, failure, status = await case.end()
    assert status is Status.NO_SUCH_PROCESS
    assert failure is not None
    assert "'gone' was unregistered" in failure.message


async def test_what_a_handler_raises_is_its_end(case: Case) -> None:
    async def fail(_: Any) -> None:
        raise ValueError("too small")

    case.service.specs["fail"] = ProcessSpec("fail", fail)
    case.run("fail", None)
    _, failure, status = await case.end()
    assert status is Status.FAILED
    assert failure is not None
    assert failure.message == "too small"


async def test_a_cancelled_run_ends(case: Case) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    case.service.specs["wait"] = ProcessSpec("wait", wait)
    case.run("wait", None)
    await begun.wait()
    case.work.cancel(7)
    case.work.cancel(99)
    await until(lambda: not case.work.running)
    assert cancelled.is_set()
    await case.work.close()


async def test_closing_says_which_handlers_do_not_end(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, Any]] = []

    class Said:
        def warning(self, event: str, **fields: Any) -> None:
            said.append((event, fields))

    async def busy(_: float) -> list[str]:
        return ["slow"]

    runner = case.work._runner
    monkeypatch.setattr(module, "_log", cast("Any", Said()))
    close = runner.close
    monkeypatch.setattr(runner, "close", busy)
    await case.work.close()
    assert said == [("handlers_still_busy", {"count": ["slow"]})]
    await close(1.0)
