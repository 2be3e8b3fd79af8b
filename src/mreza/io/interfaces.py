"""The network interfaces of this machine, and the addresses by which others reach it."""

from __future__ import annotations

import contextlib
import socket

from mreza.address import Address
from mreza.io.host import current_host


def usable_interfaces(family: int) -> dict[int, str]:
    """Interfaces that are up, carry this family, and lead out of this machine, by index."""
    host, found = current_host(), dict[int, str]()
    for name, address in host.interfaces(family):
        if not address.is_loopback:
            with contextlib.suppress(OSError):
                found[host.interface_index(name)] = name
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
        named = current_host().interfaces(family)
        own = [one for _, one in named if not one.is_link_local]
        outside = [one for one in own if not one.is_loopback]
        found += (Address(str(one), address.port) for one in outside)
    if not found:
        found = [Address(_loopback(address.host), address.port) for address in bound]
    return tuple(dict.fromkeys(found))


def own_hosts() -> tuple[str, ...]:
    """The addresses of this machine that lead out of it, sorted."""
    return tuple(
        sorted(
            str(address)
            for family in (socket.AF_INET, socket.AF_INET6)
            for _, address in current_host().interfaces(family)
            if not address.is_loopback
        )
    )


def here(bound: tuple[Address, ...]) -> tuple[Address, ...]:
    """Where a process of this machine dials a listener: loopback, if it is on all addresses."""
    return tuple(
        Address(_loopback(address.host), address.port) if address.is_unspecified else address
        for address in bound
    )


def _loopback(host: str) -> str:
    return "::1" if ":" in host else "127.0.0.1"
