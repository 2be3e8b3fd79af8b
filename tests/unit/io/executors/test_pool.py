"""Functions in processes of their own: what they return, how they end, and what replaces them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from mreza.ids import MessageId, NodeId
from mreza.io.executors.invoke import Told
from mreza.io.executors.pool import PoolExecutor, PoolJob
from mreza.processes.handlers import CallContext, ProcessSpec
from mreza.wire.packet import PAYLOAD_MAX, Status
from tests.support.eventually import eventually_async
from tests.support.leaks import no_leaks_async
from tests.unit.io.executors import pool_handlers as handlers

NODE = NodeId(b"n" * 16)
CONTEXT = CallContext(
    source=NODE, deadline=9.0, attempt=2, message_id=MessageId(NODE, 1, 1, 1, 0), headers={"h": "v"}
)


class Bench:
    """A pool, and what became of its work, in order."""

    def __init__(self, processes: int = 1) -> None:
        self.pool = PoolExecutor(processes)
        self.outcomes: list[Any] = []
        self.reports: list[Any] = []

    def submit(
        self, handler: Callable[..., Any], payload: Any = None, *, progress: bool = False
    ) -> PoolJob:
        def done(result: bytes | None, error: BaseException | None) -> None:
            assert result is not None or error is not None
            self.outcomes.append(error if result is None else msgspec.msgpack.decode(result))

        return self.pool.submit(
            ProcessSpec("p", handler, executor="process"),
            msgspec.Raw(msgspec.msgpack.encode(payload)),
            CONTEXT,
            done,
            (lambda value: self.reports.append(msgspec.msgpack.decode(value)))
            if progress
            else None,
        )

    async def outcome(self) -> Any:
        await eventually_async(lambda: self.outcomes)
        return self.outcomes.pop(0)

    async def run(self, handler: Callable[..., Any], payload: Any = None, **options: Any) -> Any:
        self.submit(handler, payload, **options)
        return await self.outcome()


@pytest.fixture
async def bench() -> Any:
    async with no_leaks_async():
        bench = Bench()
        yield bench
        assert await bench.pool.close(5) == 0
        assert not bench.pool.pids


async def test_results_come_from_one_process_that_is_not_ours(bench: Bench) -> None:
    assert not bench.pool.pids, "none starts before it is needed"
    assert await bench.run(handlers.double, 21) == 42
    first = await bench.run(handlers.pid)
    assert first not in (os.getpid(), os.getppid())
    assert await bench.run(handlers.pid) == first
    assert bench.pool.pids == (first,)


async def test_large_payloads_and_results_pass(bench: Bench) -> None:
    assert await bench.run(handlers.size, bytes(PAYLOAD_MAX)) == PAYLOAD_MAX
    assert len(await bench.run(handlers.repeat, 5_000_000)) == 5_000_000


@pytest.mark.parametrize(
    ("handler", "payload", "status", "words"),
    [
        (handlers.fails, "k", Status.FAILED, "KeyError: 'k'"),
        (handlers.leaves, 3, Status.FAILED, "SystemExit: 3"),
        (handlers.double, "text", Status.BAD_PAYLOAD, "Unfit: the payload does not fit process"),
        (handlers.unsayable, None, Status.BAD_PAYLOAD, "Unfit: the result cannot be sent"),
    ],
)
async def test_a_failure_is_told_and_the_process_stays(
    bench: Bench, handler: Any, payload: Any, status: Status, words: str
) -> None:
    before = await bench.run(handlers.pid)
    told = await bench.run(handler, payload)
    assert isinstance(told, Told)
    assert told.status is status
    assert str(told).startswith(words)
    assert await bench.run(handlers.pid) == before


async def test_an_error_brings_the_handlers_traceback(bench: Bench) -> None:
    told = await bench.run(handlers.fails, "k")
    assert "raise KeyError(payload)" in told.failure.traceback
    assert told.failure.traceback.count("File ") == 1, "only the handler's own frame"


@pytest.mark.parametrize(("how", "words"), [("exit", "exit status 3"), ("kill", "SIGKILL")])
async def test_work_that_kills_its_process_is_lost_and_the_pool_heals(
    bench: Bench, how: str, words: str
) -> None:
    before = await bench.run(handlers.pid)
    lost = await bench.run(handlers.dies, how)
    assert isinstance(lost, Told)
    assert lost.status is Status.LOST
    assert words in lost.failure.message
    after = await bench.run(handlers.pid)
    assert after != before
    assert bench.pool.pids == (after,)


async def test_a_process_killed_while_idle_is_replaced(bench: Bench) -> None:
    before = await bench.run(handlers.pid)
    psutil.Process(before).kill()
    lost = await bench.run(handlers.pid)
    assert isinstance(lost, Told)
    assert await bench.run(handlers.pid) != before


async def test_cancelled_work_ends_with_its_process(bench: Bench, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    job = bench.submit(handlers.waits, str(begun))
    await eventually_async(lambda: begun.exists() and begun.read_text())
    assert not job.cancel()
    assert isinstance(await bench.outcome(), asyncio.CancelledError)
    assert not psutil.pid_exists(int(begun.read_text()))
    assert await bench.run(handlers.double, 1) == 2


async def test_work_that_has_not_started_is_taken_back(bench: Bench, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    running = bench.submit(handlers.waits, str(begun))
    await eventually_async(begun.exists)
    assert bench.submit(handlers.double, 1).cancel()
    assert not running.cancel()
    assert isinstance(await bench.outcome(), asyncio.CancelledError)
    assert bench.outcomes == []


async def test_the_context_crosses_and_progress_comes_back(bench: Bench) -> None:
    assert await bench.run(handlers.tells, 2000, progress=True) == [
        2,
        {"h": "v"},
        str(CONTEXT.message_id),
        9.0,
    ]
    assert bench.reports[0] == 0
    assert bench.reports[-1] == 1999, "the last one always"
    assert len(bench.reports) < 2000
    assert bench.reports == sorted(bench.reports)
    bench.reports.clear()
    await bench.run(handlers.tells, 10)
    assert bench.reports == [], "nobody wants to know"


async def test_what_handlers_print_does_not_disturb(
    bench: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await bench.run(handlers.prints, "hello") == "hello"
    assert capfd.readouterr().out == ""


async def test_a_function_that_is_not_there_is_a_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moved(payload: int) -> int:
        return payload

    moved.__qualname__ = "moved"
    for module in ("tests.nowhere", "__main__", handlers.__name__):
        monkeypatch.setattr(moved, "__module__", module)
        told = await bench.run(moved, 1)
        assert isinstance(told, Told)
        assert told.failure.type_name == "NotFound"
        assert f"cannot import moved from {module}" in told.failure.message


async def test_closing_ends_what_runs(tmp_path: Path) -> None:
    async with no_leaks_async():
        bench = Bench(processes=2)
        begun = tmp_path / "begun"
        bench.submit(handlers.waits, str(begun))
        await bench.run(handlers.double, 1)
        await eventually_async(lambda: begun.exists() and begun.read_text())
        assert len(bench.pool.pids) == 2
        assert await bench.pool.close(5) == 0
        assert not psutil.pid_exists(int(begun.read_text()))


async def test_closing_what_never_ran_is_nothing() -> None:
    assert await PoolExecutor(1).close(1) == 0
