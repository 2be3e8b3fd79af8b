"""Multicast DNS by `zeroconf`: announce one service instance, hear of all others of its type."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from zeroconf import Error, InterfaceChoice, IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

RESOLVE_TIMEOUT_MS = 3000
"Three questions of RFC 6762's shortest interval, with their answers."
RESOLVING_MAX = 64
"Instances asked for at a time: whoever makes up more on our network is not heard."


class ServiceFound(NamedTuple):
    """One instance of the service type."""

    instance: str
    properties: Mapping[bytes, bytes | None]
    port: int | None
    hosts: tuple[str, ...]
    "IP addresses; link-local ones with their %scope."


class ServiceDirectory:
    """The instances of one service type on the local network. Needs a running loop."""

    def __init__(
        self,
        service_type: str,
        *,
        found: Callable[[ServiceFound], None],
        interfaces: Iterable[str] | None = None,
    ) -> None:
        """`interfaces`: own addresses on which to speak; None: all interfaces.

        Raises:
            OSError: no socket for multicast can be had.
        """
        self._type = service_type
        self._found = found
        self._zeroconf = AsyncZeroconf(
            interfaces=InterfaceChoice.All if interfaces is None else list(interfaces),
            ip_version=IPVersion.All if interfaces is None else _versions(interfaces),
        )
        self._announced: AsyncServiceInfo | None = None
        self._resolving: set[asyncio.Task[None]] = set()
        self._browser = AsyncServiceBrowser(
            self._zeroconf.zeroconf, service_type, handlers=[self._changed]
        )

    async def announce(
        self, instance: str, *, properties: Mapping[str, str], port: int, hosts: Iterable[str]
    ) -> None:
        """Answer questions for this instance from now on, in place of what was said before.

        Raises:
            OSError: another machine has this name.
        """
        label = instance.partition(".")[0]
        info = AsyncServiceInfo(
            self._type,
            instance,
            port=port,
            properties=dict(properties),
            server=f"{label}.local.",
            parsed_addresses=[host.partition("%")[0] for host in hosts],
        )
        try:
            if self._announced is None:
                await self._zeroconf.async_register_service(info)
            else:
                await self._zeroconf.async_update_service(info)
        except Error as error:
            raise OSError(f"cannot announce {instance}: {type(error).__name__} {error}") from error
        self._announced = info

    async def close(self) -> None:
        """Say goodbye for what was announced, and close the sockets."""
        for task in self._resolving:
            task.cancel()
        await asyncio.gather(*self._resolving, return_exceptions=True)
        await self._browser.async_cancel()
        await self._zeroconf.async_close()

    def _changed(
        self,
        zeroconf: Zeroconf,
        service_type: str,
        name: str,
        state_change: ServiceStateChange,
    ) -> None:
        if state_change is ServiceStateChange.Removed or len(self._resolving) >= RESOLVING_MAX:
            return
        task = asyncio.get_running_loop().create_task(
            self._resolve(zeroconf, service_type, name), name=f"mdns {name}"
        )
        self._resolving.add(task)
        task.add_done_callback(self._resolving.discard)

    async def _resolve(self, zeroconf: Zeroconf, service_type: str, name: str) -> None:
        # A name that does not fit its type, or an answer that is none: somebody else's defect.
        with contextlib.suppress(Error):
            info = AsyncServiceInfo(service_type, name)
            if await info.async_request(zeroconf, RESOLVE_TIMEOUT_MS):
                hosts = tuple(info.parsed_scoped_addresses())
                self._found(ServiceFound(name, info.properties, info.port, hosts))


def _versions(interfaces: Iterable[str]) -> IPVersion:
    versions = {ipaddress.ip_address(one).version for one in interfaces}
    if versions == {4}:
        return IPVersion.V4Only
    return IPVersion.V6Only if versions == {6} else IPVersion.All
