"""The two ends of a sealing session: a key, and where its counter is."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mreza.security.replay import ReplayWindow

SESSIONS_PER_SOURCE_MAX = 4
"One in use, and those whose last envelopes may still be on their way."


class SendingSession:
    """Our key for one destination in one of its epochs. Shared by all priorities."""

    __slots__ = ("aead", "counter", "epoch", "expires_at", "id", "wrap")

    def __init__(
        self, session_id: int, *, key: bytes, epoch: int, wrap: bytes, expires_at: float
    ) -> None:
        self.id = session_id
        self.aead = AESGCM(key)
        self.epoch = epoch
        "The destination's."
        self.wrap = wrap
        "Goes with every envelope until the destination has named this session in an answer."
        self.counter = 0
        self.expires_at = expires_at


class ReceivingSession:
    """A source's key for us, and which counters have been opened with it."""

    __slots__ = ("aead", "prekey_id", "window")

    def __init__(self, aead: AESGCM, *, prekey_id: int) -> None:
        self.aead = aead
        self.prekey_id = prekey_id
        self.window = ReplayWindow()


class Source:
    """The sessions of one source in its newest epoch: at most SESSIONS_PER_SOURCE_MAX.

    Session ids of one epoch rise. Ids up to `floor` are used up, so that a forgotten session's wrap
    opens nothing a second time.
    """

    __slots__ = ("epoch", "floor", "newest", "newest_prekey", "sessions")

    def __init__(self, epoch: int, *, newest_prekey: int = 0) -> None:
        self.epoch = epoch
        self.floor = 0
        self.newest = 0
        "Highest session id whose key is held."
        self.newest_prekey = newest_prekey
        "The newest prekey that any session came under: while it lives, epoch and floor are needed."
        self.sessions: dict[int, ReceivingSession] = {}

    def add(self, session_id: int, session: ReceivingSession) -> None:
        """Accept a session above the floor; the lowest one gives way."""
        self.sessions[session_id] = session
        self.newest = max(self.newest, session_id)
        self.newest_prekey = max(self.newest_prekey, session.prekey_id)
        if len(self.sessions) > SESSIONS_PER_SOURCE_MAX:
            self._drop(min(self.sessions))

    def drop_all(self) -> None:
        """Forget the keys, and never take them again."""
        for session_id in list(self.sessions):
            self._drop(session_id)

    def drop_before(self, oldest_prekey: int) -> None:
        """Forget the keys that came under prekeys that are dead now."""
        for session_id, session in list(self.sessions.items()):
            if session.prekey_id < oldest_prekey:
                self._drop(session_id)

    def _drop(self, session_id: int) -> None:
        del self.sessions[session_id]
        self.floor = max(self.floor, session_id)
        self.newest = max(self.sessions, default=0)
