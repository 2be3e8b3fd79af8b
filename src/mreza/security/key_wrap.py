"""How a session key travels: sealed for a prekey (HPKE base mode, RFC 9180) and signed.

Layout: u64 prekey id, u64 epoch of the destination, 80 bytes HPKE (encapsulated key, sealed key),
64 bytes Ed25519 signature. Mesh, both ids, both epochs, prekey id and session id are bound twice:
they are HPKE's `info`, and the signature covers them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from mreza.errors import DecodeError
from mreza.ids import MeshId, NodeId
from mreza.security.identity import SIGNATURE_BYTES, verify
from mreza.wire.records import Prekey

SESSION_KEY_BYTES = 32
_CONTEXT = b"mreza/wrap/1"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_HEAD = struct.Struct(">QQ")
_BOUND = struct.Struct(">16s16s16sQQQQ")
_SEALED_KEY_BYTES = 32 + SESSION_KEY_BYTES + 16
WRAP_BYTES = _HEAD.size + _SEALED_KEY_BYTES + SIGNATURE_BYTES


class WrapScope:
    """What a wrapped key is for: one session from one node in one epoch to another in one epoch."""

    __slots__ = ("destination", "destination_epoch", "mesh", "session_id", "source", "source_epoch")

    def __init__(
        self,
        *,
        mesh: MeshId,
        source: NodeId,
        source_epoch: int,
        destination: NodeId,
        destination_epoch: int,
        session_id: int,
    ) -> None:
        self.mesh = mesh
        self.source = source
        self.source_epoch = source_epoch
        self.destination = destination
        self.destination_epoch = destination_epoch
        self.session_id = session_id

    def info(self, prekey_id: int) -> bytes:
        """The bytes that bind a wrap to its scope."""
        return _CONTEXT + _BOUND.pack(
            self.mesh,
            self.source,
            self.destination,
            self.source_epoch,
            self.destination_epoch,
            prekey_id,
            self.session_id,
        )


def wrap_key(
    key: bytes, *, prekey: Prekey, scope: WrapScope, sign: Callable[[bytes], bytes]
) -> bytes:
    """Seal and sign a session key (about 0.13 ms); DecodeError for a prekey nobody can seal for."""
    info = scope.info(prekey.id)
    try:
        public = X25519PublicKey.from_public_bytes(prekey.public)
        sealed = _SUITE.encrypt(key, public, info=info)
    except ValueError as error:
        raise DecodeError(f"the prekey of {scope.destination} is not usable: {error}") from error
    return _HEAD.pack(prekey.id, scope.destination_epoch) + sealed + sign(info + sealed)


def read_head(wrap: bytes) -> tuple[int, int] | None:
    """Prekey id and epoch of the destination; None if this is no wrap."""
    return _HEAD.unpack_from(wrap) if len(wrap) == WRAP_BYTES else None


def is_signed(wrap: bytes, *, prekey_id: int, scope: WrapScope, sender_key: bytes) -> bool:
    """True if the holder of this raw Ed25519 key made the wrap (about 0.16 ms)."""
    signature, sealed = wrap[-SIGNATURE_BYTES:], wrap[_HEAD.size : -SIGNATURE_BYTES]
    return verify(sender_key, signature, scope.info(prekey_id) + sealed)


def unwrap_key(
    wrap: bytes, *, prekey_id: int, private: X25519PrivateKey, scope: WrapScope
) -> bytes | None:
    """Open a wrap of `read_head`'s length; None if it was sealed for another key."""
    try:
        key = _SUITE.decrypt(
            wrap[_HEAD.size : -SIGNATURE_BYTES], private, info=scope.info(prekey_id)
        )
    except (InvalidTag, ValueError):
        return None
    return key if len(key) == SESSION_KEY_BYTES else None
