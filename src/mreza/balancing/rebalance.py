"""Which keys to move from nodes that have too much to nodes that have room.

Only work with a key stays anywhere: calls under CONSISTENT_HASH. What a key costs is the work it
keeps in flight on average over the last minute. A plan is hysteretic, so that nothing swings: it
begins above the threshold, ends a tenth below it, waits for its effect, and no key moves twice in a
minute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from mreza.balancing.endpoint import NodeKey, NodeLoad

COST_DECAY_S = 60.0
"Work of a key counts less the older it is; after this time 1/e."
HYSTERESIS = 0.1
"Nodes are unloaded to this much below the threshold, and loaded to no more."
REST_S = 60.0
"A key that was moved stays at least this long."
SETTLE_S = 10.0
"A node that keys were moved from is left alone as long: its load shows the effect only later."
KEYS_MAX = 4096
"Keys remembered for each process; beyond, the one not used for the longest time is forgotten."
MOVES_MAX = 64
"Keys moved at a time: each finds cold caches."


class Move(msgspec.Struct, frozen=True):
    """Work of a key goes to another node from now on."""

    process: str
    key: str
    source: NodeKey
    target: NodeKey
    cost: float
    "What the key keeps in flight on average."
    reason: str

    def __str__(self) -> str:
        source, target = NodeLoad(self.source).label, NodeLoad(self.target).label
        of = f" of {self.process!r}" if self.process else ""
        return f"key {self.key!r}{of} from {source} to {target}: {self.reason}"


class Key:
    """One key: where its work went last, and how much there is."""

    __slots__ = ("_busy_s", "_stamp", "moved_at", "moved_to", "node")

    def __init__(self) -> None:
        self.node: NodeKey = ""
        self.moved_to: NodeKey | None = None
        "None: it is where the ring puts it."
        self.moved_at = -math.inf
        self._busy_s = 0.0
        self._stamp = 0.0

    def worked(self, seconds: float, *, now: float) -> None:
        """A piece of its work took this long."""
        self._busy_s = self.cost(now) * COST_DECAY_S + seconds
        self._stamp = now

    def cost(self, now: float) -> float:
        """Pieces of its work in flight, on average."""
        age_s = max(0.0, now - self._stamp)
        return self._busy_s * math.exp(-age_s / COST_DECAY_S) / COST_DECAY_S


class Keys:
    """The keys of one process that are in use."""

    def __init__(self) -> None:
        self._keys: dict[str, Key] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def target_of(self, key: str) -> NodeKey | None:
        """Where it was moved to."""
        known = self._keys.get(key)
        return None if known is None else known.moved_to

    def placed(self, key: str, node: NodeKey) -> None:
        """Its work goes to `node` now."""
        known = self._keys.pop(key, None) or Key()
        known.node = node
        self._keys[key] = known
        if len(self._keys) > KEYS_MAX:
            del self._keys[next(iter(self._keys))]

    def worked(self, key: str, seconds: float, *, now: float) -> None:
        """A piece of its work took this long."""
        known = self._keys.get(key)
        if known is not None:
            known.worked(seconds, now=now)

    def moved(self, move: Move, *, now: float) -> None:
        """Carry out a move."""
        known = self._keys.get(move.key)
        if known is not None:
            known.node = known.moved_to = move.target
            known.moved_at = now

    def forget(self, node: NodeKey) -> None:
        """A node is gone: what was moved there goes where the ring puts it."""
        for known in self._keys.values():
            if known.moved_to == node:
                known.moved_to = None

    def on(self, node: NodeKey, *, now: float) -> list[tuple[float, str, bool]]:
        """Keys of a node: (cost, key, may it move), most expensive first."""
        found = [
            (known.cost(now), key, now - known.moved_at >= REST_S)
            for key, known in self._keys.items()
            if known.node == node
        ]
        return sorted(found, key=lambda one: -one[0])


def plan(
    keys: Mapping[str, Keys],
    loads: Mapping[NodeKey, NodeLoad],
    sources: Sequence[NodeKey],
    targets: Mapping[str, Sequence[NodeKey]],
    *,
    threshold: float,
    now: float,
) -> list[Move]:
    """Moves that bring `sources`, nodes above the threshold, below it.

    `keys` by process; `targets`, for each process, healthy nodes that offer it. A node's load is
    taken to be made by its keys alone: then a target never gets too much.
    """
    low = max(threshold - HYSTERESIS, threshold / 2)
    level = {node: load.load for node, load in loads.items()}
    moves: list[Move] = []
    for source in sources:
        found = [
            (cost, key, process, may_move)
            for process, kept in keys.items()
            for cost, key, may_move in kept.on(source, now=now)
        ]
        found.sort(key=lambda one: -one[0])
        total = sum(cost for cost, *_ in found)
        for cost, key, process, may_move in found:
            if level[source] <= low or len(moves) >= MOVES_MAX or cost <= 0.0:
                break
            share = level[source] * cost / total
            room = [node for node in targets.get(process, ()) if node in level and node != source]
            if not may_move or not room:
                continue
            target = min(room, key=lambda node: level[node])
            weight = loads[source].capacity / loads[target].capacity
            if level[target] + share * weight > low:
                continue
            reason = f"{loads[source].label} is at {loads[source].load:.0%}, above {threshold:.0%}"
            moves.append(Move(process, key, source, target, cost, reason))
            level[source] -= share
            level[target] += share * weight
            total -= cost
    return moves
