from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mreza.errors import StateError
from mreza.io.files import (
    FileLock,
    append_line,
    make_private_folder,
    read_file,
    write_atomic,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_replaced_whole_and_private(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "key"
    write_atomic(path, b"one", durable=durable)
    path.chmod(0o644)
    write_atomic(path, b"two", durable=durable)
    assert read_file(path) == b"two"
    assert mode(path) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    write_atomic(path, b"one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateError, match="No space left"):
        write_atomic(path, b"two")
    assert read_file(path) == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_the_bytes_are_on_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_atomic(tmp_path / "boot", b"1")
    assert steps == ["file", "rename", "folder"]


def test_reading_what_is_not_there_or_not_ours(tmp_path: Path) -> None:
    assert read_file(tmp_path / "none") is None
    with pytest.raises(StateError, match="cannot read"):
        read_file(tmp_path)
    (tmp_path / "big").write_bytes(b"x" * 11)
    assert read_file(tmp_path / "big", limit=11)
    with pytest.raises(StateError, match="more than 10 bytes"):
        read_file(tmp_path / "big", limit=10)


def test_writing_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for write in (write_atomic, append_line):
        with pytest.raises(StateError, match="cannot write"):
            write(tmp_path / "file" / "x", b"x")
    with pytest.raises(StateError, match="cannot make the folder"):
        make_private_folder(tmp_path / "file" / "x")
    with pytest.raises(StateError, match="cannot open the lock"):
        FileLock.try_acquire(tmp_path / "file" / "lock")


def test_lines_are_added_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append_line(path, b"one")
    append_line(path, b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    assert mode(path) == 0o600


def test_a_folder_is_private(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "a" / "b")
    make_private_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a" / "b") == 0o700


def test_a_lock_excludes_others_of_the_same_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = FileLock.try_acquire(path)
    assert first is not None
    assert first.held
    assert FileLock.try_acquire(path) is None
    with pytest.raises(StateError, match="stayed locked"):
        FileLock.acquire(path, timeout_s=0)
    first.release()
    first.release()
    assert FileLock.held.fget(first) is False  # type: ignore[attr-defined]
    with FileLock.acquire(path) as second:
        assert second.held
    assert mode(path) == 0o600


HOLD = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_excludes_other_processes_and_ends_with_them(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert FileLock.try_acquire(path) is None
        holder.kill()
        holder.wait()
        FileLock.acquire(path, timeout_s=10).release()
