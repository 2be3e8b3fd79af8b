"""Meshes in virtual time: the real planes over a modelled network, from a seed.

`scenario` says what happens, `run` lets it happen, `checkers` say what must hold. `mesh` has whole
nodes, with a network in memory and the programs that run on them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mreza.sim.mesh import SimMesh, sees
    from mreza.sim.scenario import Scenario
    from mreza.sim.stuck import Deadlock, OutOfTime, SimulationStuck, StuckOutside
    from mreza.sim.world import World

_HOME_OF = {
    "Deadlock": "stuck",
    "OutOfTime": "stuck",
    "Scenario": "scenario",
    "SimMesh": "mesh",
    "SimulationStuck": "stuck",
    "StuckOutside": "stuck",
    "World": "world",
    "sees": "mesh",
}

__all__ = [
    "Deadlock",
    "OutOfTime",
    "Scenario",
    "SimMesh",
    "SimulationStuck",
    "StuckOutside",
    "World",
    "sees",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'mreza.sim' has no attribute {name!r}")
    return getattr(import_module(f"mreza.sim.{home}"), name)
