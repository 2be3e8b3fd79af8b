"""Workers with queues in virtual time, and callers that balance over them."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

from mreza.balancing.balancer import Balancer
from mreza.balancing.endpoint import NodeLoad
from mreza.balancing.lease import Lease
from mreza.errors import Overloaded, RemoteError
from mreza.qos import Priority


class Done(msgspec.Struct, frozen=True):
    """What became of one request."""

    at: float
    latency_s: float
    node: str
    priority: int
    error: Exception | None


class Worker:
    """Does so many requests at a time, each in exponential time; holds so many."""

    def __init__(
        self, name: str, *, mean_s: float = 0.02, at_a_time: int = 1, holds: int = 10_000
    ) -> None:
        self.name = name
        self.mean_s = mean_s
        self.at_a_time = at_a_time
        self.holds = holds
        self.fails = False
        "Answers every request with an error, at once."
        self.frozen_until = 0.0
        self.waiting: deque[tuple[Callable[[float], None], float]] = deque()
        self.running = 0

    @property
    def in_flight(self) -> int:
        return self.running + len(self.waiting)

    def load(self) -> NodeLoad:
        return NodeLoad(self.name, in_flight=self.in_flight, capacity=self.holds)


class Farm:
    """Requests arrive at random at each of some callers, and go where its balancer says."""

    def __init__(
        self, workers: Sequence[Worker], balancers: Sequence[Balancer], *, rng: Random
    ) -> None:
        self.workers = {worker.name: worker for worker in workers}
        self.balancers = balancers
        self.rng = rng
        self.now = 0.0
        self.done: list[Done] = []
        self.picks: list[tuple[float, str]] = []
        self.names = tuple(sorted(self.workers))
        self.key_of: Callable[[], str | None] = lambda: None
        self.priority_of: Callable[[], int] = lambda: Priority.NORMAL
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._rate_per_s = 0.0

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Let something happen at a time."""
        self._number += 1
        heapq.heappush(self._events, (when, self._number, what))

    def run(self, *, seconds: float, rate_per_s: float = 0.0) -> None:
        """Let time pass, with so many arrivals a second."""
        end = self.now + seconds
        first = self._rate_per_s == 0.0
        self._rate_per_s = rate_per_s
        if rate_per_s and first:
            self._arrival_follows()
        while self._events and self._events[0][0] <= end:
            self.now, _, what = heapq.heappop(self._events)
            what()
        self.now = end

    def shares(self, *, since: float = 0.0, until: float = float("inf")) -> Counter[str]:
        return Counter(name for at, name in self.picks if since <= at < until)

    def _arrival_follows(self) -> None:
        if self._rate_per_s:
            self.at(self.now + self.rng.expovariate(self._rate_per_s), self._arrive)

    def _arrive(self) -> None:
        self._arrival_follows()
        balancer = self.balancers[int(self.rng.random() * len(self.balancers))]
        priority = self.priority_of()
        try:
            lease = balancer.acquire(
                self.key_of(), among=self.names, process="p", priority=priority, now=self.now
            )
        except Overloaded as error:
            self.done.append(Done(self.now, 0.0, "", priority, error))
            return
        self._give(lease, balancer, priority)

    def _give(self, lease: Lease, balancer: Balancer, priority: int) -> None:
        worker = self.workers[str(lease.node)]
        self.picks.append((self.now, worker.name))
        began = self.now

        def ended(error: Exception | None) -> None:
            latency_s = self.now - began
            if error is None:
                lease.succeeded(latency_s, now=self.now)
            else:
                lease.failed(error, now=self.now)
            balancer.update(worker.load(), now=self.now)
            self.done.append(Done(self.now, latency_s, worker.name, priority, error))

        if worker.fails:
            ended(RemoteError("broken"))
        elif worker.in_flight >= worker.holds:
            ended(Overloaded("full", retry_after_s=worker.mean_s))
        else:
            worker.waiting.append((lambda _: ended(None), began))
            self._work(worker)

    def _work(self, worker: Worker) -> None:
        if self.now < worker.frozen_until:
            return
        while worker.waiting and worker.running < worker.at_a_time:
            finish, _ = worker.waiting.popleft()
            worker.running += 1
            takes_s = self.rng.expovariate(1.0 / worker.mean_s)
            self.at(self.now + takes_s, lambda finish=finish: self._finish(worker, finish))  # type: ignore[misc]

    def _finish(self, worker: Worker, finish: Callable[[float], None]) -> None:
        if self.now < worker.frozen_until:
            self.at(worker.frozen_until, lambda: self._finish(worker, finish))
            return
        worker.running -= 1
        finish(self.now)
        self._work(worker)

    def freeze(self, worker: Worker, *, seconds: float) -> None:
        """It does nothing for a while, and tells nobody."""
        worker.frozen_until = self.now + seconds
        self.at(worker.frozen_until, lambda: self._work(worker))


def percentile(values: Sequence[float], share: float) -> float:
    ordered: list[Any] = sorted(values)
    return float(ordered[min(int(share * len(ordered)), len(ordered) - 1)])
