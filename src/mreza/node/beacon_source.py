"""Signed beacons on the local network: said on every interface, heard as candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mreza.address import Address
from mreza.clock import Clock
from mreza.config.discovery import DiscoveryConfig
from mreza.discovery.beacon import BeaconListener, BeaconSpeaker, Ignored
from mreza.ids import NodeId
from mreza.io.multicast import MulticastSocket
from mreza.machine import earliest
from mreza.node.logs import Log
from mreza.security.credentials import Credentials
from mreza.security.identity import verify
from mreza.wire.link import Hello

INTERFACES_EVERY_S = 5.0
"How often the machine is asked for new interfaces: a cable plugged in is noticed in that time."

log = Log("mreza")


class BeaconSource:
    """One socket for each group, and who is heard there."""

    def __init__(
        self,
        config: DiscoveryConfig,
        *,
        credentials: Credentials,
        clock: Clock,
        found: Callable[[NodeId, Iterable[Address]], None],
    ) -> None:
        self._config = config
        self._clock = clock
        self._found = found
        now = clock.monotonic()
        self._speaker = BeaconSpeaker(
            mesh=credentials.mesh,
            public_key=credentials.identity.public_key,
            sign=credentials.identity.sign,
            interval_s=config.beacon_interval_s,
            now=now,
        )
        self._listener = BeaconListener(
            me=credentials.node_id, mesh=credentials.mesh, verify=verify
        )
        self._sockets: list[MulticastSocket] = []
        self._interfaces_due = now

    @property
    def ignored(self) -> dict[Ignored, int]:
        """Datagrams that were no news, by reason."""
        return dict(self._listener.ignored)

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Interfaces on which beacons are said and heard."""
        return tuple(dict.fromkeys(name for sock in self._sockets for name in sock.interfaces))

    def open(self) -> None:
        """Open a socket for each group; one that cannot be had is done without."""
        for group in (self._config.beacon_group, self._config.beacon_group6):
            try:
                sock = MulticastSocket(group, self._config.beacon_port, received=self._received)
            except (OSError, NotImplementedError) as error:
                log.info("no_lan_discovery", group=group, error=str(error))
                continue
            self._sockets.append(sock)

    def close(self) -> None:
        """Close the sockets."""
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    def advance(self, hello: Hello | None, *, port: int | None, now: float) -> None:
        """Look for interfaces and say the beacon, if it is time.

        `port` is None for a node that other machines cannot dial: it listens only.
        """
        if self._sockets and now >= self._interfaces_due:
            self._interfaces_due = now + INTERFACES_EVERY_S
            for sock in self._sockets:
                sock.join_interfaces()
        if port is None or hello is None or not self._sockets:
            return
        data = self._speaker.speak(
            epoch=hello.epoch,
            port=port,
            addresses=hello.addresses,
            now=now,
            wall=self._clock.wall(),
        )
        for sock in self._sockets:
            if data is not None:
                sock.send(data)

    def next_deadline(self, *, port: int | None) -> float | None:
        """When `advance` must be called at the latest."""
        if not self._sockets:
            return None
        return earliest(
            self._interfaces_due, None if port is None else self._speaker.next_deadline()
        )

    def _received(self, data: bytes, host: str) -> None:
        heard = self._listener.receive(data, now=self._clock.monotonic())
        if heard is not None:
            # Where it came from is the address most likely to work.
            self._found(heard.node, (Address(host, heard.port), *heard.addresses))
