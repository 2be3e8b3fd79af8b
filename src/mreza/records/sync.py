"""Reconciliation: two neighbors find what the other lacks, on link-up and from time to time.

Each sends a summary of all it offers. Where the summaries differ each sends pages of versions, and
whoever reads a page sends the records that its writer lacks. A page that shows us records we lack
is answered with our own page of that range, at most once a second to one peer. Equal databases cost
one small frame each way.

Offered are the records of origins that can be reached, and the kinds that matter without their
origin. Who met us while an origin was out of reach gets its records when it can be reached: no
flood will bring them again.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from mreza.config.records import RecordsConfig
from mreza.ids import NodeId
from mreza.machine import earliest
from mreza.records.database import Database, Rank, Slot
from mreza.records.lifetime import OFFERED_FROM_AFAR
from mreza.token_bucket import TokenBucket
from mreza.wire.records import DigestBody, DigestEntry, Record, RecordKind

PREFIX_BYTES = 8
SUMMARY_BYTES = 16
ENTRIES_PER_PAGE = 400
"About 50 bytes each with a short key, at most 130: a page stays below a frame."
PAGES_EVERY_S = 1.0
"""Least time between two answers with pages to one peer, and between two times that it is sent one
record: what is on its way must not be asked for."""
COMPARED_PER_S = 20_000.0
"""Records compared for one peer a second: 2 µs each, so 4 % of a core, however often it asks."""
COMPARED_BURST = 50_000.0
"All pages of a mesh of 2,000 nodes on link-up; 0.1 s."
COMPARED_LEAST = 50
"What a digest costs at least, on this scale."
FIRST_DIGEST_JITTER = 0.5
"Digests to a peer are spread by half their interval, so that neighbors do not all speak at once."


class SendDigest(msgspec.Struct, frozen=True):
    """Send this digest to a peer."""

    peer: NodeId
    body: DigestBody


class Push(msgspec.Struct, frozen=True):
    """The peer lacks these records."""

    peer: NodeId
    records: tuple[Record, ...]


class _Peer:
    __slots__ = ("compared", "digest_at", "met_at", "pages_sent_at", "pushed", "pushed_since")

    def __init__(self, digest_at: float) -> None:
        self.met_at = digest_at
        self.compared = TokenBucket(rate_per_s=COMPARED_PER_S, burst=COMPARED_BURST)
        self.digest_at = digest_at
        self.pages_sent_at: float | None = None
        self.pushed: dict[Slot, Rank] = {}
        "What it was sent since then."
        self.pushed_since = 0.0

    def is_news(self, slot: Slot, rank: Rank) -> bool:
        """False if it was sent a moment ago and is on its way; True takes note."""
        if self.pushed.get(slot) == rank:
            return False
        self.pushed[slot] = rank
        return True


class Reconciliation:
    """Keeps the databases of neighbors equal, whatever floods have missed."""

    def __init__(
        self,
        *,
        database: Database,
        reachable: Callable[[NodeId], bool],
        config: RecordsConfig,
        rng: Random,
    ) -> None:
        self._database = database
        self._reachable = reachable
        self._config = config
        self._rng = rng
        self._peers: dict[NodeId, _Peer] = {}
        self._withheld: dict[NodeId, float] = {}
        "Origins that cannot be reached, and since when their records are not offered."
        self._effects: list[SendDigest | Push] = []

    # Inputs

    def link_up(self, peer: NodeId, *, now: float) -> None:
        self._peers[peer] = _Peer(now)
        self.advance(now=now)

    def link_down(self, peer: NodeId) -> None:
        self._peers.pop(peer, None)

    def introduced(self, origin: NodeId, *, now: float) -> None:
        """Its introduction was accepted."""
        if not self._reachable(origin):
            self._withheld.setdefault(origin, now)

    def reachability_changed(self, *, now: float) -> None:
        """Routes came or went: peers that met us meanwhile get what they were not offered."""
        old, self._withheld = self._withheld, {}
        for record in self._database.of_kind(RecordKind.INTRODUCTION):
            if not self._reachable(record.origin):
                self._withheld[record.origin] = old.get(record.origin, now)
        gained = {node: since for node, since in old.items() if self._reachable(node)}
        if not gained or all(peer.met_at < min(gained.values()) for peer in self._peers.values()):
            return
        news = [
            (record, rank) for record, rank in self._database.ranks() if record.origin in gained
        ]
        for peer, state in self._peers.items():
            lacking = tuple(
                record
                for record, rank in news
                if state.met_at >= gained[record.origin] and state.is_news(record.slot, rank)
            )
            if lacking:
                self._effects.append(Push(peer, lacking))

    def missed(self, peer: NodeId, *, now: float) -> None:
        """The peer may have missed something: compare with it soon."""
        state = self._peers.get(peer)
        if state is not None:
            state.digest_at = min(state.digest_at, now + PAGES_EVERY_S)

    def receive(self, peer: NodeId, digest: DigestBody, *, now: float) -> None:
        """A digest from a peer: its summary, or a page of its versions.

        One that comes too soon is not looked at: a small frame must not make us read, and send,
        all that we hold. What it would have told comes with the next one.
        """
        state = self._peers.get(peer)
        cost = min(max(COMPARED_LEAST, len(self._database)), COMPARED_BURST)
        if state is None or not state.compared.take(cost, now=now):
            return
        if digest.entries is None:
            if digest.summary != self.summary():
                self._send_pages(peer, now=now)
            return
        if now >= state.pushed_since + PAGES_EVERY_S:
            state.pushed, state.pushed_since = {}, now
        if self._compare_page(peer, state, digest):
            self._send_pages(peer, now=now, low=digest.low, high=digest.high)

    def advance(self, *, now: float) -> None:
        """Send the summaries that are due."""
        due = [peer for peer, state in self._peers.items() if state.digest_at <= now]
        if not due:
            return
        body = DigestBody(self.summary())
        for peer in due:
            spread = 1 + FIRST_DIGEST_JITTER * (self._rng.random() - 0.5)
            self._peers[peer].digest_at = now + self._config.digest_interval_s * spread
            self._effects.append(SendDigest(peer, body))

    # Outputs

    def next_deadline(self) -> float | None:
        return earliest(*(state.digest_at for state in self._peers.values()))

    def drain(self) -> list[SendDigest | Push]:
        effects, self._effects = self._effects, []
        return effects

    def summary(self) -> bytes:
        """The sum of the digests of all records offered, modulo 2**128."""
        total = 0
        for record, rank in self._database.ranks():
            if self._offers(record):
                total += int.from_bytes(rank[2])
        return (total % (1 << 8 * SUMMARY_BYTES)).to_bytes(SUMMARY_BYTES)

    def pages(self, *, low: bytes = b"", high: bytes = b"") -> list[DigestBody]:
        """Versions of all records offered with origins in the range, cut between origins."""
        offered = sorted(
            (record.slot, rank)
            for record, rank in self._database.ranks()
            if _within(record.origin, low, high) and self._offers(record)
        )
        summary = self.summary()
        pages: list[DigestBody] = []
        entries: list[DigestEntry] = []
        start = low
        for slot, rank in offered:
            origin = slot[0]
            if len(entries) >= ENTRIES_PER_PAGE and origin != entries[-1].origin:
                pages.append(DigestBody(summary, start, bytes(origin), tuple(entries)))
                entries, start = [], bytes(origin)
            entries.append(_entry(slot, rank))
        pages.append(DigestBody(summary, start, high, tuple(entries)))
        return pages

    # Rules

    def _offers(self, record: Record) -> bool:
        if record.kind in OFFERED_FROM_AFAR or self._reachable(record.origin):
            return True
        # Without its introduction nobody could check what is offered from afar.
        return record.kind == RecordKind.INTRODUCTION and self._database.speaks_from_afar(
            record.origin
        )

    def _compare_page(self, peer: NodeId, state: _Peer, page: DigestBody) -> bool:
        """Push what the writer lacks; True if it has something that we lack."""
        theirs: dict[Slot, DigestEntry] = {
            (entry.origin, entry.kind, entry.key): entry for entry in page.entries or ()
        }
        lacking: list[Record] = []
        for record, rank in self._database.ranks():
            if not _within(record.origin, page.low, page.high):
                continue
            entry = theirs.pop(record.slot, None)
            if entry is None:
                if self._offers(record) and state.is_news(record.slot, rank):
                    lacking.append(record)
            elif _rank_of(entry) < _short(rank):
                if state.is_news(record.slot, rank):
                    lacking.append(record)
            elif _rank_of(entry) > _short(rank):
                theirs[record.slot] = entry
        if lacking:
            self._effects.append(Push(peer, tuple(lacking)))
        return bool(theirs)

    def _send_pages(self, peer: NodeId, *, now: float, low: bytes = b"", high: bytes = b"") -> None:
        state = self._peers.get(peer)
        if state is None:
            return
        if state.pages_sent_at is not None and now < state.pages_sent_at + PAGES_EVERY_S:
            return
        state.pages_sent_at = now
        self._effects += [SendDigest(peer, page) for page in self.pages(low=low, high=high)]


def _within(origin: NodeId, low: bytes, high: bytes) -> bool:
    return low <= origin and (not high or origin < high)


def _entry(slot: Slot, rank: Rank) -> DigestEntry:
    origin, kind, key = slot
    return DigestEntry(origin, kind, key, rank[0], rank[1], rank[2][:PREFIX_BYTES])


def _rank_of(entry: DigestEntry) -> Rank:
    return (entry.epoch, entry.sequence, entry.prefix)


def _short(rank: Rank) -> Rank:
    return (rank[0], rank[1], rank[2][:PREFIX_BYTES])
