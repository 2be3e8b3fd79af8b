"""What a checker is: it listens to a world, and says when something does not hold that must."""

from __future__ import annotations

from typing import Protocol

from mreza.sim.world import World


class CheckFailed(Exception):
    """Something that must hold did not; the text says what, where, and what was expected."""


class Checker(Protocol):
    """One thing that must hold."""

    name: str

    def step(self, world: World) -> None:
        """Called after every instant of both phases; raises CheckFailed. Costs next to nothing."""
        ...

    def finish(self, world: World) -> None:
        """Called when the quiet phase is over; raises CheckFailed."""
        ...


class Sampled:
    """A checker that looks at the whole world looks once a virtual second, and in the end."""

    every_s = 1.0

    def __init__(self) -> None:
        self._next_at = 0.0

    def step(self, world: World) -> None:
        if world.now >= self._next_at:
            self._next_at = world.now + self.every_s
            self.look(world)

    def finish(self, world: World) -> None:
        self.look(world)

    def look(self, world: World) -> None:
        """Raises CheckFailed."""
        raise NotImplementedError
