"""A TCP connection in memory: two transports, a path each way, and a kernel's manners.

Bytes arrive in order or the connection ends. A window bounds what is on the way and unread, so
that a reader who does not read stops a writer. What a killed process leaves behind is what a
kernel does for it: its ends are closed, and nothing else is said.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
from collections import deque
from typing import TYPE_CHECKING, Any

from mreza.sim.paths import Path, next_try

if TYPE_CHECKING:
    from mreza.sim.host import SimProcess

WINDOW = 256 * 1024
"Bytes on the way and unread in one direction. Source: what Linux grows to in a LAN."
SEGMENT_MAX = 64 * 1024
"Bytes that arrive together. Source: Linux's largest GSO segment."
HIGH_WATER = 64 * 1024
"As asyncio's own transports."
GIVE_UP_S = 924.6
"Linux's tcp_retries2: a connection without any answer ends after this."
_EOF = b""
_KERNEL = contextvars.Context()
"What the network does belongs to no process."

SocketAddress = tuple[str, int]


class MemoryTransport(asyncio.Transport):
    """One end. `attach` gives it a protocol; until then what arrives waits."""

    def __init__(
        self,
        process: SimProcess,
        *,
        local: SocketAddress,
        remote: SocketAddress,
        out: Path,
        back: Path,
    ) -> None:
        super().__init__()
        self.process = process
        self.local = local
        self.remote = remote
        self.peer: MemoryTransport
        self._loop = asyncio.get_running_loop()
        self._out = out
        self._back = back
        self._protocol: asyncio.BaseProtocol | None = None
        self._context = contextvars.copy_context()
        # Sending.
        self._buffer = bytearray()
        self._finishing = False
        "EOF follows what is in the buffer."
        self._eof_written = False
        self._finished = False
        self._in_flight = 0
        self._stalled_since: float | None = None
        self._give_up: asyncio.TimerHandle | None = None
        self._last_arrival = 0.0
        self._high, self._low = HIGH_WATER, HIGH_WATER // 4
        self._paused_writing = False
        # Receiving.
        self._arriving: deque[bytes] = deque()
        "On the way to us; the network takes them out in order."
        self._unread: deque[bytes] = deque()
        self._paused_reading = False
        self._reading_due = False
        # Its life.
        self._closing = False
        self._ended = False
        "The kernel's end is closed: whoever sends to it gets a reset."
        self._lost = False
        process.transports[self] = None

    def attach(self, protocol: asyncio.BaseProtocol, waiter: asyncio.Future[None] | None) -> None:
        """Give it to a protocol, in the context of the caller."""
        self._protocol = protocol
        self._context = contextvars.copy_context()
        self._loop.call_soon(self._made, waiter)

    # What a program does.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or self._ended or not data:
            return
        self._buffer += data
        self._pump()
        if len(self._buffer) > self._high and not self._paused_writing:
            self._paused_writing = True
            self._tell("pause_writing")

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        if not self._finishing:
            self._finishing = self._eof_written = True
            self._pump()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._finishing = True
        self._pump()
        if not self._buffer:
            self._loop.call_soon(self._lose, None, context=self._context)

    def abort(self) -> None:
        """What the kernel has still goes; what it has not taken is lost."""
        self._closing = True
        self._buffer.clear()
        self._finishing = True
        self._pump()
        self._loop.call_soon(self._lose, None, context=self._context)

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._paused_reading = True

    def resume_reading(self) -> None:
        self._paused_reading = False
        self._read_soon()

    def is_reading(self) -> bool:
        return not self._paused_reading and not self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        self._high, self._low = high, high // 4 if low is None else low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": self.remote, "sockname": self.local}.get(name, default)

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None  # noqa: S101 - nobody sees it before
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    # What the kernel does.

    def kill(self) -> None:
        """The process is no more: its kernel closes this end."""
        self._lost = self._closing = True
        self._buffer.clear()
        self._finishing = True
        self._pump()
        self._ended = True
        self.process.transports.pop(self, None)

    def vanish(self) -> None:
        """The machine is off: nothing is said, and nothing arrives any more."""
        self._lost = self._closing = self._ended = self._finishing = self._finished = True
        self._buffer.clear()
        self._cancel_give_up()
        self.process.transports.pop(self, None)

    def _pump(self) -> None:
        """Put on the wire what the window and the path allow."""
        if self._finished or self._stalled_since is not None:
            return
        while self._buffer or self._finishing:
            if not self._out.is_open:
                self._stall()
                return
            room = WINDOW - self._in_flight
            if self._buffer and room <= 0:
                return
            segment = bytes(self._buffer[: min(room, SEGMENT_MAX)])
            del self._buffer[: len(segment)]
            self._depart(segment)
            if not segment:
                self._finished = True
                break
        self._room_made()

    def _depart(self, segment: bytes) -> None:
        now = self._loop.time()
        at = self._out.arrival(len(segment), now=now)
        while self._out.loses():
            at = next_try(at, now=at)
        at = self._last_arrival = max(at, self._last_arrival)
        self._in_flight += len(segment)
        peer = self.peer
        here = self.process.machine
        here.net.note("segment", here.name, peer.process.machine.name, len(segment))
        peer._arriving.append(segment)
        self._loop.call_at(at, peer._arrive, context=_KERNEL)

    def _arrive(self) -> None:
        if not self._arriving:
            return  # reset meanwhile
        segment = self._arriving.popleft()
        if self._ended:
            if segment:
                self.process.machine.when_up(self._refuse)
            return
        self._unread.append(segment)
        self._read_soon()

    def _read_soon(self) -> None:
        if self._unread and not self._reading_due and not self._paused_reading:
            self._reading_due = True
            self._loop.call_soon(self._read, context=self._context)

    def _read(self) -> None:
        self._reading_due = False
        protocol = self._protocol
        if self._lost or protocol is None:
            return
        while self._unread and not self._paused_reading and not self._closing:
            if self._unread[0] == _EOF:
                self._unread.popleft()
                if not protocol.eof_received():  # type: ignore[attr-defined]
                    self.close()
                return
            pieces = []
            while self._unread and self._unread[0] != _EOF:
                pieces.append(self._unread.popleft())
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self.peer._acknowledged(len(data), self._out)
            if isinstance(protocol, asyncio.BufferedProtocol):
                _fill(protocol, data)
            else:
                protocol.data_received(data)  # type: ignore[attr-defined]

    def _acknowledged(self, size: int, back: Path) -> None:
        """The other end has read so much; word of it takes the way back."""
        if not self._buffer and not self._paused_writing:
            self._in_flight -= size
            return

        def heard() -> None:
            self._in_flight -= size
            self._pump()

        def on_its_way() -> None:
            if not back.is_open:
                back.when_open(on_its_way)
                return
            at = back.arrival(0, now=self._loop.time())
            self._loop.call_at(at, heard, context=_KERNEL)

        on_its_way()

    def _stall(self) -> None:
        """Nothing gets through now: try again, ever more rarely, and at last give up."""
        now = self._loop.time()
        since = self._stalled_since = now

        def opened() -> None:
            now = self._loop.time()
            at = now if self._out.was_held else next_try(since, now=now)
            self._loop.call_at(at, self._try_again, context=_KERNEL)

        self._out.when_open(opened)
        if self._give_up is None:
            self._give_up = self._loop.call_at(
                now + GIVE_UP_S, self._timed_out, context=self._context
            )

    def _try_again(self) -> None:
        if self._stalled_since is None:
            return
        if not self._out.is_open:
            self._out.when_open(self._try_again)
            return
        self._stalled_since = None
        self._cancel_give_up()
        self._pump()

    def _cancel_give_up(self) -> None:
        if self._give_up is not None:
            self._give_up.cancel()
            self._give_up = None

    def _timed_out(self) -> None:
        self._finished = self._ended = True
        self._lose(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))

    def _refuse(self) -> None:
        """Somebody sends to an end that is closed."""
        if self._out.is_open:
            at = self._out.arrival(0, now=self._loop.time())
            peer = self.peer
            self._loop.call_at(at, peer._reset, context=_KERNEL)

    def _reset(self) -> None:
        if self._ended:
            return
        self._ended = self._finished = self._finishing = True
        self._arriving.clear()
        self._buffer.clear()
        error = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        self._loop.call_soon(self._lose, error, context=self._context)

    # What the protocol is told.

    def _made(self, waiter: asyncio.Future[None] | None) -> None:
        assert self._protocol is not None  # noqa: S101 - just given
        try:
            self._protocol.connection_made(self)
        finally:
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        self._read_soon()

    def _room_made(self) -> None:
        if self._paused_writing and len(self._buffer) <= self._low:
            self._paused_writing = False
            self._loop.call_soon(self._tell, "resume_writing", context=self._context)
        if self._closing and not self._buffer and not self._lost:
            self._loop.call_soon(self._lose, None, context=self._context)

    def _tell(self, what: str) -> None:
        if self._protocol is not None and not self._lost:
            getattr(self._protocol, what)()

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = self._ended = True
        self._cancel_give_up()
        self.process.transports.pop(self, None)
        if self._protocol is not None:
            self._protocol.connection_lost(error)


def _fill(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    view = memoryview(data)
    while view:
        buffer = memoryview(protocol.get_buffer(len(view)))
        size = min(len(buffer), len(view))
        buffer[:size] = view[:size]
        protocol.buffer_updated(size)
        view = view[size:]
