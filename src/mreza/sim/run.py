"""One run: a scenario and a seed, from an empty world to an outcome."""

from __future__ import annotations

from random import Random

import msgspec

from mreza.sim.agenda import START_S
from mreza.sim.build import build
from mreza.sim.checkers import KNOWN, Checker, CheckFailed
from mreza.sim.digest import Digest
from mreza.sim.faults import Faults, Schedule, draw
from mreza.sim.recorder import Recorder
from mreza.sim.scenario import Scenario
from mreza.sim.traffic import Traffic
from mreza.sim.world import World

TRAFFIC_OF_QUIET = 0.5
"Share of the quiet phase in which programs go on sending: what comes last must arrive, too."


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
        schedule = draw(
            fault_rng,
            nodes=tuple(world.nodes),
            links=tuple(world.links),
            plan=scenario.faults,
            seconds=scenario.faults_s,
        )
    traffic = Traffic(world, scenario.traffic, traffic_rng)
    checkers = [KNOWN[name](world, traffic.ledger) for name in scenario.checks or KNOWN]
    figures: dict[str, float] = {}
    checker: Checker | None = None
    try:
        figures["formed_s"] = world.run_until(world.agree, within_s=scenario.form_s)
        traffic.start()
        faults = Faults(world, schedule)
        faults.start()
        _let_happen(world, checkers, scenario.faults_s)
        faults.end()
        begin = world.now
        _let_happen(world, checkers, scenario.quiet_s * TRAFFIC_OF_QUIET)
        traffic.stop()
        _let_happen(world, checkers, scenario.quiet_s - (world.now - begin))
        for checker in checkers:
            checker.finish(world)
        failure = None
    except (CheckFailed, AssertionError) as failed:
        failure = f"{failed} (at {world.now - START_S:.6f} s)"
    figures["messages"] = float(len(traffic.ledger.messages))
    return Outcome(
        scenario=scenario.name,
        seed=seed,
        digest=digest.text(),
        failure=failure,
        schedule=schedule,
        figures=figures,
    )


def _let_happen(world: World, checkers: list[Checker], seconds: float) -> None:
    end = world.now + seconds
    while world.step(until=end):
        for checker in checkers:
            checker.step(world)
    world.agenda.now = end
