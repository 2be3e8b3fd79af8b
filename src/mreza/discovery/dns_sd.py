"""Names of the mesh in DNS: the service type, what a node says of itself, what others may believe.

DNS-based service discovery (RFC 6763) over multicast DNS (RFC 6762) on the local network, and SRV
records (RFC 2782) in ordinary DNS. Nothing here is signed, so an announcement is a hint like a
beacon of a stranger: it can make a node dial an address, and no more.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

import msgspec

from mreza.address import Address
from mreza.errors import InvalidId
from mreza.ids import MeshId, NodeId

SERVICE = "_mreza._tcp"
MDNS_TYPE = f"{SERVICE}.local."
TXT_VERSION = "1"
ADDRESSES_MAX = 16
"Of one announcement; more are not read."


class Announcement(msgspec.Struct, frozen=True):
    """One node of one mesh, and where it can be dialed."""

    mesh: MeshId
    node: NodeId
    port: int
    hosts: tuple[str, ...]
    "IP addresses, IPv4 and IPv6; link-local ones with their %scope."

    @property
    def instance(self) -> str:
        """The full name of the service instance; an id is shorter than a label may be."""
        return f"{self.node}.{MDNS_TYPE}"

    @property
    def properties(self) -> dict[str, str]:
        """The TXT record."""
        return {"v": TXT_VERSION, "mesh": str(self.mesh)}

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where to dial."""
        return tuple(Address(host, self.port) for host in self.hosts)


def announced_hosts(addresses: Iterable[str]) -> tuple[str, ...]:
    """The IP addresses among those by which a node says it can be dialed."""
    hosts = (Address.parse(text).host for text in addresses)
    return tuple(dict.fromkeys(host for host in hosts if _is_ip(host)))[:ADDRESSES_MAX]


def read_announcement(
    instance: str,
    properties: Mapping[bytes, bytes | None],
    *,
    port: int | None,
    hosts: Iterable[str],
    mesh: MeshId,
) -> Announcement | None:
    """What another machine announces, if it is a node of this mesh that can be dialed."""
    if properties.get(b"v") != TXT_VERSION.encode() or not port or not 0 < port < 65536:
        return None
    if properties.get(b"mesh") != str(mesh).encode():
        return None
    try:
        node = NodeId.parse(instance.partition(".")[0].lower())
    except InvalidId:
        return None
    usable = tuple(host for host in hosts if _is_ip(host))[:ADDRESSES_MAX]
    return Announcement(mesh, node, port, usable) if usable else None


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
