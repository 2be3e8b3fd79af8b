"""Names of namespaces say which process made them, so that the leftovers of a dead one are known.

`mreza-test.PIDNS.PID.STARTED.SERIAL.LABEL`: the process by its number and its start, which together
are never used twice, within the namespace of process numbers in which they mean something.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import msgspec

from tests.support.netns.commands import IpFailed, ip

WORD = "mreza-test"
_FOLDER = Path("/run/netns")


class Owner(msgspec.Struct, frozen=True):
    """The process that a run of tests belongs to."""

    pid_namespace: int
    pid: int
    started: int
    "In clock ticks since the machine was started."

    @classmethod
    def this_process(cls) -> Owner:
        pid = os.getpid()
        started = start_of(pid)
        assert started is not None
        return cls(Path("/proc/self/ns/pid").stat().st_ino, pid, started)

    def is_alive(self) -> bool:
        return start_of(self.pid) == self.started

    def __str__(self) -> str:
        return f"{WORD}.{self.pid_namespace}.{self.pid}.{self.started}"


def start_of(pid: int) -> int | None:
    """When this process was started, in clock ticks; None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field, the name, is in brackets and may hold anything.
    state, *fields = text.rpartition(")")[2].split()
    return None if state == "Z" else int(fields[18])


def owner_of(namespace: str) -> Owner | None:
    """Who made the namespace of this name; None if it is none of ours."""
    word, *fields = namespace.split(".")
    if word != WORD or len(fields) < 4 or not all(field.isdigit() for field in fields[:3]):
        return None
    return Owner(*map(int, fields[:3]))


def namespaces(prefix: str = WORD) -> list[str]:
    """Names of all namespaces that begin so."""
    if not _FOLDER.is_dir():
        return []
    return sorted(path.name for path in _FOLDER.iterdir() if path.name.startswith(prefix))


def live_owners() -> list[Owner]:
    """Processes that have namespaces now, and live."""
    here = Owner.this_process().pid_namespace
    owners = {str(owner): owner for owner in map(owner_of, namespaces()) if owner is not None}
    return [owner for owner in owners.values() if owner.pid_namespace != here or owner.is_alive()]


def remove_leftovers() -> list[str]:
    """Take away what dead processes left; the names."""
    here = Owner.this_process().pid_namespace
    left = []
    for name in namespaces():
        owner = owner_of(name)
        if owner is not None and owner.pid_namespace == here and not owner.is_alive():
            left.append(name)
    for name in left:
        remove(name)
    return left


def remove(namespace: str) -> None:
    """Kill the processes in a namespace of ours, this one excepted, and delete it."""
    assert owner_of(namespace) is not None, namespace
    with contextlib.suppress(IpFailed):  # another process may be at it, too
        for pid in map(int, ip("netns", "pids", namespace).split()):
            if pid != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        ip("netns", "delete", namespace)
