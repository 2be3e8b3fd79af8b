"""Addresses of a mesh in ordinary DNS, by `dnspython`: SRV records first, else A and AAAA."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from mreza.address import Address

LIFETIME_S = 5.0
"For one question with all its repetitions."
TARGETS_MAX = 64
"SRV targets that are looked up; those of the lowest priority number first."


class Found(NamedTuple):
    """What a name leads to."""

    addresses: tuple[Address, ...]
    ttl_s: float
    "For how long the answer is good: the shortest time to live of all its records."


class DnsLookup:
    """Asks the resolvers of this machine, or the one that is given."""

    def __init__(self, *, server: Address | None = None) -> None:
        """`server`: whom to ask instead.

        Raises:
            OSError: this machine has no resolver configured.
        """
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=server is None)
        except dns.resolver.NoResolverConfiguration as error:
            raise OSError(f"no DNS resolver is configured: {error}") from error
        if server is not None:
            self._resolver.nameservers = [server.host]
            self._resolver.port = server.port

    async def lookup(self, name: str, *, service: str, port: int) -> Found:
        """The addresses of `service` at a name; without SRV records the name's own, at `port`.

        Raises:
            OSError: there is no such name, it has no address, or nobody answers; the text says so.
        """
        try:
            targets = await self._resolver.resolve(
                f"{service}.{name}", "SRV", lifetime=LIFETIME_S, search=False
            )
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            return await self._hosts(name, port)
        except dns.exception.DNSException as error:
            raise OSError(f"DNS lookup of {name} failed: {error}") from error
        records = sorted(targets, key=lambda record: (record.priority, -record.weight))
        found = await asyncio.gather(
            *(
                self._hosts(record.target.to_text(omit_final_dot=True), record.port)
                for record in records[:TARGETS_MAX]
            ),
            return_exceptions=True,
        )
        return _joined(
            name, [one for one in found if isinstance(one, Found)], ttl_s=_ttl_s(targets)
        )

    async def _hosts(self, name: str, port: int) -> Found:
        answers = await asyncio.gather(
            *(
                self._resolver.resolve(name, kind, lifetime=LIFETIME_S, search=False)
                for kind in ("A", "AAAA")
            ),
            return_exceptions=True,
        )
        found = [
            Found(tuple(Address(record.address, port) for record in answer), _ttl_s(answer))
            for answer in answers
            if not isinstance(answer, BaseException)
        ]
        if not found:
            error = answers[0]
            raise OSError(f"DNS lookup of {name} failed: {error}")
        return _joined(name, found, ttl_s=found[0].ttl_s)


def _joined(name: str, found: Sequence[Found], *, ttl_s: float) -> Found:
    addresses = tuple(dict.fromkeys(address for one in found for address in one.addresses))
    if not addresses:
        raise OSError(f"{name} has no address in DNS")
    return Found(addresses, min([ttl_s, *(one.ttl_s for one in found)]))


def _ttl_s(answer: dns.resolver.Answer) -> float:
    return float(answer.rrset.ttl if answer.rrset is not None else 0)
