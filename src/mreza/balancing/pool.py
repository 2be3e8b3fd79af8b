"""All nodes for one process: guards, then a strategy, then what became of the work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from mreza.balancing.circuit_breaker import REQUESTS_MAX, Circuit
from mreza.balancing.endpoint import LATENCY_GAIN, Endpoint, Host, NodeKey, cpu_limit_of
from mreza.balancing.latency import LatencyWindow
from mreza.balancing.lease import Choice, Lease
from mreza.balancing.outcome import Blame, blame_for
from mreza.balancing.outliers import PANIC_SHARE, OutlierDetector
from mreza.balancing.overload import fill_limit, retry_after_s
from mreza.balancing.rebalance import Keys
from mreza.balancing.retry_budget import RetryBudget
from mreza.balancing.strategy import Picker, picker_of
from mreza.config.load_balancer import Strategy
from mreza.errors import Overloaded

SLOW = 10.0
"A failure counts as work that takes this many times the median."
SLOW_MIN_S = 0.05
SLOW_DEFAULT_S = 1.0
"As long as nothing has succeeded."
REASONS_MAX = 8
"Nodes passed over that a choice remembers."


class Pool:
    """The endpoints of one process; its strategies keep their turns here, apart from others."""

    def __init__(self, process: str, *, threshold: float, rng: Random | None) -> None:
        self.process = process
        self._threshold = threshold
        self._rng = rng
        self.listed: tuple[NodeKey, ...] = ()
        self.endpoints: dict[NodeKey, Endpoint] = {}
        self.current: list[Endpoint] = []
        "Of the nodes that offer it now, sorted by id."
        self._pickers: dict[Strategy, Picker] = {}
        self.outliers = OutlierDetector()
        self.latencies = LatencyWindow()
        self.retries = RetryBudget()
        self.keys = Keys()
        self.panics = 0
        self.shed = 0

    # Inputs.

    def offered_by(self, nodes: tuple[NodeKey, ...], hosts: Iterable[Host]) -> None:
        """These nodes offer it now; `hosts` are theirs, sorted by id."""
        self.listed = nodes
        self.current = [self.endpoint(host) for host in hosts]

    def endpoint(self, host: Host) -> Endpoint:
        """Of this node; made if there is none."""
        endpoint = self.endpoints.get(host.node)
        if endpoint is None or endpoint.host is not host:
            endpoint = self.endpoints[host.node] = Endpoint(host)
        return endpoint

    def remove(self, node: NodeKey) -> None:
        """A node is gone."""
        if self.endpoints.pop(node, None) is not None:
            self.listed = ()
            self.current = [endpoint for endpoint in self.current if endpoint.node != node]
            self.keys.forget(node)

    def pick(
        self,
        endpoints: Sequence[Endpoint],
        *,
        strategy: Strategy,
        key: str | None,
        priority: int,
        attempt: int,
        now: float,
    ) -> tuple[Endpoint, Choice]:
        """One of `endpoints`, which are not empty.

        Raises:
            Overloaded: none has room for work of this priority.
        """
        self.outliers.sweep(self.current, now=now)
        choice = Choice(self.process, strategy, len(endpoints))
        choice.attempt = attempt
        able = self._able(endpoints, priority, choice, now)
        endpoint = self._moved(key, able) if strategy is Strategy.CONSISTENT_HASH else None
        if endpoint is None:
            picker = self._pickers.get(strategy)
            if picker is None:
                picker = self._pickers[strategy] = picker_of(strategy, self._rng)
            endpoint = picker.pick(able, key=key, now=now)
        if strategy is Strategy.CONSISTENT_HASH and key is not None:
            choice.key = key
            self.keys.placed(key, endpoint.node)
        choice.node = endpoint.node
        choice.in_flight = endpoint.host.in_flight(now)
        if attempt == 1:
            self.retries.request(now=now)
        return endpoint, choice

    def succeeded(self, lease: Lease, latency_s: float, *, now: float) -> None:
        """A piece of work was done."""
        endpoint, host = lease.endpoint, lease.endpoint.host
        host.succeeded += 1
        old = host.latency_s
        host.latency_s = latency_s if old is None else old + LATENCY_GAIN * (latency_s - old)
        self.latencies.add(latency_s)
        endpoint.peak.observe(latency_s, now=now)
        self.outliers.succeeded(endpoint, now=now)
        if lease.choice is not None and lease.choice.key is not None:
            self.keys.worked(lease.choice.key, latency_s, now=now)

    def failed(self, lease: Lease, error: BaseException, *, now: float) -> None:
        """A piece of work was not done; how much that says about the node depends on the error."""
        endpoint = lease.endpoint
        endpoint.host.failed += 1
        match blame_for(error):
            case Blame.NODE:
                slow_s = max(self.slow_s, now - lease.at)
                endpoint.peak.observe(slow_s, now=now)
                endpoint.haunt(until=now + slow_s)
                self.outliers.failed(endpoint, self.current, now=now)
            case Blame.FULL if isinstance(error, Overloaded):
                endpoint.refused(lease.priority, until=now + error.retry_after_s)
            case _:
                pass

    # Outputs.

    @property
    def slow_s(self) -> float:
        """How long slow work takes: what a failure counts as."""
        median = self.latencies.quantile(0.5)
        return SLOW_DEFAULT_S if median is None else max(SLOW * median, SLOW_MIN_S)

    def trouble_of(self, node: NodeKey, *, now: float) -> str:
        """Why this process gets no work there, apart from load; empty: nothing is known."""
        endpoint = self.endpoints.get(node)
        return "" if endpoint is None else _trouble(endpoint, now)

    # Rules.

    def _able(
        self, endpoints: Sequence[Endpoint], priority: int, choice: Choice, now: float
    ) -> Sequence[Endpoint]:
        """Those the strategy may pick from: healthy, and calm if any are."""
        healthy: Sequence[Endpoint] = [e for e in endpoints if e.is_healthy(now)]
        if len(healthy) < PANIC_SHARE * len(endpoints):
            healthy = endpoints
            choice.panic = True
            self.panics += 1
        threshold = self._threshold
        able = [e for e in healthy if not e.is_above(threshold, now, priority=priority)]
        if len(able) < len(healthy):
            limit = cpu_limit_of((e.host for e in healthy), threshold=threshold, now=now)
            able = [
                e
                for e in healthy
                if not e.is_above(threshold, now, priority=priority, cpu_limit=limit)
            ]
        if not able:
            able = [e for e in healthy if e.takes(priority, threshold, now)]
        if len(able) < len(endpoints):
            passed = (e for e in endpoints if e not in able)
            choice.passed_over = tuple(
                (e.node, _trouble(e, now) or f"above {threshold:.0%}")
                for e, _ in zip(passed, range(REASONS_MAX), strict=False)
            )
        if not able:
            self.shed += 1
            raise self._overloaded(healthy, priority, now)
        return able

    def _moved(self, key: str | None, able: Iterable[Endpoint]) -> Endpoint | None:
        """The endpoint `optimize` has moved this key to."""
        target = None if key is None else self.keys.target_of(key)
        if target is None:
            return None
        return next((endpoint for endpoint in able if endpoint.node == target), None)

    def _overloaded(self, endpoints: Sequence[Endpoint], priority: int, now: float) -> Overloaded:
        wait_s = min(
            max(
                endpoint.full_until(priority) - now,
                retry_after_s(
                    in_flight=endpoint.host.in_flight(now),
                    room=endpoint.host.room_for(priority, threshold=self._threshold),
                    latency_s=endpoint.host.latency_s,
                ),
            )
            for endpoint in endpoints
        )
        limit = fill_limit(priority, threshold=self._threshold)
        what = f"process {self.process!r}" if self.process else "this work"
        nodes = f"all {len(endpoints)} nodes for {what}"
        return Overloaded(
            f"{nodes} are above {limit:.0%}, the limit of its priority", retry_after_s=wait_s
        )


def _trouble(endpoint: Endpoint, now: float) -> str:
    if endpoint.host.doubt:
        return endpoint.host.doubt
    match endpoint.circuit.state(now):
        case Circuit.OPEN:
            left_s = (endpoint.circuit.open_until or now) - now
            return f"ejected for {left_s:.0f} s more, after failures"
        case Circuit.HALF_OPEN:
            return "on trial after an ejection, one request at a time"
        case Circuit.CLOSED:
            if endpoint.pending >= REQUESTS_MAX:
                return f"{endpoint.pending} requests of ours are there"
            return "full, by its own word" if now < endpoint.full_until() else ""
