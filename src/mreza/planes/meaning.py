"""What an accepted record means: an edge, a member, an address, a restart, a goodbye.

Kept apart from how records come in and go out, which is the same for all kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mreza.events import (
    DuplicateIdentityFound,
    Event,
    MemberChanged,
    MemberState,
    Partitioned,
    PartitionHealed,
)
from mreza.ids import NodeId
from mreza.membership.member import Member
from mreza.membership.roster import Roster
from mreza.planes.effects import (
    AddressesLearned,
    Announce,
    NodeDoubted,
    NodeLost,
    PeerRestarted,
    RoutesChanged,
)
from mreza.planes.identity_watch import IdentityWatch
from mreza.records.database import Database
from mreza.recovery.partition import Merged, Parted, PartitionWatch
from mreza.routing.computation import RouteComputation
from mreza.wire.records import (
    FarewellBody,
    Introduction,
    LinksBody,
    LostLink,
    Record,
    RecordKind,
)

GONE = "gone"
"The cause of a lost link that says: the process has ended."


class Meaning:
    """Draws the conclusions from records and routes; what others must know becomes effects."""

    def __init__(
        self,
        *,
        me: NodeId,
        database: Database,
        roster: Roster,
        computation: RouteComputation,
        watch: IdentityWatch,
        effect: Callable[[Any], None],
    ) -> None:
        self._me = me
        self._database = database
        self._roster = roster
        self._computation = computation
        self._watch = watch
        self._effect = effect
        self._lost: dict[NodeId, tuple[LostLink, ...]] = {}
        "What each origin says it lost, where it says anything."
        self._life_began: dict[NodeId, int] = {}
        "Epoch in which each node's process was first heard of: older links were another's."
        self._stale = False
        "Members must be judged again."
        self.introductions: dict[NodeId, Introduction] = {}
        self._partition_watch = PartitionWatch(
            neighbors=computation.graph.neighbors, ours=self._reachable
        )

    # Inputs

    def apply(self, record: Record, body: object, *, now: float, wall: float) -> None:
        """A record was accepted. `body` is decoded, None for kinds that this node does not know."""
        match body:
            case Introduction():
                self._introduced(record, body, now, wall)
            case LinksBody():
                self._linked(record, body)
            case FarewellBody(reason):
                if record.origin != self._me:
                    self._roster.farewell(record.origin, epoch=record.epoch, reason=reason, now=now)

    def expired(self, record: Record) -> None:
        """A record was dropped for its age."""
        node = record.origin
        if record.kind == RecordKind.LINKS:
            self._computation.links_unsaid(node)
            self._lost.pop(node, None)
        elif record.kind == RecordKind.INTRODUCTION:
            self.introductions.pop(node, None)
            self._life_began.pop(node, None)
            self._roster.expired(node)

    def settle(self, *, now: float, wall: float) -> bool:
        """Compute routes if it is time, judge members, and say what changed.

        True if routes changed.
        """
        routes_changed = self._computation.settle(now=now)
        if routes_changed:
            self._effect(RoutesChanged())
            self._stale = True
        if self._stale:
            self._stale = False
            self._judge_members(now)
        for transition in self._roster.drain():
            member = transition.member
            if member.id == self._me:
                continue
            self.announce(
                MemberChanged(
                    at=wall,
                    node=member.id,
                    label=member.label,
                    old=transition.old,
                    new=member.state,
                    cause=member.cause,
                )
            )
            if member.state is MemberState.SUSPECT:
                self._effect(NodeDoubted(member.id, f"suspect ({member.cause})"))
            elif transition.old is MemberState.SUSPECT:
                self._effect(NodeDoubted(member.id, ""))
            if member.state in (MemberState.FAILED, MemberState.LEFT):
                self._effect(NodeLost(member.id, member.cause))
            self._watch_parts(member, now)
        self._partition_watch.advance(now=now)
        for news in self._partition_watch.drain():
            self._tell_partition(news, now=now, wall=wall)
        return routes_changed

    def announce(self, event: Event) -> None:
        self._effect(Announce(event))

    # Outputs

    @property
    def partitions(self) -> Sequence[Parted]:
        """The partitions that last, oldest first."""
        return self._partition_watch.partitions

    def next_deadline(self) -> float | None:
        """When `settle` must be called at the latest, whatever happens."""
        return self._partition_watch.next_deadline()

    # Rules

    def _judge_members(self, now: float) -> None:
        parted = {node: None for partition in self.partitions for node in partition.theirs}
        self._roster.reachability(
            reachable=self._computation.router.routes, gone=self._gone(), parted=parted, now=now
        )

    def _reachable(self) -> list[NodeId]:
        return [self._me, *self._computation.router.routes]

    def _watch_parts(self, member: Member, now: float) -> None:
        match member.state:
            case MemberState.SUSPECT:
                self._partition_watch.lost(member.id, now=now)
            case MemberState.ALIVE:
                self._partition_watch.found(member.id, now=now)
            case MemberState.LEFT:
                self._partition_watch.departed(member.id)
            case MemberState.FAILED if member.cause == GONE:
                self._partition_watch.departed(member.id)

    def _tell_partition(self, news: Parted | Merged, *, now: float, wall: float) -> None:
        match news:
            case Parted(ours, theirs, since):
                # Who fails from now on fails for this.
                self._judge_members(now)
                self.announce(
                    Partitioned(
                        at=wall,
                        ours=ours,
                        theirs=theirs,
                        our_labels=self._labels(ours),
                        their_labels=self._labels(theirs),
                        since_s=now - since,
                    )
                )
            case Merged(parted, missing, at):
                self.announce(
                    PartitionHealed(
                        at=wall,
                        theirs=parted.theirs,
                        their_labels=self._labels(parted.theirs),
                        missing=missing,
                        lasted_s=at - parted.since,
                    )
                )

    def _labels(self, nodes: Iterable[NodeId]) -> tuple[str, ...]:
        members = self._roster.members
        return tuple(members[node].label if node in members else node.short for node in nodes)

    def _introduced(
        self, record: Record, introduction: Introduction, now: float, wall: float
    ) -> None:
        node = record.origin
        member = self._roster.members.get(node)
        old = self.introductions.get(node)
        self.introductions[node] = introduction
        same_process = member is not None and member.instance == introduction.instance
        if old is None or not same_process:
            self._life_began[node] = record.epoch
        self._computation.forwarding_said(node, forwarding=introduction.forwarding)
        self._roster.introduced(node, introduction, epoch=record.epoch, now=now)
        self._stale = True
        if node == self._me:
            return
        if introduction.addresses and (old is None or old.addresses != introduction.addresses):
            self._effect(AddressesLearned(node, introduction.addresses))
        if member is None or member.epoch == record.epoch:
            return
        self._effect(PeerRestarted(node, record.epoch, same_process))
        if not same_process:
            self._forget_links_of_former_life(node)
        if self._watch.peer_spoke(
            node, old_instance=member.instance, instance=introduction.instance, now=now
        ):
            self.announce(
                DuplicateIdentityFound(
                    at=wall, node=node, label=introduction.name, stopped_here=False
                )
            )

    def _forget_links_of_former_life(self, node: NodeId) -> None:
        links = self._database.get(node, RecordKind.LINKS)
        if links is not None and links.epoch < self._life_began[node]:
            self._computation.links_unsaid(node)
            self._lost.pop(node, None)

    def _linked(self, record: Record, body: LinksBody) -> None:
        node = record.origin
        if record.epoch < self._life_began.get(node, 0):
            return
        self._computation.links_said(node, ((entry.peer, entry.cost) for entry in body.links))
        if body.lost or node in self._lost:
            self._stale = True
        if body.lost:
            self._lost[node] = body.lost
        else:
            self._lost.pop(node, None)

    def _gone(self) -> dict[NodeId, None]:
        """Members whose process a reachable neighbor saw end, in the epoch that we know."""
        gone: dict[NodeId, None] = {}
        routes = self._computation.router.routes
        for origin, lost in self._lost.items():
            if origin != self._me and origin not in routes:
                continue
            for entry in lost:
                member = self._roster.members.get(entry.peer)
                if entry.cause == GONE and member and member.epoch == entry.peer_epoch:
                    gone[entry.peer] = None
        return gone
