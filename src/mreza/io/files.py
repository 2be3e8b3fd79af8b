"""Files that must not be lost or shown: replaced at once, on disk before we go on, private.

A lock is a file that stays; who holds it is the kernel's knowledge, so a killed process leaves
none behind.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from mreza.errors import StateError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
READ_MAX = 1024 * 1024
"No file of a state directory is larger; a larger one is not ours."
_LOCK_POLL_S = 0.01


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it, that only its owner can enter."""
    try:
        path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"cannot make the folder {path}: {error.strerror}") from error


def read_file(path: Path, *, limit: int = READ_MAX) -> bytes | None:
    """The whole file, None if there is none; StateError if it is too large or not ours to read."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise StateError(f"{path} has more than {limit} bytes; it is not a file of mreza")
    return data


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace the file at once: a reader, or a crash, sees the old bytes or the new ones.

    `durable`: return only when a power failure cannot undo it. False for what can be learned again.
    """
    # One process may write a file from two threads, and two processes may share a folder.
    new = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink()
            raise
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}") from error


def append_line(path: Path, line: bytes) -> None:
    """Add one line to a log of ours, on disk before we go on."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
        try:
            os.write(descriptor, line.rstrip(b"\n") + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}") from error


def sync_folder(path: Path) -> None:
    """Make names in a folder durable (a rename is not until then)."""
    if sys.platform == "win32":  # pragma: no cover - folders cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FileLock:
    """An exclusive lock between processes and between nodes of one process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def try_acquire(cls, path: Path) -> Self | None:
        """The lock if nobody holds it, else None."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        except OSError as error:
            raise StateError(f"cannot open the lock {path}: {error.strerror}") from error
        if _lock(descriptor):
            return cls(path, descriptor)
        os.close(descriptor)
        return None

    @classmethod
    def acquire(cls, path: Path, *, timeout_s: float = 10.0) -> Self:
        """Wait, blocking, for a lock that is held shortly; StateError if it stays taken."""
        deadline = time.monotonic() + timeout_s
        while (lock := cls.try_acquire(path)) is None:
            if time.monotonic() >= deadline:
                raise StateError(f"{path} stayed locked by another process for {timeout_s} s")
            time.sleep(_LOCK_POLL_S)
        return lock

    @property
    def held(self) -> bool:
        return self._descriptor >= 0

    def release(self) -> None:
        """Let others have it. Releasing twice is allowed."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            _unlock(descriptor)
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


if sys.platform == "win32":  # pragma: no cover - best effort

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _lock(descriptor: int) -> bool:
        try:
            # flock, not lockf: it belongs to the descriptor, so it holds within one process, too.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
