from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mreza.ids import NodeId
from mreza.node import listening
from mreza.node.listening import (
    Listening,
    ListeningFiles,
    control_socket_path,
    read_listening,
    write_listening,
)

A, B = NodeId(b"a" * 16), NodeId(b"b" * 16)


def put(nodes: Path, name: str, one: Listening) -> None:
    (nodes / name).mkdir(exist_ok=True)
    write_listening(nodes / name, one)


def here(node: NodeId, *addresses: str) -> Listening:
    return Listening.of_this_process(node, addresses=addresses, epoch=5)


def test_nodes_beside_us_are_found_and_we_are_not(tmp_path: Path) -> None:
    files = ListeningFiles(tmp_path, but_not="me")
    assert files.running() == []
    put(tmp_path, "me", here(A, "a:1"))
    put(tmp_path, "you", here(B, "b:1", "b:2"))
    (tmp_path / "empty").mkdir()
    assert files.running() == [here(B, "b:1", "b:2")]
    put(tmp_path, "you", here(B, "b:3"))
    assert files.running() == [here(B, "b:3")]
    (tmp_path / "you" / "listen.json").unlink()
    assert files.running() == []


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "you", here(B, "b:1"))
    files = ListeningFiles(tmp_path)
    assert files.running()
    monkeypatch.setattr(listening, "read_listening", None)
    assert files.running()


def test_a_folder_that_is_not_there_has_no_nodes(tmp_path: Path) -> None:
    assert ListeningFiles(tmp_path / "none").all() == []


def test_a_node_that_ended_is_known_and_does_not_run(tmp_path: Path) -> None:
    put(tmp_path, "you", here(B, "b:1").ended())
    assert ListeningFiles(tmp_path).running() == []
    assert [one.addresses for one in ListeningFiles(tmp_path).all()] == [("b:1",)]


def test_a_killed_process_does_not_run(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    put(tmp_path, "you", msgspec.structs.replace(here(B, "b:1"), pid=process.pid))
    assert ListeningFiles(tmp_path).running() == []


def test_a_process_on_another_host_may_run() -> None:
    far = Listening(B, ("b:1",), 5, 2**31 - 1, platform.node() + "x")
    assert far.runs
    assert not msgspec.structs.replace(far, host=platform.node()).runs


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"node":"x","addresses":[],"epoch":1,"pid":1,"host":""}']
)
def test_a_damaged_file_is_no_node(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "listen.json").write_bytes(content)
    assert read_listening(tmp_path) is None


def test_a_control_socket_that_is_too_deep_moves_to_the_runtime_folder(tmp_path: Path) -> None:
    assert control_socket_path(Path("/s/nodes/n"), {}) == Path("/s/nodes/n/control.sock")
    deep = Path("/") / ("x" * 100)
    one = control_socket_path(deep, {"XDG_RUNTIME_DIR": "/run/user/1"})
    assert one.parent == Path("/run/user/1")
    assert one != control_socket_path(deep / "y", {"XDG_RUNTIME_DIR": "/run/user/1"})
    assert "mreza-" in control_socket_path(deep, {}).parent.name
    assert len(str(control_socket_path(deep, {}))) < 100
    assert tmp_path.exists()
