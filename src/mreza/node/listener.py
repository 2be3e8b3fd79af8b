"""The sockets a node listens on, and who is turned away before a byte is read."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable

from mreza.address import Address
from mreza.clock import Clock
from mreza.io.tcp import ConnectionOwner, TlsConnection, bind_sockets
from mreza.link.accept_limits import AcceptLimits

REASONS_MAX = 100
"Reasons of refusals that are counted; the one that came up longest ago gives way."


class Listener:
    """Accepts connections as its limits allow, until it is closed."""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        admitted: Callable[[TlsConnection], ConnectionOwner],
        per_address_per_s: float,
        clock: Clock,
    ) -> None:
        """`admitted` is told of each connection within the limits and says who owns it."""
        self.context = context
        "What connections from now on are shown; set it when certificates were renewed."
        self._admitted = admitted
        self._clock = clock
        self._limits = AcceptLimits(per_address_per_s=per_address_per_s)
        self._servers: list[asyncio.Server] = []
        self._closed = False
        self.refused: dict[str, int] = {}
        "Connections refused before a byte was read, by reason (the newest hundred)."

    async def open(self, host: str, port: int, *, next_free: bool = False) -> tuple[Address, ...]:
        """Listen on a host (empty: all addresses of the machine) and return what was bound.

        Raises:
            OSError: that cannot be; the text says where it was tried.
        """
        bound: list[Address] = []
        loop = asyncio.get_running_loop()
        try:
            sockets = bind_sockets(host, port, next_free=next_free)
        except OSError as error:
            where = Address(host or "*", port)
            raise OSError(
                error.errno, f"cannot listen on {where}: {error.strerror}; choose another address"
            ) from error
        for sock in sockets:
            name = sock.getsockname()
            self._servers.append(await loop.create_server(self._accept, sock=sock))
            bound.append(Address(str(name[0]), int(name[1])))
        return tuple(bound)

    def settled(self, host: str) -> None:
        """A connection from this host is no longer half open."""
        self._limits.settled(host)

    def close(self) -> None:
        """Accept nobody any more."""
        self._closed = True
        for server in self._servers:
            server.close()

    async def wait_closed(self, *, timeout_s: float) -> None:
        """Wait until every connection that was accepted has ended, at most `timeout_s` a socket."""
        for server in self._servers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await server.wait_closed()
        self._servers.clear()

    def _accept(self) -> TlsConnection:
        return TlsConnection(self.context, self._admit, server_side=True)

    def _admit(self, connection: TlsConnection) -> ConnectionOwner | None:
        if self._closed:
            return None
        why = self._limits.admit(connection.remote.host, now=self._clock.monotonic())
        if why is None:
            return self._admitted(connection)
        count = self.refused.pop(why, 0)
        if len(self.refused) >= REASONS_MAX:
            del self.refused[next(iter(self.refused))]
        self.refused[why] = count + 1
        return None
