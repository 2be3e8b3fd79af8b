"""A run ends in an outcome, whatever happens in it."""

from __future__ import annotations

import msgspec
import pytest

from mreza.planes.core import NodeCore
from mreza.sim.check_state import Agreement
from mreza.sim.checker import CheckFailed
from mreza.sim.faults import Fault
from mreza.sim.plan import FaultPlan, TrafficPlan
from mreza.sim.recorder import Happening, Recorder
from mreza.sim.run import run
from mreza.sim.scenario import Scenario

SMALL = Scenario(
    name="small",
    nodes=4,
    faults=FaultPlan(every_s=3.0, for_s=(0.5, 2.0), kinds={"bounce": 1.0, "cut": 1.0}),
    traffic=TrafficPlan(messages_per_s=4, calls_per_s=1),
    faults_s=10,
    quiet_s=15,
)


def test_a_run_holds_and_is_measured() -> None:
    outcome = run(SMALL, 1)
    assert outcome.failure is None
    assert outcome.schedule
    assert outcome.figures["formed_s"] < 5
    assert 0 <= outcome.figures["healed_s"] <= 7.5
    assert 0 < outcome.figures["handled"] <= outcome.figures["messages"]
    assert outcome.figures["latency_s_p50"] <= outcome.figures["latency_s_p99"]
    assert outcome.figures["bytes"] > outcome.figures["frames"] > 0


def test_a_schedule_takes_the_place_of_what_would_be_drawn_and_is_recorded() -> None:
    heard: list[Happening] = []
    schedule = (Fault(1.0, "crash", ("n1",), 2.0),)
    outcome = run(SMALL, 1, schedule=schedule, recorder=Recorder(heard.append))
    assert outcome.schedule == schedule
    kinds = [happening.kind for happening in heard]
    assert kinds.count("crash") == 1
    assert "quiet" in kinds


def test_a_mesh_that_does_not_form_fails() -> None:
    outcome = run(msgspec.structs.replace(SMALL, form_s=0.01), 1)
    assert outcome.failure is not None
    assert outcome.failure.startswith("forming: not reached within 0.01 virtual seconds")


def test_what_a_node_raises_is_the_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(NodeCore, "flush", fail)
    outcome = run(SMALL, 1)
    assert outcome.failure is not None
    assert outcome.failure.startswith("error: RuntimeError: a defect (in fail, ")


def test_a_failed_check_is_named_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Agreement, "finish", fail_for_good)
    outcome = run(msgspec.structs.replace(SMALL, checks=("agreement",)), 1)
    assert outcome.failure is not None
    assert outcome.failure.startswith("agreement: never again (at ")


def fail_for_good(*_: object) -> None:
    raise CheckFailed("never again")
