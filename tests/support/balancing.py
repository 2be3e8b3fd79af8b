"""Endpoints, and a queue with a clock, for tests of who gets the work."""

from __future__ import annotations

from random import Random

from mreza.balancing.endpoint import Endpoint, Host, NodeKey, NodeLoad
from mreza.balancing.lease import Lease


class Deaf:
    """Does not care how work ended."""

    def succeeded(self, lease: Lease, latency_s: float, *, now: float) -> None: ...
    def failed(self, lease: Lease, error: BaseException, *, now: float) -> None: ...


def endpoint(node: NodeKey, *, capacity: int = 1024, in_flight: int = 0) -> Endpoint:
    host = Host(node)
    host.report(NodeLoad(node, capacity=capacity, in_flight=in_flight), now=0.0)
    return Endpoint(host)


def endpoints(*names: str) -> list[Endpoint]:
    return [endpoint(name) for name in sorted(names)]


def give(to: Endpoint, *, now: float = 0.0) -> Lease:
    """A piece of work in flight there."""
    return Lease(to, Deaf(), now=now)


def lots(seed: int) -> Random:
    """Chance that can be had again."""
    return Random(seed)  # noqa: S311 - no secret
