"""Every scenario for several seeds: five, and in `make sim` more."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.simulation.scenarios import SCENARIOS

SEEDS = min(15, int(os.environ.get("MREZA_SIM_SEEDS", "5")))
"Chance has less to say here than in the standard scenarios, which get as many as are asked for."


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Callable[[int], None], seed: int) -> None:
    try:
        scenario(seed)
    except AssertionError as failed:
        pytest.fail(
            f"{failed}\nrepeat with: pytest 'tests/simulation/test_scenarios.py' "
            f"-k '{scenario.__name__} and {seed}'"
        )
