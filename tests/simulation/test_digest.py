"""Equal seeds give equal runs: in any process, whatever its hash seed and its entropy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mreza
from mreza.sim.run import run
from mreza.sim.scenario import standard

PROGRAM = """
import msgspec
from mreza.sim.run import run
from mreza.sim.scenario import standard
for name in {names}:
    scenario = msgspec.structs.replace(standard()[name], faults_s=20.0, quiet_s=20.0)
    outcome = run(scenario, 7)
    print(name, outcome.digest, outcome.failure, sorted(outcome.figures.items()))
"""
NAMES = ("everything", "distant", "copies", "frozen", "narrow")


def what_happens(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    environment["PYTHONPATH"] = str(Path(mreza.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(names=NAMES)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_equal_seeds_give_equal_runs_under_any_hash_seed() -> None:
    first = what_happens("0")
    assert len(first.splitlines()) == len(NAMES)
    assert what_happens("1") == first
    assert what_happens("random") == first


def test_other_seeds_and_other_faults_give_other_runs() -> None:
    scenario = standard()["quiet"]
    digests = [run(scenario, seed).digest for seed in (1, 2, 1)]
    assert digests[0] == digests[2] != digests[1]
    drawn = run(standard()["crashes"], 1)
    fewer = run(standard()["crashes"], 1, schedule=drawn.schedule[:-1])
    assert run(standard()["crashes"], 1, schedule=drawn.schedule).digest == drawn.digest
    assert fewer.digest != drawn.digest
