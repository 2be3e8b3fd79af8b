"""The control plane: links and records in; routes, members and records for others out.

The domains do not know each other. Here an accepted record becomes an edge, a member or an address,
a route that vanished becomes a suspicion, and what this node has to say becomes a signed record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol

import msgspec

from mreza.config.mesh import MeshConfig
from mreza.errors import DecodeError, DuplicateIdentity
from mreza.events import DuplicateIdentityFound, EpochRaised
from mreza.ids import MeshId, NodeId
from mreza.machine import Alarm, earliest
from mreza.membership.roster import Roster
from mreza.planes.effects import (
    Dropped,
    Offence,
    RaiseEpoch,
    Stop,
)
from mreza.planes.identity_watch import GiveWay, IdentityWatch, Raise
from mreza.planes.intake import Intake, Outcome, OwnNewer
from mreza.planes.meaning import Meaning
from mreza.planes.mesh_view import MeshView
from mreza.planes.own_links import OwnLinks
from mreza.planes.own_records import OwnRecords
from mreza.planes.reading import RecordReader
from mreza.planes.spreading import Spreading
from mreza.qos import Priority
from mreza.records.database import Accepted, Database, Equivocation, Older, Refused, Same
from mreza.records.lifetime import ONE_PER_ORIGIN
from mreza.recovery.partition import Parted
from mreza.routing.computation import RouteComputation
from mreza.security.certificates import MemberCertificate
from mreza.wire.frame import FrameType
from mreza.wire.link import RefusalCode
from mreza.wire.records import (
    FAREWELL,
    INTRODUCTION,
    AgedRecord,
    FarewellBody,
    Introduction,
    Prekey,
    Record,
    RecordKind,
)

_LIES = ("bad_signature", "certificate_bad_signature", "certificate_id_mismatch")
"Refusals that an honest neighbor never causes, because it checks what it passes on."
_PRIORITY = int(Priority.CRITICAL)


class Anchors(Protocol):
    """Decides which certificates this mesh accepts (`mreza.security.certificates.TrustAnchors`)."""

    def check_chain(self, certificates: tuple[bytes, ...], *, wall: float) -> MemberCertificate: ...


class ControlPlane(MeshView):
    """One node's share in the common state of the mesh."""

    def __init__(
        self,
        *,
        me: NodeId,
        mesh: MeshId,
        epoch: int,
        identity_sign: Callable[[bytes], bytes],
        anchors: Anchors,
        introduction: Introduction,
        config: MeshConfig,
        rng: Random,
        now: float,
        wall_offset_s: float,
        reader: RecordReader | None = None,
        effects: list[Any] | None = None,
        alarm: Alarm | None = None,
    ) -> None:
        """What it asks for goes to `effects`, where given, in place of a list of its own."""
        self._alarm = alarm or Alarm()
        self.wall_offset_s = wall_offset_s
        self.started_at = now
        self.epoch = epoch
        member = anchors.check_chain(introduction.certificates, wall=now + wall_offset_s)
        self._reader = reader = reader or RecordReader()
        database = Database(mesh=mesh, me=me, verify=reader.verify, config=config.records)
        self._intake = Intake(
            me=me,
            own_key=member.public_key,
            own_role=member.role,
            database=database,
            check_chain=lambda certificates, wall: anchors.check_chain(certificates, wall=wall),
            verify=reader.verify,
            read=reader.body,
            signed_bytes=lambda record: record.signed_bytes(mesh),
            per_turn=config.records.verify_per_turn,
        )
        self._watch = IdentityWatch(
            epoch=epoch, instance=introduction.instance, started_at=now - introduction.uptime_s
        )
        self._effects: list[Any] = [] if effects is None else effects
        self._stirred = True
        "Something was told since the last `advance`: deadlines may be others."
        self._due: float | None = None
        roster = Roster(me=me, config=config.membership)
        computation = RouteComputation(me=me, config=config.routing)
        self._meaning = Meaning(
            me=me,
            database=database,
            roster=roster,
            computation=computation,
            watch=self._watch,
            effect=self._effect,
        )
        super().__init__(
            me=me,
            database=database,
            roster=roster,
            computation=computation,
            keys=self._intake.keys,
            roles=self._intake.roles,
            introductions=self._meaning.introductions,
            now=now,
        )
        self._introduction = introduction
        self._own = OwnRecords(
            me=me, mesh=mesh, epoch=epoch, sign=identity_sign, config=config.records, rng=rng
        )
        self._spreading = Spreading(
            database=database,
            reachable=lambda node: node == me or node in self.router.routes,
            config=config.records,
            rng=rng,
        )
        self._links = OwnLinks()
        self._own.say(RecordKind.INTRODUCTION, self._introduction_body, now=now)
        self._own.say(RecordKind.LINKS, self._links.body, now=now)
        self._settle(now)

    # Inputs: links

    def link_up(self, peer: NodeId, *, peer_epoch: int, rtt_s: float, now: float) -> None:
        """A peer's hello was accepted: it gets who we are and our links at once."""
        member = self.roster.members.get(peer)
        known_epoch = 0 if member is None else member.epoch
        self._links.up(peer, peer_epoch=peer_epoch, known_epoch=known_epoch, rtt_s=rtt_s, now=now)
        self.router.link_up(peer)
        self._own.say(RecordKind.LINKS, self._links.body, now=now)
        self._say_own(now)
        own = (self.database.get(self.me, kind) for kind in ONE_PER_ORIGIN)
        self._spreading.link_up(peer, filter(None, own), now=now)
        self._settle(now)

    def link_down(self, peer: NodeId, *, cause: str, now: float) -> None:
        """The link to a peer ended; called again if the cause becomes known later (`gone`)."""
        if not self._links.down(peer, cause=cause, now=now):
            return
        self.router.link_down(peer)
        self._spreading.link_down(peer)
        self._own.say(RecordKind.LINKS, self._links.body, now=now)
        self._settle(now)

    def link_measured(
        self, peer: NodeId, *, rtt_s: float, loss: float = 0.0, load: float = 0.0, now: float
    ) -> bool:
        """How a link is; told to the mesh if its cost changed much. True: there is something to do.

        `loss` and `load` are shares: of what is sent, and of what it can carry before it is full.
        """
        if self._links.measured(peer, rtt_s=rtt_s, loss=loss, load=load, now=now):
            self._own.say(RecordKind.LINKS, self._links.body, now=now)
            self._settle(now)
            return True
        return False

    def receive(self, peer: NodeId, frame_type: int, body: bytes, *, now: float) -> None:
        """One RECORDS or DIGEST frame of a peer."""
        try:
            if frame_type == FrameType.RECORDS:
                for aged in self._reader.frame(body):
                    self._take_in(aged, peer, now)
            else:
                self._spreading.receive_digest(peer, body, now=now)
        except DecodeError as error:
            self._effects.append(Offence(peer, RefusalCode.MALFORMED, str(error)))
        self._settle(now)

    def frame_dropped(self, peer: NodeId, *, now: float) -> None:
        """A full send queue gave up a frame of ours: compare with that peer again soon."""
        self._spreading.missed(peer, now=now)
        self._stir(now)

    # Inputs: this node

    def offer(self, aged_record: AgedRecord, *, from_peer: NodeId | None, now: float) -> None:
        """A record that came outside of a RECORDS frame."""
        self._take_in(aged_record, from_peer, now)
        self._settle(now)

    def own_key_said_hello(self, epoch: int, *, uptime_s: float, now: float) -> None:
        """A process with our key is at the other end of a connection; its epoch and uptime."""
        self._obey(self._watch.own_key_said_hello(epoch, uptime_s=uptime_s, now=now), now)

    def introduce(
        self,
        *,
        addresses: tuple[str, ...] | None = None,
        offers: tuple[str, ...] | None = None,
        prekeys: tuple[Prekey, ...] | None = None,
        authorities: tuple[bytes, ...] | None = None,
        now: float,
    ) -> None:
        """Say anew who we are, if anything changed."""
        old = self._introduction
        new = msgspec.structs.replace(
            old,
            addresses=old.addresses if addresses is None else addresses,
            offers=old.offers if offers is None else offers,
            prekeys=old.prekeys if prekeys is None else prekeys,
            authorities=old.authorities if authorities is None else authorities,
        )
        if new != old:
            INTRODUCTION.decode(INTRODUCTION.encode(new))  # too much to say is the caller's error
            self._introduction = new
            self._own.say(RecordKind.INTRODUCTION, self._introduction_body, now=now)
            self._settle(now)

    def farewell(self, reason: str, *, now: float) -> None:
        """Tell the mesh that this node leaves on purpose; it says nothing after that.

        Nothing happens if it has left already, or must be silent.
        """
        body = FAREWELL.encode(FarewellBody(reason))
        self._own.say(RecordKind.FAREWELL, lambda _: body, now=now)
        self._say_own(now)
        self._own.fall_silent()
        self._settle(now)

    def epoch_raised(self, epoch: int, *, now: float) -> None:
        """The boot counter is on disk: sign everything again under the new epoch."""
        self.epoch = epoch
        self._watch.raised(epoch)
        self._own.raise_epoch(epoch, now=now)
        self._meaning.announce(EpochRaised(at=self._wall(now), epoch=epoch))
        self._settle(now)

    def advance(self, *, now: float) -> None:
        """Check a slice of records, and do what is due. Costs nothing while nothing is."""
        self._now = now
        if not self._stirred and (self._due is None or now < self._due):
            return
        for outcome in self._intake.advance(now=now, wall=self._wall(now)):
            self._conclude(outcome, now)
        if self._links.advance(now=now):
            self._own.say(RecordKind.LINKS, self._links.body, now=now)
        # Here and not at each input: ten links that are lost in one turn are one record, and what
        # is news at once does not use up what the origin may say in a second.
        self._say_own(now)
        for record in self.database.expire(now=now):
            self._meaning.expired(record)
            if record.kind == RecordKind.INTRODUCTION:
                self._intake.forget(record.origin)
        self._spreading.advance(now=now)
        self.roster.advance(now=now)
        self._settle(now)
        self._due = self._next_due()
        self._stirred = False

    # Outputs

    @property
    def partitions(self) -> Sequence[Parted]:
        """The partitions of the mesh that last, as this node sees them."""
        return self._meaning.partitions

    @property
    def records_waiting(self) -> int:
        """Records that came and are neither taken nor refused yet."""
        return len(self._intake)

    def link_costs(self) -> dict[NodeId, int]:
        """The published cost of each of our links."""
        return self._links.costs()

    def next_deadline(self) -> float | None:
        """When `advance` must be called; in the past while records wait for their check."""
        return self._next_due() if self._stirred else self._due

    def _next_due(self) -> float | None:
        return earliest(
            self._now if self._intake.busy else None,
            self._intake.next_deadline(),
            self._own.next_deadline(),
            self._spreading.next_deadline(),
            self._links.next_deadline(),
            self.computation.next_deadline(),
            self.roster.next_deadline(),
            self._meaning.next_deadline(),
            self.database.next_deadline(),
        )

    def drain(self) -> list[Any]:
        """Effects in order: see `mreza.planes.effects`."""
        effects = self._effects.copy()
        self._effects.clear()
        return effects

    # Rules: records in

    def _take_in(self, aged: AgedRecord, peer: NodeId | None, now: float) -> None:
        verdict = self._intake.add(aged, peer=peer, now=now)
        if verdict is not None:
            self._spreading.answer(aged.record, peer, verdict)

    def _conclude(self, outcome: Outcome, now: float) -> None:
        """Act on what became of a record that was checked."""
        aged, peer, verdict = outcome.aged, outcome.peer, outcome.verdict
        match verdict:
            case Accepted() | Equivocation(news=True):
                senders = self._intake.senders(aged.record, self._links.peers)
                if peer is not None:
                    senders.append(peer)
                self._spreading.spread(aged.record, but_not=senders)
                self._apply(aged.record, outcome.body, now)
            case OwnNewer():
                self._own_key_spoke(outcome, now)
            case Refused(reason):
                self._refuse(aged.record, peer, reason)
            case Older() | Same() | Equivocation():
                self._spreading.answer(aged.record, peer, verdict)
        if isinstance(verdict, Equivocation):
            self._effects.append(Dropped("equivocation"))

    def _apply(self, record: Record, body: object, now: float) -> None:
        if isinstance(body, Introduction):
            if self._links.peer_is_in_epoch(record.origin, record.epoch):
                self._own.say(RecordKind.LINKS, self._links.body, now=now)
            self._spreading.introduced(record.origin, now=now)
        self._meaning.apply(record, body, now=now, wall=self._wall(now))

    def _refuse(self, record: Record, peer: NodeId | None, reason: str) -> None:
        self._effects.append(Dropped(f"record_{reason}"))
        if peer is not None and reason in _LIES:
            self._intake.drop(peer)
            text = f"a record of {record.origin}, kind {record.kind}, with {reason}"
            self._effects.append(Offence(peer, RefusalCode.MALFORMED, text))

    def _own_key_spoke(self, outcome: Outcome, now: float) -> None:
        introduction = outcome.body if isinstance(outcome.body, Introduction) else None
        self._obey(self._watch.own_key_spoke(outcome.aged, introduction, now=now), now)

    def _obey(self, verdict: Raise | GiveWay | None, now: float) -> None:
        """Go beyond the other process that has our key, or give way to it."""
        if self._own.silent:
            return
        wall = self._wall(now)
        label = self._introduction.name
        match verdict:
            case Raise(boot, duplicate):
                if duplicate and self._watch.may_tell(self.me, now=now):
                    self._meaning.announce(
                        DuplicateIdentityFound(
                            at=wall, node=self.me, label=label, stopped_here=False
                        )
                    )
                self._effects.append(RaiseEpoch(boot))
            case GiveWay(uptime_s):
                self._own.fall_silent()
                self._meaning.announce(
                    DuplicateIdentityFound(at=wall, node=self.me, label=label, stopped_here=True)
                )
                error = DuplicateIdentity(
                    f"another process has run as node {self.me} for {uptime_s:.0f} s; this one "
                    "started later and stops. Give each machine an identity of its own: join it "
                    "with a token instead of copying the state directory."
                )
                self._effects.append(Stop(error))

    # Rules: what follows

    def _introduction_body(self, now: float) -> bytes:
        return INTRODUCTION.encode(
            msgspec.structs.replace(
                self._introduction,
                uptime_s=self._introduction.uptime_s + now - self.started_at,
            )
        )

    def _say_own(self, now: float) -> None:
        for record in self._own.due(now=now):
            self.database.keep_own(record, now=now)
            self._spreading.spread(record)
            match record.kind:
                case RecordKind.INTRODUCTION:
                    self._apply(record, self._introduction, now)
                case RecordKind.LINKS:
                    self._apply(record, self._links.said, now)

    def _settle(self, now: float) -> None:
        """Let everything follow from what was just told, and turn it into effects."""
        self._now = now
        self._stir(now)
        if self._meaning.settle(now=now, wall=self._wall(now)):
            self._spreading.reachability_changed(now=now)
        self._send(now)

    def _stir(self, now: float) -> None:
        self._stirred = True
        self._alarm.set(now)

    def _effect(self, effect: Any) -> None:
        self._effects.append(effect)

    def _wall(self, now: float) -> float:
        return now + self.wall_offset_s

    def _send(self, now: float) -> None:
        self._effects += self._spreading.frames(now=now)
        if self._intake.dropped:
            self._effects.append(Dropped("records_backlog", self._intake.dropped))
            self._intake.dropped = 0
