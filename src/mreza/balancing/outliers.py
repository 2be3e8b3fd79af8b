"""Find the node that fails while the others do not, and eject it for a while (Envoy).

Numbers are Envoy's. Failures in a row count at once; at each sweep, success rates are compared: a
node below mean − 1.9 standard deviations, or that fails 85 % of its work, is ejected. Never more
than a tenth of the nodes, but always one if need be: who ejects all has no nodes left.

Differs from Envoy: a node whose rest is over is tried with one request at a time, and one more
failure ejects it again; Envoy waits for five.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mreza.balancing.circuit_breaker import Circuit
from mreza.balancing.endpoint import Endpoint

FAILURES_IN_A_ROW = 5
SWEEP_S = 10.0
EJECTED_SHARE_MAX = 0.1
RATE_REQUESTS_MIN = 100
"Requests between two sweeps from which a success rate means something."
RATE_NODES_MIN = 5
"Nodes with so many requests from which their mean means something."
RATE_DEVIATIONS = 1.9
FAILURE_SHARE = 0.85
FAILURE_REQUESTS_MIN = 50
FAILURE_NODES_MIN = 5
PANIC_SHARE = 0.5
"Fewer healthy nodes than this: health is not looked at, as those left would be run over."


class OutlierDetector:
    """Watches the endpoints of one process."""

    def __init__(self) -> None:
        self._next_sweep: float | None = None
        self.ejections = 0
        self.spared = 0
        "Would have been ejected, had there not been too many already."

    # Inputs.

    def succeeded(self, endpoint: Endpoint, *, now: float) -> None:
        """A piece of work was done there."""
        endpoint.failures_in_a_row = 0
        endpoint.swept_succeeded += 1
        endpoint.circuit.succeeded(now=now)

    def failed(self, endpoint: Endpoint, among: Sequence[Endpoint], *, now: float) -> None:
        """A piece of work failed there; `among` are all that could have done it."""
        endpoint.failures_in_a_row += 1
        endpoint.swept_failed += 1
        match endpoint.circuit.state(now):
            case Circuit.HALF_OPEN:
                self._eject(endpoint, among, now)
            case Circuit.CLOSED if endpoint.failures_in_a_row >= FAILURES_IN_A_ROW:
                self._eject(endpoint, among, now)

    def sweep(self, among: Sequence[Endpoint], *, now: float) -> None:
        """Compare them, if it is time."""
        if self._next_sweep is not None and now < self._next_sweep:
            return
        first, self._next_sweep = self._next_sweep is None, now + SWEEP_S
        if first:
            return
        for endpoint in _outliers(among):
            if endpoint.circuit.state(now) is Circuit.CLOSED:
                self._eject(endpoint, among, now)
        for endpoint in among:
            endpoint.swept_succeeded = endpoint.swept_failed = 0
            endpoint.circuit.ease()

    # Rules.

    def _eject(self, endpoint: Endpoint, among: Sequence[Endpoint], now: float) -> None:
        ejected = sum(
            other is not endpoint and other.circuit.state(now) is Circuit.OPEN for other in among
        )
        if ejected >= ejected_max(len(among)):
            self.spared += 1
            return
        self.ejections += 1
        endpoint.circuit.trip(now=now)


def ejected_max(nodes: int) -> int:
    """How many of so many nodes may be ejected at a time."""
    return max(1, math.floor(nodes * EJECTED_SHARE_MAX))


def _outliers(among: Sequence[Endpoint]) -> list[Endpoint]:
    """Who did worse than the others since the last sweep, worst first."""
    rated = [e for e in among if _work(e) >= RATE_REQUESTS_MIN]
    worst: list[Endpoint] = []
    if len(rated) >= RATE_NODES_MIN:
        rates = [_success_rate(endpoint) for endpoint in rated]
        mean = sum(rates) / len(rates)
        deviation = math.sqrt(sum((rate - mean) ** 2 for rate in rates) / len(rates))
        limit = mean - RATE_DEVIATIONS * deviation
        worst = [e for e, rate in zip(rated, rates, strict=True) if rate < limit]
    tried = [e for e in among if _work(e) >= FAILURE_REQUESTS_MIN]
    if len(tried) >= FAILURE_NODES_MIN:
        worst += [e for e in tried if 1.0 - _success_rate(e) >= FAILURE_SHARE and e not in worst]
    return sorted(worst, key=_success_rate)


def _work(endpoint: Endpoint) -> int:
    return endpoint.swept_succeeded + endpoint.swept_failed


def _success_rate(endpoint: Endpoint) -> float:
    return endpoint.swept_succeeded / _work(endpoint)
