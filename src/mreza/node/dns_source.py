"""Names in ordinary DNS, looked up again and again: what they lead to are candidates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING

from mreza.address import DEFAULT_PORT, Address
from mreza.discovery.dns_sd import SERVICE
from mreza.node.logs import Log

if TYPE_CHECKING:
    from mreza.io.dns import DnsLookup

AGAIN_MIN_S = 5.0
"However short a record says that it lives: one question a name in this time is enough."
AGAIN_MAX_S = 60.0
"However long it lives: a mesh that moved is found within a minute."
FAILED_FIRST_S = 2.0
"After a failed lookup; doubled up to `AGAIN_MAX_S`."

log = Log("mreza")


class DnsSource:
    """One task for each name that the user gave."""

    def __init__(
        self,
        names: Iterable[str],
        *,
        server: Address | None,
        found: Callable[[Iterable[Address]], None],
        rng: Random,
    ) -> None:
        """`server`: whom to ask in place of the machine's own resolvers."""
        self._names = tuple(names)
        self._server = server
        self._found = found
        self._rng = rng
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begin to ask."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._follow(name), name=f"dns {name}") for name in self._names
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _follow(self, text: str) -> None:
        name = Address.parse(text, default_port=DEFAULT_PORT)
        lookup: DnsLookup | None = None
        failures = 0
        while True:
            try:
                if lookup is None:
                    # Here, because a node that asks no DNS should not load it.
                    from mreza.io.dns import DnsLookup  # noqa: PLC0415

                    lookup = DnsLookup(server=self._server)
                answer = await lookup.lookup(name.host, service=SERVICE, port=name.port)
            except OSError as error:
                failures += 1
                log.warning("dns_lookup_failed", name=text, error=str(error))
                again_s = min(AGAIN_MAX_S, FAILED_FIRST_S * 2.0 ** min(failures - 1, 10))
            else:
                failures = 0
                self._found(answer.addresses)
                again_s = min(AGAIN_MAX_S, max(AGAIN_MIN_S, answer.ttl_s))
            # Not all nodes of a mesh at the same moment.
            await asyncio.sleep(again_s * self._rng.uniform(0.9, 1.1))
