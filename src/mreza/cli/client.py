"""The other end of the control socket: finds the node that is meant, asks, reads the answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from mreza.cli.problems import CommandFailed, UsageProblem
from mreza.config.base import nearest
from mreza.errors import DecodeError
from mreza.node.control_endpoint import connect, control_path
from mreza.node.control_protocol import (
    LINE_BYTES_MAX,
    Answer,
    Events,
    Request,
    Trouble,
    decode_answer,
    encode_line,
)

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 10.0
"A reading command is answered within milliseconds; a node that takes longer is stuck."
GRACE_S = 5.0
"Added to a deadline that the node itself keeps, so that its own, better answer comes first."


class NodeTrouble(CommandFailed):
    """The node could not do it, and said why."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.text)
        self.trouble = trouble


class Client:
    """One connection to a running node. Requests are answered one after the other."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, label: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self.label = label

    @classmethod
    async def open(cls, path: Path, *, label: str) -> Self:
        """Connect.

        Raises:
            OSError: no node listens there.
        """
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await connect(path, limit=LINE_BYTES_MAX)
        return cls(reader, writer, label=label)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def ask(self, request: Request, *, timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
        """The result of a request.

        Raises:
            NodeTrouble: the node could not do it.
            CommandFailed: the node went away, or did not answer in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._write(request)
                answer = await self._read()
        except TimeoutError:
            raise self._no_answer(timeout_s) from None
        return answer.result

    async def ask_following(
        self, request: Request, *, on_event: Callable[[Any], None], timeout_s: float
    ) -> Any:
        """As `ask`, for a request that tells how far it is before its result."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._write(request)
                while (answer := await self._read()).event is not msgspec.UNSET:
                    on_event(answer.event)
        except TimeoutError:
            raise self._no_answer(timeout_s) from None
        return answer.result

    async def events(self, request: Events) -> AsyncIterator[dict[str, Any]]:
        """Past events, then, with `follow`, those to come."""
        await self._write(request)
        while (answer := await self._read()).event:
            yield answer.event

    def _no_answer(self, timeout_s: float) -> CommandFailed:
        return CommandFailed(
            f"node {self.label} did not answer within {timeout_s:g} s; "
            "is its program busy? Its log may tell"
        )

    async def _write(self, request: Request) -> None:
        line = encode_line(request)
        if len(line) > LINE_BYTES_MAX:
            raise CommandFailed(
                f"the request has {len(line)} bytes, limit {LINE_BYTES_MAX}; send less at once"
            )
        self._writer.write(line)
        # A node that refuses the request may have closed already; its answer tells why.
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def _read(self) -> Answer:
        try:
            line = await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise CommandFailed(f"the answer is larger than {LINE_BYTES_MAX} bytes") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise CommandFailed(f"node {self.label} stopped before it answered") from None
        try:
            answer = decode_answer(line)
        except DecodeError as error:
            raise CommandFailed(str(error)) from error
        if isinstance(answer.error, Trouble):
            raise NodeTrouble(answer.error)
        return answer


async def open_client(state: Path, node: str | None) -> Client:
    """A connection to the node called `node`, or to the only one that runs.

    Raises:
        UsageProblem: several run and none was named, or the named one does not exist.
        CommandFailed: none runs.
    """
    names = node_names(state)
    if node is not None:
        if node not in names:
            hint = nearest(node, names) if names else "there is none at all"
            raise UsageProblem(f"no local node {node!r} in {state}: {hint}")
        names = [node]
    clients: list[Client] = []
    for name in names:
        with contextlib.suppress(OSError, TimeoutError):
            clients.append(await Client.open(control_path(state / "nodes" / name), label=name))
    if len(clients) == 1:
        return clients[0]
    for client in clients:
        await client.__aexit__()
    if clients:
        running = ", ".join(client.label for client in clients)
        raise UsageProblem(f"several nodes run in {state}: {running}; say which with --via NAME")
    what = "no node runs" if node is None else f"node {node!r} does not run"
    name_it = "" if node is None else f" --name {node}"
    raise CommandFailed(f"{what} in {state}; start it with: mreza up{name_it} --state {state}")


def node_names(state: Path) -> list[str]:
    """The nodes that have a folder in this state directory, running or not."""
    try:
        return sorted(entry.name for entry in (state / "nodes").iterdir() if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CommandFailed(f"cannot read {state}: {error.strerror}") from error
