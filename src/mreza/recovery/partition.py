"""Partitions: members that went together, while their last records still linked them to each other.

A host that dies is one loss; a switch that dies takes half a mesh away at once, and the half lives
on. Losses that follow each other within a second are one loss. Three seconds after it was noticed
those that are still unreachable are judged: two or more that hang together are the other side of a
partition, and both sides come to this by themselves. A process that a neighbor saw end is on no
side. A merge is named when the whole other side is back, or three seconds after the first of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from mreza.ids import NodeId
from mreza.machine import earliest

TOGETHER_S = 1.0
"Losses closer to each other than this have one cause: flooding and two rounds of probes fit in."
NAMED_AFTER_S = 3.0
"From noticing to naming: a link that comes back at once, or a process that is gone, shows by then."
SMALLEST = 2
"One node that is lost is a lost node."
AWAY_MAX = 8192
"Members remembered as lost: twice as many as a roster keeps; the first is forgotten first."
REMEMBERED_MAX = 16
"Partitions at a time; the oldest is forgotten first."


class Parted(msgspec.Struct, frozen=True):
    """The mesh is in two parts: this node's, and one that cannot be reached."""

    ours: tuple[NodeId, ...]
    "Members that this node can reach, itself included, by id."
    theirs: tuple[NodeId, ...]
    "Members of the other side as far as known, by id."
    since: float
    "When the first of them was lost."


class Merged(msgspec.Struct, frozen=True):
    """The other side of a partition can be reached again."""

    parted: Parted
    missing: tuple[NodeId, ...]
    "Those of the other side that are still away: lost on their own, from now on."
    at: float
    "When the first of them was back."


class _Loss:
    """Members lost one soon after another, not judged yet."""

    __slots__ = ("last_at", "members", "noticed_at")

    def __init__(self, now: float) -> None:
        self.noticed_at = now
        self.last_at = now
        self.members: dict[NodeId, None] = {}


class _Partition:
    """One that lasts."""

    __slots__ = ("back_at", "parted")

    def __init__(self, parted: Parted) -> None:
        self.parted = parted
        self.back_at: float | None = None
        "When the first of the other side came back."


class PartitionWatch:
    """Tells partitions from single losses, on one node."""

    def __init__(
        self,
        *,
        neighbors: Callable[[NodeId], Iterable[NodeId]],
        ours: Callable[[], Iterable[NodeId]],
    ) -> None:
        """`neighbors`: whom a node and they say they are linked to; `ours`: who can be reached."""
        self._neighbors = neighbors
        self._ours = ours
        self._losses: list[_Loss] = []
        self._partitions: list[_Partition] = []
        self._away: dict[NodeId, None] = {}
        self._news: list[Parted | Merged] = []

    # Inputs.

    def lost(self, node: NodeId, *, now: float) -> None:
        """A member cannot be reached any more."""
        if len(self._away) >= AWAY_MAX:
            self._forget(next(iter(self._away)))
        self._away[node] = None
        latest = self._losses[-1] if self._losses else None
        if latest is None or now - latest.last_at > TOGETHER_S:
            latest = _Loss(now)
            self._losses.append(latest)
        latest.last_at = now
        latest.members[node] = None

    def found(self, node: NodeId, *, now: float) -> None:
        """A member can be reached (again)."""
        self._forget(node)
        for partition in self._partitions:
            if partition.back_at is None and node in partition.parted.theirs:
                partition.back_at = now

    def departed(self, node: NodeId) -> None:
        """A member left, or its process is gone: it is on nobody's side."""
        self._forget(node)

    def advance(self, *, now: float) -> None:
        """Judge the losses that are old enough, and see who is back."""
        for loss in [loss for loss in self._losses if now >= loss.noticed_at + NAMED_AFTER_S]:
            self._losses.remove(loss)
            for side in self._sides(loss.members):
                self._part(side, loss.noticed_at)
        for partition in list(self._partitions):
            self._end_if_over(partition, now)

    # Outputs.

    @property
    def partitions(self) -> Sequence[Parted]:
        """Those that last, oldest first."""
        return tuple(partition.parted for partition in self._partitions)

    def next_deadline(self) -> float | None:
        """When `advance` must be called at the latest."""
        return earliest(
            *(loss.noticed_at + NAMED_AFTER_S for loss in self._losses),
            *(p.back_at + NAMED_AFTER_S for p in self._partitions if p.back_at is not None),
        )

    def drain(self) -> list[Parted | Merged]:
        """What was found out, in order."""
        news, self._news = self._news, []
        return news

    # Rules.

    def _sides(self, members: Iterable[NodeId]) -> list[tuple[NodeId, ...]]:
        """Groups of two or more that hang together by what they said last."""
        left = dict.fromkeys(node for node in members if node in self._away)
        sides = []
        while left:
            first = next(iter(left))
            del left[first]
            side = [first]
            for node in side:
                for neighbor in self._neighbors(node):
                    if neighbor in left:
                        del left[neighbor]
                        side.append(neighbor)
            if len(side) >= SMALLEST:
                sides.append(tuple(sorted(side)))
        return sides

    def _part(self, theirs: tuple[NodeId, ...], since: float) -> None:
        parted = Parted(tuple(sorted(self._ours())), theirs, since)
        if len(self._partitions) >= REMEMBERED_MAX:
            del self._partitions[0]
        self._partitions.append(_Partition(parted))
        self._news.append(parted)

    def _end_if_over(self, partition: _Partition, now: float) -> None:
        missing = tuple(node for node in partition.parted.theirs if node in self._away)
        back_at = partition.back_at
        settled = back_at is not None and now >= back_at + NAMED_AFTER_S
        if missing and not settled:
            return
        self._partitions.remove(partition)
        if back_at is not None:
            self._news.append(Merged(partition.parted, missing, back_at))

    def _forget(self, node: NodeId) -> None:
        self._away.pop(node, None)
        for loss in self._losses:
            loss.members.pop(node, None)
        self._losses = [loss for loss in self._losses if loss.members]
