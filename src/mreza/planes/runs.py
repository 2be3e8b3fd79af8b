"""One admitted request until its handler has ended, who waits for it, and the line it stands in."""

from __future__ import annotations

import enum

import msgspec

from mreza.ids import NodeId
from mreza.processes.request_queue import LOW_EVERY, RequestQueue
from mreza.qos import Priority
from mreza.wire.packet import Request

DURATION_GAIN = 0.125
"""Weight of a new sample in the mean duration (RFC 6298's alpha). The first eight weigh alike: with
a mean that began at 0 every new node would look fast, and the slow, that learn late, fastest."""
RETRY_AFTER_MIN_S = 0.05
RETRY_AFTER_MAX_S = 10.0


class State(enum.Enum):
    """Where a run is."""

    WAITING = enum.auto()
    RUNNING = enum.auto()
    CANCELLED = enum.auto()
    "Answered or not wanted, but its handler has not ended yet."


class Waiter(msgspec.Struct, frozen=True):
    """A request that will be answered with the outcome of a run."""

    source: NodeId
    message: tuple[int, int, int, int]
    "(stream epoch, priority, sequence, place)"
    request_id: int
    progress: bool

    @property
    def asked(self) -> tuple[NodeId, int, int]:
        """What no other request of the mesh has: requester, its life, number."""
        return self.source, self.message[0], self.request_id


class Run:
    """Work for one request, and for others that ask for the very same."""

    __slots__ = (
        "deadline",
        "key",
        "news",
        "news_at",
        "priority",
        "request",
        "requester",
        "run_id",
        "started_at",
        "state",
        "waiters",
    )

    def __init__(
        self, run_id: int, waiter: Waiter, request: Request, *, deadline: float, key: RunKey | None
    ) -> None:
        self.run_id = run_id
        self.requester = waiter.source
        self.waiters = [waiter]
        self.request = request
        self.priority = waiter.message[1]
        self.deadline = deadline
        self.key = key
        self.state = State.WAITING
        self.started_at = 0.0
        self.news: msgspec.Raw | None = None
        "The last report of its progress, if that was not sent yet."
        self.news_at = 0.0
        "When the next report may be sent."


RunKey = tuple[NodeId, str, str]
"(requester, process, idempotency key)"


class Line:
    """One process: who waits, how many run, how long it takes."""

    __slots__ = ("capacity", "gain", "limit", "mean_s", "queue", "running", "wait_s")

    def __init__(self, limit: int, *, wait_s: float) -> None:
        """At most `limit` wait; it holds as many as will be served within `wait_s`."""
        self.limit = limit
        self.wait_s = wait_s
        self.queue = RequestQueue(limit)
        self.running = 0
        self.mean_s = 0.0
        self.gain = 1.0
        "Weight of the next sample."
        self.capacity = limit

    def ended(self, duration_s: float | None, *, at_a_time: int) -> None:
        """A run has ended: learn how long one takes, and how many can be held.

        None: it failed, and how soon says nothing about work that succeeds.
        """
        self.running -= 1
        if duration_s is None:
            return
        self.mean_s += self.gain * (duration_s - self.mean_s)
        self.gain = max(DURATION_GAIN, self.gain / (1.0 + self.gain))
        places = int(at_a_time * self.wait_s / max(self.mean_s, 1e-6))
        self.capacity = at_a_time + min(self.limit, places)

    def is_too_long_for(self, priority: int, *, at_a_time: int) -> bool:
        """LOW gets what others leave: it does not join if it would wait for longer than `wait_s`.

        What is more urgent joins as long as there is a place; it is the caller who knows how long
        it may wait.
        """
        return priority <= Priority.LOW and self._low_wait_s(at_a_time) > self.wait_s

    def retry_after_s(self, priority: int, *, at_a_time: int) -> float:
        """Half of the line will be gone by then; sooner would only find it full again."""
        wait_s = len(self.queue) * self.mean_s / at_a_time
        if priority <= Priority.LOW:
            wait_s = max(wait_s, self._low_wait_s(at_a_time))
        return min(max(wait_s / 2, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)

    def _low_wait_s(self, at_a_time: int) -> float:
        share = max(self.queue.low_share, 1 / LOW_EVERY)
        return self.queue.low * self.mean_s / (at_a_time * share)
