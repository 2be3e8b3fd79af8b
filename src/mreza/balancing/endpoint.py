"""Who can do work, as the balancer sees it: what a node said of itself and what we gave it.

A `Host` is a node, with the load that all its work makes. An `Endpoint` is one process there: how
long its answers take and how often it fails, which is another matter for each process.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import msgspec

from mreza.balancing.circuit_breaker import REQUESTS_MAX, CircuitBreaker
from mreza.balancing.latency import PeakLatency
from mreza.balancing.overload import fill_limit
from mreza.errors import ConfigError
from mreza.ids import NodeId
from mreza.qos import Priority

NodeKey = NodeId | str
"A member's id or, for a balancer that works alone, any name."

CAPACITY_DEFAULT = 1024
"Requests a node takes at once if it has not said: as many as may wait for one process by default."
LATENCY_GAIN = 0.125
"Weight of a new sample in the smoothed latency (RFC 6298's alpha)."
CPU_MARGIN = 0.2
"""A node is passed over for its CPU only if another that could do the work says that it has this
much more to spare. Nodes that share a machine share its CPU, and differ only in when they measured
it: without a margin all their work would go to whichever measured last."""
MEMORY_MAX = 0.95
"Share of memory in use above which a node is about to swap; below, memory says little about load."
LOOP_LAG_MAX_S = 0.5
"An event loop later than this is blocked: the watchdog's limit."
STRAIN_MAX_AGE_S = 1.0
"""Figures of CPU, memory and event loop are believed as long. A node that gets no work because of
them sends no answers, and so no newer figures: it would be idle all the while."""
LOAD_MAX_AGE_S = 5.0
"See `LoadBalancerConfig.load_max_age_s`."
GHOSTS_MAX = 64
"Failures remembered as work in flight; more make a node no less attractive."


def order_of(node: NodeKey) -> tuple[bool, NodeKey]:
    """Sort key of nodes: ids as bytes, before names."""
    return isinstance(node, str), node


class NodeLoad(msgspec.Struct, frozen=True):
    """How busy a node is, as told by whoever measured it."""

    node: NodeKey
    in_flight: int = 0
    "Requests that it works on or that wait there."
    capacity: int = CAPACITY_DEFAULT
    "Requests it can hold without letting one wait for long."
    cpu: float | None = None
    "Share of all its cores in use, 0 to 1; None: not known."
    memory: float | None = None
    "Share of its memory in use, 0 to 1; None: not known."
    loop_lag_s: float | None = None
    "How late its event loop is; None: not known."
    name: str = ""
    "A label for reports."
    room: int | None = None
    "Requests it can hold at all; None: its capacity."

    def __post_init__(self) -> None:
        if self.in_flight < 0:
            raise ConfigError(f"in_flight of {self.label} is {self.in_flight}: must be 0 or more")
        if self.capacity < 1:
            raise ConfigError(f"capacity of {self.label} is {self.capacity}: must be 1 or more")
        if self.room is not None and self.room < self.capacity:
            raise ConfigError(
                f"room of {self.label} is {self.room}: must be {self.capacity} (capacity) or more"
            )
        for what, share in (("cpu", self.cpu), ("memory", self.memory)):
            if share is not None and not 0.0 <= share <= 1.0:
                raise ConfigError(f"{what} of {self.label} is {share}: must be from 0 to 1")
        if self.loop_lag_s is not None and not self.loop_lag_s >= 0.0:
            raise ConfigError(f"loop_lag_s of {self.label} is {self.loop_lag_s}: must be 0 or more")

    @property
    def load(self) -> float:
        """What is scarcest there: room for requests, or CPU. 1.0 is full."""
        return max(self.in_flight / self.capacity, self.cpu or 0.0)

    @property
    def label(self) -> str:
        """The name if there is one, else the id."""
        return self.name or (self.node.short if isinstance(self.node, NodeId) else self.node)

    def renamed(self, name: str) -> NodeLoad:
        """The same under another label."""
        return msgspec.structs.replace(self, name=name)


class Host:
    """A node: the load it reported, distrusted as it ages, and our own work there."""

    __slots__ = (
        "_max_age_s",
        "_others",
        "_reported_at",
        "doubt",
        "failed",
        "known",
        "latency_s",
        "node",
        "ours",
        "picks",
        "reported",
        "scale",
        "succeeded",
        "unloaded_at",
    )

    def __init__(self, node: NodeKey, *, max_age_s: float = LOAD_MAX_AGE_S) -> None:
        self.node = node
        self._max_age_s = max_age_s
        self.reported = NodeLoad(node)
        self._reported_at = 0.0
        self._others = 0
        "Work of others there when it reported."
        self.known = False
        "It has said what it can hold."
        self.scale = float(CAPACITY_DEFAULT)
        "Capacity for comparisons; of a node that has not said, that of the others."
        self.unloaded_at = -math.inf
        "When `optimize` last moved keys away."
        self.doubt = ""
        "Why somebody thinks it unhealthy; empty: nobody does."
        self.ours = 0
        "Our own leases in flight."
        self.picks = 0
        self.succeeded = 0
        self.failed = 0
        self.latency_s: float | None = None
        "Smoothed over successes; None: no success yet."

    def report(self, load: NodeLoad, *, now: float) -> None:
        """The node said how busy it is; our leases in flight are part of what it counted."""
        self.reported = load
        self._reported_at = now
        self._others = max(0, load.in_flight - self.ours)
        self.known = True
        self.scale = float(load.capacity)

    def in_flight(self, now: float) -> float:
        """Our own work there, which is certain, and that of others, which is old news."""
        if not self._others:
            return self.ours
        return self.ours + self._others * self._trust(now)

    def room_for(self, priority: int, *, threshold: float) -> float:
        """Requests up to which it takes work of this priority, if all are above the threshold.

        LOW is not worth making others wait; the rest is taken until hardly any room is left.
        """
        limit = fill_limit(priority, threshold=threshold)
        told = self.reported
        if priority <= Priority.LOW or told.room is None:
            return limit * told.capacity
        return limit * told.room

    def is_above(self, threshold: float, now: float, *, cpu_limit: float | None = None) -> bool:
        """Busier than it should be: it gets no new work while others are not.

        `cpu_limit`: where its CPU is above it (None: the threshold, too); see `cpu_limit_of`.
        """
        told = self.reported
        if self.in_flight(now) > threshold * told.capacity:
            return True
        limit = threshold if cpu_limit is None else cpu_limit
        return now - self._reported_at < STRAIN_MAX_AGE_S and self.is_strained(limit)

    def is_strained(self, cpu_limit: float) -> bool:
        """CPU, memory or event loop, as it said, are short."""
        told = self.reported
        return (
            (told.cpu is not None and told.cpu > cpu_limit)
            or (told.memory is not None and told.memory > MEMORY_MAX)
            or (told.loop_lag_s is not None and told.loop_lag_s > LOOP_LAG_MAX_S)
        )

    def cpu(self, now: float) -> float | None:
        """Share of its CPU in use, as it said not too long ago."""
        return self.reported.cpu if self._trust(now) > 0.0 else None

    def figures(self, now: float) -> NodeLoad:
        """The best guess of its load."""
        told = self.reported
        if self.known and self._trust(now) == 0.0:
            told = NodeLoad(self.node, capacity=told.capacity, name=told.name)
        return msgspec.structs.replace(told, in_flight=round(self.in_flight(now)))

    def age_s(self, now: float) -> float | None:
        """Since it reported; None: never."""
        return max(0.0, now - self._reported_at) if self.known else None

    def _trust(self, now: float) -> float:
        """1 for a fresh report, 0 for one that is too old."""
        return min(1.0, max(0.0, 1.0 - (now - self._reported_at) / self._max_age_s))


def cpu_limit_of(hosts: Iterable[Host], *, threshold: float, now: float) -> float:
    """Above this a node's CPU is too busy, in comparison with the others'."""
    known = [cpu for host in hosts if (cpu := host.cpu(now)) is not None]
    return max(threshold, min(known, default=1.0) + CPU_MARGIN)


class Endpoint:
    """One process on one node. Changed by outcomes; read by strategies."""

    __slots__ = (
        "_full_until",
        "_ghosts",
        "circuit",
        "failures_in_a_row",
        "host",
        "node",
        "peak",
        "pending",
        "swept_failed",
        "swept_succeeded",
    )

    def __init__(self, host: Host) -> None:
        self.host = host
        self.node = host.node
        self.circuit = CircuitBreaker()
        self.peak = PeakLatency()
        self.pending = 0
        "Our own leases in flight for this process."
        self.failures_in_a_row = 0
        self.swept_succeeded = 0
        "Since the outlier detector's last sweep."
        self.swept_failed = 0
        self._full_until = [0.0] * len(Priority)
        "For work of each priority: it said it was full, and when to ask again."
        self._ghosts: deque[float] = deque(maxlen=GHOSTS_MAX)

    def is_healthy(self, now: float) -> bool:
        """Nothing speaks against giving it work, but perhaps its load."""
        return not self.host.doubt and self.circuit.lets_in(pending=self.pending, now=now)

    def refused(self, priority: int, *, until: float) -> None:
        """It has no room for work of this priority: nor, then, for what is less urgent."""
        for rank in range(priority + 1):
            self._full_until[rank] = max(self._full_until[rank], until)

    def full_until(self, priority: int = Priority.LOW) -> float:
        """When to ask it again for work of this priority."""
        return self._full_until[priority]

    def is_above(
        self,
        threshold: float,
        now: float,
        *,
        priority: int = Priority.NORMAL,
        cpu_limit: float | None = None,
    ) -> bool:
        """It has too much to do, by its host's figures or its own word."""
        return (
            now < self._full_until[priority]
            or self.pending >= REQUESTS_MAX
            or self.host.is_above(threshold, now, cpu_limit=cpu_limit)
        )

    def takes(self, priority: int, threshold: float, now: float) -> bool:
        """Whether it has room for work of this priority, though all are above the threshold."""
        if self.pending >= REQUESTS_MAX:
            return False
        if now < self._full_until[priority]:
            return priority >= Priority.CRITICAL
        # A node that never said how much it can hold is asked itself.
        host = self.host
        room = host.room_for(priority, threshold=threshold)
        return not host.known or host.in_flight(now) <= room

    def burden(self, now: float) -> float:
        """Requests in flight for its capacity, the next one included: what strategies compare."""
        return (self.host.in_flight(now) + self.ghosts(now) + 1) / self.host.scale

    def ghosts(self, now: float) -> int:
        """Failures that count as work in flight."""
        ghosts = self._ghosts
        while ghosts and ghosts[0] <= now:
            ghosts.popleft()
        return len(ghosts)

    def haunt(self, *, until: float) -> None:
        """Count a failure as work in flight, as long as slow work would take.

        So a node that fails fast does not look idle.
        """
        self._ghosts.append(until)
