"""The machine that a node runs on, as far as a program does not see it through its event loop.

A loop that brings machines of its own, as the simulator's does, has the one that runs now as its
attribute `host`. On any other loop it is the machine we are on.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any, Protocol

import psutil

from mreza.clock import Clock
from mreza.io.clock import SystemClock

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_IDLE = ("idle", "iowait")
_COUNTED_TWICE = ("guest", "guest_nice")
"Linux counts time of virtual machines among `user` and `nice` as well."


class Deliver(Protocol):
    """Brings what a thread has found to the event loop: call it once, from anywhere."""

    def __call__(self, callback: Callable[..., object], *args: Any) -> object: ...


class Host(Protocol):
    """What a node asks of its machine."""

    @property
    def clock(self) -> Clock: ...

    @property
    def is_simulated(self) -> bool:
        """True: libraries that open sockets by themselves would reach another network."""
        ...

    def random(self) -> Random:
        """A source of chance, for jitter and epochs; secrets come from the system."""
        ...

    def open_socket(self, family: int, kind: int) -> socket.socket:
        """A socket that is bound to nothing.

        Raises:
            OSError: there is no such family here.
        """
        ...

    def interfaces(self, family: int) -> Iterator[tuple[str, IpAddress]]:
        """Names and addresses of the interfaces that are up."""
        ...

    def interface_index(self, name: str) -> int:
        """The number by which sockets call it; OSError if it went."""
        ...

    def cpu_times(self) -> tuple[float, float]:
        """Seconds of work, and of everything, since some moment."""
        ...

    def memory(self) -> float:
        """The share of the memory in use."""
        ...

    def environment(self) -> Mapping[str, str]:
        """Variables of the process."""
        ...

    def work_outside(self) -> Deliver:
        """Work begins beside the event loop; what this returns brings its end to the loop."""
        ...


class SystemHost:
    """The machine we are on."""

    is_simulated = False

    def __init__(self) -> None:
        self.clock = SystemClock()

    def random(self) -> Random:
        return Random()  # noqa: S311 - jitter and epochs, not secrets

    def open_socket(self, family: int, kind: int) -> socket.socket:
        return socket.socket(family, kind)

    def interfaces(self, family: int) -> Iterator[tuple[str, IpAddress]]:
        up = psutil.net_if_stats()
        for name, addresses in psutil.net_if_addrs().items():
            if name not in up or not up[name].isup:
                continue
            for entry in addresses:
                if entry.family == family:
                    yield name, ipaddress.ip_address(entry.address.partition("%")[0])

    def interface_index(self, name: str) -> int:
        return socket.if_nametoindex(name)

    def cpu_times(self) -> tuple[float, float]:
        times = psutil.cpu_times()._asdict()
        total = sum(value for name, value in times.items() if name not in _COUNTED_TWICE)
        return total - sum(times.get(name, 0.0) for name in _IDLE), total

    def memory(self) -> float:
        return float(psutil.virtual_memory().percent) / 100

    def environment(self) -> Mapping[str, str]:
        return os.environ

    def work_outside(self) -> Deliver:
        return asyncio.get_running_loop().call_soon_threadsafe


_HERE = SystemHost()


def current_host() -> Host:
    """The machine on which the code that asks runs."""
    with contextlib.suppress(RuntimeError):  # outside of a loop
        host: Host | None = getattr(asyncio.get_running_loop(), "host", None)
        if host is not None:
            return host
    return _HERE


def open_socket(family: int, kind: int) -> socket.socket:
    """A socket of the machine on which the code that asks runs."""
    return current_host().open_socket(family, kind)
