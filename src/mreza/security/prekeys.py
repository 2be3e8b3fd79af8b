"""Keys that others seal for: changed hourly, two kept, in memory only (forward secrecy)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from mreza.wire.records import Prekey

PREKEYS_KEPT = 2


class _Held:
    __slots__ = ("made_at", "prekey", "private")

    def __init__(self, number: int, *, now: float) -> None:
        self.private = X25519PrivateKey.generate()
        self.prekey = Prekey(id=number, public=self.private.public_key().public_bytes_raw())
        self.made_at = now


class Prekeys:
    """The current prekey and the one before it."""

    def __init__(self, *, lifetime_s: float, now: float) -> None:
        self._lifetime_s = lifetime_s
        self._next_id = 1
        self._held: list[_Held] = []
        "Newest first."
        self._add(now)

    def advance(self, *, now: float) -> int:
        """Make a new one when the newest is old; returns the id of the oldest still held."""
        if now >= self.next_deadline():
            dies_at = now - PREKEYS_KEPT * self._lifetime_s
            # After a long sleep the one before is overdue, too.
            self._held = [held for held in self._held[: PREKEYS_KEPT - 1] if held.made_at > dies_at]
            self._add(now)
        return self._held[-1].prekey.id

    def next_deadline(self) -> float:
        """When the newest is to be replaced."""
        return self._held[0].made_at + self._lifetime_s

    def replace_all(self, *, now: float) -> None:
        """Forget all and begin anew; ids go on rising."""
        self._held.clear()
        self._add(now)

    def public(self) -> tuple[Prekey, ...]:
        """For the introduction, newest first."""
        return tuple(held.prekey for held in self._held)

    def private(self, prekey_id: int) -> X25519PrivateKey | None:
        """The private half, if it is still held."""
        return next((held.private for held in self._held if held.prekey.id == prekey_id), None)

    def _add(self, now: float) -> None:
        self._held.insert(0, _Held(self._next_id, now=now))
        self._next_id += 1
