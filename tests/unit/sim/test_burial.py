"""The dead say nothing, not even when they are collected."""

from __future__ import annotations

import asyncio
import gc

from mreza.sim.burial import Graveyard
from mreza.sim.loop import VirtualTimeLoop


async def last_words(said: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        said.append("closed")
        await asyncio.sleep(1)
        said.append("slept")


def test_a_task_is_kept_until_the_end_and_then_goes_quietly() -> None:
    loop, graves, said = VirtualTimeLoop(), Graveyard(), list[str]()
    dead = loop.create_task(last_words(said))
    alive = loop.create_task(asyncio.sleep(0), name="alive")
    loop.run_until_complete(asyncio.sleep(1))
    graves.add([dead])
    assert graves.living(loop) == [] if alive.done() else [alive]
    del dead
    gc.collect()
    assert said == []
    graves.bury(loop)
    assert said == ["closed"]
    loop.close()
    gc.collect()


def test_what_has_not_begun_never_does() -> None:
    loop, graves, said = VirtualTimeLoop(), Graveyard(), list[str]()
    graves.add([loop.create_task(last_words(said))])
    graves.bury(loop)
    loop.close()
    gc.collect()
    assert said == []
