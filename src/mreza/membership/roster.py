"""All members and their states, from what they sign and whether they can be reached.

ALIVE is reachable. SUSPECT is unreachable, for too short a time to draw conclusions. FAILED is
unreachable for `suspicion_timeout_s`, or for `gone_timeout_s` where a reachable neighbor saw the
process gone; the cause says whether it went alone or with a side of the mesh. LEFT has said so, and
stays so until it comes back with a newer epoch. A member heard of for the first time is announced
when it is reachable or its suspicion ends, not before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from mreza.config.membership import MembershipConfig
from mreza.events import MemberState
from mreza.ids import NodeId
from mreza.machine import earliest
from mreza.membership.member import Member
from mreza.wire.records import Introduction

MEMBERS_MAX = 4096
"When more are known, those that have failed or left longest are forgotten."
CAUSES = (
    "introduced",
    "joined",
    "reachable",
    "returned",
    "unreachable",
    "partition",
    "gone",
    "left",
)
_DEPARTED = (MemberState.FAILED, MemberState.LEFT)


class Transition(msgspec.Struct, frozen=True):
    """A member took another state."""

    member: Member
    old: MemberState | None
    "None: not announced before."


class Roster:
    """Members by id, this node included."""

    def __init__(self, *, me: NodeId, config: MembershipConfig) -> None:
        self._me = me
        self._config = config
        self._members: dict[NodeId, Member] = {}
        self._unannounced: dict[NodeId, None] = {}
        self._unreachable_since: dict[NodeId, float] = {}
        self._farewells: dict[NodeId, tuple[int, str]] = {}
        self._reachable: frozenset[NodeId] = frozenset()
        self._gone: frozenset[NodeId] = frozenset()
        self._parted: frozenset[NodeId] = frozenset()
        self._due: float | None = None
        "When the first suspicion ends; to be found out again if `_due_stale`."
        self._due_stale = False
        self._transitions: list[Transition] = []
        self._version = 0

    # Inputs

    def introduced(
        self, node: NodeId, introduction: Introduction, *, epoch: int, now: float
    ) -> None:
        """A newer introduction of a node was accepted."""
        old = self._members.get(node)
        if old is None:
            self._unannounced[node] = None
            self._make_room()
        self._members[node] = Member(
            id=node,
            name=introduction.name,
            state=MemberState.SUSPECT if old is None else old.state,
            cause="introduced" if old is None else old.cause,
            since=now if old is None else old.since,
            epoch=epoch,
            instance=introduction.instance,
            addresses=introduction.addresses,
            offers=introduction.offers,
            version=introduction.version,
            authorities=introduction.authorities,
        )
        self._version += 1
        self._judge(node, now)

    def farewell(self, node: NodeId, *, epoch: int, reason: str, now: float) -> None:
        """The node has said that it leaves, in this epoch."""
        self._farewells[node] = (epoch, reason or "left")
        if node in self._members:
            self._judge(node, now)

    def reachability(
        self,
        *,
        reachable: Iterable[NodeId],
        gone: Iterable[NodeId],
        parted: Iterable[NodeId] = (),
        now: float,
    ) -> None:
        """Routes were computed, neighbors told of processes that are gone, or the mesh parted."""
        before = (self._reachable, self._gone, self._parted)
        after = (frozenset(reachable), frozenset(gone), frozenset(parted))
        self._reachable, self._gone, self._parted = after
        # Only of these anything can be news: a mesh of thousands changes by one member at a time.
        changed = sorted(
            frozenset().union(*(old ^ new for old, new in zip(before, after, strict=True)))
        )
        for node in changed:
            if node in self._members:
                self._judge(node, now)

    def expired(self, node: NodeId) -> None:
        """Its introduction is no longer valid: who left is forgotten, who failed stays in view."""
        member = self._members.get(node)
        if member is not None and member.state is MemberState.LEFT:
            self._forget(node)
        self._farewells.pop(node, None)

    def advance(self, *, now: float) -> None:
        """End the suspicions that are due."""
        due = self.next_deadline()
        if due is None or now < due:
            return
        for node in [node for node in self._unreachable_since if now >= self._fails_at(node)]:
            self._judge(node, now)

    # Outputs

    @property
    def members(self) -> Mapping[NodeId, Member]:
        return MappingProxyType(self._members)

    @property
    def version(self) -> int:
        """Rises whenever anything about a member changes."""
        return self._version

    @property
    def undecided(self) -> tuple[NodeId, ...]:
        """Members that are unreachable and not yet FAILED."""
        return tuple(self._unreachable_since)

    def next_deadline(self) -> float | None:
        if self._due_stale:
            self._due = earliest(*(self._fails_at(node) for node in self._unreachable_since))
            self._due_stale = False
        return self._due

    def drain(self) -> list[Transition]:
        transitions, self._transitions = self._transitions, []
        return transitions

    # Rules

    def _judge(self, node: NodeId, now: float) -> None:
        """Give a member the state that the facts say."""
        self._due_stale = True
        member = self._members[node]
        left = self._farewells.get(node)
        if left is not None and left[0] >= member.epoch:
            self._unreachable_since.pop(node, None)
            self._become(member, MemberState.LEFT, left[1], now)
        elif node == self._me or node in self._reachable:
            self._unreachable_since.pop(node, None)
            if node in self._unannounced:
                cause = "joined"
            else:
                cause = "returned" if member.state in _DEPARTED else "reachable"
            self._become(member, MemberState.ALIVE, cause, now)
        elif member.state not in _DEPARTED:
            self._unreachable_since.setdefault(node, now)
            if now < self._fails_at(node):
                self._become(member, MemberState.SUSPECT, "unreachable", now)
                return
            del self._unreachable_since[node]
            self._become(member, MemberState.FAILED, self._why_failed(node), now)

    def _why_failed(self, node: NodeId) -> str:
        if node in self._gone:
            return "gone"
        return "partition" if node in self._parted else "unreachable"

    def _fails_at(self, node: NodeId) -> float:
        gone = node in self._gone
        patience_s = self._config.gone_timeout_s if gone else self._config.suspicion_timeout_s
        return self._unreachable_since[node] + patience_s

    def _become(self, member: Member, state: MemberState, cause: str, now: float) -> None:
        new_here = member.id in self._unannounced
        if new_here and state is MemberState.SUSPECT:
            return
        if member.state is state and not new_here:
            return
        self._unannounced.pop(member.id, None)
        old = None if new_here else member.state
        member = msgspec.structs.replace(member, state=state, cause=cause, since=now)
        self._members[member.id] = member
        self._version += 1
        self._transitions.append(Transition(member, old))

    def _make_room(self) -> None:
        if len(self._members) >= MEMBERS_MAX:
            departed = [m for m in self._members.values() if m.state in _DEPARTED]
            if departed:
                self._forget(min(departed, key=lambda member: member.since).id)

    def _forget(self, node: NodeId) -> None:
        del self._members[node]
        self._farewells.pop(node, None)
        self._unannounced.pop(node, None)
        self._unreachable_since.pop(node, None)
        self._due_stale = True
        self._version += 1
