"""A LAN: hosts at one switch, which can be split in two."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tests.support.netns.commands import ip_batch

if TYPE_CHECKING:
    from tests.support.netns.hosts import Host


class Lan:
    """Two bridges in the keeper's namespace; all ports are at the first unless it is split."""

    def __init__(self, name: str, *, number: int, switch: str) -> None:
        self.name = name
        self.hosts: list[Host] = []
        self._number = number
        self._switch = switch
        "The namespace of the bridges."
        lines = []
        for bridge in self._bridges:
            # Forwarding at once, and multicast to every port: what cheap switches do.
            options = "type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
            lines += [f"link add {bridge} {options}", f"link set dev {bridge} up"]
        ip_batch(lines, namespace=switch)

    def plug(self, hosts: Sequence[Host]) -> None:
        """Give each host an interface, with the address 10.NUMBER.x.y/16."""
        inside, outside = [], []
        for host in hosts:
            index = len(self.hosts) + 1
            port, interface = self._port(index), f"lan{self._number}"
            address = f"10.{self._number}.{index // 250}.{index % 250 + 1}"
            inside += [
                f"link add {port} type veth peer name {interface} netns {host.namespace}",
                f"link set dev {port} master {self._bridges[0]} up",
            ]
            outside.append(
                (
                    host.namespace,
                    [f"address add {address}/16 dev {interface}", f"link set dev {interface} up"],
                )
            )
            host.plug(self.name, interface=interface, address=address)
            self.hosts.append(host)
        ip_batch(inside, namespace=self._switch)
        for namespace, lines in outside:
            ip_batch(lines, namespace=namespace)

    def split(self, away: Iterable[Host]) -> float:
        """These hosts reach only each other; when."""
        return self._move(away, self._bridges[1])

    def heal(self) -> float:
        """One LAN again; when."""
        return self._move(self.hosts, self._bridges[0])

    def _move(self, hosts: Iterable[Host], bridge: str) -> float:
        ports = [self._port(self.hosts.index(host) + 1) for host in hosts]
        ip_batch([f"link set dev {port} master {bridge}" for port in ports], namespace=self._switch)
        return time.monotonic()

    def _port(self, index: int) -> str:
        return f"p{self._number}-{index}"

    @property
    def _bridges(self) -> tuple[str, str]:
        return f"br{self._number}-0", f"br{self._number}-1"
