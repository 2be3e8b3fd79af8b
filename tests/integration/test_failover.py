"""A worker dies by `kill -9` in the middle of a map. `make stress` kills ten, under 2,000 tasks."""

from __future__ import annotations

from pathlib import Path

from mreza import MeshNetwork
from tests.support.failover import Workshop
from tests.support.processes import Processes

TASKS = 300


async def test_a_map_gives_every_result_once_when_a_worker_is_killed(
    processes: Processes, state_dir: Path
) -> None:
    workshop = Workshop(processes, state_dir)
    async with MeshNetwork(name="caller") as mesh:
        movable = await workshop.map(mesh, "movable", tasks=TASKS, victim="w2")
        print(f"movable: {movable}")
        assert movable.results == TASKS
        assert movable.moved > 0
        once = await workshop.map(mesh, "once", tasks=TASKS, victim="w3")
        print(f"once: {once}")
        assert once.lost > 0
