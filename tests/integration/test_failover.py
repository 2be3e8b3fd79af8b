"""A worker dies by `kill -9` in the middle of a map. `make stress` kills ten, under 2,000 tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from mreza import MeshNetwork
from tests.support.failover import How, Workshop
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


@pytest.mark.parametrize("how", [How.FROZEN, How.TOLD_TO_END])
async def test_work_that_was_not_sent_or_was_refused_is_said_not_to_have_run(
    how: How, processes: Processes, state_dir: Path
) -> None:
    """There is one worker: what it has not begun has nowhere to go."""
    workshop = Workshop(processes, state_dir, workers=("w1",))
    async with MeshNetwork(name="caller") as mesh:
        outcome = await workshop.lose(mesh, "w1", tasks=80, how=how, timeout_s=5.0)
        print(f"{how}: {outcome}")
        assert outcome.lost_unrun > 0


async def test_what_was_not_sent_to_a_frozen_worker_runs_elsewhere_once(
    processes: Processes, state_dir: Path
) -> None:
    workshop = Workshop(processes, state_dir, workers=("w1", "w2"))
    async with MeshNetwork(name="caller") as mesh:
        outcome = await workshop.lose(mesh, "w1", tasks=80, how=How.FROZEN, timeout_s=30.0)
        print(outcome)
        assert outcome.moved > 0
        assert outcome.lost_unrun == 0
