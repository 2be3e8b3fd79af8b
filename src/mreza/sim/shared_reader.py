"""One reader for all nodes of a world: each record is decoded, kept and checked once.

Every node still asks for everything that it asks for in a real mesh, and gets the answer that its
own work would give: the same bytes, read and checked by the same code a moment before.
"""

from __future__ import annotations

from mreza.planes.reading import RecordReader
from mreza.wire.codec import Wire
from mreza.wire.records import AgedRecord, Record

KEPT_PER_SLOT = 4
"Versions of one slot that are shared; an older one that comes late is read again."
CHECKED_MAX = 20_000
"Signatures remembered: two for each node of a mesh of 10,000."


class _Shared:
    """One record of the world, and what it says once somebody has read it."""

    __slots__ = ("body", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.body: Wire | None = None


class SharedReader(RecordReader):
    """Remembers what it has read lately."""

    def __init__(self) -> None:
        self._records: dict[tuple[bytes, int, bytes], list[_Shared]] = {}
        self._checked: dict[bytes, tuple[bytes, bytes]] = {}
        self.checked = 0
        "Signatures that were really checked."

    def frame(self, body: bytes) -> tuple[AgedRecord, ...]:
        shared = self._shared
        return tuple(AgedRecord(shared(a.record).record, a.age_s) for a in super().frame(body))

    def body(self, record: Record) -> Wire | None:
        shared = self._shared(record)
        if shared.body is None:
            shared.body = super().body(record)
        return shared.body

    def verify(self, public_key: bytes, signature: bytes, data: bytes) -> bool:
        """Only what was right is remembered, with all that made it so."""
        if self._checked.get(signature) == (public_key, data):
            return True
        self.checked += 1
        right = super().verify(public_key, signature, data)
        if right:
            if len(self._checked) >= CHECKED_MAX:
                del self._checked[next(iter(self._checked))]
            self._checked[signature] = (public_key, data)
        return right

    # Rules.

    def _shared(self, record: Record) -> _Shared:
        versions = self._records.setdefault(record.slot, [])
        for kept in versions:
            if kept.record is record or kept.record == record:
                return kept
        versions.append(_Shared(record))
        if len(versions) > KEPT_PER_SLOT:
            del versions[0]
        return versions[-1]
