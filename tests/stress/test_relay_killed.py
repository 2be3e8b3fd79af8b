"""The only relay dies ten times under load: no receipt fails, no message is handled twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.processes import Processes
from tests.support.relay_killed import Line


@pytest.mark.timeout(600)
async def test_killing_the_middle_node_ten_times_loses_and_doubles_nothing(
    processes: Processes, state_dir: Path
) -> None:
    line = Line(processes, state_dir)
    async with line.mesh() as a:
        for run in range(10):
            print(f"run {run}: {await line.kill_the_relay(a)}")
