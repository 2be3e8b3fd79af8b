"""Settings of discovery: whom a node dials, and how often."""

from __future__ import annotations

import ipaddress
from typing import Self

from pydantic import field_validator, model_validator

from mreza.address import Address
from mreza.config.base import Config, Port, Seconds, TextList

DNS_PORT = 53


class DiscoveryConfig(Config):
    """How nodes find each other. Sources only add candidates; none needs another."""

    peers: TextList = ()
    "HOST or HOST:PORT of nodes to dial always. Default: none; other sources find them."
    lan: bool = True
    """Say and hear signed beacons by multicast.
    Default: on, so that a local network needs no set-up."""
    beacon_group: str = "239.255.74.67"
    """IPv4 multicast group.
    Default: in the site-local range of RFC 2365; 74.67 is our port's digits."""
    beacon_group6: str = "ff02::7467"
    "IPv6 multicast group. Default: link-local scope (RFC 4291), so that it never leaves the wire."
    beacon_port: Port = 7467
    "UDP port. Default: the same number as the TCP port, so that one firewall rule serves both."
    beacon_interval_s: Seconds = 2.0
    "Seconds between two beacons. Default: a new node is found in 2 s, for 0.5 packets a second."
    mdns: bool = True
    """Announce this node by multicast DNS and hear of others, if other machines can dial it.
    Default: on, because networks that block unknown multicast groups let this one pass."""
    dns: TextList = ()
    """NAME or NAME:PORT to look up: its SRV records for `_mreza._tcp`, else its addresses.
    Looked up again when the answer expires, after 5 to 60 s. Default: none."""
    dns_server: str | None = None
    "HOST or HOST:PORT of a resolver to ask. Default: those of this machine."
    redial_first_s: Seconds = 0.5
    """Longest first wait after a failed dial, seconds.
    Default: lost neighbors are dialed every 0.5–1 s."""
    redial_max_s: Seconds = 30.0
    """Longest wait between dials, seconds (full jitter).
    Default: a returned node is met in 15 s on average."""
    state_poll_s: Seconds = 0.25
    """Seconds between looks at sibling nodes in the state directory.
    Default: a start feels immediate."""
    address_book: bool = True
    "Remember addresses of members on disk and dial them after a restart. Default: on."

    @field_validator("peers", "dns")
    @classmethod
    def _are_addresses(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            Address.parse(text)
        return texts

    @field_validator("dns_server")
    @classmethod
    def _is_a_server(cls, server: str | None) -> str | None:
        if server is not None:
            host = Address.parse(server, default_port=DNS_PORT).host
            try:
                ipaddress.ip_address(host)
            except ValueError:
                raise ValueError(f"{host!r} is not an IP address; a resolver has no name") from None
        return server

    @field_validator("beacon_group", "beacon_group6")
    @classmethod
    def _is_multicast(cls, group: str) -> str:
        if not ipaddress.ip_address(group).is_multicast:
            raise ValueError(f"{group} is not a multicast address")
        return group

    @model_validator(mode="after")
    def _families_and_order(self) -> Self:
        if ":" in self.beacon_group:
            raise ValueError("beacon_group is IPv6; put it into beacon_group6")
        if ":" not in self.beacon_group6:
            raise ValueError("beacon_group6 is IPv4; put it into beacon_group")
        if self.redial_first_s > self.redial_max_s:
            raise ValueError("redial_first_s is larger than redial_max_s")
        return self
