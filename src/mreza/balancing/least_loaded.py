"""Least loaded: whoever has the most room."""

from __future__ import annotations

from collections.abc import Sequence

from mreza.balancing.endpoint import Endpoint
from mreza.balancing.round_robin import RoundRobin


class LeastLoaded:
    """Fewest requests in flight for its capacity ("join the shortest queue", Winston 1977).

    Equals take turns. CPU is not compared: it is old when it arrives, and all would run to the node
    that was idle a second ago; the threshold looks at it.
    """

    def __init__(self) -> None:
        self._turns = RoundRobin()

    def pick(
        self,
        endpoints: Sequence[Endpoint],
        *,
        key: str | None = None,  # noqa: ARG002
        now: float,
    ) -> Endpoint:
        burdens = [endpoint.burden(now) for endpoint in endpoints]
        least = min(burdens)
        return self._turns.pick(
            [
                endpoint
                for endpoint, burden in zip(endpoints, burdens, strict=True)
                if burden == least
            ]
        )
