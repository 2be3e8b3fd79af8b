"""Round robin: each in turn, alike or by weight."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from mreza.balancing.endpoint import Endpoint, NodeKey, order_of

STRANGERS_MAX = 64
"Nodes remembered beyond those that can be picked now: they may only be away for a moment."


class RoundRobin:
    """Take the node after the last one, in the order of ids (Nagle 1985).

    Remembering whom and not how many keeps it fair when nodes come and go: who joins waits for its
    turn, and nobody is passed over because somebody left.
    """

    def __init__(self) -> None:
        self._last: NodeKey | None = None

    def pick(
        self,
        endpoints: Sequence[Endpoint],
        *,
        key: str | None = None,  # noqa: ARG002
        now: float = 0.0,  # noqa: ARG002
    ) -> Endpoint:
        """The next of `endpoints`, which are sorted by id and not empty."""
        place = 0
        if self._last is not None:
            place = bisect_right(endpoints, order_of(self._last), key=lambda e: order_of(e.node))
        chosen = endpoints[place % len(endpoints)]
        self._last = chosen.node
        return chosen


class SmoothWeights:
    """Each as often as its capacity asks for, spread as evenly as can be (nginx's smooth weights).

    Every pick gives each node its weight in credit; the richest is picked and pays what all got.
    With 5, 1 and 1 that is a a b a c a a, where plain weights give a a a a a b c.
    """

    def __init__(self) -> None:
        self._credit: dict[NodeKey, float] = {}

    def pick(
        self,
        endpoints: Sequence[Endpoint],
        *,
        key: str | None = None,  # noqa: ARG002
        now: float = 0.0,  # noqa: ARG002
    ) -> Endpoint:
        credit = self._credit
        total = 0.0
        chosen, most = endpoints[0], 0.0
        for endpoint in endpoints:
            weight = endpoint.host.scale
            total += weight
            has = credit[endpoint.node] = credit.get(endpoint.node, 0.0) + weight
            if has > most:
                chosen, most = endpoint, has
        credit[chosen.node] -= total
        if len(credit) > len(endpoints) + STRANGERS_MAX:
            self._credit = {e.node: credit[e.node] for e in endpoints}
        return chosen
