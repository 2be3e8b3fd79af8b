"""Hours pass in no time, in order, and whoever waits for ever is told."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from mreza.io.host import Host
from mreza.sim.loop import PROCESS, VirtualTimeLoop
from mreza.sim.stuck import Deadlock, OutOfTime, StuckOutside


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    made = VirtualTimeLoop(start_s=100.0, patience_s=0.05)
    yield made
    made.close()


class Process:
    """A process that can be told to wait."""

    def __init__(self) -> None:
        self.runs = True
        self.parked: list[asyncio.Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)

    @property
    def host(self) -> Host:
        return cast("Host", "its host")

    def park(self, handle: asyncio.Handle) -> None:
        self.parked.append(handle)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        self.tasks.append(task)


def test_whoever_sleeps_an_hour_has_slept_exactly_that(loop: VirtualTimeLoop) -> None:
    loop.run_until_complete(asyncio.sleep(3600))
    assert loop.time() == 3700.0


def test_days_pass_without_steps_in_between(loop: VirtualTimeLoop) -> None:
    loop.run_until_complete(asyncio.sleep(10 * 86_400))
    assert loop.time() == 100.0 + 10 * 86_400


def test_timers_fire_in_the_order_of_their_times_and_then_of_their_making(
    loop: VirtualTimeLoop,
) -> None:
    fired: list[str] = []
    for delay_s, name in ((2, "c"), (1, "a"), (1, "b"), (2, "d")):
        loop.call_later(delay_s, fired.append, name)
    loop.run_until_complete(asyncio.sleep(3))
    assert fired == ["a", "b", "c", "d"]


def test_a_timeout_ends_what_takes_longer(loop: VirtualTimeLoop) -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(6)
        return loop.time()

    assert loop.run_until_complete(main()) == 105.0


def test_time_stands_still_while_a_thread_works(loop: VirtualTimeLoop) -> None:
    release = threading.Event()

    async def main() -> tuple[str, float]:
        ticks: list[float] = []
        loop.call_later(1, lambda: ticks.append(loop.time()))
        loop.call_soon(release.set)
        result = await asyncio.to_thread(lambda: "done" if release.wait(10) else "late")
        assert ticks == []
        await asyncio.sleep(1)
        assert ticks == [101.0]
        return result, loop.time()

    assert loop.run_until_complete(main()) == ("done", 101.0)


def test_what_threads_find_comes_in_the_order_in_which_they_began(loop: VirtualTimeLoop) -> None:
    second_is_done = threading.Event()
    order: list[int] = []

    def first() -> int:
        second_is_done.wait(10)
        return 1

    def second() -> int:
        second_is_done.set()
        return 2

    async def main() -> None:
        async def ask(function: Any) -> None:
            order.append(await asyncio.to_thread(function))

        await asyncio.gather(ask(first), ask(second))

    loop.run_until_complete(main())
    assert order == [1, 2]


def test_what_a_thread_raises_arrives(loop: VirtualTimeLoop) -> None:
    def fails() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        loop.run_until_complete(asyncio.to_thread(fails))


def test_a_thread_that_never_ends_is_named(loop: VirtualTimeLoop) -> None:
    release = threading.Event()

    def never() -> None:
        release.wait(30)

    with pytest.raises(StuckOutside, match="never has run in a thread"):
        loop.run_until_complete(loop.run_in_executor(None, never))
    release.set()


def test_nothing_left_to_happen_is_a_deadlock_that_names_who_waits(loop: VirtualTimeLoop) -> None:
    async def waits_for_nobody() -> None:
        await asyncio.Event().wait()

    task = loop.create_task(waits_for_nobody(), name="the patient one")
    with pytest.raises(Deadlock, match=r"at 0\.000 s .*\n  the patient one at .*test_loop\.py"):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_time_may_be_limited(loop: VirtualTimeLoop) -> None:
    loop.limit_s = 160.0

    async def sleeps_for_ever() -> None:
        while True:  # noqa: ASYNC110 - that is what it does
            await asyncio.sleep(7)

    task = loop.create_task(sleeps_for_ever(), name="the sleeper")
    with pytest.raises(OutOfTime, match=r"not over after 60 s .*\n  the sleeper"):
        loop.run_until_complete(task)
    assert loop.time() == 156.0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_a_stopped_process_waits_and_goes_on_in_order(loop: VirtualTimeLoop) -> None:
    process, seen = Process(), list[str]()

    async def counts() -> None:
        for number in range(4):
            seen.append(f"{number} at {loop.time():g}")
            await asyncio.sleep(1)

    task = loop.create_task(counts(), context=process.context.copy())
    assert process.tasks == [task]
    loop.run_until_complete(asyncio.sleep(1.5))
    process.runs = False
    loop.run_until_complete(asyncio.sleep(10))
    assert seen == ["0 at 100", "1 at 101"]
    process.runs = True
    loop.resume(process.parked)
    loop.run_until_complete(task)
    assert seen[2:] == ["2 at 111.5", "3 at 112.5"]


def test_what_is_cancelled_while_it_waits_does_not_run(loop: VirtualTimeLoop) -> None:
    process, seen = Process(), list[str]()
    process.runs = False
    timer = loop.call_later(1, seen.append, "timer", context=process.context)
    soon = loop.call_soon(seen.append, "soon", context=process.context)
    loop.run_until_complete(asyncio.sleep(2))
    timer.cancel()
    soon.cancel()
    process.runs = True
    loop.resume(process.parked)
    loop.run_until_complete(asyncio.sleep(1))
    assert seen == []


def test_the_host_is_that_of_the_process_that_runs(loop: VirtualTimeLoop) -> None:
    hosts: list[Any] = []
    loop.call_soon(lambda: hosts.append(loop.host), context=Process().context)
    loop.call_soon(lambda: hosts.append(loop.host))
    loop.run_until_complete(asyncio.sleep(0))
    assert hosts == ["its host", None]


def test_a_child_process_of_the_program_is_waited_for(loop: VirtualTimeLoop) -> None:
    async def main() -> bytes:
        reader, writer = await asyncio.to_thread(_pipe)
        stream = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), reader)
        threading.Timer(0.01, lambda: (writer.write(b"news"), writer.close())).start()
        return await stream.read()

    assert loop.run_until_complete(main()) == b"news"


def _pipe() -> tuple[Any, Any]:
    import os

    reading, writing = os.pipe()
    return os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0)
