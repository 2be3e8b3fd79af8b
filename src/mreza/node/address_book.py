"""Where members can be dialed, kept over restarts. Losing it costs time, never safety."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mreza.errors import InvalidId, StateError
from mreza.ids import NodeId
from mreza.io.files import read_file, write_atomic
from mreza.wire.records import ADDRESSES_MAX

BOOK_NODES_MAX = 1024
"The member heard of longest ago gives way."
_ADDRESS_MAX = 128


class _Entry(msgspec.Struct, frozen=True):
    addresses: list[str]
    seen: float


class AddressBook:
    """Addresses by node, at most BOOK_NODES_MAX nodes, newest last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = _load(path)
        self._changed = False

    def learn(self, node: NodeId, addresses: tuple[str, ...], *, wall: float) -> None:
        """Note the addresses of a member; an empty list changes nothing."""
        known = [text for text in addresses if 0 < len(text) <= _ADDRESS_MAX][:ADDRESSES_MAX]
        if not known:
            return
        old = self._entries.pop(node, None)
        self._entries[node] = _Entry(known, wall)
        self._changed = self._changed or old is None or old.addresses != known
        while len(self._entries) > BOOK_NODES_MAX:
            del self._entries[next(iter(self._entries))]

    def addresses(self) -> dict[NodeId, tuple[str, ...]]:
        """All of them, the member heard of last first."""
        return {node: tuple(self._entries[node].addresses) for node in reversed(self._entries)}

    def forget(self, node: NodeId) -> None:
        self._changed = self._entries.pop(node, None) is not None or self._changed

    def save(self) -> bool:
        """Write it if addresses have changed; True if it was written."""
        if not self._changed:
            return False
        content = {str(node): entry for node, entry in self._entries.items()}
        data = msgspec.json.format(msgspec.json.encode(content))
        write_atomic(self._path, data, durable=False)
        self._changed = False
        return True


def _load(path: Path) -> dict[NodeId, _Entry]:
    """The book on disk; an unreadable one is an empty one."""
    try:
        data = read_file(path) or b"{}"
        entries = msgspec.json.decode(data, type=dict[str, _Entry])
        ordered = sorted(entries.items(), key=lambda item: item[1].seen)
        return {NodeId.parse(text): entry for text, entry in ordered[-BOOK_NODES_MAX:]}
    except (StateError, InvalidId, msgspec.DecodeError):
        return {}
