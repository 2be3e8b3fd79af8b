"""The standard scenarios: what failed once first, then every scenario with many seeds.

MREZA_SIM_SEEDS says how many (`make sim`: 200), MREZA_SIM_JOBS in how many processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from mreza.sim.campaign import pool, repeat_command
from mreza.sim.run import Outcome, run
from mreza.sim.scenario import Scenario, standard

SEEDS = int(os.environ.get("MREZA_SIM_SEEDS", "20"))
JOBS = int(os.environ.get("MREZA_SIM_JOBS", str(os.cpu_count() or 1)))
REGRESSIONS = Path(__file__).with_name("regressions.txt")
STANDARD = standard()


def regressions() -> list[tuple[str, int]]:
    """Scenario and seed of each line; what stands behind # is a remark."""
    lines = (line.partition("#")[0].split() for line in REGRESSIONS.read_text().splitlines())
    return [(name, int(seed)) for name, seed in filter(None, lines)]


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with pool(JOBS) as processes:
        yield processes


def complaint(outcome: Outcome) -> str:
    """What a failing run says: what it was, how to see it again, and what to keep."""
    return (
        f"{outcome.failure}\n"
        f"repeat with: {repeat_command(outcome.scenario, outcome.seed)}\n"
        f"when it is mended, keep it: add '{outcome.scenario} {outcome.seed}' to {REGRESSIONS.name}"
    )


@pytest.mark.parametrize(("name", "seed"), regressions())
def test_what_failed_once_holds_now(name: str, seed: int) -> None:
    outcome = run(STANDARD[name], seed)
    assert outcome.failure is None, complaint(outcome)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", STANDARD.values(), ids=STANDARD.keys())
def test_a_standard_scenario_holds(scenario: Scenario, processes: ProcessPoolExecutor) -> None:
    runs: list[Future[Outcome]] = [
        processes.submit(partial(run, scenario), seed) for seed in range(SEEDS)
    ]
    failed = [outcome for one in runs if (outcome := one.result()).failure is not None]
    assert not failed, "\n\n".join(complaint(outcome) for outcome in failed[:3])
