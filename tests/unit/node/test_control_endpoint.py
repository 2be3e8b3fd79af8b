"""Where the control socket is, and what must be true of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from mreza.errors import StateError
from mreza.node import control_endpoint as module
from mreza.node.control_endpoint import LoopbackPort, connect, control_path, listen
from mreza.node.listening import control_socket_path


async def nobody(*_: object) -> None:
    raise AssertionError("nobody connects")


def test_the_socket_lies_in_the_nodes_folder(tmp_path: Path) -> None:
    assert control_path(tmp_path) == control_socket_path(tmp_path, {})


async def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StateError, match="not a folder that only this user can write to"):
        await listen(folder / "control.sock", nobody, limit=1024)


async def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(StateError, match="not a folder"):
        await listen(tmp_path / "link" / "control.sock", nobody, limit=1024)


async def test_a_socket_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StateError, match="cannot make the control socket"):
        await listen(file / "x" / "control.sock", nobody, limit=1024)


def test_a_port_file_is_private_and_replaces_a_dead_nodes(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("left behind")
    module._write_port(path, LoopbackPort(4711, "secret"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert module._read_port(path) == LoopbackPort(4711, "secret")


async def test_a_damaged_port_file_means_that_nobody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HAS_UNIX_SOCKETS", False)
    path = tmp_path / "control.sock"
    path.write_bytes(b"not json")
    with pytest.raises(ConnectionRefusedError, match="damaged"):
        await connect(path, limit=1024)
    with pytest.raises(OSError, match="No such file"):
        await connect(tmp_path / "missing", limit=1024)
