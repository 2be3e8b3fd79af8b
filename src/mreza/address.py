"""Where a node can be dialed: a host and a TCP port, in the spelling people use."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple, Self

from mreza.errors import InvalidAddress

DEFAULT_PORT = 7467
"Above the privileged ports, and no service's in Debian's /etc/services."
_PORT = re.compile("[0-9]{1,5}")


class Address(NamedTuple):
    """A host (name, IPv4 or IPv6 literal without brackets) and a TCP port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, default_port: int | None = DEFAULT_PORT) -> Self:
        """Read ``host``, ``host:port``, ``[v6]:port`` or a bare IPv6 literal."""
        text = text.strip()
        host, port_text = text, ""
        if text.startswith("["):
            host, bracket, rest = text[1:].partition("]")
            if not bracket or (rest and not rest.startswith(":")):
                raise InvalidAddress(f"{text!r} is not an address; write [2001:db8::1]:7467")
            port_text = rest[1:]
            if rest == ":" or not _is_v6(host):
                raise InvalidAddress(f"{text!r} is not an address; write [2001:db8::1]:7467")
        elif text.count(":") == 1:
            host, _, port_text = text.partition(":")
            if not port_text:
                raise InvalidAddress(f"{text!r} ends before its port; write HOST:PORT")
        elif ":" in text and not _is_v6(text):
            raise InvalidAddress(f"{text!r} is not an address; write HOST:PORT")
        if not host or not host.isprintable() or any(c.isspace() or c == "/" for c in host):
            raise InvalidAddress(f"{text!r} is not an address; write HOST or HOST:PORT")
        if port_text:
            # Length first: Python refuses to read a number of thousands of digits.
            if not _PORT.fullmatch(port_text) or int(port_text) > 65535:
                raise InvalidAddress(
                    f"port {port_text!r:.20} of {text!r:.80} is not a number from 0 to 65535"
                )
            return cls(host, int(port_text))
        if default_port is None:
            raise InvalidAddress(f"{text!r} has no port; write HOST:PORT")
        return cls(host, default_port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_unspecified(self) -> bool:
        """True for 0.0.0.0 and ::, which can be listened on and not dialed."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False

    @property
    def is_loopback(self) -> bool:
        """True for addresses that only this machine can dial."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def _is_v6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
