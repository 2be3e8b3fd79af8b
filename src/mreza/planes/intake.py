"""Records on their way in: newness first, then the key of their origin, then the signature.

A signature costs 0.16 ms, so they are checked in slices, in turn for each peer and introductions
first. Each peer waits in its own places, one for each (origin, kind, key): what a liar sends
displaces nothing that others sent, and holds nothing of it up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from mreza.errors import CertificateRejected, DecodeError
from mreza.ids import NodeId
from mreza.machine import earliest
from mreza.planes.backlog import BACKLOG_MAX, Backlog
from mreza.records.database import (
    Accepted,
    Database,
    Older,
    Refused,
    Same,
    Slot,
    TooOften,
    Verdict,
    Verify,
    Waiting,
)
from mreza.records.waiting import WAITING_MAX, WaitingRoom
from mreza.security.certificates import MemberCertificate
from mreza.wire.codec import Wire
from mreza.wire.records import (
    FAREWELL,
    INTRODUCTION,
    LINKS,
    AgedRecord,
    Introduction,
    Record,
    RecordKind,
)

HELD_MAX = 8192
"Records held back because their origin changes them too often."
WAIT_MAX = BACKLOG_MAX + WAITING_MAX + HELD_MAX
"Records that wait in all."
CHAIN_COST = 4
"A certificate chain costs about as much time as this many signatures."
COMPARE_COST = 0.05
"The same for a record that turns out to be known: a hash."
CHAIN_VALID_S = 3600.0
"How long a chain that was accepted is not read again."

CheckChain = Callable[[tuple[bytes, ...], float], MemberCertificate]
"(certificates, wall clock) → what the first one says, or CertificateRejected."


class OwnNewer(msgspec.Struct, frozen=True):
    """Our own key signed this, newer than anything this process has signed."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one record."""

    aged: AgedRecord
    "With the age it has now."
    peer: NodeId | None
    verdict: Verdict | OwnNewer
    body: Wire | None
    "Decoded, where this node understands the kind."


class _Item(msgspec.Struct):
    aged: AgedRecord
    peer: NodeId | None
    at: float
    "When it came: its age grows while it waits."
    size: int


_Place = tuple[NodeId | None, Slot]


class _Chain(msgspec.Struct, frozen=True):
    certificates: tuple[bytes, ...]
    member: MemberCertificate
    until: float


class Intake:
    """Bounded: what comes when it is full is dropped, and comes again in a synchronisation."""

    def __init__(
        self,
        *,
        me: NodeId,
        own_key: bytes,
        own_role: str = "",
        database: Database,
        check_chain: CheckChain,
        verify: Verify,
        signed_bytes: Callable[[Record], bytes],
        per_turn: int,
        read: Callable[[Record], Wire | None] | None = None,
    ) -> None:
        self._me = me
        self._database = database
        self._check_chain = check_chain
        self._verify = verify
        self._signed_bytes = signed_bytes
        self._per_turn = per_turn
        self._read = read or decode_body
        self._backlog: Backlog[_Item] = Backlog()
        self._held: dict[_Place, tuple[float, _Item]] = {}
        "Waiting until their origin may change this record again."
        self._room: WaitingRoom[_Item] = WaitingRoom()
        self._chains: dict[NodeId, _Chain] = {}
        self.keys: dict[NodeId, bytes] = {me: own_key}
        "Raw public keys of all origins whose introduction was accepted."
        self.roles: dict[NodeId, str] = {me: own_role}
        "The roles in their certificates."
        self.dropped = 0
        "Records given up for want of room since the driver looked last."

    # Inputs

    def add(self, aged: AgedRecord, *, peer: NodeId | None, now: float) -> Older | Same | None:
        """Take a record in.

        Older and known ones are answered at once; None: it waits for its check.
        """
        record = aged.record
        verdict = self._database.compare(record)
        if verdict is not None:
            return verdict
        self._put(_Item(aged, peer, now, len(record.body) + len(record.signature) + 256))
        return None

    def advance(self, *, now: float, wall: float) -> list[Outcome]:
        """Check one slice of what waits."""
        for place, (until, item) in list(self._held.items()):
            if until <= now:
                del self._held[place]
                self._put(item)
        outcomes = []
        budget = float(self._per_turn)
        while budget > 0 and self.busy:
            outcome, cost = self._check(self._backlog.take(), now=now, wall=wall)
            budget -= cost
            if outcome is None:
                continue
            outcomes.append(outcome)
            accepted = isinstance(outcome.verdict, Accepted)
            if accepted and outcome.aged.record.kind == RecordKind.INTRODUCTION:
                for waiting in self._room.take(outcome.aged.record.origin):
                    self._put(waiting)
        return outcomes

    def drop(self, peer: NodeId) -> None:
        """Forget all that this peer sent and is not checked yet."""
        self._backlog.drop(peer)
        for place in [place for place in self._held if place[0] == peer]:
            del self._held[place]

    def forget(self, origin: NodeId) -> None:
        """Its introduction is no longer valid."""
        if origin != self._me:
            self.keys.pop(origin, None)
            self.roles.pop(origin, None)
            self._chains.pop(origin, None)

    # Outputs

    @property
    def busy(self) -> bool:
        """Whether records wait for nothing but time to check them."""
        return bool(self._backlog)

    def __len__(self) -> int:
        """Records that wait: for a check, for their origin's key, or until it may change again."""
        return len(self._backlog) + len(self._room) + len(self._held)

    def next_deadline(self) -> float | None:
        """When the first record held back may be checked; see `busy` for the others."""
        return earliest(*(until for until, _ in self._held.values()))

    def senders(self, record: Record, peers: Iterable[NodeId]) -> list[NodeId]:
        """Those peers that sent this very record, and need not get it from us."""
        found = []
        for peer in peers:
            item = self._backlog.get(peer, record.slot)
            if item is not None and item.aged.record == record:
                found.append(peer)
        return found

    # Rules

    def _put(self, item: _Item) -> None:
        record = item.aged.record
        place = (item.peer, record.slot)
        held = self._held.get(place)
        if held is not None:
            if record.version >= held[1].aged.record.version:
                self._held[place] = (held[0], item)
            return
        self.dropped += self._backlog.put(item)

    def _check(self, item: _Item, *, now: float, wall: float) -> tuple[Outcome | None, float]:
        """Offer one record to the database; None: it waits for something. And what it cost."""
        record = item.aged.record
        aged = AgedRecord(record, item.aged.age_s + max(0.0, now - item.at))
        verdict: Verdict | OwnNewer | None = self._database.compare(record)
        if verdict is not None:
            return Outcome(aged, item.peer, verdict, None), COMPARE_COST
        cost: float = 1
        try:
            body = self._read(record)
            if record.origin == self._me:
                verdict = self._check_own(aged, now=now)
                return Outcome(aged, item.peer, verdict, body), cost
            key = self.keys.get(record.origin)
            if isinstance(body, Introduction):
                chain, cost = self._chain(record.origin, body.certificates, now=now, wall=wall)
                key = chain.member.public_key
        except DecodeError:
            return Outcome(aged, item.peer, Refused("malformed"), None), cost
        except CertificateRejected as error:
            refused = Refused(f"certificate_{error.code}")
            return Outcome(aged, item.peer, refused, None), 1 + CHAIN_COST
        verdict = self._database.offer(record, age_s=aged.age_s, public_key=key, now=now)
        if isinstance(verdict, Waiting):
            self.dropped += self._room.put(record.origin, item, size=item.size)
            return None, COMPARE_COST
        if isinstance(verdict, TooOften):
            if len(self._held) < HELD_MAX:
                self._held[item.peer, record.slot] = (verdict.until, item)
            else:
                self.dropped += 1
            return None, COMPARE_COST
        if isinstance(body, Introduction) and isinstance(verdict, Accepted):
            self.keys[record.origin] = chain.member.public_key
            self.roles[record.origin] = chain.member.role
            self._chains[record.origin] = chain
        return Outcome(aged, item.peer, verdict, body), cost

    def _chain(
        self, origin: NodeId, certificates: tuple[bytes, ...], *, now: float, wall: float
    ) -> tuple[_Chain, int]:
        known = self._chains.get(origin)
        if (
            known is not None
            and known.certificates == certificates
            and now < known.until
            and known.member.not_before <= wall <= known.member.not_after
        ):
            return known, 1
        member = self._check_chain(certificates, wall)
        if member.node_id != origin:
            raise CertificateRejected(
                f"an introduction of {origin} shows the certificate of {member.node_id}",
                code="id_mismatch",
            )
        return _Chain(certificates, member, now + CHAIN_VALID_S), 1 + CHAIN_COST

    def _check_own(self, aged: AgedRecord, *, now: float) -> Verdict | OwnNewer:
        """A record signed with our key that this process has not signed, or not any more."""
        record = aged.record
        key = self.keys[self._me]
        newest = self._database.get(self._me, RecordKind.INTRODUCTION)
        if newest is not None and record.epoch < newest.epoch:
            # An earlier life said something that this one does not say: carried like anybody's.
            return self._database.offer(record, age_s=aged.age_s, public_key=key, now=now)
        if not self._verify(key, record.signature, self._signed_bytes(record)):
            return Refused("bad_signature")
        return OwnNewer()


def decode_body(record: Record) -> Wire | None:
    """The body of a kind that this node understands; None for others, DecodeError if malformed."""
    match record.kind:
        case RecordKind.INTRODUCTION:
            return INTRODUCTION.decode(record.body)
        case RecordKind.LINKS:
            return LINKS.decode(record.body)
        case RecordKind.FAREWELL:
            return FAREWELL.decode(record.body)
        case _:
            return None
