"""Who holds the loop is named, whoever it calls; who stops the whole process is not blamed."""

from __future__ import annotations

import asyncio
import re
import selectors
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import mreza.io.loop_watch as module
from mreza.io.loop_watch import LoopWatch, is_idle, name_of
from tests.support.eventually import eventually_async


class Ears:
    def __init__(self) -> None:
        self.noticed: list[tuple[str, float]] = []
        self.over: list[tuple[str, float]] = []
        self.watch = LoopWatch(
            noticed=lambda name, held_s: self.noticed.append((name, held_s)),
            over=lambda name, held_s: self.over.append((name, held_s)),
            held_s=0.2,
        )


def hold(until: Callable[[], object]) -> None:
    """Keep the loop's thread busy until something else has happened."""
    deadline = time.monotonic() + 20
    while not until() and time.monotonic() < deadline:
        time.sleep(0.01)


async def a_busy_handler(ears: Ears) -> None:
    hold(lambda: ears.noticed)


async def test_a_handler_that_holds_the_loop_is_named_meanwhile_and_afterwards() -> None:
    ears = Ears()
    ears.watch.start()
    try:
        await asyncio.create_task(a_busy_handler(ears))
        await eventually_async(lambda: ears.over)
    finally:
        ears.watch.close()
    ((name, so_far_s),) = ears.noticed
    assert re.fullmatch(rf"{__name__}\.a_busy_handler \({re.escape(__file__)}:\d+\)", name)
    assert so_far_s > 0.2
    assert ears.over == [(name, ears.over[0][1])]
    assert ears.over[0][1] >= so_far_s


async def test_a_loop_that_comes_round_is_left_alone() -> None:
    ears = Ears()
    ears.watch.start()
    beats = ears.watch._beat_at
    await eventually_async(lambda: ears.watch._beat_at > beats)
    ears.watch.close()
    assert ears.noticed == ears.over == []
    assert not any(thread.name == "mreza loop watch" for thread in threading.enumerate())


async def test_a_loop_in_virtual_time_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    ears = Ears()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: -1000.0))
    ears.watch.start()
    assert not any(thread.name == "mreza loop watch" for thread in threading.enumerate())
    ears.watch.close()


async def test_nobody_is_blamed_when_the_watch_itself_did_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ears = Ears()
    waits = iter([False, False, True])
    times = iter([100.0, 160.0, 160.1])
    monkeypatch.setattr(ears.watch._stop, "wait", lambda _: next(waits))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(times)))
    ears.watch._watched = threading.get_ident()
    ears.watch._watch()
    assert ears.noticed == []


async def test_without_a_handler_of_the_program_it_is_what_runs_now() -> None:
    assert name_of(None) == "unknown"
    ours: dict[str, Any] = {"__name__": "mreza.ours"}
    code = compile("def turn(look, tell): tell(look(0))", f"{module._PACKAGE}/ours.py", "exec")
    exec(code, ours)  # noqa: S102 - a function that counts as ours
    names: list[str] = []
    asyncio.get_running_loop().call_soon(
        ours["turn"], sys._getframe, lambda frame: names.append(name_of(frame))
    )
    await eventually_async(lambda: names)
    assert names == [f"mreza.ours.turn ({module._PACKAGE}/ours.py:1)"]


def test_a_loop_that_waits_for_events_is_held_by_nobody() -> None:
    looking: dict[str, Any] = {"is_idle": is_idle, "frame": sys._getframe}
    exec(compile("idle = is_idle(frame())", selectors.__file__, "exec"), looking)  # noqa: S102
    assert looking["idle"]
    assert not is_idle(sys._getframe())
    assert not is_idle(None)
