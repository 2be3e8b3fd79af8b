"""Workers die by `kill -9` under `map`, ten times for each kind of work."""

from __future__ import annotations

from pathlib import Path

import pytest

from mreza import MeshNetwork
from tests.support.failover import WORKERS, How, Workshop
from tests.support.processes import Processes

TASKS = 2000
TIMES = 10
ALONE = 90
"Calls that wait for a worker may have 4 MiB."


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


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", list(How))
async def test_two_thousand_large_tasks_that_must_not_run_twice_in_ten_losses(
    how: How, processes: Processes, state_dir: Path
) -> None:
    """Every one has a result or WorkerLost, none ran twice, and what is said of it is true."""
    workshop, unrun, moved = Workshop(processes, state_dir), 0, 0
    for run in range(TIMES):
        victim = WORKERS[run % len(WORKERS)]
        # A new caller each time: its windows are small, and much waits behind them.
        async with MeshNetwork(name="caller") as mesh:
            outcome = await workshop.lose(
                mesh, victim, tasks=TASKS // TIMES, how=how, timeout_s=60.0
            )
        print(f"{how.value}, run {run}: {outcome}")
        assert outcome.results + outcome.lost == TASKS // TIMES
        unrun += outcome.lost_unrun
        moved += outcome.moved
    assert unrun == 0, "others were there to do it"
    assert moved > 0 or how is How.KILLED


@pytest.mark.timeout(900)
async def test_ten_losses_of_the_only_worker(processes: Processes, state_dir: Path) -> None:
    workshop, unrun = Workshop(processes, state_dir, workers=("w1",)), 0
    for run in range(TIMES):
        how = list(How)[run % len(How)]
        async with MeshNetwork(name="caller") as mesh:
            outcome = await workshop.lose(mesh, "w1", tasks=ALONE, how=how, timeout_s=8.0)
        print(f"{how.value}, run {run}: {outcome}")
        assert outcome.results + outcome.lost == ALONE
        unrun += outcome.lost_unrun
    assert unrun > 2 * ALONE
