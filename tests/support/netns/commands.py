"""The `ip` command, many lines at once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

TIMEOUT_S = 30.0


class IpFailed(Exception):
    """`ip` refused; its own words."""


def ip(*arguments: str) -> str:
    """Run `ip` once; what it printed."""
    return _run(["ip", *arguments], "")


def ip_batch(lines: Iterable[str], *, namespace: str | None = None) -> None:
    """Run many `ip` commands in one process; the first that fails ends it."""
    text = "".join(f"{line}\n" for line in lines)
    where = [] if namespace is None else ["-n", namespace]
    if text:
        _run(["ip", *where, "-batch", "-"], text)


def in_namespace(namespace: str) -> list[str]:
    """What to put before a command so that it runs in a namespace, in the same process."""
    return ["ip", "netns", "exec", namespace]


def _run(command: list[str], text: str) -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise IpFailed(f"{' '.join(command)}: {said or f'status {done.returncode}'}\n{text}")
    return done.stdout
