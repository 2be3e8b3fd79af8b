"""A failing run becomes as small as it can and still fails in the same way."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, strategies as st

from mreza.sim.faults import Fault, Schedule
from mreza.sim.plan import TrafficPlan
from mreza.sim.run import Outcome
from mreza.sim.scenario import Scenario
from mreza.sim.shrink import SHORTEST_S, checker_of, needed, shrink
from tests.unit.sim.runs import FAULTS, needs_three_and_seven, outcome


@given(st.sets(st.integers(0, 60), max_size=6), st.integers(0, 60))
def test_what_is_needed_is_found_and_nothing_else(wanted: set[int], count: int) -> None:
    items = tuple(range(max([count, *(one + 1 for one in wanted)])))
    assert set(needed(items, lambda some: wanted <= set(some))) == wanted


def test_no_single_item_of_the_answer_can_be_left_out() -> None:
    """Also where failing is not monotonic: an odd number of the first five, or all."""

    def fails(some: tuple[int, ...]) -> bool:
        return sum(one < 5 for one in some) % 2 == 1

    answer = needed(tuple(range(25)), fails)
    assert fails(answer)
    assert not any(fails(answer[:at] + answer[at + 1 :]) for at in range(len(answer)))


def test_few_attempts_are_needed() -> None:
    attempts = 0

    def fails(some: tuple[int, ...]) -> bool:
        nonlocal attempts
        attempts += 1
        return {17, 400} <= set(some)

    assert needed(tuple(range(512)), fails) == (17, 400)
    assert attempts < 80


def failing(scenario: Scenario, schedule: Schedule) -> Outcome:
    return needs_three_and_seven(scenario, 1, schedule=schedule)


def test_a_run_loses_faults_nodes_traffic_and_time() -> None:
    scenario = Scenario(name="day", nodes=12, faults_s=60.0)
    heard: list[int] = []
    small = shrink(
        scenario,
        failing(scenario, FAULTS),
        failing,
        told=lambda _, found: heard.append(len(found.schedule)),
    )
    assert [fault.at_s for fault in small.schedule] == [3.0, 7.0]
    assert small.scenario.nodes == 3, "n1 and n2 are needed"
    assert small.scenario.traffic == TrafficPlan(messages_per_s=0, calls_per_s=0, large=0, burst=1)
    assert small.scenario.faults_s <= 17.0
    assert all(fault.for_s <= SHORTEST_S for fault in small.schedule)
    assert (small.scenario.form_s, small.scenario.quiet_s) == (scenario.form_s, scenario.quiet_s)
    assert small.outcome.failure is not None
    assert heard == sorted(heard, reverse=True)
    assert heard[-1] == 2


def test_another_failure_is_another_bug() -> None:
    def run(_scenario: Scenario, schedule: Schedule) -> Outcome:
        whole = len(schedule) == len(FAULTS)
        return outcome(failure="order: 2 before 1" if whole else "once: twice", schedule=schedule)

    scenario = Scenario(name="day")
    small = shrink(scenario, run(scenario, FAULTS), run)
    assert len(small.schedule) == len(FAULTS)
    assert checker_of(small.outcome.failure) == "order"


def test_what_never_fails_again_stays_as_it_is() -> None:
    scenario = Scenario(name="day")
    failed = outcome(failure="order: 2 before 1")
    small = shrink(scenario, failed, lambda _, schedule: outcome(schedule=schedule))
    assert (small.scenario, small.outcome) == (scenario, failed)


@pytest.mark.parametrize("runs_max", [0, 1, 7, 20])
def test_a_budget_is_kept_and_what_was_found_counts(runs_max: int) -> None:
    scenario = Scenario(name="day", nodes=12)
    small = shrink(scenario, failing(scenario, FAULTS), failing, runs_max=runs_max)
    assert small.runs <= runs_max
    assert failing(small.scenario, small.schedule).failure is not None


def test_a_side_loses_nodes() -> None:
    sides = Fault(1.0, "partition", ("n0", "n1", "n2", "n3", "n4"), 5.0)

    def run(scenario: Scenario, schedule: Schedule) -> Outcome:
        bad = any({"n0", "n4"} <= set(fault.targets) for fault in schedule)
        failure = "views: differ" if bad else None
        return outcome(failure=failure, schedule=schedule, scenario=scenario.name)

    small = shrink(Scenario(name="day"), run(Scenario(name="day"), (sides,)), run)
    (fault,) = small.schedule
    assert fault == msgspec.structs.replace(sides, targets=("n0", "n4"), for_s=fault.for_s)
