"""Sealing: what only the destination can open, whatever it passes on its way.

One session per destination and its epoch; the key travels, wrapped and signed, with every
envelope until the destination has named the session in an answer. AES-256-GCM with the envelope's
counter as nonce; each transmission is sealed anew. A receiver without the key says so, signed,
and the sender makes a new session: nothing is lost. Keys live in memory only.

Session ids rise with each session of a process and end in 32 random bits, so that two copies of one
machine never use one id for two keys.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mreza.config.security import SecurityConfig
from mreza.ids import MeshId, NodeId
from mreza.security.identity import SIGNATURE_BYTES, verify
from mreza.security.key_wrap import (
    SESSION_KEY_BYTES,
    WrapScope,
    is_signed,
    read_head,
    unwrap_key,
    wrap_key,
)
from mreza.security.prekeys import Prekeys
from mreza.security.sealing_session import ReceivingSession, SendingSession, Source
from mreza.token_bucket import TokenBucket
from mreza.wire.envelope import Envelope, EnvelopeKind
from mreza.wire.records import Prekey

SESSION_ENVELOPES_MAX = 2**23
"AES-GCM's bound on confidentiality as QUIC counts it (RFC 9001, section 6.6)."
SOURCES_MAX = 4096
"About 20 MB at worst. More are refused, because forgetting one would allow replays."
DESTINATIONS_MAX = 4096
"The one that got its session longest ago gives way, and gets a new one when used again."
NO_SUCH_KEY_INTERVAL_S = 1.0
"At most one answer in this time to each source."
SIGNATURES_PER_S = 100.0
"Of NO_SUCH_KEY, made or checked: 2 % of a core, however many names a liar uses."
_NO_SUCH_KEY_CONTEXT = b"mreza/no-such-key/1"
_NO_SUCH_KEY = struct.Struct(">16s16sQ16sQQ")
_U64 = struct.Struct(">Q")
_NONCE = struct.Struct(">4xQ")
_CRITICAL = 3


class Opened(msgspec.Struct, eq=False, gc=False):
    """The packet of an envelope that was sealed for us."""

    plaintext: bytes


class NoSuchKey:
    """We have no key for this session; `Sealing.no_such_key` makes the answer."""

    __slots__ = ()


class SealRefused:
    """The envelope is not what its source sent, or was here before. Drop and count it."""

    __slots__ = ("reason",)
    __match_args__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason
        "`replay`, `bad_seal`, `bad_wrap`, `wrong_epoch`, `too_many_sources`."


_NO_KEY = NoSuchKey()
_REPLAY = SealRefused("replay")
_BAD_SEAL = SealRefused("bad_seal")


class Sealing:
    """All sealing keys of one node, bounded in every direction."""

    def __init__(
        self,
        *,
        me: NodeId,
        mesh: MeshId,
        epoch: int,
        sign: Callable[[bytes], bytes],
        config: SecurityConfig,
        now: float,
    ) -> None:
        self._me = me
        self._mesh = mesh
        self._epoch = epoch
        self._sign = sign
        self._session_lifetime_s = config.session_lifetime_s
        self._session_envelopes = min(config.session_envelopes, SESSION_ENVELOPES_MAX)
        self._prekeys = Prekeys(lifetime_s=config.prekey_lifetime_s, now=now)
        self._sessions_made = 0
        self._sending: dict[NodeId, SendingSession] = {}
        self._sources: dict[NodeId, Source] = {}
        self._answered: dict[NodeId, float] = {}
        "When each source last got a NO_SUCH_KEY, oldest first."
        self._answers = TokenBucket(rate_per_s=SIGNATURES_PER_S, burst=SIGNATURES_PER_S)
        self._checks = TokenBucket(rate_per_s=SIGNATURES_PER_S, burst=SIGNATURES_PER_S)

    # Sending.

    def seal(
        self,
        envelope: Envelope,
        plaintext: bytes,
        *,
        destination: NodeId,
        destination_epoch: int,
        prekey: Prekey,
        now: float,
    ) -> bytes:
        """Fill in epoch, session, counter, wrap and sealed packet; returns the encoded envelope.

        Raises DecodeError if the destination published a prekey that nobody can seal for.
        """
        session = self._sending.get(destination)
        if (
            session is None
            or session.epoch != destination_epoch
            or session.counter >= self._session_envelopes
            or now >= session.expires_at
        ):
            session = self._new_session(destination, destination_epoch, prekey, now)
        counter = session.counter
        session.counter = counter + 1
        envelope.source_epoch = self._epoch
        envelope.session_id = session.id
        envelope.counter = counter
        envelope.wrap = session.wrap
        associated = envelope.associated_data(mesh_flags=envelope.wire_flags, opener=destination)
        envelope.sealed = session.aead.encrypt(_NONCE.pack(counter), plaintext, associated)
        return envelope.encode()

    def confirmed(self, destination: NodeId, session_id: int) -> None:
        """The destination has named this session: its wrap need not travel any more."""
        session = self._sending.get(destination)
        if session is not None and session.id == session_id:
            session.wrap = b""

    def rejected(self, destination: NodeId, session_id: int) -> bool:
        """The destination has no key for this session; True if a new one takes its place."""
        session = self._sending.get(destination)
        if session is None or session.id != session_id:
            return False
        del self._sending[destination]
        return True

    def check_no_such_key(self, envelope: Envelope, *, sender_key: bytes, now: float) -> int | None:
        """The session that a NO_SUCH_KEY envelope rejects, if it is authentic and in use."""
        session = self._sending.get(envelope.source)
        if session is None or session.id != envelope.session_id:
            # Late, repeated or invented: costs no signature.
            return None
        if len(envelope.sealed) != SIGNATURE_BYTES + _U64.size or not self._checks.take(now=now):
            return None
        (addressed_epoch,) = _U64.unpack_from(envelope.sealed)
        content = _no_such_key_content(
            self._mesh,
            speaker=(envelope.source, envelope.source_epoch),
            addressed=(self._me, addressed_epoch),
            session_id=envelope.session_id,
        )
        authentic = verify(sender_key, envelope.sealed[_U64.size :], content)
        return envelope.session_id if authentic and addressed_epoch == self._epoch else None

    # Receiving.

    def open(
        self,
        envelope: Envelope,
        *,
        sender_key: bytes,
        now: float,  # noqa: ARG002 - a machine's input always has the time
    ) -> Opened | NoSuchKey | SealRefused:
        """Open an envelope addressed to us; `sender_key` is the raw Ed25519 key of its source."""
        source = self._sources.get(envelope.source)
        if source is None or source.epoch != envelope.source_epoch:
            return self._open_first(envelope, sender_key)
        session = source.sessions.get(envelope.session_id)
        if session is None:
            return self._open_first(envelope, sender_key)
        counter = envelope.counter
        window = session.window
        if not window.is_new(counter):
            return _REPLAY
        plaintext = self._decrypt(session.aead, envelope)
        if plaintext is None:
            return _BAD_SEAL
        # Only now: an envelope that anybody could have made must not move the window.
        window.accept(counter)
        return Opened(plaintext)

    def must_check_wrap(self, envelope: Envelope) -> bool:
        """Opening it would cost a signature and a key exchange, whoever made it."""
        if not envelope.wrap:
            return False
        source = self._sources.get(envelope.source)
        return (
            source is None
            or source.epoch != envelope.source_epoch
            or envelope.session_id not in source.sessions
        )

    def newest_from(self, source: NodeId) -> int:
        """The newest session accepted from a source, for the head of what we send it; 0 if none."""
        known = self._sources.get(source)
        return 0 if known is None else known.newest

    def no_such_key(self, envelope: Envelope, *, now: float) -> bytes | None:
        """The signed answer to an envelope that gave NoSuchKey; None if there was one just now."""
        answered_at = self._answered.get(envelope.source)
        if answered_at is not None and now - answered_at < NO_SUCH_KEY_INTERVAL_S:
            return None
        if not self._answers.take(now=now):
            return None
        self._answered.pop(envelope.source, None)
        self._answered[envelope.source] = now
        if len(self._answered) > SOURCES_MAX:
            del self._answered[next(iter(self._answered))]
        content = _no_such_key_content(
            self._mesh,
            speaker=(self._me, self._epoch),
            addressed=(envelope.source, envelope.source_epoch),
            session_id=envelope.session_id,
        )
        answer = Envelope(
            kind=EnvelopeKind.NO_SUCH_KEY,
            priority=_CRITICAL,
            source=self._me,
            source_epoch=self._epoch,
            destinations=(envelope.source,),
            session_id=envelope.session_id,
            sealed=_U64.pack(envelope.source_epoch) + self._sign(content),
        )
        return answer.encode()

    # Keys.

    def prekeys(self) -> tuple[Prekey, ...]:
        """For the introduction, newest first."""
        return self._prekeys.public()

    def advance(self, *, now: float) -> bool:
        """Change prekeys when it is time; True if they changed and must be published."""
        if now < self._prekeys.next_deadline():
            return False
        oldest = self._prekeys.advance(now=now)
        for node, source in list(self._sources.items()):
            source.drop_before(oldest)
            # Nothing that came under a dead prekey can be opened, so it cannot be replayed.
            if source.newest_prekey < oldest:
                del self._sources[node]
        return True

    def next_deadline(self) -> float:
        return self._prekeys.next_deadline()

    def raise_epoch(self, epoch: int, *, now: float) -> None:
        """Replace every key: a higher epoch of ours was met, or the clock jumped."""
        self._epoch = epoch
        self._prekeys.replace_all(now=now)
        self._sending.clear()
        self._sources.clear()

    def forget(self, node: NodeId) -> None:
        """Drop the keys shared with a node that is gone; its old ones are still not taken again."""
        self._sending.pop(node, None)
        source = self._sources.get(node)
        if source is not None:
            source.drop_all()

    # Private rules.

    def _new_session(
        self, destination: NodeId, destination_epoch: int, prekey: Prekey, now: float
    ) -> SendingSession:
        session_id = ((self._sessions_made + 1) << 32) | int.from_bytes(os.urandom(4))
        key = os.urandom(SESSION_KEY_BYTES)
        scope = WrapScope(
            mesh=self._mesh,
            source=self._me,
            source_epoch=self._epoch,
            destination=destination,
            destination_epoch=destination_epoch,
            session_id=session_id,
        )
        session = SendingSession(
            session_id,
            key=key,
            epoch=destination_epoch,
            wrap=wrap_key(key, prekey=prekey, scope=scope, sign=self._sign),
            expires_at=now + self._session_lifetime_s,
        )
        self._sessions_made += 1
        self._sending.pop(destination, None)
        self._sending[destination] = session
        if len(self._sending) > DESTINATIONS_MAX:
            del self._sending[next(iter(self._sending))]
        return session

    def _open_first(
        self, envelope: Envelope, sender_key: bytes
    ) -> Opened | NoSuchKey | SealRefused:
        """The first of a session: its wrap must be new, signed, and sealed for a prekey of ours."""
        source = self._sources.get(envelope.source)
        if source is not None and envelope.source_epoch < source.epoch:
            return SealRefused("wrong_epoch")
        if not envelope.wrap:
            return _NO_KEY
        head = read_head(envelope.wrap)
        if head is None:
            return SealRefused("bad_wrap")
        prekey_id, addressed_epoch = head
        private = self._prekeys.private(prekey_id)
        if private is None or addressed_epoch != self._epoch:
            return _NO_KEY
        if (
            source is not None
            and source.epoch == envelope.source_epoch
            and envelope.session_id <= source.floor
        ):
            # Used up: replayed, or its source does not know that we forgot the key.
            return _NO_KEY
        if source is None and len(self._sources) >= SOURCES_MAX:
            return SealRefused("too_many_sources")
        scope = WrapScope(
            mesh=self._mesh,
            source=envelope.source,
            source_epoch=envelope.source_epoch,
            destination=self._me,
            destination_epoch=addressed_epoch,
            session_id=envelope.session_id,
        )
        if not is_signed(envelope.wrap, prekey_id=prekey_id, scope=scope, sender_key=sender_key):
            return SealRefused("bad_wrap")
        key = unwrap_key(envelope.wrap, prekey_id=prekey_id, private=private, scope=scope)
        if key is None:
            # Signed, so the source means it: it has a prekey that only a copy of this machine had.
            return _NO_KEY
        session = ReceivingSession(AESGCM(key), prekey_id=prekey_id)
        plaintext = self._decrypt(session.aead, envelope)
        if plaintext is None:
            return _BAD_SEAL
        session.window.accept(envelope.counter)
        if source is None or source.epoch != envelope.source_epoch:
            before = 0 if source is None else source.newest_prekey
            source = Source(envelope.source_epoch, newest_prekey=before)
            self._sources[envelope.source] = source
        source.add(envelope.session_id, session)
        return Opened(plaintext)

    def _decrypt(self, aead: AESGCM, envelope: Envelope) -> bytes | None:
        if envelope.counter >= SESSION_ENVELOPES_MAX:
            return None
        associated = envelope.associated_data(mesh_flags=envelope.flags, opener=self._me)
        try:
            return aead.decrypt(_NONCE.pack(envelope.counter), envelope.sealed, associated)
        except InvalidTag:
            return None


def _no_such_key_content(
    mesh: MeshId, *, speaker: tuple[NodeId, int], addressed: tuple[NodeId, int], session_id: int
) -> bytes:
    """What the signature of a NO_SUCH_KEY covers; nodes with their epochs."""
    return _NO_SUCH_KEY_CONTEXT + _NO_SUCH_KEY.pack(mesh, *speaker, *addressed, session_id)
