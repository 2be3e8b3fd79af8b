"""Workers die by `kill -9` under `map`, ten times for each kind of work."""

from __future__ import annotations

from pathlib import Path

import pytest

from mreza import MeshNetwork
from tests.support.failover import WORKERS, Workshop
from tests.support.processes import Processes

TASKS = 2000
TIMES = 10


@pytest.mark.timeout(900)
@pytest.mark.parametrize("process", ["movable", "once"])
async def test_killing_workers_ten_times_loses_no_task(
    process: str, processes: Processes, state_dir: Path
) -> None:
    workshop = Workshop(processes, state_dir)
    async with MeshNetwork(name="caller") as mesh:
        for run in range(TIMES):
            victim = WORKERS[run % len(WORKERS)]
            outcome = await workshop.map(mesh, process, tasks=TASKS, victim=victim)
            print(f"{process}, run {run}: {outcome}")
            assert outcome.results + outcome.lost == TASKS
