"""`kill -9` of a worker under `map`; what must hold afterwards, by the workers' own logs."""

from __future__ import annotations

import asyncio
import collections
import enum
from pathlib import Path
from typing import NamedTuple

from mreza import MapResult, MeshNetwork, WorkerLost
from tests.support.meshes import offers
from tests.support.processes import NodeProcess, Processes

WORKERS = ("w1", "w2", "w3")
APP = "tests.support.apps:numbered"
IN_FLIGHT = 48
HANGS_S = 60.0
"No map of these takes a quarter of it."


BALLAST_BYTES = 40_000
"Of one piece of large work: two fill the first window."


class How(enum.Enum):
    """How a worker ends."""

    KILLED = "killed"
    FROZEN = "frozen, then killed"
    TOLD_TO_END = "told to end"


class Outcome(NamedTuple):
    """What one map saw."""

    results: int
    lost: int
    lost_unrun: int
    moved: int


class Workshop:
    """Workers in processes of their own; each killed one is replaced under its name."""

    def __init__(
        self, processes: Processes, state: Path, *, workers: tuple[str, ...] = WORKERS
    ) -> None:
        self._processes = processes
        self._state = state
        self._lives: list[NodeProcess] = []
        "All that ever ran, the killed ones too: their logs count."
        self._workers = {name: self._start(name) for name in workers}
        self._first = 0

    async def map(self, mesh: MeshNetwork, process: str, *, tasks: int, victim: str) -> Outcome:
        """Map so many numbers; `victim` dies when a quarter is done, and is back afterwards."""
        for name in self._workers:
            await at_work(mesh, name, process, -1)
        numbers = range(self._first, self._first + tasks)
        self._first += tasks
        found: list[MapResult] = []
        async with asyncio.timeout(HANGS_S):
            async for result in mesh.map(process, numbers, in_flight=IN_FLIGHT):
                found.append(result)
                if len(found) == tasks // 4:
                    self._workers[victim].kill()
        self._workers[victim] = await asyncio.to_thread(self._start, victim)
        return self._check(found, numbers, may_run_twice=process == "movable")

    async def lose(
        self, mesh: MeshNetwork, victim: str, *, tasks: int, how: How, timeout_s: float
    ) -> Outcome:
        """Ask for so many large pieces of work that must not run twice; `victim` ends meanwhile.

        A frozen one takes in what its window holds, and nothing of the rest is ever sent to it; one
        that is told to end refuses what has not begun.
        """
        for name in self._workers:
            await at_work(mesh, name, "heavy", (-1, b""))
        worker = self._workers[victim]
        if how is How.FROZEN:
            worker.freeze()
        numbers = range(self._first, self._first + tasks)
        self._first += tasks

        async def ask(number: int) -> MapResult:
            job = (number, bytes(BALLAST_BYTES))
            index = number - numbers.start
            try:
                done = await mesh.call_detailed("heavy", job, timeout_s=timeout_s)
            except WorkerLost as error:
                return MapResult(index, number, error=error)
            return MapResult(index, number, done.result, attempts=done.attempts)

        asking = [asyncio.create_task(ask(number), name=f"ask-{number}") for number in numbers]
        await asyncio.sleep(0.3)
        if how is How.TOLD_TO_END:
            await asyncio.to_thread(worker.stop)
        else:
            worker.kill()
        async with asyncio.timeout(HANGS_S):
            found = await asyncio.gather(*asking)
        self._workers[victim] = await asyncio.to_thread(self._start, victim)
        return self._check(found, numbers, may_run_twice=False)

    def _check(self, found: list[MapResult], numbers: range, *, may_run_twice: bool) -> Outcome:
        begun = collections.Counter(
            int(line) for life in self._lives for line in life.output("begun").split()
        )
        assert [r.index for r in sorted(found, key=lambda r: r.index)] == list(range(len(numbers)))
        lost = lost_unrun = 0
        for result in found:
            number = result.payload
            times = begun[number]
            if result.error is None:
                assert result.value == number * number
                assert times >= 1
            else:
                assert isinstance(result.error, WorkerLost), repr(result.error)
                lost += 1
                if not result.error.may_have_run:
                    lost_unrun += 1
                    assert times == 0, f"{number} was said not to have run, and ran"
            if not may_run_twice:
                assert times <= 1, f"{number} must run once at most, and ran {times} times"
        if may_run_twice:
            assert lost == 0
        moved = sum(result.attempts > 1 for result in found)
        return Outcome(len(found) - lost, lost, lost_unrun, moved)

    def _start(self, name: str) -> NodeProcess:
        life = self._processes.up(name, state=self._state, app=APP)
        self._lives.append(life)
        return life


async def at_work(mesh: MeshNetwork, name: str, process: str, payload: object) -> None:
    """Wait until a worker answers: one that is back, and not the one before it."""
    await offers(mesh, name, process)
    async with asyncio.timeout(HANGS_S):
        while True:
            try:
                await mesh.call(process, payload, node=name)
            except WorkerLost:
                continue  # this was still sent to the one before
            return
