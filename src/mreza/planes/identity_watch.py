"""One identity, one process: what to do when another speaks with our key, or with a peer's.

A node restored from a copy meets newer records of its own, takes an epoch beyond them and goes on.
Two processes that run with one key take turns in doing so: the third time within a minute both
know, and the one that started later stops.
"""

from __future__ import annotations

import msgspec

from mreza.ids import NodeId, boot_of
from mreza.wire.records import AgedRecord, Introduction

FIGHT_S = 60.0
FIGHT_RAISES = 3
"Raised so often within FIGHT_S, it is no restored copy but a second process."
UPTIME_TIE_S = 1.0
"Uptimes this close cannot be told apart over links with a delay; then the smaller instance stops."


class Raise(msgspec.Struct, frozen=True):
    """Take an epoch with at least this boot counter."""

    boot: int
    duplicate: bool
    "True: another process runs with our key, and it is that one that must stop."


class GiveWay(msgspec.Struct, frozen=True):
    """Another process runs with our key and started before us: stop."""

    uptime_s: float
    "How long the other one has run."


class _Other(msgspec.Struct, frozen=True):
    instance: int | None
    "None: it has said hello and not introduced itself."
    started_at: float


class IdentityWatch:
    """Tells a restored copy from a clone, here and at peers."""

    def __init__(self, *, epoch: int, instance: int, started_at: float) -> None:
        self._epoch = epoch
        self._instance = instance
        self._started_at = started_at
        self._asked_boot = boot_of(epoch)
        self._raises: list[float] = []
        self._other: _Other | None = None
        self._instances: dict[NodeId, list[tuple[float, int]]] = {}
        "Of each peer with a new epoch lately: (when, which process)."
        self._told: dict[NodeId, float] = {}

    # Inputs

    def own_key_spoke(
        self, aged: AgedRecord, introduction: Introduction | None, *, now: float
    ) -> Raise | GiveWay | None:
        """A record newer than ours was signed with our key. None: we are about to go beyond it."""
        # What was signed before we started is from an earlier life of ours.
        alive = aged.age_s < now - self._started_at
        if alive and introduction is not None and introduction.instance != self._instance:
            started_at = now - aged.age_s - introduction.uptime_s
            self._other = _Other(introduction.instance, started_at)
        return self._go_beyond(aged.record.epoch, alive=alive, now=now)

    def own_key_said_hello(
        self, epoch: int, *, uptime_s: float, now: float
    ) -> Raise | GiveWay | None:
        """Another process with our key is at the end of a connection. None: we are beyond it."""
        if epoch <= self._epoch:
            return None
        started_at = now - uptime_s
        if self._other is None or abs(self._other.started_at - started_at) > UPTIME_TIE_S:
            self._other = _Other(None, started_at)
        return self._go_beyond(epoch, alive=True, now=now)

    def raised(self, epoch: int) -> None:
        """Our epoch is now this."""
        self._epoch = epoch
        self._asked_boot = max(self._asked_boot, boot_of(epoch))

    def peer_spoke(self, node: NodeId, *, old_instance: int, instance: int, now: float) -> bool:
        """A peer has a new epoch. True: two processes take turns (told at most once a minute).

        Restarts bring a new instance each time. An instance that comes back, or raises its epoch
        again and again, has another one beside it.
        """
        history = self._instances.setdefault(node, [(now, old_instance)])
        history.append((now, instance))
        history[:] = [entry for entry in history if now < entry[0] + FIGHT_S]
        repeated = len(history) - len(dict.fromkeys(entry[1] for entry in history))
        if len(history) <= FIGHT_RAISES or repeated < FIGHT_RAISES - 1:
            return False
        return self.may_tell(node, now=now)

    def may_tell(self, node: NodeId, *, now: float) -> bool:
        """True at most once a minute for each node."""
        for other in [n for n, at in self._told.items() if now >= at + FIGHT_S]:
            del self._told[other]
            self._instances.pop(other, None)
        if node in self._told:
            return False
        self._told[node] = now
        return True

    # Rules

    def _go_beyond(self, epoch: int, *, alive: bool, now: float) -> Raise | GiveWay | None:
        boot = boot_of(epoch) + 1
        if boot <= self._asked_boot:
            return None
        if alive and self._asked_boot <= boot_of(self._epoch):
            self._raises = [at for at in self._raises if now < at + FIGHT_S]
            self._raises.append(now)
        self._asked_boot = boot
        duplicate = self._other if len(self._raises) >= FIGHT_RAISES else None
        if duplicate is not None and self._must_stop(duplicate):
            return GiveWay(now - duplicate.started_at)
        return Raise(boot, duplicate is not None)

    def _must_stop(self, other: _Other) -> bool:
        """The one with the shorter uptime; where that cannot be told, the smaller random bits."""
        longer_s = other.started_at - self._started_at
        if abs(longer_s) <= UPTIME_TIE_S:
            # Who has only said hello introduces itself soon; till then neither can tell.
            return other.instance is not None and self._instance < other.instance
        return longer_s < 0
