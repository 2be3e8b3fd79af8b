"""Hosts: a namespace, its addresses, and the nodes that run there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.support.netns.commands import in_namespace, ip
from tests.support.processes import NodeProcess, Processes

PORT = 7467
_SET_BY_TESTS = ("MREZA_LISTEN", "MREZA_DISCOVERY__LAN", "MREZA_DISCOVERY__MDNS")
"What tests/conftest.py says of nodes on loopback; here nodes are to do what they do by default."


class Host:
    """One machine of the net."""

    def __init__(self, name: str, *, namespace: str, state: Path, processes: Processes) -> None:
        self.name = name
        self.namespace = namespace
        self.state = state
        "The state directory of its nodes."
        self._processes = processes
        self._addresses: dict[str, str] = {}
        self._interfaces: dict[str, str] = {}

    def plug(self, other: str, *, interface: str, address: str) -> None:
        """An interface of ours now leads to that host or LAN."""
        self._interfaces[other] = interface
        self._addresses[other] = address

    def address(self, other: Host | str) -> str:
        """Our address on the wire to that host, or on that LAN."""
        return self._addresses[other if isinstance(other, str) else other.name]

    def interface(self, other: Host | str) -> str:
        return self._interfaces[other if isinstance(other, str) else other.name]

    def ip(self, *arguments: str) -> str:
        """Run `ip` here."""
        return ip("-n", self.namespace, *arguments)

    def up(
        self,
        *,
        name: str | None = None,
        peers: Iterable[Host] = (),
        only_peers: bool = False,
        app: str | None = None,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> NodeProcess:
        """Start `mreza up` here, with the defaults of the product; `peers` are hosts at a wire."""
        return self._processes.up(
            name or self.name,
            state=self.state,
            peers=[f"{peer.address(self)}:{PORT}" for peer in peers],
            only_peers=only_peers,
            app=app,
            options=options,
            env=env,
            without=_SET_BY_TESTS,
            within=in_namespace(self.namespace),
            wait=wait,
        )
