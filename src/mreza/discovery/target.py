"""One node that could be dialed, or one address given by the user: what is known of it."""

from __future__ import annotations

import math

from mreza.address import Address
from mreza.ids import NodeId


class Place:
    """One address of one target."""

    __slots__ = ("in_flight", "succeeded_at")

    def __init__(self) -> None:
        self.in_flight = False
        self.succeeded_at: float | None = None

    @property
    def rank(self) -> float:
        """Higher is better: the address that answered last; below all, those that never did."""
        return -1.0 if self.succeeded_at is None else self.succeeded_at


class Target:
    """A node, or an address given by the user: dialed in rounds."""

    __slots__ = (
        "added_at",
        "brief",
        "by_reset",
        "due_at",
        "failures",
        "gone_until",
        "hasten_at",
        "hinted",
        "linked_at",
        "lost_at",
        "nameless",
        "node",
        "places",
        "remote_host",
        "static",
    )

    def __init__(self, node: NodeId | None, *, static: bool, now: float) -> None:
        self.node = node
        "Of an address: whom we met there last."
        self.static = static
        "Given by the user: never forgotten."
        self.nameless = node is None
        "An address: whoever is there is welcome."
        self.places: dict[Address, Place] = {}
        self.added_at = now
        self.due_at = now
        self.hasten_at = now
        "From then on a new address is dialed at once."
        self.hinted = False
        "Nothing but beacons speaks of it."
        self.failures = 0
        "Rounds without a link, in a row."
        self.brief = 0
        "Links that ended soon, in a row."
        self.by_reset = False
        "The last one ended without a word."
        self.linked_at: float | None = None
        self.lost_at: float | None = None
        "When its link was lost; None while it is linked or was never."
        self.gone_until = 0.0
        "Until then a refused connection means that the process is gone."
        self.remote_host = ""
        "Where the lost link led."

    @property
    def in_flight(self) -> bool:
        return any(place.in_flight for place in self.places.values())

    @property
    def in_flight_count(self) -> int:
        return sum(place.in_flight for place in self.places.values())

    @property
    def succeeded(self) -> bool:
        return any(place.succeeded_at is not None for place in self.places.values())

    @property
    def waits_for_draw(self) -> bool:
        """It was lost long ago: who is dialed next of all such is drawn."""
        return self.due_at == math.inf

    def wait_for_draw(self) -> None:
        self.due_at = math.inf
