"""A turn settles, flushes, carries out and writes, once, however often it was asked for."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any, cast

import pytest

from mreza.node.driver import (
    AFTER_FAILURE_S,
    MEASURE_S,
    TIMER_SLACK_S,
    WATCH_CLOCKS_S,
    Driver,
)
from mreza.planes.core import NodeCore
from tests.support.eventually import eventually_async


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + 1000.0


class Core:
    """Says what was asked of it, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.effects: list[Any] = []
        self.deadline: float | None = None

    def clocks(self, *, now: float, wall: float) -> None:
        self.said.append(f"clocks {now:g} {wall:g}")

    def advance(self, *, now: float) -> None:
        self.said.append(f"advance {now:g}")

    def flush(self, *, now: float) -> None:
        self.said.append(f"flush {now:g}")

    def drain(self) -> list[Any]:
        effects, self.effects = self.effects, []
        return effects

    def next_deadline(self) -> float | None:
        return self.deadline


def driver_of(core: Core, time: Time) -> Driver:
    return Driver(
        cast("NodeCore", core),
        clock=time,
        carry_out=lambda effect: core.said.append(f"do {effect}"),
        flush_links=lambda: core.said.append("write"),
    )


async def next_turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_many_wakes_of_one_iteration_are_one_turn() -> None:
    core, time = Core(), Time()
    driver = driver_of(core, time)
    core.effects = ["a", "b"]
    driver.wake()
    driver.wake()
    await next_turn()
    assert core.said == ["clocks 100 1100", "advance 100", "flush 100", "do a", "do b", "write"]
    driver.close()


async def test_clocks_are_compared_now_and_then() -> None:
    core, time = Core(), Time()
    driver = driver_of(core, time)
    driver.turn_now()
    driver.turn_now()
    time.now += WATCH_CLOCKS_S
    driver.turn_now()
    assert [word for word in core.said if word.startswith("clocks")] == [
        "clocks 100 1100",
        "clocks 105 1105",
    ]
    driver.close()


async def test_a_deadline_of_the_core_brings_a_turn() -> None:
    core, time = Core(), Time()
    driver = driver_of(core, time)
    core.deadline = time.now + 0.001
    driver.turn_now()
    core.deadline = None
    await eventually_async(lambda: driver.turns >= 2)
    driver.close()
    assert core.said.count("write") == 2


async def test_after_close_there_are_no_turns() -> None:
    core, time = Core(), Time()
    driver = driver_of(core, time)
    driver.wake()
    driver.close()
    driver.wake()
    await next_turn()
    assert core.said == []


async def test_an_effect_that_fails_takes_no_other_with_it() -> None:
    core, time = Core(), Time()

    def carry_out(effect: str) -> None:
        core.said.append(f"do {effect}")
        if effect == "bad":
            raise OSError("disk full")

    driver = Driver(
        cast("NodeCore", core),
        clock=time,
        carry_out=carry_out,
        flush_links=lambda: core.said.append("write"),
    )
    core.effects = ["bad", "good"]
    driver.turn_now()
    assert core.said[-3:] == ["do bad", "do good", "write"]
    driver.close()


async def test_a_turn_that_fails_carries_out_what_is_settled_and_is_tried_again() -> None:
    core, time = Core(), Time()

    def flush(*, now: float) -> None:
        raise ValueError(now)

    core.flush = flush  # type: ignore[method-assign]
    core.effects, core.deadline = ["settled"], time.now
    driver = driver_of(core, time)
    driver.turn_now()
    assert core.said[-2:] == ["do settled", "write"]
    del core.flush
    assert driver._timer is not None
    assert driver._timer.when() - asyncio.get_running_loop().time() > AFTER_FAILURE_S / 2
    time.now += 1.0
    await eventually_async(lambda: driver.turns >= 2)
    driver.close()


async def test_lateness_is_measured_once_a_second_and_the_worst_counts() -> None:
    core, time = Core(), Time()
    lags: list[float] = []
    driver = Driver(
        cast("NodeCore", core),
        clock=time,
        carry_out=lambda _: None,
        flush_links=lambda: None,
        measure=lags.append,
    )
    driver.turn_now()
    for late_s in (0.25, 0.125):
        driver.wake()
        time.now += late_s
        await next_turn()
    assert lags == [0.0]
    time.now += MEASURE_S
    driver.turn_now()
    assert lags == [0.0, 0.25]
    driver.close()


async def test_a_timer_that_fires_late_tells_that_the_loop_was_busy() -> None:
    core, time = Core(), Time()
    lags: list[float] = []
    driver = Driver(
        cast("NodeCore", core),
        clock=time,
        carry_out=lambda _: None,
        flush_links=lambda: None,
        measure=lags.append,
    )
    core.deadline = time.now + 0.001
    driver.turn_now()
    core.deadline = None
    time.now += MEASURE_S + 0.5
    while driver.turns < 2:  # noqa: ASYNC110 - a turn is what is waited for
        await asyncio.sleep(0)
    driver.close()
    assert lags[1] == pytest.approx(MEASURE_S + 0.5 - 0.001 - TIMER_SLACK_S)


async def test_turns_know_nothing_of_who_woke_the_node() -> None:
    caller = contextvars.ContextVar("caller", default="nobody")
    time, core = Time(), Core()
    seen: list[str] = []
    driver = Driver(
        core,  # type: ignore[arg-type]
        clock=time,
        carry_out=lambda effect: None,
        flush_links=lambda: seen.append(caller.get()),
    )
    caller.set("somebody")
    driver.wake()
    await next_turn()
    driver.turn_now()
    assert seen == ["nobody", "nobody"]
    driver.close()
