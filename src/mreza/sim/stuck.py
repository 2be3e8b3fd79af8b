"""Why a simulation cannot go on, in words that name who waits for what."""

from __future__ import annotations

import asyncio

from mreza.errors import MeshError

TASKS_SHOWN = 12


class SimulationStuck(MeshError):
    """A simulation that cannot go on."""


class Deadlock(SimulationStuck):
    """Nothing is ready and nothing ever will be."""

    def __init__(self, now: float, tasks: list[str]) -> None:
        super().__init__(
            f"at {now:.3f} s of virtual time nothing is left to happen, and these wait for ever:"
            + _lines(tasks)
        )


class OutOfTime(SimulationStuck):
    """The virtual time that was allowed is over."""

    def __init__(self, limit_s: float, tasks: list[str]) -> None:
        super().__init__(
            f"not over after {limit_s:g} s of virtual time (raise `limit_s` if it needs more); "
            "these still wait:" + _lines(tasks)
        )


class StuckOutside(SimulationStuck):
    """A thread does not come to its end."""

    def __init__(self, what: str, patience_s: float) -> None:
        super().__init__(
            f"{what} has run in a thread for {patience_s:g} s of real time while the simulation "
            "waits for it; virtual time does not pass in threads (use `await asyncio.sleep`)"
        )


def waiting_tasks(loop: asyncio.AbstractEventLoop) -> list[str]:
    """The tasks of a loop that wait, each with the line where it does; the test's own first."""
    found: list[tuple[str, str]] = []
    for task in asyncio.all_tasks(loop):
        stack = task.get_stack(limit=1)
        where = f"{stack[0].f_code.co_filename}:{stack[0].f_lineno}" if stack else "its start"
        found.append((task.get_name(), where))
    found.sort(key=lambda one: ("/mreza/" in one[1], one))
    return [f"{name} at {where}" for name, where in found]


def _lines(tasks: list[str]) -> str:
    shown = [f"\n  {task}" for task in tasks[:TASKS_SHOWN]]
    more = len(tasks) - TASKS_SHOWN
    return "".join(shown) + (f"\n  and {more} more" if more > 0 else "")
