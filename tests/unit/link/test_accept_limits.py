from __future__ import annotations

import pytest

from mreza.link.accept_limits import (
    ADDRESSES_MAX,
    HALF_OPEN_MAX,
    HALF_OPEN_PER_ADDRESS_MAX,
    AcceptLimits,
    network_of,
)


def test_an_address_has_a_burst_and_then_its_rate() -> None:
    limits = AcceptLimits(per_address_per_s=2)
    for _ in range(10):
        assert limits.admit("192.0.2.1", now=0.0) is None
        limits.settled("192.0.2.1")
    assert "more than 2 connections a second" in str(limits.admit("192.0.2.1", now=0.0))
    assert limits.admit("192.0.2.2", now=0.0) is None
    assert limits.admit("192.0.2.1", now=0.5) is None


def test_unfinished_handshakes_are_bounded_for_one_address_and_for_all() -> None:
    limits = AcceptLimits(per_address_per_s=1000)
    for _ in range(HALF_OPEN_PER_ADDRESS_MAX):
        assert limits.admit("192.0.2.1", now=0.0) is None
    assert "from 192.0.2.1" in str(limits.admit("192.0.2.1", now=0.0))
    for place in range(HALF_OPEN_MAX - HALF_OPEN_PER_ADDRESS_MAX):
        assert limits.admit(f"198.51.100.{place}", now=0.0) is None
    assert limits.half_open == HALF_OPEN_MAX
    assert "unfinished handshakes" in str(limits.admit("203.0.113.1", now=0.0))
    limits.settled("192.0.2.1")
    assert limits.admit("203.0.113.1", now=0.0) is None


def test_the_address_unseen_for_longest_is_forgotten() -> None:
    limits = AcceptLimits(per_address_per_s=1)
    for place in range(ADDRESSES_MAX + 1):
        host = f"10.0.{place // 256}.{place % 256}"
        for _ in range(5):
            limits.admit(host, now=0.0)
        for _ in range(min(5, HALF_OPEN_MAX)):
            if limits.half_open:
                limits.settled(host)
    assert limits.admit("10.0.0.1", now=0.0) is not None
    assert limits.admit("10.0.0.0", now=0.0) is None


def test_settling_what_was_not_admitted_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no unfinished handshake"):
        AcceptLimits(per_address_per_s=1).settled("192.0.2.1")


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_stranger_has_an_address_or_a_network(host: str, network: str) -> None:
    assert network_of(host) == network
