"""One run: a scenario and a seed, from an empty world to an outcome."""

from __future__ import annotations

import traceback
from random import Random

import msgspec

from mreza.sim.agenda import START_S
from mreza.sim.build import build
from mreza.sim.check_state import disagreement
from mreza.sim.checkers import KNOWN, CheckFailed
from mreza.sim.digest import Digest
from mreza.sim.faults import Faults, Schedule, draw
from mreza.sim.figures import is_one, measured
from mreza.sim.recorder import Recorder
from mreza.sim.scenario import Scenario
from mreza.sim.traffic import Traffic
from mreza.sim.world import World

LOOK_EVERY_S = 0.1
"How often it is looked whether the mesh has healed."
TRAFFIC_OF_QUIET = 0.5
"Share of the quiet phase in which programs go on sending: what comes last must arrive, too."


SETTLE_S = 3.0
"Longer than any record is on its way: an end that hits one at it says nothing."


class Outcome(msgspec.Struct, frozen=True):
    """How a run ended."""

    scenario: str
    seed: int
    digest: str
    "Equal for equal seeds, whatever the machine."
    failure: str | None
    "Which checker, when, which nodes, what was expected; None: all held."
    schedule: Schedule
    "The faults, as applied."
    figures: dict[str, float]
    "What was measured."


def run(
    scenario: Scenario,
    seed: int,
    *,
    schedule: Schedule | None = None,
    recorder: Recorder | None = None,
) -> Outcome:
    """Let a scenario happen. `schedule`: these faults instead of drawn ones.

    A check that fails is the outcome's `failure`; what cannot be run raises.
    """
    rng = Random(seed)  # noqa: S311 - a seeded world
    fault_rng, traffic_rng = Random(rng.getrandbits(64)), Random(rng.getrandbits(64))  # noqa: S311
    world = build(scenario, seed)
    world.recorder = recorder
    digest = Digest(world)
    if schedule is None:
        drawn = draw(
            fault_rng,
            nodes=tuple(world.nodes),
            links=tuple(world.links),
            plan=scenario.faults,
            seconds=scenario.faults_s,
        )
        schedule = tuple(sorted((*drawn, *scenario.schedule), key=lambda fault: fault.at_s))
    traffic = Traffic(world, scenario.traffic, traffic_rng)
    phases = _Phases(scenario, world, traffic)
    failure = None
    try:
        phases.run(schedule)
    except CheckFailed as failed:
        failure = f"{failed} (at {world.now - START_S:.6f} s)"
    except Exception as error:  # noqa: BLE001 - whatever a node raises is what a run looks for
        place = traceback.extract_tb(error.__traceback__)[-1]
        failure = (
            f"error: {type(error).__name__}: {error} (in {place.name}, "
            f"{place.filename.rpartition('mreza/')[2]}:{place.lineno}, "
            f"at {world.now - START_S:.6f} s)"
        )
    return Outcome(
        scenario=scenario.name,
        seed=seed,
        digest=digest.text(),
        failure=failure,
        schedule=schedule,
        figures=phases.figures | measured(world, traffic.ledger),
    )


class _Phases:
    """Form; faults on, and safety holds; faults off, and all comes right in time."""

    def __init__(self, scenario: Scenario, world: World, traffic: Traffic) -> None:
        self._scenario = scenario
        self._world = world
        self._traffic = traffic
        names = scenario.checks or tuple(KNOWN)
        self._checkers = [KNOWN[name](world, traffic.ledger) for name in names]
        self.figures: dict[str, float] = {}

    def run(self, schedule: Schedule) -> None:
        """Raises CheckFailed, or whatever a node raises."""
        scenario, world = self._scenario, self._world
        try:
            self.figures["formed_s"] = world.run_until(world.agree, within_s=scenario.form_s)
        except AssertionError as failed:
            raise CheckFailed(f"forming: {failed}") from None
        self._traffic.start()
        faults = Faults(world, schedule)
        faults.start()
        self._let_happen(scenario.faults_s)
        faults.end()
        world.note("", "quiet", "faults are off")
        begin = world.now
        while not is_one(world) and world.now - begin < scenario.heal_s:
            self._let_happen(LOOK_EVERY_S)
        self.figures["healed_s"] = world.now - begin
        if not is_one(world):
            raise CheckFailed(f"healing: after {scenario.heal_s:g} s {disagreement(world)}")
        self._let_happen(scenario.quiet_s * TRAFFIC_OF_QUIET - (world.now - begin))
        self._traffic.stop()
        self._let_happen(scenario.quiet_s - (world.now - begin))
        end = world.now
        while not is_one(world) and world.now - end < SETTLE_S:
            # A record that was just signed anew is on its way.
            self._let_happen(LOOK_EVERY_S)
        for checker in self._checkers:
            try:
                checker.finish(world)
            except CheckFailed as failed:
                raise CheckFailed(f"{checker.name}: {failed}") from None

    def _let_happen(self, seconds: float) -> None:
        world = self._world
        end = world.now + max(0.0, seconds)
        while world.step(until=end):
            for checker in self._checkers:
                try:
                    checker.step(world)
                except CheckFailed as failed:
                    raise CheckFailed(f"{checker.name}: {failed}") from None
        world.agenda.now = end
