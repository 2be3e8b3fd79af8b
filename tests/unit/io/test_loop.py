from __future__ import annotations

import asyncio

from mreza.io.loop import new_event_loop, run


def test_a_coroutine_runs_to_its_end_in_a_loop_of_its_own() -> None:
    async def main() -> type[asyncio.AbstractEventLoop]:
        await asyncio.sleep(0)
        return type(asyncio.get_running_loop())

    loop = new_event_loop()
    try:
        assert run(main()) is type(loop)
    finally:
        loop.close()
