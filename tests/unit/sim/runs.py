"""Stand-ins for runs: outcomes without worlds."""

from __future__ import annotations

from mreza.sim.faults import Fault, Schedule
from mreza.sim.recorder import Recorder
from mreza.sim.run import Outcome
from mreza.sim.scenario import Scenario

FAULTS = tuple(Fault(float(second), "cut", ("n1", "n2"), 8.0) for second in range(20))


def outcome(
    seed: int = 0,
    *,
    failure: str | None = None,
    schedule: Schedule = FAULTS,
    scenario: str = "scenario",
    **figures: float,
) -> Outcome:
    return Outcome(
        scenario=scenario,
        seed=seed,
        digest=f"digest-{seed}",
        failure=failure,
        schedule=schedule,
        figures=figures,
    )


def needs_three_and_seven(
    scenario: Scenario,
    seed: int,
    *,
    schedule: Schedule | None = None,
    recorder: Recorder | None = None,
) -> Outcome:
    """Odd seeds fail if there is a fault at 3 s and one at 7 s."""
    faults = FAULTS if schedule is None else schedule
    for fault in faults:
        if recorder is not None:
            recorder.note(fault.at_s, fault.targets[0], fault.kind, "→ n2")
    broken = seed % 2 == 1 and {3.0, 7.0} <= {fault.at_s for fault in faults}
    failure = "order: at 9 s n1 handled 2 before 1" if broken else None
    return outcome(
        seed, failure=failure, schedule=faults, scenario=scenario.name, formed_s=1.0 + seed
    )
