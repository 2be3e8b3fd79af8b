"""A node that can do work, as the balancer sees it: what it said of itself and what we gave it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from mreza.errors import ConfigError
from mreza.ids import NodeId

NodeKey = NodeId | str
"A member's id or, for a balancer that works alone, any name."

CAPACITY_DEFAULT = 1024
"Requests a node takes at once if it has not said: as many as may wait for one process by default."
LATENCY_GAIN = 0.125
"Weight of a new sample in the smoothed latency (RFC 6298's alpha)."


def order_of(node: NodeKey) -> tuple[bool, NodeKey]:
    """Sort key of nodes: ids as bytes, before names."""
    return isinstance(node, str), node


class NodeLoad(msgspec.Struct, frozen=True):
    """How busy a node is, as told by whoever measured it."""

    node: NodeKey
    in_flight: int = 0
    "Requests that it works on or that wait there."
    capacity: int = CAPACITY_DEFAULT
    "Requests it can hold."
    cpu: float | None = None
    "Share of all its cores in use, 0 to 1; None: not known."
    name: str = ""
    "A label for reports."

    def __post_init__(self) -> None:
        if self.in_flight < 0:
            raise ConfigError(f"in_flight of {self.label} is {self.in_flight}: must be 0 or more")
        if self.capacity < 1:
            raise ConfigError(f"capacity of {self.label} is {self.capacity}: must be 1 or more")
        if self.cpu is not None and not 0.0 <= self.cpu <= 1.0:
            raise ConfigError(f"cpu of {self.label} is {self.cpu}: must be from 0 to 1")

    @property
    def load(self) -> float:
        """What is scarcest there: room for requests, or CPU. 1.0 is full."""
        return max(self.in_flight / self.capacity, self.cpu or 0.0)

    @property
    def label(self) -> str:
        """The name if there is one, else the id."""
        return self.name or (self.node.short if isinstance(self.node, NodeId) else self.node)


class Endpoint:
    """One node and the work that is there. Changed by leases; read by strategies."""

    __slots__ = (
        "_ours_when_reported",
        "_reported",
        "failed",
        "latency_s",
        "node",
        "ours",
        "picks",
        "succeeded",
    )

    def __init__(self, node: NodeKey) -> None:
        self.node = node
        self._reported = NodeLoad(node)
        self._ours_when_reported = 0
        self.ours = 0
        "Our own leases in flight."
        self.picks = 0
        self.succeeded = 0
        self.failed = 0
        self.latency_s: float | None = None
        "Smoothed over successes; None: no success yet."

    def report(self, load: NodeLoad) -> None:
        """The node said how busy it is; our leases in flight are part of what it counted."""
        self._reported = load
        self._ours_when_reported = self.ours

    @property
    def in_flight(self) -> int:
        """What it said, and what we have given it (or got back) since; never less than our own."""
        since = self.ours - self._ours_when_reported
        return max(self.ours, self._reported.in_flight + since)

    @property
    def now(self) -> NodeLoad:
        """The best guess of its load."""
        return msgspec.structs.replace(self._reported, in_flight=self.in_flight)

    def is_above(self, threshold: float) -> bool:
        """Busier than it should be: it gets no new work while others are not."""
        reported = self._reported
        if reported.cpu is not None and reported.cpu > threshold:
            return True
        return self.in_flight > threshold * reported.capacity

    def observe(self, latency_s: float) -> None:
        """A piece of work took this long."""
        old = self.latency_s
        self.latency_s = latency_s if old is None else old + LATENCY_GAIN * (latency_s - old)


class Lease:
    """One piece of work in flight at `node`. End it once, with what became of the work."""

    __slots__ = ("_ended", "_endpoint", "node")

    def __init__(self, endpoint: Endpoint) -> None:
        self.node = endpoint.node
        self._endpoint = endpoint
        self._ended = False
        endpoint.ours += 1
        endpoint.picks += 1

    def succeeded(self, latency_s: float) -> None:
        """The work is done, `latency_s` after it was given."""
        self._end(lambda endpoint: self._success(endpoint, latency_s))

    def failed(self, error: BaseException) -> None:  # noqa: ARG002 - kinds of errors will differ
        """The work was not done, or its outcome is not known."""
        self._end(self._failure)

    def released(self) -> None:
        """Nobody waits for the work any more; this says nothing about the node."""
        self._end(lambda _: None)

    def _end(self, note: Callable[[Endpoint], None]) -> None:
        if not self._ended:
            self._ended = True
            self._endpoint.ours -= 1
            note(self._endpoint)

    @staticmethod
    def _success(endpoint: Endpoint, latency_s: float) -> None:
        endpoint.succeeded += 1
        endpoint.observe(latency_s)

    @staticmethod
    def _failure(endpoint: Endpoint) -> None:
        endpoint.failed += 1
