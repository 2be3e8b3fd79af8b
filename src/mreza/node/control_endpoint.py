"""Where the control socket of a node is, and how both sides open it.

A unix socket, mode 0600. Where the system has none (Windows, best effort): TCP on loopback, with a
file in place of the socket that holds the port and a random token; the client sends the token as
its first line.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from mreza.errors import StateError
from mreza.node.listening import control_socket_path

BACKLOG = 64

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HAS_UNIX_SOCKETS = hasattr(socket, "AF_UNIX") and os.name == "posix"


class LoopbackPort(msgspec.Struct, frozen=True):
    """What the file holds where there are no unix sockets."""

    port: int
    token: str


def control_path(directory: Path) -> Path:
    """The control socket of the node with this folder."""
    return control_socket_path(directory, os.environ)


def _make_private(directory: Path) -> None:
    """Make the folder, ours alone.

    Raises:
        StateError: somebody else made it first.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise StateError(
            f"{directory} is not a folder that only this user can write to; remove it, "
            "or set XDG_RUNTIME_DIR to one that is"
        )


async def listen(path: Path, connected: Connected, *, limit: int) -> asyncio.Server:
    """Serve at `path`; the caller holds the node's lock, so what lies there is a dead node's.

    Raises:
        StateError: the socket cannot be made.
    """
    try:
        if not HAS_UNIX_SOCKETS:
            return await _listen_loopback(path, connected, limit=limit)
        listener = _bind(path)
        try:
            return await asyncio.start_unix_server(
                connected, sock=listener, limit=limit, backlog=BACKLOG
            )
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise StateError(f"cannot make the control socket {path}: {error}") from error


def _bind(path: Path) -> socket.socket:
    _make_private(path.parent)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        listener.bind(os.fspath(path))
        # Before listen(): until then every connection is refused, whatever the mode.
        path.chmod(0o600)
    except BaseException:
        listener.close()
        raise
    return listener


async def connect(path: Path, *, limit: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open the control socket of a running node.

    Raises:
        OSError: nobody listens there.
    """
    if HAS_UNIX_SOCKETS:
        return await asyncio.open_unix_connection(os.fspath(path), limit=limit)
    where = _read_port(path)
    reader, writer = await asyncio.open_connection("127.0.0.1", where.port, limit=limit)
    writer.write(where.token.encode() + b"\n")
    return reader, writer


async def _listen_loopback(path: Path, connected: Connected, *, limit: int) -> asyncio.Server:
    token = secrets.token_hex(32)

    async def admit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5.0):
                shown = await reader.readline()
        except (TimeoutError, ValueError, OSError):
            shown = b""
        if hmac.compare_digest(shown.rstrip(b"\r\n"), token.encode()):
            await connected(reader, writer)
        else:
            writer.close()

    server = await asyncio.start_server(admit, "127.0.0.1", 0, limit=limit, backlog=BACKLOG)
    port = server.sockets[0].getsockname()[1]
    _write_port(path, LoopbackPort(port, token))
    return server


def _write_port(path: Path, where: LoopbackPort) -> None:
    path.unlink(missing_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(msgspec.json.encode(where))


def _read_port(path: Path) -> LoopbackPort:
    try:
        return msgspec.json.decode(path.read_bytes(), type=LoopbackPort)
    except msgspec.MsgspecError as error:
        raise ConnectionRefusedError(f"{path} is damaged") from error
