"""Records out: what floods to the neighbors, what they are compared with, and in which frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from mreza.config.records import RecordsConfig
from mreza.ids import NodeId
from mreza.planes.effects import SendFrame
from mreza.qos import Priority
from mreza.records.database import Database, Equivocation, Older, Same
from mreza.records.flooding import Flooding
from mreza.records.sync import Push, Reconciliation, SendDigest
from mreza.wire.frame import FrameType
from mreza.wire.records import DIGEST, Record

_PRIORITY = int(Priority.CRITICAL)


class Spreading:
    """Joins flooding and reconciliation, which share the frames of a link."""

    def __init__(
        self,
        *,
        database: Database,
        reachable: Callable[[NodeId], bool],
        config: RecordsConfig,
        rng: Random,
    ) -> None:
        self._flooding = Flooding(database=database)
        self._sync = Reconciliation(database=database, reachable=reachable, config=config, rng=rng)

    # Inputs

    def link_up(self, peer: NodeId, own: Iterable[Record], *, now: float) -> None:
        """A neighbor gets our own records at once, and is compared with."""
        self._flooding.link_up(peer)
        for record in own:
            self._flooding.send(peer, record)
        self._sync.link_up(peer, now=now)

    def link_down(self, peer: NodeId) -> None:
        self._flooding.link_down(peer)
        self._sync.link_down(peer)

    def spread(self, record: Record, *, but_not: Iterable[NodeId] = ()) -> None:
        """A record is news: all neighbors get it, but for these."""
        self._flooding.spread(record, but_not=but_not)

    def answer(
        self, record: Record, peer: NodeId | None, verdict: Older | Same | Equivocation
    ) -> None:
        """What a peer sent is no news: it has what we have, or lacks what we have."""
        if peer is None:
            return
        if isinstance(verdict, Same):
            self._flooding.heard(peer, record)
        else:
            ours = verdict.kept if isinstance(verdict, Equivocation) else verdict.ours
            self._flooding.send(peer, ours)

    def receive_digest(self, peer: NodeId, body: bytes, *, now: float) -> None:
        """The body of a DIGEST frame; DecodeError if it is malformed."""
        self._sync.receive(peer, DIGEST.decode(body), now=now)

    def missed(self, peer: NodeId, *, now: float) -> None:
        """The peer may have missed a frame: compare with it again soon."""
        self._sync.missed(peer, now=now)

    def introduced(self, node: NodeId, *, now: float) -> None:
        """An introduction was accepted."""
        self._sync.introduced(node, now=now)

    def reachability_changed(self, *, now: float) -> None:
        """Other nodes can be reached than before."""
        self._sync.reachability_changed(now=now)

    def advance(self, *, now: float) -> None:
        """Compare with the neighbors whose time it is."""
        self._sync.advance(now=now)

    # Outputs

    def summary(self) -> bytes:
        """What neighbors compare: equal where equal records are offered."""
        return self._sync.summary()

    def next_deadline(self) -> float | None:
        return self._sync.next_deadline()

    def frames(self, *, now: float) -> list[SendFrame]:
        """All that waits, in as few frames as it fits."""
        frames = []
        for effect in self._sync.drain():
            match effect:
                case SendDigest(peer, digest):
                    body = DIGEST.encode(digest)
                    frames.append(SendFrame(peer, FrameType.DIGEST, body, _PRIORITY))
                case Push(peer, records):
                    for record in records:
                        self._flooding.send(peer, record)
        frames += [
            SendFrame(batch.peer, FrameType.RECORDS, batch.body, _PRIORITY)
            for batch in self._flooding.flush(now=now)
        ]
        return frames
