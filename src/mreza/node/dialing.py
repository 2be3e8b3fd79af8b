"""One dial, from an address to a link that is up or the reason why there is none."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from mreza.address import Address
from mreza.clock import Clock
from mreza.ids import NodeId
from mreza.io.tcp import TlsConnection, connect
from mreza.node.link_connection import CLOSED, RESET, UP, LinkConnection
from mreza.node.link_events import DialOutcome, DialResult
from mreza.wire.link import RefusalCode

_OUTCOMES: dict[str, DialOutcome] = {
    UP: DialOutcome.UP,
    RefusalCode.SELF: DialOutcome.OURSELF,
    RefusalCode.DUPLICATE_LINK: DialOutcome.ALREADY,
    RESET: DialOutcome.UNREACHABLE,
    CLOSED: DialOutcome.UNREACHABLE,
}
"By cause; any other one is a refusal."

Adopt = Callable[[TlsConnection, float], LinkConnection | None]
"Make a connected socket (with the round trip that connecting took) a link to be; None: not now."


async def dial_link(
    address: Address,
    *,
    expected: NodeId | None,
    context: ssl.SSLContext,
    adopt: Adopt,
    timeout_s: float,
    clock: Clock,
) -> DialResult:
    """Try to make a link; returns when it is up or it is known why not.

    Never raises for what others do. Cancelled after our hello, it lets the link take its course.
    """
    loop = asyncio.get_running_loop()
    started = clock.monotonic()
    try:
        sock = await connect(address, timeout_s=timeout_s)
    except ConnectionRefusedError:
        return DialResult(DialOutcome.NOBODY, expected, "connection refused")
    except (OSError, UnicodeError) as error:
        text = "timed out" if isinstance(error, TimeoutError) else str(error)
        return DialResult(DialOutcome.UNREACHABLE, expected, text)
    rtt_s = clock.monotonic() - started
    link: LinkConnection | None = None

    def owner(connection: TlsConnection) -> LinkConnection | None:
        nonlocal link
        link = adopt(connection, rtt_s)
        return link

    try:
        await loop.create_connection(
            lambda: TlsConnection(context, owner, server_side=False), sock=sock
        )
    except OSError as error:
        sock.close()
        return DialResult(DialOutcome.UNREACHABLE, expected, str(error))
    if link is None:
        return DialResult(DialOutcome.UNREACHABLE, expected, CLOSED)
    return await _outcome(link)


async def _outcome(link: LinkConnection) -> DialResult:
    assert link.outcome is not None  # noqa: S101 - it was dialed
    try:
        cause = await asyncio.shield(link.outcome)
    except asyncio.CancelledError:
        # After our hello the peer may hold this for a link: then it takes its course without us.
        if not link.greeted:
            link.abort(CLOSED)
        raise
    return DialResult(_OUTCOMES.get(cause, DialOutcome.REFUSED), link.peer, cause)
