"""The network interfaces of this machine, and the addresses by which others reach it."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator

import psutil

from mreza.address import Address


def usable_interfaces(family: int) -> dict[int, str]:
    """Interfaces that are up, carry this family, and lead out of this machine, by index."""
    found: dict[int, str] = {}
    for name, address in _addresses(family):
        if not address.is_loopback:
            with contextlib.suppress(OSError):
                found[socket.if_nametoindex(name)] = name
    return found


def reachable(bound: tuple[Address, ...]) -> tuple[Address, ...]:
    """Where a listener can be dialed: each address of the machine for one that is on all of them.

    Loopback stands in only where there is nothing else; link-local addresses need a scope that
    means nothing elsewhere, and are left to beacons.
    """
    found: list[Address] = []
    for address in bound:
        if not address.is_unspecified:
            found.append(address)
            continue
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        own = [one for _, one in _addresses(family) if not one.is_link_local]
        outside = [one for one in own if not one.is_loopback]
        found += (Address(str(one), address.port) for one in outside)
    if not found:
        found = [Address(_loopback(address.host), address.port) for address in bound]
    return tuple(dict.fromkeys(found))


def here(bound: tuple[Address, ...]) -> tuple[Address, ...]:
    """Where a process of this machine dials a listener: loopback, if it is on all addresses."""
    return tuple(
        Address(_loopback(address.host), address.port) if address.is_unspecified else address
        for address in bound
    )


def _loopback(host: str) -> str:
    return "::1" if ":" in host else "127.0.0.1"


def _addresses(
    family: int,
) -> Iterator[tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address]]:
    up = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        if name not in up or not up[name].isup:
            continue
        for entry in addresses:
            if entry.family == family:
                yield name, ipaddress.ip_address(entry.address.partition("%")[0])
