"""What meets a goal."""

from __future__ import annotations

from benchmarks.faults.__main__ import MEASUREMENTS
from benchmarks.faults.figures import GOALS, Goal, Measured, join


def test_median_and_worst_are_held_to_their_bounds() -> None:
    goal = Goal("k", "what", median=10, worst=20)
    assert Measured("k", (1, 2, 20)).meets(goal)
    assert not Measured("k", (11, 12, 1)).meets(goal)
    assert not Measured("k", (1, 2, 21)).meets(goal)


def test_what_must_happen_once_must_not_fail_to_happen() -> None:
    goal = Goal("k", "what", worst=1, least=1)
    assert Measured("k", (1.0, 1.0)).meets(goal)
    assert not Measured("k", (1.0, 0.0)).meets(goal)
    assert not Measured("k", (1.0, 2.0)).meets(goal)


def test_where_nothing_is_asked_nothing_is_met_or_missed() -> None:
    assert Measured("k", (1.0,)).meets(Goal("k", "what")) is None


def test_runs_of_one_figure_are_joined() -> None:
    parts = [Measured("a", (1.0,)), Measured("b", (2.0,)), Measured("a", (3.0,))]
    assert join(parts) == [Measured("a", (1.0, 3.0)), Measured("b", (2.0,))]


def test_every_figure_has_one_goal_and_every_measurement_a_figure() -> None:
    keys = [goal.key for goal in GOALS]
    assert len(set(keys)) == len(keys)
    for name in MEASUREMENTS:
        assert any(key.startswith(name) for key in keys), name
