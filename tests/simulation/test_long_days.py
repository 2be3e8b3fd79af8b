"""Days that are long, meshes that are large, and links that never rest: in the end all is one."""

from __future__ import annotations

import pytest

from mreza.sim.faults import Fault, Schedule
from mreza.sim.plan import FaultPlan, TrafficPlan
from mreza.sim.run import run
from mreza.sim.scenario import Scenario

HOURS_S = 3600.0
NO_FAULTS = FaultPlan(every_s=0.0)


def holds(scenario: Scenario, seed: int, schedule: Schedule) -> dict[str, float]:
    outcome = run(scenario, seed, schedule=schedule)
    assert outcome.failure is None, outcome.failure
    return outcome.figures


@pytest.mark.slow
def test_a_partition_of_two_days_heals() -> None:
    """Half of the mail of two days waits for its node, is forgotten by nobody and comes once."""
    away_s = 48 * HOURS_S
    scenario = Scenario(
        name="two-days",
        nodes=6,
        faults=NO_FAULTS,
        traffic=TrafficPlan(messages_per_s=0.002, calls_per_s=0.001),
        faults_s=away_s + 120,
        quiet_s=120,
    )
    side = ("n0", "n1", "n2")
    figures = holds(scenario, 1, (Fault(60.0, "partition", side, away_s),))
    assert figures["virtual_s"] > away_s
    assert figures["healed_s"] < 5.0


@pytest.mark.slow
def test_halves_of_sixty_four_nodes_become_one() -> None:
    scenario = Scenario(
        name="halves",
        nodes=64,
        faults=NO_FAULTS,
        traffic=TrafficPlan(messages_per_s=2),
        faults_s=30,
        quiet_s=40,
    )
    side = tuple(f"n{number}" for number in range(32))
    figures = holds(scenario, 1, (Fault(2.0, "partition", side),))
    assert figures["formed_s"] < 5.0
    assert figures["healed_s"] < 5.0


def test_ten_nodes_whose_links_flap_lose_no_receipt() -> None:
    scenario = Scenario(
        name="flapping-ten",
        nodes=10,
        topology="ring",
        faults=NO_FAULTS,
        traffic=TrafficPlan(messages_per_s=5, calls_per_s=2),
        faults_s=60,
        quiet_s=60,
    )
    names = [f"n{number}" for number in range(10)]
    schedule = tuple(
        Fault(0.1 * place, "flap", (name, names[(place + 1) % 10]), 0.0, 1.0)
        for place, name in enumerate(names)
    )
    for seed in range(3):
        figures = holds(scenario, seed, schedule)
        assert figures["healed_s"] < 10.0
        assert figures["handled"] > 100
