"""TCP with TLS inside: listening, dialing, and one connection as an asyncio protocol.

A connection translates and decides nothing: bytes of the socket become plaintext for its owner,
what the owner writes becomes one write to the socket. Its owner hears of its end exactly once.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from typing import Protocol, cast

from mreza.address import Address
from mreza.io.host import open_socket
from mreza.io.tls import TlsFailed, TlsStream
from mreza.link.quality import TcpCounters

HIGH_WATER = 128 * 1024
"""Bytes that may wait in user space for one socket. Beyond, the send queue decides who goes first.
Larger ones measured no faster."""
LOW_WATER = 64 * 1024
NOT_SENT_LOW_WATER = 32 * 1024
"Bytes that may wait unsent in the kernel: what is urgent cannot overtake there."
STAGGER_S = 0.05
"""Head start of each address of a host name over the next (happy eyeballs, RFC 8305, with a LAN's
patience)."""
LINGER_S = 1.0
"How long a closed connection waits for the peer to close its end: a long round trip, and its CPU."
BACKLOG = 256
PORTS_TRIED = 100
"How far above a taken port to look for a free one."
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_TCP_INFO_BYTES = 160
_U32 = struct.Struct("=I")
_Target = tuple[int, tuple[object, ...]]
"Address family and what `connect` of a socket takes."
_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class ConnectionOwner(Protocol):
    """Who a connection tells."""

    def established(self) -> None:
        """The TLS handshake is over, for this end."""
        ...

    def data(self, plaintext: bytes) -> None:
        """Bytes from the peer."""
        ...

    def writable(self) -> None:
        """The socket takes more again."""
        ...

    def lost(self, failure: TlsFailed | None, error: Exception | None) -> None:
        """The end, told once: why TLS failed, or the socket's error, or neither if closed."""
        ...


class TlsConnection(asyncio.Protocol):
    """One TLS connection over one socket."""

    def __init__(
        self,
        context: ssl.SSLContext,
        owner: Callable[[TlsConnection], ConnectionOwner | None],
        *,
        server_side: bool,
    ) -> None:
        """`owner` is asked when the socket is connected; None refuses it before a byte is read."""
        self._find_owner = owner
        self._owner: ConnectionOwner | None = None
        self._context = context
        self._server_side = server_side
        self._transport: asyncio.Transport | None = None
        self._closing = False
        self._linger: asyncio.TimerHandle | None = None
        self.tls: TlsStream
        self.remote = Address("", 0)
        self.paused = False
        self.bytes_in = 0
        self.bytes_out = 0

    # What the owner does.

    @property
    def is_closing(self) -> bool:
        """True when nothing more can be written."""
        return self._closing

    @property
    def room(self) -> int:
        """Bytes that may be written now; 0 while the socket is busy."""
        if self._transport is None or self._closing or self.paused:
            return 0
        # One more than the limit: at the limit itself a transport does not pause, nor resume.
        return max(0, HIGH_WATER + 1 - self._transport.get_write_buffer_size())

    def tcp_counters(self) -> TcpCounters | None:
        """What the kernel knows of the connection; None where it does not tell."""
        if self._transport is None or _TCP_INFO is None or not sys.platform.startswith("linux"):
            return None
        sock = self._transport.get_extra_info("socket")
        try:
            data = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_BYTES)
        except (AttributeError, OSError):
            return None
        return read_tcp_info(data)

    def write(self, batches: list[bytes]) -> None:
        """Encrypt and write; one write to the socket."""
        if self._closing:
            return
        for batch in batches:
            self.tls.send(batch)
        self._flush()

    def close(self) -> None:
        """Write what is buffered, say so to the peer, and close when it has closed, or soon."""
        transport = self._transport
        if self._closing or transport is None:
            return
        if self.tls.established:
            self.tls.end()
        self._flush()
        self._closing = True
        # Closing a socket with unread bytes resets it, and the peer would lose our last words. So
        # only our
        # direction ends now, and what still comes is read and ignored.
        if transport.can_write_eof() and not transport.is_closing():
            with contextlib.suppress(OSError, RuntimeError):
                transport.write_eof()
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, transport.abort)
        else:
            transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    # What asyncio does.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername") or ("", 0)
        self.remote = Address(str(name[0]), int(name[1]))
        owner = self._find_owner(self)
        if owner is None:
            self.abort()
            return
        self._owner = owner
        self._transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        tune(transport.get_extra_info("socket"))
        self.tls = TlsStream(self._context, server_side=self._server_side)
        if not self._server_side:
            self.tls.start()
            self._flush()

    def data_received(self, data: bytes) -> None:
        owner = self._owner
        if owner is None or self._closing:
            return
        self.bytes_in += len(data)
        tls = self.tls
        was_established = tls.established
        plaintext = tls.receive(data)
        if tls.established and not was_established:
            # The last bytes of the handshake go first, whatever the owner writes now.
            owner.established()
        if plaintext and not self._closing:
            owner.data(plaintext)
        if not was_established or tls.failure is not None:
            self._flush()
        if tls.failure is not None or tls.ended:
            self.close()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self._owner is not None and not self._closing:
            self._owner.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.lost(self.tls.failure, exc)

    def _flush(self) -> None:
        data = self.tls.data_to_send()
        if data and self._transport is not None and not self._closing:
            self.bytes_out += len(data)
            self._transport.write(data)


def read_tcp_info(data: bytes) -> TcpCounters | None:
    """Linux's `struct tcp_info` (include/uapi/linux/tcp.h); None if it is of an older kernel."""
    if len(data) < _TCP_INFO_BYTES:
        return None
    (rtt_us,) = _U32.unpack_from(data, 68)
    (retransmitted,) = _U32.unpack_from(data, 100)
    (sent,) = _U32.unpack_from(data, 156)
    return TcpCounters(rtt_us / 1e6, sent, retransmitted)


def tune(sock: socket.socket | None) -> None:
    """No waiting for more (Nagle), and a short queue in the kernel."""
    if sock is None:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if _TCP_NOTSENT_LOWAT is not None:
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOT_SENT_LOW_WATER)


# Listening.


def bind_sockets(host: str, port: int, *, next_free: bool = False) -> list[socket.socket]:
    """Sockets listening on one port of a host (empty: all IPv4 and IPv6 addresses of the machine).

    With `next_free` the following ports are tried, too, when this one is taken.
    """
    last: OSError | None = None
    ports = range(port, min(port + PORTS_TRIED, 65536)) if next_free and port else (port,)
    for candidate in ports:
        try:
            return _bind_all(host, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            last = error
    assert last is not None  # noqa: S101 - at least one port was tried
    raise last


def _bind_all(host: str, port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for family, address in _bind_addresses(host):
            try:
                sock = open_socket(family, socket.SOCK_STREAM)
            except OSError:
                if sockets:
                    continue  # no IPv6 on this machine
                raise
            sockets.append(sock)
            _prepare(sock, family)
            # With port 0 the first socket chooses, and the others follow it.
            chosen = sockets[0].getsockname()[1] if len(sockets) > 1 else port
            try:
                sock.bind((address, chosen))
            except OSError as error:
                if len(sockets) > 1 and error.errno == errno.EADDRNOTAVAIL:
                    sockets.pop().close()
                    continue
                raise
            sock.listen(BACKLOG)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _prepare(sock: socket.socket, family: int) -> None:
    sock.setblocking(False)  # noqa: FBT003
    if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # pragma: no cover - Windows
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def _bind_addresses(host: str) -> list[tuple[int, str]]:
    if host in ("", "*"):
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]  # noqa: S104 - as asked
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((int(entry[0]), str(entry[4][0])) for entry in found))


# Dialing.


async def connect(address: Address, *, timeout_s: float) -> socket.socket:
    """A connected socket to the first of a host's addresses that answers, all tried in parallel.

    Raises:
        ConnectionRefusedError: every address refused: nobody listens there.
        TimeoutError: nobody answered.
        OSError: no such host, no route.
    """
    async with asyncio.timeout(timeout_s):
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        targets: list[_Target] = list(
            dict.fromkeys((int(entry[0]), tuple(entry[4])) for entry in found)
        )
        if len(targets) == 1:
            return await _connect_one(*targets[0])
        return await _connect_first(targets)


async def _connect_one(family: int, target: tuple[object, ...]) -> socket.socket:
    sock = open_socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003
        await asyncio.get_running_loop().sock_connect(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect_first(targets: list[_Target]) -> socket.socket:
    async def after(delay_s: float, family: int, target: tuple[object, ...]) -> socket.socket:
        await asyncio.sleep(delay_s)
        return await _connect_one(family, target)

    pending = {
        asyncio.create_task(after(place * STAGGER_S, *target), name=f"connect {target[1]}")
        for place, target in enumerate(targets)
    }
    errors: list[BaseException] = []
    winner: socket.socket | None = None
    try:
        while pending and winner is None:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is not None:
                    errors.append(error)
                elif winner is None:
                    winner = task.result()
                else:
                    task.result().close()
    finally:
        for task in pending:
            task.cancel()
        for late in await asyncio.gather(*pending, return_exceptions=True):
            if isinstance(late, socket.socket):
                late.close()
    if winner is not None:
        return winner
    others = [error for error in errors if not isinstance(error, ConnectionRefusedError)]
    raise (others or errors)[0]
