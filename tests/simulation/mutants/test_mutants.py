"""The standard scenarios are worth something only if they find bugs: these are planted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mreza.sim.checkers import KNOWN
from mreza.sim.run import Outcome, run
from mreza.sim.scenario import standard
from mreza.sim.shrink import checker_of
from tests.simulation.mutants.planted import PLANTED, Plant

STANDARD = standard()
SEEDS_FIRST = 10
"Of the scenario that is tried first."
SEEDS_OTHERS = 2
PHASES = ("forming", "healing")
"What a run itself holds a mesh to, beside its checkers."


def runs(first: str) -> Iterator[tuple[str, int]]:
    """Scenarios and seeds in the order in which they are tried."""
    yield from ((first, seed) for seed in range(SEEDS_FIRST))
    yield from ((name, seed) for seed in range(SEEDS_OTHERS) for name in STANDARD if name != first)


def first_failure(plant: Plant) -> Outcome | None:
    """The first run of the standard scenarios that fails with this bug."""
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        for name, seed in runs(PLANTED[plant]):
            outcome = run(STANDARD[name], seed)
            if outcome.failure is not None:
                return outcome
    return None


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant) -> None:
    found = first_failure(plant)
    assert found is not None, f"no run finds this: {plant.__doc__}"
    checker = checker_of(found.failure)
    assert checker in {*KNOWN, *PHASES}, f"a bug that only breaks down: {found.failure}"
    without = run(STANDARD[found.scenario], found.seed)
    assert without.failure is None, f"fails without the bug, too: {without.failure}"
