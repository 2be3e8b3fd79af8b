"""The only relay dies under load and comes back: every message is handled once and answered.

`make stress` does the same ten times.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.processes import Processes
from tests.support.relay_killed import Line


async def test_killing_the_middle_node_loses_and_doubles_nothing(
    processes: Processes, state_dir: Path
) -> None:
    line = Line(processes, state_dir)
    async with line.mesh() as a:
        for run in range(2):
            outcome = await line.kill_the_relay(a)
            print(f"run {run}: {outcome}")
            assert outcome.receipts > 0
