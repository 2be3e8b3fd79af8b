"""The neighbour table, which all namespaces share: 32 talking hosts on one LAN overflow it.

Its limits are raised while a run needs it. What they were is kept in a file, so that whoever ends
last, or comes after a crash, puts them back.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.support.netns.names import live_owners

ENTRIES = 16_384
_SETTINGS = tuple(
    Path(f"/proc/sys/net/{family}/neigh/default/gc_thresh{number}")
    for family in ("ipv4", "ipv6")
    for number in (3, 2, 1)
)
"The largest first: the kernel wants no order, a reader does."
_KEPT = Path("/run/mreza-test-neighbours.json")
_LOCK = Path("/run/mreza-test-neighbours.lock")


def raise_limits() -> None:
    """Make room for large LANs, until `restore_limits`."""
    with _locked():
        if _KEPT.exists():
            return
        before = {str(path): path.read_text().strip() for path in _SETTINGS if path.exists()}
        _KEPT.write_bytes(msgspec.json.encode(before))
        for path in before:
            Path(path).write_text(str(ENTRIES))


def restore_limits() -> None:
    """Put the limits back if no run has namespaces now."""
    with _locked():
        if not _KEPT.exists() or live_owners():
            return
        before = msgspec.json.decode(_KEPT.read_bytes(), type=dict[str, str])
        for path, value in before.items():
            Path(path).write_text(value)
        _KEPT.unlink()


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    with _LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
