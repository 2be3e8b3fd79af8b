"""Multicast DNS: this node as a service instance on the local network, and others as candidates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from mreza.address import Address
from mreza.discovery.dns_sd import (
    MDNS_TYPE,
    Announcement,
    announced_hosts,
    read_announcement,
)
from mreza.ids import MeshId, NodeId
from mreza.io.interfaces import own_hosts
from mreza.node.logs import Log
from mreza.wire.link import Hello

if TYPE_CHECKING:
    from mreza.io.mdns import ServiceDirectory, ServiceFound

BEGIN_AFTER_S = 1.0
"""Beacons and the state directory are quicker where they work, and loading the library takes the
time of a handshake."""
INTERFACES_EVERY_S = 15.0
"How often the addresses of this machine are compared: other ones need other sockets."
TRY_AGAIN_S = 60.0
"After multicast DNS could not be used."

log = Log("mreza")


class MdnsSource:
    """Announces one node, and tells of others of its mesh."""

    def __init__(
        self,
        *,
        mesh: MeshId,
        me: NodeId,
        found: Callable[[NodeId, Iterable[Address]], None],
        interfaces: tuple[str, ...] | None = None,
    ) -> None:
        """`interfaces`: own addresses on which to speak; None: all that lead out of here."""
        self._mesh = mesh
        self._me = me
        self._found = found
        self._interfaces = interfaces
        self._task: asyncio.Task[None] | None = None
        self._said: Announcement | None = None
        "What is to be announced."
        self._changed = asyncio.Event()
        self._failed = False
        "It was not announced: tried again at the next look at this machine's addresses."

    @property
    def is_open(self) -> bool:
        return self._task is not None

    def open(self) -> None:
        """Begin to listen, and to announce what `say` is given."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="mdns")

    def say(self, hello: Hello, *, port: int) -> None:
        """Announce these addresses from now on."""
        said = Announcement(self._mesh, self._me, port, announced_hosts(hello.addresses))
        if said != self._said:
            self._said = said
            self._changed.set()

    async def close(self) -> None:
        """Say goodbye and close the sockets."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        await asyncio.sleep(BEGIN_AFTER_S)
        while True:
            hosts = own_hosts()
            try:
                # Here, because whoever is off the local network should not load it.
                from mreza.io.mdns import ServiceDirectory  # noqa: PLC0415

                directory = ServiceDirectory(
                    MDNS_TYPE, found=self._heard, interfaces=self._interfaces
                )
            except (OSError, ImportError) as error:
                log.info("no_mdns", error=str(error))
                await asyncio.sleep(TRY_AGAIN_S)
                continue
            try:
                await self._serve(directory, hosts)
            finally:
                await directory.close()

    async def _serve(self, directory: ServiceDirectory, hosts: tuple[str, ...]) -> None:
        """Announce until this machine has other addresses."""
        self._changed.set()
        while own_hosts() == hosts:
            if self._changed.is_set() or self._failed:
                self._changed.clear()
                self._failed = False
                await self._announce(directory)
            try:
                async with asyncio.timeout(INTERFACES_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _announce(self, directory: ServiceDirectory) -> None:
        said = self._said
        if said is None or not said.hosts:
            return
        try:
            await directory.announce(
                said.instance, properties=said.properties, port=said.port, hosts=said.hosts
            )
        except OSError as error:
            # Another machine may answer to this name for a moment more: ours, before it restarted.
            log.info("mdns_not_announced", error=str(error))
            self._failed = True

    def _heard(self, service: ServiceFound) -> None:
        heard = read_announcement(
            service.instance,
            service.properties,
            port=service.port,
            hosts=service.hosts,
            mesh=self._mesh,
        )
        if heard is not None and heard.node != self._me:
            self._found(heard.node, heard.addresses)
