"""Batches that wait in one stream, by kind and inbox, so that a slow inbox stops nobody else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from mreza.messaging.batch import Batch
from mreza.messaging.credit import SendCredit
from mreza.wire.packet import PacketKind


class Lanes:
    """Order holds within a lane; lanes take turns."""

    def __init__(self, credits_: dict[int, SendCredit]) -> None:
        """`credits_`, by inbox, is shared by all priorities of the destination."""
        self.tail: Batch | None = None
        "The DATA batch that the next message may join."
        self._lanes: dict[tuple[PacketKind, int], deque[Batch]] = {}
        self._credits = credits_

    def lane(self, kind: PacketKind, inbox: int) -> deque[Batch]:
        """The batches that those of this kind and inbox must not overtake."""
        lane = self._lanes.get((kind, inbox))
        if lane is None:
            lane = self._lanes[kind, inbox] = deque()
        return lane

    def credit(self, inbox: int) -> SendCredit:
        """What the destination allows for this inbox."""
        credit = self._credits.get(inbox)
        if credit is None:
            credit = self._credits[inbox] = SendCredit()
        return credit

    def take(self, fits: Callable[[int], bool]) -> Batch | None:
        """The next batch that has credit, if the window has room for it."""
        for key, lane in self._lanes.items():
            if not lane:
                continue
            batch = lane[0]
            if batch.kind is PacketKind.DATA and not self.credit(batch.inbox).is_open:
                continue
            if not fits(batch.size):
                return None
            lane.popleft()
            if batch is self.tail:
                self.tail = None
            if len(self._lanes) > 1:
                self._lanes[key] = self._lanes.pop(key)
            return batch
        return None

    def blocked_inbox(self) -> int | None:
        """An inbox for which something waits only for credit."""
        for (kind, inbox), lane in self._lanes.items():
            if kind is PacketKind.DATA and lane and not self.credit(inbox).is_open:
                return inbox
        return None

    def drop(self, given_up: Callable[[Batch], bool]) -> list[Batch]:
        """Take out the batches of every lane whose batches are given up."""
        dropped: list[Batch] = []
        for lane in self._lanes.values():
            if lane and given_up(lane[0]):
                dropped += lane
                lane.clear()
        if self.tail in dropped:
            self.tail = None
        return dropped

    def age(self, *, now: float) -> Iterator[Batch]:
        """What is left after a flush waits on; the batches of requests that became too late."""
        for (kind, _), lane in self._lanes.items():
            if kind is PacketKind.DATA:
                continue
            while lane and lane[0].deadline is not None and lane[0].deadline <= now:
                yield lane.popleft()
            for batch in reversed(lane):
                if batch.since is not None:
                    break
                batch.waits(now)

    def __bool__(self) -> bool:
        return any(self._lanes.values())
