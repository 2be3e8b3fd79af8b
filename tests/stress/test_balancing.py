"""Real workers, one slow, one broken, one that freezes; overload; a storm of retries."""

from __future__ import annotations

from pathlib import Path

import pytest

from mreza import MeshNetwork, Strategy
from tests.support.overload import overload
from tests.support.processes import Processes
from tests.support.storm import Storm
from tests.support.unequal import Unequal

LOOKING = (Strategy.LEAST_LOADED, Strategy.POWER_OF_TWO, Strategy.PEAK_EWMA)
SECONDS = 40.0
TRIALS = 20
FAIR_MAX = 1.2


# A worker sleeps for as long as its work takes: eight of them need a fifth of two cores, so what
# decides is where the requests wait, and not who gets a core. See docs/decisions/0014.
@pytest.mark.timeout(900)
async def test_strategies_that_look_avoid_slow_frozen_and_failing_workers(
    processes: Processes, state_dir: Path
) -> None:
    workers = Unequal(processes, state_dir)
    async with MeshNetwork(name="caller") as mesh:
        await workers.ready(mesh)
        found = {
            strategy: await workers.p99(mesh, strategy, seconds=SECONDS)
            for strategy in (*LOOKING, Strategy.ROUND_ROBIN)
        }
    print(found)
    for strategy in LOOKING:
        assert found[strategy].p99_s <= 0.5 * found[Strategy.ROUND_ROBIN].p99_s, strategy
        assert found[strategy].failing_after == 0, strategy


@pytest.mark.timeout(600)
@pytest.mark.parametrize("strategy", LOOKING)
async def test_a_worker_that_fails_fast_draws_no_more_than_its_share(
    strategy: Strategy, processes: Processes, state_dir: Path
) -> None:
    """Five failures eject it: one trial says little, so the shares of many are added up."""
    workers = Unequal(processes, state_dir)
    async with MeshNetwork(name="caller") as mesh:
        await workers.ready(mesh)
        trials = [await workers.until_ejected(mesh, strategy, seed=n) for n in range(TRIALS)]
    got, fair = (sum(column) for column in zip(*trials, strict=True))
    print(f"{strategy}: {got} requests, fair share {fair:.0f}: {got / fair:.2f}")
    assert got <= FAIR_MAX * fair


@pytest.mark.timeout(300)
async def test_twice_the_load_for_half_a_minute(processes: Processes, state_dir: Path) -> None:
    await overload(processes, state_dir, seconds=30.0)


@pytest.mark.timeout(300)
async def test_a_minute_of_full_workers(
    processes: Processes, state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = tmp_path / "hold"
    await Storm(processes, state_dir, monkeypatch, seconds=60.0, HOLD=str(hold)).held(hold)


@pytest.mark.timeout(300)
async def test_a_minute_of_killed_workers(
    processes: Processes, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Storm(processes, state_dir, monkeypatch, seconds=60.0).killed()
