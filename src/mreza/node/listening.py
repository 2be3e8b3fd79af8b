"""Where the nodes of one state directory listen: so they find each other without multicast."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec
import psutil

from mreza.errors import InvalidId, StateError
from mreza.ids import NodeId
from mreza.io.files import read_file, write_atomic

FILE = "listen.json"
SOCKET_PATH_MAX = 107
"Bytes of `sun_path` on Linux without its final zero; macOS has 103."
_SOCKET_PATH_MAX_HERE = SOCKET_PATH_MAX if platform.system() == "Linux" else 103
_FOLDERS_MAX = 1024


class _ListenFile(msgspec.Struct, frozen=True):
    node: str
    addresses: list[str]
    epoch: int
    pid: int
    host: str


class Listening(msgspec.Struct, frozen=True):
    """Where one node listens, or did last."""

    node: NodeId
    addresses: tuple[str, ...]
    epoch: int
    pid: int
    "0: it has ended."
    host: str

    @classmethod
    def of_this_process(cls, node: NodeId, *, addresses: tuple[str, ...], epoch: int) -> Self:
        """A node that runs in this process."""
        return cls(node, addresses, epoch, os.getpid(), platform.node())

    def ended(self) -> Self:
        """The same after it closed: still worth an address in a token."""
        return msgspec.structs.replace(self, pid=0)

    @property
    def runs(self) -> bool:
        """False when it closed or its process is gone; a process on another host may run."""
        return self.pid != 0 and (self.host != platform.node() or psutil.pid_exists(self.pid))


def write_listening(directory: Path, listening: Listening) -> None:
    """Write a node's listen.json."""
    file = _ListenFile(
        node=str(listening.node),
        addresses=list(listening.addresses),
        epoch=listening.epoch,
        pid=listening.pid,
        host=listening.host,
    )
    write_atomic(directory / FILE, msgspec.json.encode(file), durable=False)


def read_listening(directory: Path) -> Listening | None:
    """Read a node's listen.json; None if there is none that can be read."""
    try:
        data = read_file(directory / FILE)
        if data is None:
            return None
        file = msgspec.json.decode(data, type=_ListenFile)
        return Listening(
            NodeId.parse(file.node), tuple(file.addresses), file.epoch, file.pid, file.host
        )
    except (StateError, InvalidId, msgspec.DecodeError):
        return None


class ListeningFiles:
    """The listen.json files below a folder of nodes, read again only when they change."""

    def __init__(self, nodes: Path, *, but_not: str = "") -> None:
        self._nodes = nodes
        self._but_not = but_not
        self._known: dict[str, tuple[tuple[int, int], Listening | None]] = {}
        "By folder: (inode, time of change) and content."

    def running(self) -> list[Listening]:
        """Nodes whose process runs, by folder name."""
        return [one for one in self.all() if one.runs]

    def all(self) -> list[Listening]:
        """Running ones and those that ended, by folder name."""
        found: list[Listening] = []
        known: dict[str, tuple[tuple[int, int], Listening | None]] = {}
        for name in self._folders():
            try:
                status = (self._nodes / name / FILE).stat()
            except OSError:
                continue
            stamp = (status.st_ino, status.st_mtime_ns)
            old = self._known.get(name)
            listening = (
                old[1]
                if old is not None and old[0] == stamp
                else read_listening(self._nodes / name)
            )
            known[name] = (stamp, listening)
            if listening is not None:
                found.append(listening)
        self._known = known
        return found

    def _folders(self) -> list[str]:
        try:
            names = sorted(entry.name for entry in os.scandir(self._nodes))
        except OSError:
            return []
        return [name for name in names if name != self._but_not][:_FOLDERS_MAX]


def control_socket_path(directory: Path, env: Mapping[str, str]) -> Path:
    """In the node's folder, or in the user's runtime folder if that path is too long."""
    # Whoever asks may name the same folder differently.
    direct = directory.resolve() / "control.sock"
    if len(os.fsencode(direct)) <= _SOCKET_PATH_MAX_HERE:
        return direct
    short = hashlib.sha256(os.fsencode(direct)).hexdigest()[:16]
    runtime = env.get("XDG_RUNTIME_DIR")
    base = Path(runtime) if runtime else Path(tempfile.gettempdir()) / f"mreza-{_user()}"
    return base / f"mreza-{short}.sock"


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "user"
