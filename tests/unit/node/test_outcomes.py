"""A call in flight is one future: resolved, failed or cancelled, and then gone."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from mreza.errors import MeshError, NoRoute, NotRunning, PayloadError, RemoteError
from mreza.ids import MessageId, NodeId
from mreza.node.outcomes import Outcome, Waiting
from mreza.planes.effects import Resolve
from mreza.wire.packet import Failure
from tests.support.hand_clock import HandClock

ME, PEER = NodeId(b"m" * 16), NodeId(b"p" * 16)


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(value))


class Case:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.cancelled: list[int] = []
        self.waiting = Waiting(ME, clock=self.clock, cancel=self.cancelled.append)

    async def ask(self, number: int = 1) -> asyncio.Task[Outcome]:
        task = asyncio.create_task(self.waiting.outcome(number))
        await asyncio.sleep(0)
        return task


@pytest.fixture
def case() -> Case:
    return Case()


async def test_a_result_comes_with_who_did_it_and_how_long_it_took(case: Case) -> None:
    task = await case.ask()
    assert len(case.waiting) == 1
    case.clock.now += 0.25
    case.waiting.resolve(Resolve(1, PEER, 2, result=raw([1, 2])))
    done = (await task).call_result(list[int])
    assert (done.result, done.node, done.attempts) == ([1, 2], PEER, 2)
    assert done.latency_s == pytest.approx(0.25)
    assert len(case.waiting) == 0


async def test_a_receipt_names_the_message_and_its_path(case: Case) -> None:
    task = await case.ask()
    case.waiting.resolve(
        Resolve(1, PEER, 1, result=raw("done"), message=(5, 1, 30, 2), path=(ME, PEER))
    )
    receipt = (await task).receipt()
    assert receipt.message_id == MessageId(ME, 5, 1, 30, 2)
    assert (receipt.node, receipt.path, receipt.result) == (PEER, (ME, PEER), "done")


async def test_work_on_this_node_has_a_receipt_without_a_number(case: Case) -> None:
    task = await case.ask()
    case.waiting.resolve(Resolve(1, ME, 1, result=raw(None)))
    assert (await task).receipt().message_id == MessageId(ME, 0, 0, 0, 0)


async def test_a_result_of_another_type_says_so(case: Case) -> None:
    task = await case.ask()
    case.waiting.resolve(Resolve(1, PEER, 1, result=raw("text")))
    with pytest.raises(PayloadError, match="does not fit"):
        (await task).call_result(int)


async def test_an_error_of_the_mesh_is_raised_as_it_is(case: Case) -> None:
    task = await case.ask()
    case.waiting.resolve(Resolve(1, None, 1, error=NoRoute("no way")))
    with pytest.raises(NoRoute, match="no way") as caught:
        await task
    assert caught.value.call_id == 1


@pytest.mark.parametrize("node", [PEER, None])
async def test_what_a_handler_raised_is_raised_here(case: Case, node: NodeId | None) -> None:
    task = await case.ask()
    failure = Failure(type_name="ValueError", message="too small")
    case.waiting.resolve(Resolve(1, node, 1, failure=failure))
    with pytest.raises(RemoteError, match="too small") as caught:
        await task
    assert isinstance(caught.value, ValueError)
    assert caught.value.call_id == 1


async def test_whoever_stops_waiting_cancels_the_work(case: Case) -> None:
    task = await case.ask(7)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert case.cancelled == [7]
    assert len(case.waiting) == 0
    case.waiting.resolve(Resolve(7, PEER, 1, result=raw(None)))


async def test_only_the_first_answer_counts(case: Case) -> None:
    task = await case.ask()
    case.waiting.resolve(Resolve(1, PEER, 1, result=raw(1)))
    case.waiting.resolve(Resolve(1, PEER, 1, result=raw(2)))
    case.waiting.fail_all(NotRunning("too late"))
    assert (await task).call_result().result == 1


async def test_nobody_waits_for_a_node_that_is_closed(case: Case) -> None:
    tasks = [await case.ask(number) for number in (1, 2)]
    case.waiting.fail_all(NotRunning("closed"))
    for task in tasks:
        with pytest.raises(NotRunning):
            await task


def test_a_success_has_a_node() -> None:
    with pytest.raises(MeshError):
        Outcome(ME, Resolve(1, None, 1, result=raw(None)), 0.0)
