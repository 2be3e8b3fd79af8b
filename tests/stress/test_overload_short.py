"""More work than can be done, and workers that are stuck, for a few seconds each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.overload import overload
from tests.support.processes import Processes
from tests.support.storm import Storm


async def test_twice_the_load_costs_low_work_and_nothing_else(
    processes: Processes, state_dir: Path
) -> None:
    await overload(processes, state_dir, seconds=5.0)


async def test_full_workers_are_not_stormed_with_retries(
    processes: Processes, state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = tmp_path / "hold"
    await Storm(processes, state_dir, monkeypatch, seconds=3.0, HOLD=str(hold)).held(hold)


async def test_killed_workers_are_not_stormed_with_retries(
    processes: Processes, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Storm(processes, state_dir, monkeypatch, seconds=3.0).killed()
