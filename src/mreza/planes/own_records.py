"""What this node says of itself: signed when it changes, and again before it is too old."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from mreza.config.records import RecordsConfig
from mreza.ids import MeshId, NodeId
from mreza.machine import earliest
from mreza.records.database import CHANGES_PER_S
from mreza.token_bucket import TokenBucket
from mreza.wire.records import Record

REFRESH_JITTER = 0.1
"Refreshes of all nodes spread over a tenth of the interval to both sides."

Body = Callable[[float], bytes]
"The body to sign at that time: it may say how old it is."


class _Statement:
    __slots__ = ("body", "bucket", "changed", "refresh_at", "sequence")

    def __init__(self, body: Body) -> None:
        self.body = body
        self.sequence = 0
        self.changed = True
        self.refresh_at = 0.0
        self.bucket = TokenBucket(rate_per_s=CHANGES_PER_S, burst=CHANGES_PER_S)


class OwnRecords:
    """Signs the statements of one node. Changes beyond five a second are coalesced."""

    def __init__(
        self,
        *,
        me: NodeId,
        mesh: MeshId,
        epoch: int,
        sign: Callable[[bytes], bytes],
        config: RecordsConfig,
        rng: Random,
    ) -> None:
        self._me = me
        self._mesh = mesh
        self._epoch = epoch
        self._sign = sign
        self._config = config
        self._rng = rng
        self._statements: dict[int, _Statement] = {}
        self.silent = False
        "Nothing more is signed."
        self._next_at: float | None = None

    # Inputs

    def say(self, kind: int, body: Body, *, now: float) -> None:
        """State this from now on, instead of what was stated before."""
        statement = self._statements.get(kind)
        if statement is None:
            self._statements[kind] = _Statement(body)
        else:
            statement.body = body
            statement.changed = True
        self._next_at = now

    def raise_epoch(self, epoch: int, *, now: float) -> None:
        """Say everything again, at once, under a new epoch."""
        self._epoch = epoch
        for statement in self._statements.values():
            statement.sequence = 0
            statement.changed = True
            statement.bucket = TokenBucket(rate_per_s=CHANGES_PER_S, burst=CHANGES_PER_S)
        self._next_at = now

    def fall_silent(self) -> None:
        """Sign nothing more: this node has left, or must not go on."""
        self.silent = True

    def due(self, *, now: float) -> list[Record]:
        """Sign what has changed or grown old."""
        if self.silent or self._next_at is None or now < self._next_at:
            return []
        signed = []
        next_at = None
        for kind, statement in self._statements.items():
            allowed_at = statement.bucket.available_at(now=now)
            if (statement.changed or statement.refresh_at <= now) and allowed_at <= now:
                signed.append(self._signed(kind, statement, now))
            at = allowed_at if statement.changed else statement.refresh_at
            next_at = earliest(next_at, at)
        self._next_at = next_at
        return signed

    # Outputs

    def next_deadline(self) -> float | None:
        return None if self.silent else self._next_at

    # Rules

    def _signed(self, kind: int, statement: _Statement, now: float) -> Record:
        statement.bucket.take(now=now)
        statement.changed = False
        statement.sequence += 1
        spread = 1 + REFRESH_JITTER * (2 * self._rng.random() - 1)
        statement.refresh_at = now + self._config.refresh_s * spread
        unsigned = Record(
            self._me, kind, b"", self._epoch, statement.sequence, statement.body(now), b""
        )
        signature = self._sign(unsigned.signed_bytes(self._mesh))
        return msgspec.structs.replace(unsigned, signature=signature)
