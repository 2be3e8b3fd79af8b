"""The control socket: a running node answers the command line of its own user.

The edge of a node towards its operator. Each connection is one task that reads a request, has the
node answer it and writes the answer; a request whose asker went away is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from mreza.errors import DecodeError, MeshError
from mreza.events import Event, to_json
from mreza.messaging.message import Message, Receipt
from mreza.node import control_protocol as ask
from mreza.node.control_endpoint import listen
from mreza.node.control_protocol import (
    LINE_BYTES_MAX,
    Answer,
    AnyRequest,
    decode_request,
    encode_line,
    trouble,
)
from mreza.node.logs import Log
from mreza.node.views import CallResult, LinkInfo, MemberInfo, RouteInfo, TraceHop
from mreza.qos import MessageType, Priority

CONNECTIONS_MAX = 64
"A person needs one, `mreza demo` three dozen. One more is told so and closed."
CLOSE_TIMEOUT_S = 0.5
"How long the last answer may take to reach its asker."

log = Log("mreza.control")


class ControlledNode(Protocol):
    """What the control socket asks of a node; `MeshNetwork` has it all."""

    @property
    def members(self) -> Sequence[MemberInfo]: ...
    @property
    def links(self) -> Sequence[LinkInfo]: ...
    @property
    def routes(self) -> Sequence[RouteInfo]: ...
    @property
    def event_history(self) -> Sequence[Event]: ...
    def status(self) -> dict[str, Any]: ...
    def snapshot(self) -> dict[str, Any]: ...
    def events(self) -> AsyncIterator[Event]: ...
    def send(self, node: str, payload: Any, *, priority: Priority) -> None: ...
    async def send_message(self, message: Message) -> Receipt: ...
    async def ping(self, node: str, *, timeout_s: float) -> list[float | None]: ...
    async def trace(self, node: str, *, timeout_s: float) -> list[TraceHop]: ...
    async def leave(self, reason: str) -> None: ...
    async def finish_work(self, timeout_s: float, *, on_progress: Callable[[int], None]) -> int: ...
    async def call_detailed(
        self,
        name: str,
        payload: Any,
        *,
        timeout_s: float | None,
        priority: Priority,
        node: str | None,
        key: str | None,
    ) -> CallResult: ...


class ControlSocket:
    """Serves a node's control socket from `open` to `close`."""

    def __init__(self, node: ControlledNode, path: Path) -> None:
        self._node = node
        self._path = path
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}
        self._leaving: asyncio.Task[Any] | None = None
        self._closed = False

    @property
    def path(self) -> Path:
        """Where the socket is."""
        return self._path

    async def open(self) -> None:
        """Listen.

        Raises:
            StateError: the socket cannot be made.
        """
        self._server = await listen(self._path, self.serve, limit=LINE_BYTES_MAX)

    async def close(self) -> None:
        """Stop listening and end all connections but that of who asked the node to leave."""
        self._closed = True
        server, self._server = self._server, None
        if server is not None:
            server.close()
            with contextlib.suppress(OSError):
                self._path.unlink()
        ended = [task for task in self._connections if task is not self._leaving]
        for task in ended:
            task.cancel()
        if ended:
            await asyncio.wait(ended, timeout=CLOSE_TIMEOUT_S)

    async def answered(self) -> None:
        """Wait until who asked the node to leave has the answer; called last."""
        # Leaving closes the node, and the node closes us: that task cannot wait for itself.
        if self._leaving is not None and self._leaving is not asyncio.current_task():
            await asyncio.wait([self._leaving], timeout=CLOSE_TIMEOUT_S)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it ends."""
        task = asyncio.current_task()
        if task is None or self._closed:
            writer.close()
            return
        self._connections[task] = writer
        try:
            if len(self._connections) > CONNECTIONS_MAX:
                raise MeshError(
                    f"{CONNECTIONS_MAX} connections are open already, which is the limit"
                )
            await self._serve(reader, writer, task)
        except MeshError as error:
            # The rest of the stream has lost its meaning: say why, and close.
            writer.write(encode_line(Answer(error=trouble(error))))
        except OSError as error:
            log.debug("control_connection_lost", error=str(error))
        except asyncio.CancelledError:
            # Its asker went away, or the node closes. Streams of Python 3.11 complain of a task
            # that ends as cancelled.
            log.debug("control_connection_ended")
        finally:
            del self._connections[task]
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await writer.wait_closed()

    async def _serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: asyncio.Task[Any],
    ) -> None:
        def read_on(reading: asyncio.Task[bytes | None]) -> None:
            """Reading on while the answer is made tells whether the asker still waits for it."""
            gone = not reading.cancelled() and reading.exception() is None and not reading.result()
            if gone and connection is not self._leaving:
                connection.cancel()

        line = await _read_line(reader)
        while line is not None:
            reading = asyncio.create_task(_read_line(reader), name="mreza-control-read")
            reading.add_done_callback(read_on)
            try:
                await self._answer(line, writer)
                reading.remove_done_callback(read_on)
                line = await reading
            finally:
                await _end(reading)

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            result = None
            request = decode_request(line)
            if isinstance(request, ask.Events):
                await self._tell_events(request, writer)
            elif isinstance(request, ask.Drain):
                result = await self._drain(request, writer)
            else:
                result = await self._result(request)
            answer = encode_line(Answer(result=result))
        except Exception as error:
            if not isinstance(error, MeshError | OSError):
                log.warning("control_request_failed", error=repr(error), exc_info=error)
            answer = encode_line(Answer(error=trouble(error)))
        if len(answer) > LINE_BYTES_MAX:
            too_long = DecodeError(f"the answer has {len(answer)} bytes, limit {LINE_BYTES_MAX}")
            answer = encode_line(Answer(error=trouble(too_long)))
        writer.write(answer)
        await writer.drain()

    async def _result(self, request: AnyRequest) -> Any:
        """The answer to a request that has only one."""
        node = self._node
        match request:
            case ask.Status():
                return {**node.status(), "pid": os.getpid()}
            case ask.Nodes():
                return [member.to_json() for member in node.members]
            case ask.Links():
                return [link.to_json() for link in node.links]
            case ask.Routes():
                return [route.to_json() for route in node.routes]
            case ask.Snapshot():
                return node.snapshot()
            case ask.Ping():
                return (await node.ping(request.node, timeout_s=request.timeout_s))[0]
            case ask.Trace():
                hops = await node.trace(request.node, timeout_s=request.timeout_s)
                return {"path": [hop.to_json() for hop in hops]}
            case ask.Send():
                return await self._send(request)
            case ask.Call():
                return await self._call(request)
            case ask.Leave():
                return await self._leave(request)

    async def _send(self, request: ask.Send) -> dict[str, Any] | None:
        payload = request.payload if request.data is None else request.data
        priority = Priority[request.priority.upper()]
        if not request.wait:
            self._node.send(request.node, payload, priority=priority)
            return None
        receipt = await self._node.send_message(
            Message(
                type=MessageType.DATA,
                payload=payload,
                destination=request.node,
                priority=priority,
                timeout_s=request.timeout_s,
            )
        )
        return {
            "message_id": str(receipt.message_id),
            "node": str(receipt.node),
            "path": [str(node) for node in receipt.path],
            "attempts": receipt.attempts,
            "latency_s": receipt.latency_s,
            "result": receipt.result,
        }

    async def _call(self, request: ask.Call) -> dict[str, Any]:
        done = await self._node.call_detailed(
            request.process,
            request.payload if request.data is None else request.data,
            timeout_s=request.timeout_s,
            priority=Priority[request.priority.upper()],
            node=request.node,
            key=request.key,
        )
        return {
            "result": done.result,
            "node": str(done.node),
            "latency_s": done.latency_s,
            "attempts": done.attempts,
        }

    async def _leave(self, request: ask.Leave) -> None:
        # Leaving closes this socket, too; the connection that asked for it must outlive that.
        self._leaving = asyncio.current_task()
        await self._node.leave(request.reason)

    async def _drain(self, request: ask.Drain, writer: asyncio.StreamWriter) -> dict[str, Any]:
        def progressed(running: int) -> None:
            writer.write(encode_line(Answer(event={"running": running})))

        running = await self._node.finish_work(request.timeout_s, on_progress=progressed)
        left = not running and not request.stay
        if left:
            await self._leave(ask.Leave(reason=request.reason))
        return {"running": running, "left": left}

    async def _tell_events(self, request: ask.Events, writer: asyncio.StreamWriter) -> None:
        coming = self._node.events()
        past = list(self._node.event_history)
        shown = past if request.last is None else past[max(0, len(past) - request.last) :]
        for event in shown:
            writer.write(encode_line(Answer(event=to_json(event))))
        await writer.drain()
        if request.follow:
            async for event in coming:
                writer.write(encode_line(Answer(event=to_json(event))))
                await writer.drain()


async def _read_line(reader: asyncio.StreamReader) -> bytes | None:
    """The next line, or None at the end."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError as error:
        raise DecodeError(
            f"a request has more than {LINE_BYTES_MAX} bytes, which is the limit"
        ) from error


async def _end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel what still runs, and take what it raises."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
