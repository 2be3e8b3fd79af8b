"""Round robin: each in turn."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from mreza.balancing.endpoint import Endpoint, NodeKey, order_of

TURNS_MAX = 4096
"Turns remembered, one for each process; beyond, the oldest is forgotten and starts anew."


class RoundRobin:
    """Take the node after the last one, in the order of ids (Nagle 1985).

    Remembering whom and not how many keeps it fair when nodes come and go: who joins waits for its
    turn, and nobody is passed over because somebody left.
    """

    def __init__(self) -> None:
        self._last: dict[str, NodeKey] = {}

    def pick(self, endpoints: Sequence[Endpoint], *, process: str) -> Endpoint:
        """The next of `endpoints`, which are sorted by id and not empty."""
        last = self._last.get(process)
        place = 0
        if last is not None:
            place = bisect_right(endpoints, order_of(last), key=lambda e: order_of(e.node))
        elif len(self._last) >= TURNS_MAX:
            del self._last[next(iter(self._last))]
        chosen = endpoints[place % len(endpoints)]
        self._last[process] = chosen.node
        return chosen
