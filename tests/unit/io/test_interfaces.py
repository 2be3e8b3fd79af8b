from __future__ import annotations

import socket
from typing import NamedTuple

import psutil
import pytest

from mreza.address import Address
from mreza.io.interfaces import here, own_hosts, reachable, usable_interfaces


class Entry(NamedTuple):
    family: int
    address: str


class Stats(NamedTuple):
    isup: bool


V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Entry]]:
    addresses = {
        "lo": [Entry(V4, "127.0.0.1"), Entry(V6, "::1")],
        "eth0": [Entry(V4, "192.0.2.5"), Entry(V6, "fe80::5%eth0"), Entry(V6, "2001:db8::5")],
        "down0": [Entry(V4, "192.0.2.9")],
        "gone0": [Entry(V4, "192.0.2.10")],
    }
    stats = {"lo": Stats(isup=True), "eth0": Stats(isup=True), "down0": Stats(isup=False)}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: addresses)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: stats)
    monkeypatch.setattr(socket, "if_nametoindex", {"lo": 1, "eth0": 2}.__getitem__)
    return addresses


def test_only_interfaces_that_are_up_and_lead_out_are_usable() -> None:
    assert usable_interfaces(V4) == {2: "eth0"}
    assert usable_interfaces(V6) == {2: "eth0"}


def test_a_listener_on_all_addresses_is_reached_at_each_that_others_can_name() -> None:
    bound = (Address("0.0.0.0", 7467), Address("::", 7467))  # noqa: S104
    assert reachable(bound) == (Address("192.0.2.5", 7467), Address("2001:db8::5", 7467))


def test_a_listener_on_one_address_is_reached_there() -> None:
    assert reachable((Address("127.0.0.1", 7),)) == (Address("127.0.0.1", 7),)


def test_loopback_stands_in_where_there_is_nothing_else(
    machine: dict[str, list[Entry]],
) -> None:
    del machine["eth0"]
    bound = (Address("0.0.0.0", 7467), Address("::", 7467))  # noqa: S104
    assert reachable(bound) == (Address("127.0.0.1", 7467), Address("::1", 7467))


def test_a_process_of_this_machine_dials_loopback_where_all_addresses_are_listened_on() -> None:
    bound = (Address("0.0.0.0", 1), Address("::", 2), Address("192.0.2.5", 3))  # noqa: S104
    assert here(bound) == (Address("127.0.0.1", 1), Address("::1", 2), Address("192.0.2.5", 3))


def test_the_hosts_of_a_machine_are_all_addresses_that_lead_out_of_it() -> None:
    assert own_hosts() == ("192.0.2.5", "2001:db8::5", "fe80::5")
