"""Make a failing run small: fewer faults, then shorter, weaker ones, fewer nodes, less traffic.

Which faults are needed is found by delta debugging (Zeller and Hildebrandt 2002). A smaller run
counts only if the same checker fails: another failure is another bug.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from mreza.sim.faults import Fault, Schedule
from mreza.sim.run import Outcome
from mreza.sim.scenario import Scenario

T = TypeVar("T")

RUNS_MAX = 400
"A run takes about a second: nobody waits much longer than some minutes."
NODES_MIN = 2
SHORTEST_S = 0.05
"A fault shorter than this is not made shorter: the difference helps nobody."
WORTHWHILE_S = 1.0
"The time of faults is not shortened by less."


class OutOfRuns(Exception):
    """The budget is spent; what is found so far is the answer."""


class Shrunk(msgspec.Struct, frozen=True):
    """A smaller run that fails in the same way."""

    scenario: Scenario
    outcome: Outcome
    runs: int
    "How many runs it took to find."

    @property
    def schedule(self) -> Schedule:
        """The faults that are needed."""
        return self.outcome.schedule


def needed(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """A part of the items that still fails, from which no single one can be left out.

    `fails` must hold for all of them.
    """
    kept = tuple(items)
    if not kept or fails(()):
        return ()
    parts = 2
    while len(kept) > 1:
        for rest in _complements(kept, parts):
            if fails(rest):
                kept, parts = rest, max(2, parts - 1)
                break
        else:
            if parts >= len(kept):
                break
            parts = min(len(kept), 2 * parts)
    return kept


def _complements(items: tuple[T, ...], parts: int) -> Iterator[tuple[T, ...]]:
    """The items without one part of them; each part in turn, the last first.

    What came after the failure is rarely its cause.
    """
    edges = [len(items) * number // parts for number in range(parts + 1)]
    for begin, end in zip(reversed(edges[:-1]), reversed(edges[1:]), strict=True):
        yield items[:begin] + items[end:]


def shrink(
    scenario: Scenario,
    failed: Outcome,
    run: Callable[[Scenario, Schedule], Outcome],
    *,
    runs_max: int = RUNS_MAX,
    told: Callable[[Scenario, Outcome], None] = lambda _scenario, _outcome: None,
) -> Shrunk:
    """The smallest run that fails as `failed` did, within a number of runs.

    `run` repeats a run with a schedule; `told` hears of every success.
    """
    search = _Search(scenario, failed, run, runs_max=runs_max, told=told)
    try:
        search.fewer_faults()
        search.fewer_nodes()
        search.less_traffic()
        search.shorter()
        search.weaker_faults()
        search.fewer_faults()
    except OutOfRuns:
        pass
    return Shrunk(scenario=search.scenario, outcome=search.outcome, runs=search.runs)


def checker_of(failure: str | None) -> str | None:
    """The checker that a failure names first."""
    return None if failure is None else failure.partition(":")[0]


class _Search:
    """What fails so far, and the attempts at less."""

    def __init__(
        self,
        scenario: Scenario,
        failed: Outcome,
        run: Callable[[Scenario, Schedule], Outcome],
        *,
        runs_max: int,
        told: Callable[[Scenario, Outcome], None],
    ) -> None:
        self.scenario = scenario
        self.outcome = failed
        self.runs = 0
        self._run = run
        self._runs_max = runs_max
        self._told = told
        self._checker = checker_of(failed.failure)

    def fewer_faults(self) -> None:
        needed(self.outcome.schedule, lambda schedule: self._try(self.scenario, schedule))

    def fewer_nodes(self) -> None:
        """Halve the mesh while that fails, then take single nodes away."""
        step = self.scenario.nodes // 2
        while step >= 1:
            smaller = self.scenario.nodes - step
            if smaller < NODES_MIN or not self._try_nodes(smaller):
                step //= 2

    def less_traffic(self) -> None:
        for key in ("calls_per_s", "messages_per_s", "large", "burst"):
            self._try_traffic(key, 1 if key == "burst" else 0)
        while self.scenario.traffic.messages_per_s > 1 and self._try_traffic(
            "messages_per_s", self.scenario.traffic.messages_per_s / 2
        ):
            pass

    def shorter(self) -> None:
        """Cut off what comes after the last fault.

        Deadlines stay: by an earlier one every mesh would fail.
        """
        low = max((fault.at_s + fault.for_s for fault in self.outcome.schedule), default=0.0)
        high = self.scenario.faults_s
        while high - low > WORTHWHILE_S:
            middle = round((low + high) / 2, 1)
            shorter = msgspec.structs.replace(self.scenario, faults_s=middle)
            if self._try(shorter, self.outcome.schedule):
                high = middle
            else:
                low = middle

    def weaker_faults(self) -> None:
        """Halve how long each fault holds while that fails; take nodes out of sides."""
        for place in range(len(self.outcome.schedule)):
            while (fault := self._fault(place)) and fault.for_s > SHORTEST_S:
                if not self._try_fault(place, for_s=round(fault.for_s / 2, 3)):
                    break
            for name in self.outcome.schedule[place].targets:
                fault = self.outcome.schedule[place]
                if len(fault.targets) > 2:
                    fewer = tuple(target for target in fault.targets if target != name)
                    self._try_fault(place, targets=fewer)

    # Inside.

    def _fault(self, place: int) -> Fault:
        return self.outcome.schedule[place]

    def _try_nodes(self, nodes: int) -> bool:
        left = {f"n{number}" for number in range(nodes)}
        schedule = []
        for fault in self.outcome.schedule:
            targets = tuple(target for target in fault.targets if target in left)
            if targets and (targets == fault.targets or len(targets) > 2):
                schedule.append(msgspec.structs.replace(fault, targets=targets))
        smaller = msgspec.structs.replace(self.scenario, nodes=nodes)
        return self._try(smaller, tuple(schedule))

    def _try_traffic(self, key: str, value: float) -> bool:
        if getattr(self.scenario.traffic, key) == value:
            return False
        traffic = msgspec.structs.replace(self.scenario.traffic, **{key: value})
        return self._try(
            msgspec.structs.replace(self.scenario, traffic=traffic), self.outcome.schedule
        )

    def _try_fault(self, place: int, **changes: object) -> bool:
        schedule = list(self.outcome.schedule)
        schedule[place] = msgspec.structs.replace(schedule[place], **changes)
        return self._try(self.scenario, tuple(schedule))

    def _try(self, scenario: Scenario, schedule: Schedule) -> bool:
        """Run it; if it fails in the same way it is what we go on with."""
        if self.runs >= self._runs_max:
            raise OutOfRuns
        self.runs += 1
        outcome = self._run(scenario, schedule)
        if outcome.failure is None or checker_of(outcome.failure) != self._checker:
            return False
        self.scenario = scenario
        self.outcome = msgspec.structs.replace(outcome, schedule=schedule)
        self._told(scenario, self.outcome)
        return True
