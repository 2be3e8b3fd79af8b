"""How many connections a stranger may open before it has shown who it is."""

from __future__ import annotations

import ipaddress

from mreza.token_bucket import TokenBucket

HALF_OPEN_MAX = 256
"Connections in handshake, all together: about 256 × 100 KiB of TLS state."
HALF_OPEN_PER_ADDRESS_MAX = 64
"A whole mesh on one machine may start at once; a stranger cannot take all places."
ADDRESSES_MAX = 1024
"Addresses remembered; the one unseen for longest gives way."
BURST_S = 5.0
"An address that was quiet may open this many seconds' worth at once."


class AcceptLimits:
    """Decides on each TCP connection before a byte of it is read."""

    def __init__(self, *, per_address_per_s: float) -> None:
        self._rate = per_address_per_s
        self._buckets: dict[str, TokenBucket] = {}
        self._half_open: dict[str, int] = {}
        self._total = 0

    @property
    def half_open(self) -> int:
        """Connections admitted and not yet settled."""
        return self._total

    def admit(self, host: str, *, now: float) -> str | None:
        """None if the connection may go on (then call `settled` once); else why not."""
        network = network_of(host)
        bucket = self._buckets.pop(network, None)
        if bucket is None:
            bucket = TokenBucket(rate_per_s=self._rate, burst=self._rate * BURST_S)
            if len(self._buckets) >= ADDRESSES_MAX:
                del self._buckets[next(iter(self._buckets))]
        self._buckets[network] = bucket
        if not bucket.take(now=now):
            return f"more than {self._rate:g} connections a second from {network}"
        if self._half_open.get(network, 0) >= HALF_OPEN_PER_ADDRESS_MAX:
            return f"{HALF_OPEN_PER_ADDRESS_MAX} unfinished handshakes from {network}"
        if self._total >= HALF_OPEN_MAX:
            return f"{HALF_OPEN_MAX} unfinished handshakes"
        self._half_open[network] = self._half_open.get(network, 0) + 1
        self._total += 1
        return None

    def settled(self, host: str) -> None:
        """An admitted connection has become a link, or ended."""
        network = network_of(host)
        left = self._half_open.get(network, 0) - 1
        if left < 0:
            raise ValueError(f"{network} has no unfinished handshake")
        self._total -= 1
        if left:
            self._half_open[network] = left
        else:
            del self._half_open[network]


def network_of(host: str) -> str:
    """What one stranger has: an IPv4 address, or a /64 of IPv6."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
