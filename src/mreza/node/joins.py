"""Joins over TLS: serving a stranger with a token, and being one.

The machines that decide are in `security.admission`; here are the frames, the sockets and the
patience.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from mreza.address import Address
from mreza.clock import Clock
from mreza.errors import AdmissionError, DecodeError
from mreza.io.tcp import TlsConnection, connect
from mreza.io.tls import TlsFailed, joiner_context
from mreza.security.admission import Granted, Joiner
from mreza.wire.frame import BODY_MAX, FrameReader, FrameType, encode_frame
from mreza.wire.join import (
    JOIN_ANSWER,
    JOIN_CHAIN,
    JOIN_REQUEST,
    JoinAnswer,
    JoinChain,
    JoinRequest,
)
from mreza.wire.link import REFUSED, RefusalCode

DIAL_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 15.0
"Of the whole conversation: its authority may be several hops away."


class JoinDoor(Protocol):
    """What a node does for strangers."""

    def chain(self) -> JoinChain:
        """The certificates that a stranger checks against its token."""
        ...

    async def answer(self, request: JoinRequest, address: Address) -> JoinAnswer:
        """Decide, or pass the request on to its authority."""
        ...


class JoinPeer(Protocol):
    """The connection that a stranger came by."""

    address: Address

    def write_raw(self, frame: bytes) -> None: ...
    def close(self, cause: str) -> None: ...
    def refuse(self, code: str, text: str) -> None: ...


class JoinServing:
    """The conversation with one stranger: certificates, its request, the answer."""

    def __init__(
        self,
        door: JoinDoor,
        peer: JoinPeer,
        *,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._door = door
        self._peer = peer
        self._spawn = spawn
        self._reader = FrameReader()
        self._task: asyncio.Task[None] | None = None
        chain = JOIN_CHAIN.encode(door.chain())
        peer.write_raw(encode_frame(FrameType.JOIN, chain))

    def receive(self, data: bytes) -> None:
        """Bytes from the stranger: one request, and no more."""
        try:
            for kind, body in self._reader.feed(data):
                if kind != FrameType.JOIN or self._task is not None:
                    self._peer.refuse(RefusalCode.MALFORMED, f"frame type {kind} in a join")
                    return
                request = JOIN_REQUEST.decode(body)
                self._task = self._spawn(self._answer(request), f"join from {self._peer.address}")
        except DecodeError as error:
            self._peer.refuse(RefusalCode.MALFORMED, str(error))

    def close(self) -> None:
        """The stranger has gone."""
        if self._task is not None:
            self._task.cancel()

    async def _answer(self, request: JoinRequest) -> None:
        answer = await self._door.answer(request, self._peer.address)
        self._peer.write_raw(encode_frame(FrameType.JOIN, JOIN_ANSWER.encode(answer)))
        self._peer.close(RefusalCode.JOIN_REFUSED if answer.code else "joined")


async def join(address: Address, joiner: Joiner, *, clock: Clock) -> Granted:
    """Ask the member at `address` to let us in.

    Raises:
        AdmissionError: it did not; `unreachable` if nobody answered there.
    """
    try:
        sock = await connect(address, timeout_s=DIAL_TIMEOUT_S)
    except OSError as error:
        raise AdmissionError(
            f"no member of the mesh answers at {address}: {_why_not(error)}", code="unreachable"
        ) from error
    conversation = _Conversation(joiner, clock)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await loop.create_connection(
                lambda: TlsConnection(joiner_context(), conversation.begin, server_side=False),
                sock=sock,
            )
            answer = await conversation.answer
        return joiner.answered(answer, wall=clock.wall())
    except TimeoutError:
        raise AdmissionError(
            f"{address} did not answer within {ANSWER_TIMEOUT_S:g} s", code="unreachable"
        ) from None
    finally:
        sock.close() if conversation.connection is None else None
        await conversation.finish()


def _why_not(error: OSError) -> str:
    """Why nobody was reached, in words and without the socket's numbers."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return error.strerror or str(error)


class _Conversation:
    """The stranger's side of the frames."""

    def __init__(self, joiner: Joiner, clock: Clock) -> None:
        self._joiner = joiner
        self._clock = clock
        self._reader = FrameReader(limit=BODY_MAX)
        self._asked = False
        self.connection: TlsConnection | None = None
        self.answer: asyncio.Future[JoinAnswer] = asyncio.get_running_loop().create_future()
        self._lost = asyncio.Event()

    def begin(self, connection: TlsConnection) -> _Conversation:
        self.connection = connection
        return self

    async def finish(self) -> None:
        """Close, and wait until the socket is closed."""
        if self.connection is not None:
            self.connection.abort()
            await self._lost.wait()
        if self.answer.done() and not self.answer.cancelled():
            self.answer.exception()
        self.answer.cancel()

    def established(self) -> None:
        """The server speaks first."""

    def data(self, plaintext: bytes) -> None:
        if self.answer.done():
            return
        try:
            for kind, body in self._reader.feed(plaintext):
                self._receive(kind, body)
        except (DecodeError, AdmissionError) as error:
            self._fail(
                error
                if isinstance(error, AdmissionError)
                else AdmissionError(f"the member's answer is malformed: {error}", code="malformed")
            )

    def writable(self) -> None:
        """One small frame never fills a socket."""

    def lost(self, failure: TlsFailed | None, error: Exception | None) -> None:
        self._lost.set()
        if failure is not None:
            self._fail(AdmissionError(f"no join: {failure}", code=failure.code))
        words = f": {error}" if error is not None else ""
        self._fail(AdmissionError(f"the member closed the connection{words}", code="unreachable"))

    def _receive(self, kind: int, body: bytes) -> None:
        assert self.connection is not None  # noqa: S101 - it gave us this frame
        if self.answer.done():
            return
        if kind == FrameType.REFUSED:
            refused = REFUSED.decode(body)
            self._fail(AdmissionError(f"not admitted: {refused.text}", code=refused.code))
        elif kind != FrameType.JOIN:
            raise DecodeError(f"frame type {kind} in a join")
        elif self._asked:
            self.answer.set_result(JOIN_ANSWER.decode(body))
        else:
            leaf = self.connection.tls.peer_certificate
            if leaf is None:
                raise DecodeError("the member shows no certificate")
            request = self._joiner.challenged(
                JOIN_CHAIN.decode(body), server_leaf=leaf, wall=self._clock.wall()
            )
            self._asked = True
            frame = encode_frame(FrameType.JOIN, JOIN_REQUEST.encode(request))
            self.connection.write([frame])

    def _fail(self, error: AdmissionError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
