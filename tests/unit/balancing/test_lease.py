"""Work in flight, ended once."""

from __future__ import annotations

from typing import Any

from mreza.balancing.endpoint import Endpoint, Host
from mreza.balancing.lease import Choice, Lease
from mreza.config.load_balancer import Strategy


class Listener:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def succeeded(self, lease: Lease, latency_s: float, *, now: float) -> None:
        self.heard.append((latency_s, now))

    def failed(self, lease: Lease, error: BaseException, *, now: float) -> None:
        self.heard.append((type(error), now))


def test_a_lease_counts_until_it_is_ended_once() -> None:
    endpoint, listener = Endpoint(Host("a")), Listener()
    one, other = (Lease(endpoint, listener, now=1.0) for _ in range(2))
    assert (endpoint.pending, endpoint.host.ours, endpoint.host.picks) == (2, 2, 2)
    one.succeeded(0.5)
    one.failed(ValueError())
    one.released()
    assert (endpoint.pending, endpoint.host.ours) == (1, 1)
    other.failed(ValueError(), now=3.0)
    other.succeeded(1.0)
    assert (endpoint.pending, endpoint.host.ours) == (0, 0)
    assert listener.heard == [(0.5, 1.5), (ValueError, 3.0)]


def test_a_released_lease_says_nothing_about_the_node() -> None:
    endpoint, listener = Endpoint(Host("a")), Listener()
    Lease(endpoint, listener, now=0.0).released()
    assert (endpoint.pending, listener.heard) == (0, [])


def test_a_choice_explains_itself() -> None:
    choice = Choice("parse", Strategy.CONSISTENT_HASH, 3)
    choice.node, choice.key, choice.in_flight, choice.attempt = "b", "k", 4, 2
    choice.panic = True
    choice.passed_over = (("a", "above 80%"), ("c", "suspect"))
    assert str(choice) == (
        "work for 'parse' (attempt 2) went to b by consistent_hash of key 'k' among 3, with 4 in "
        "flight there; health was not looked at, as more than half of the nodes are unhealthy; "
        "passed over: a (above 80%), c (suspect)"
    )
    plain = Choice("", Strategy.RANDOM, 1)
    plain.node = "a"
    assert str(plain) == "work went to a by random among 1, with 0 in flight there"
