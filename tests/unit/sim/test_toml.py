"""A scenario can be written as TOML and read again."""

from __future__ import annotations

import pytest

from mreza.sim.faults import Fault
from mreza.sim.plan import FaultPlan, TrafficPlan
from mreza.sim.scenario import Scenario, from_toml, standard
from mreza.sim.toml import to_toml

FULL = Scenario(
    name="all-of-it",
    description='A "day" with\ttabs, ünïcode and \\.',
    topology="line",
    checks=("messages", "agreement"),
    faults=FaultPlan(every_s=0, kinds={"cut": 1.0}, amounts={"skew": (0.5, 1.5)}),
    traffic=TrafficPlan(burst=9),
    schedule=(Fault(1.5, "cut", ("n1", "n2"), 3.0), Fault(2.0, "crash", ("n3",))),
    config={"name": "x", "link": {"probe_interval_s": 0.2}, "discovery": {"lan": False}},
)


@pytest.mark.parametrize(
    "scenario", [Scenario(name="bare"), FULL, *standard().values()], ids=lambda one: one.name
)
def test_what_is_written_is_read_as_the_same(scenario: Scenario) -> None:
    assert from_toml(to_toml(scenario)) == scenario


def test_what_is_only_a_default_is_not_written() -> None:
    assert to_toml(Scenario(name="bare")) == 'name = "bare"\n'
