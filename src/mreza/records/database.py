"""The records that a node holds: of each slot the newest, checked before it is kept.

A slot is (origin, kind, key). Of two records the higher (epoch, sequence) wins. Equal numbers with
other content are equivocation: the larger SHA-256 wins, so that all nodes end with the same one,
and both are kept as proof against their origin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from mreza.config.records import RecordsConfig
from mreza.ids import MeshId, NodeId
from mreza.records.lifetime import OFFERED_FROM_AFAR, ONE_PER_ORIGIN, lifetime_s
from mreza.token_bucket import TokenBucket
from mreza.wire.records import BODY_MAX, KEYS_PER_ORIGIN_MAX, AgedRecord, Record, RecordKind

Slot = tuple[NodeId, int, bytes]
Rank = tuple[int, int, bytes]

CHANGES_PER_S = 5
"""Newer records of one (origin, kind, key) taken per second, as many in a burst. The rest is
coalesced."""
PROOFS_MAX = 64
"Pairs that prove equivocation; one for each (origin, kind, key), the first found."


class Accepted(msgspec.Struct, frozen=True):
    """Newer than what we had; kept."""

    old: Record | None


class Same(msgspec.Struct, frozen=True):
    """We have exactly this."""


class Older(msgspec.Struct, frozen=True):
    """We have a newer one, which the sender lacks."""

    ours: Record


class Equivocation(msgspec.Struct, frozen=True):
    """Its origin signed two contents under one number."""

    kept: Record
    "The one with the larger digest."
    other: Record
    news: bool
    "True: the offered one is the one now kept."


class TooOften(msgspec.Struct, frozen=True):
    """Its origin changes this too often; offer the newest again at `until`."""

    until: float


class Waiting(msgspec.Struct, frozen=True):
    """The origin's public key is not known yet."""


class Refused(msgspec.Struct, frozen=True):
    """Not taken. `bad_signature` proves that the sender forwards what it has not checked."""

    reason: str


Verdict = Accepted | Same | Older | Equivocation | TooOften | Waiting | Refused
Verify = Callable[[bytes, bytes, bytes], bool]
"(public key, signature, signed bytes) → whether the signature is right."

_SAME, _WAITING = Same(), Waiting()


def rank(record: Record) -> Rank:
    """Total order of the records of one slot: the larger one wins, on every node."""
    return (record.epoch, record.sequence, record.digest())


class _Entry:
    """One record held, and what is computed from it once."""

    __slots__ = ("born_at", "bucket", "expires_at", "rank", "record")

    def __init__(self, record: Record, *, born_at: float, lives_s: float | None) -> None:
        self.record = record
        self.rank = rank(record)
        self.born_at = born_at
        self.expires_at = None if lives_s is None else born_at + lives_s
        self.bucket: TokenBucket | None = None


class Database:
    """The newest record of each slot, with its age. Bounded for each origin."""

    def __init__(self, *, mesh: MeshId, me: NodeId, verify: Verify, config: RecordsConfig) -> None:
        self._mesh = mesh
        self._me = me
        self._verify = verify
        self._config = config
        self._entries: dict[Slot, _Entry] = {}
        self._facts: dict[NodeId, dict[Slot, int]] = {}
        "Small control facts of each origin: slot → bytes of its body."
        self._next_expiry: float | None = None
        self.proofs: dict[Slot, tuple[Record, Record]] = {}
        "Equivocations: (kept, other)."

    # Inputs

    def compare(self, record: Record) -> Older | Same | None:
        """What can be said without the signature: None if it looks newer and is worth checking."""
        entry = self._entries.get(record.slot)
        if entry is None:
            return None
        if record.version < entry.rank[:2]:
            return Older(entry.record)
        if record.version == entry.rank[:2] and record.digest() == entry.rank[2]:
            return _SAME
        return None

    def offer(
        self, record: Record, *, age_s: float, public_key: bytes | None, now: float
    ) -> Verdict:
        """Check a record from outside and keep it if it is newer. Newness is checked first."""
        verdict = self.compare(record)
        if verdict is not None:
            return verdict
        entry = self._entries.get(record.slot)
        lives_s = lifetime_s(record.kind, config=self._config)
        if lives_s is not None and age_s >= lives_s:
            return Refused("too_old")
        reason = self._over_budget(record)
        if reason is not None:
            return Refused(reason)
        if entry is not None and entry.bucket is not None:
            until = entry.bucket.available_at(now=now)
            if until > now:
                return TooOften(until)
        if public_key is None:
            return _WAITING
        if not self._verify(public_key, record.signature, record.signed_bytes(self._mesh)):
            return Refused("bad_signature")
        if entry is not None and record.version == entry.rank[:2]:
            return self._equivocation(record, entry, age_s=age_s, now=now)
        self._keep(record, age_s=age_s, now=now)
        return Accepted(None if entry is None else entry.record)

    def keep_own(self, record: Record, *, now: float) -> None:
        """Keep a record that this node has just signed."""
        self._keep(record, age_s=0.0, now=now)

    def expire(self, *, now: float) -> list[Record]:
        """Drop what has reached its age; returns what was dropped."""
        if self._next_expiry is None or now < self._next_expiry:
            return []
        dropped = []
        self._next_expiry = None
        for slot, entry in list(self._entries.items()):
            if entry.expires_at is None:
                continue
            if entry.expires_at <= now:
                self._remove(slot)
                dropped.append(entry.record)
            elif self._next_expiry is None or entry.expires_at < self._next_expiry:
                self._next_expiry = entry.expires_at
        return dropped

    # Outputs

    def next_deadline(self) -> float | None:
        """When `expire` may have something to drop."""
        return self._next_expiry

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Record]:
        """All records, in the order in which their slots were first filled."""
        return (entry.record for entry in self._entries.values())

    def get(self, origin: NodeId, kind: int, key: bytes = b"") -> Record | None:
        entry = self._entries.get((origin, kind, key))
        return None if entry is None else entry.record

    def of_kind(self, kind: int) -> Iterator[Record]:
        """All records of a kind, in the order in which their slots were first filled."""
        return (e.record for slot, e in self._entries.items() if slot[1] == kind)

    def ranks(self) -> Iterator[tuple[Record, Rank]]:
        """All records with their rank, whose last part is the digest."""
        return ((entry.record, entry.rank) for entry in self._entries.values())

    def rank_of(self, slot: Slot) -> Rank | None:
        entry = self._entries.get(slot)
        return None if entry is None else entry.rank

    def speaks_from_afar(self, origin: NodeId) -> bool:
        """Whether we hold records of this origin that matter even while it cannot be reached."""
        return (origin, RecordKind.FAREWELL, b"") in self._entries or any(
            slot[1] in OFFERED_FROM_AFAR for slot in self._facts.get(origin, ())
        )

    def aged(self, record: Record, *, now: float) -> AgedRecord:
        """The record as it travels: with the age that its holders counted so far."""
        entry = self._entries.get(record.slot)
        return AgedRecord(record, 0.0 if entry is None else max(0.0, now - entry.born_at))

    # Rules

    def _keep(self, record: Record, *, age_s: float, now: float) -> None:
        old = self._entries.get(record.slot)
        lives_s = lifetime_s(record.kind, config=self._config)
        entry = _Entry(record, born_at=now - age_s, lives_s=lives_s)
        if record.origin != self._me:
            entry.bucket = (old.bucket if old is not None else None) or TokenBucket(
                rate_per_s=CHANGES_PER_S, burst=CHANGES_PER_S
            )
            entry.bucket.take(now=now)
        self._entries[record.slot] = entry
        if record.kind not in ONE_PER_ORIGIN:
            self._facts.setdefault(record.origin, {})[record.slot] = len(record.body)
        expires = entry.expires_at
        if expires is not None and (self._next_expiry is None or expires < self._next_expiry):
            self._next_expiry = expires

    def _remove(self, slot: Slot) -> None:
        del self._entries[slot]
        facts = self._facts.get(slot[0])
        if facts is not None:
            facts.pop(slot, None)
            if not facts:
                del self._facts[slot[0]]

    def _over_budget(self, record: Record) -> str | None:
        """Why this record would be too much for its origin, or None."""
        if record.kind in ONE_PER_ORIGIN:
            return "key_not_allowed" if record.key else None
        facts = self._facts.get(record.origin, {})
        others = sum(facts.values()) - facts.get(record.slot, 0)
        if record.slot not in facts and len(facts) >= KEYS_PER_ORIGIN_MAX:
            return "too_many_keys"
        return "too_many_bytes" if others + len(record.body) > BODY_MAX else None

    def _equivocation(
        self, record: Record, entry: _Entry, *, age_s: float, now: float
    ) -> Equivocation | Accepted | Older:
        """Equal numbers, other bytes, both signed: the larger digest wins."""
        news = rank(record) > entry.rank
        kept, other = (record, entry.record) if news else (entry.record, record)
        if news:
            self._keep(record, age_s=age_s, now=now)
        if record.body == entry.record.body:
            # One content with two signatures proves nothing, and still must end alike everywhere.
            return Accepted(other) if news else Older(kept)
        if record.slot in self.proofs or len(self.proofs) < PROOFS_MAX:
            self.proofs.setdefault(record.slot, (kept, other))
        return Equivocation(kept, other, news)
