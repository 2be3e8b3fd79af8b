"""A piece of work given to a node, and why it was that node."""

from __future__ import annotations

from typing import Protocol

from mreza.balancing.endpoint import Endpoint, NodeKey, NodeLoad
from mreza.config.load_balancer import Strategy
from mreza.qos import Priority


class Choice:
    """How one piece of work came to its node.

    Not frozen: one is built for each piece of work.
    """

    __slots__ = (
        "among",
        "attempt",
        "in_flight",
        "key",
        "node",
        "panic",
        "passed_over",
        "process",
        "strategy",
    )

    def __init__(self, process: str, strategy: Strategy, among: int) -> None:
        self.process = process
        self.strategy = strategy
        self.among = among
        "Nodes that could have done it."
        self.node: NodeKey = ""
        self.in_flight = 0.0
        "Requests there before it."
        self.key: str | None = None
        self.attempt = 1
        self.panic = False
        "More than half of the nodes are unhealthy, so health did not count."
        self.passed_over: tuple[tuple[NodeKey, str], ...] = ()
        "Nodes the strategy was not asked about, and why."

    def __str__(self) -> str:
        what = f"work for {self.process!r}" if self.process else "work"
        what += f" (attempt {self.attempt})" if self.attempt > 1 else ""
        by = f"by {self.strategy}"
        if self.key is not None:
            by += f" of key {self.key!r}"
        text = f"{what} went to {NodeLoad(self.node).label} {by} among {self.among}"
        text += f", with {self.in_flight:.0f} in flight there"
        if self.panic:
            text += "; health was not looked at, as more than half of the nodes are unhealthy"
        if self.passed_over:
            named = ", ".join(
                f"{NodeLoad(node).label} ({reason})" for node, reason in self.passed_over
            )
            text += f"; passed over: {named}"
        return text


class Outcomes(Protocol):
    """Who is told how a piece of work ended."""

    def succeeded(self, lease: Lease, latency_s: float, *, now: float) -> None: ...
    def failed(self, lease: Lease, error: BaseException, *, now: float) -> None: ...


class Lease:
    """One piece of work in flight at `node`. End it once, with what became of the work."""

    __slots__ = ("_ended", "_outcomes", "at", "choice", "endpoint", "priority")

    def __init__(
        self,
        endpoint: Endpoint,
        outcomes: Outcomes,
        *,
        now: float,
        choice: Choice | None = None,
        priority: int = Priority.NORMAL,
    ) -> None:
        self.endpoint = endpoint
        self.at = now
        self.choice = choice
        "None: somebody else has placed it."
        self.priority = priority
        self._outcomes = outcomes
        self._ended = False
        endpoint.pending += 1
        endpoint.host.ours += 1
        endpoint.host.picks += 1

    @property
    def node(self) -> NodeKey:
        return self.endpoint.node

    def succeeded(self, latency_s: float, *, now: float | None = None) -> None:
        """The work is done, `latency_s` after it was given."""
        if self._end():
            self._outcomes.succeeded(
                self, latency_s, now=self.at + latency_s if now is None else now
            )

    def failed(self, error: BaseException, *, now: float | None = None) -> None:
        """The work was not done, or its outcome is not known."""
        if self._end():
            self._outcomes.failed(self, error, now=self.at if now is None else now)

    def released(self) -> None:
        """Nobody waits for the work any more; this says nothing about the node."""
        self._end()

    def _end(self) -> bool:
        if self._ended:
            return False
        self._ended = True
        self.endpoint.pending -= 1
        self.endpoint.host.ours -= 1
        return True
