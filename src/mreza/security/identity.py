"""Who a node is: an Ed25519 key (RFC 8032), and as its id a hash of it that nobody can take."""

from __future__ import annotations

import hashlib
import re
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from mreza.errors import ConfigError, StateError
from mreza.ids import ID_BYTES, NodeId

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")


def key_hash(public_key: bytes) -> bytes:
    """The first 16 bytes of SHA-256 of a raw public key: names nodes and authorities."""
    return hashlib.sha256(public_key).digest()[:ID_BYTES]


def node_id_of(public_key: bytes) -> NodeId:
    """The id of the node that holds the private half of this raw key."""
    return NodeId(key_hash(public_key))


def verify(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """True if the holder of this raw key signed these bytes (about 0.16 ms)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def check_name(name: str) -> str:
    """Return the name if a node may have it (it names a folder, too), or raise ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"the name {name!r} is not allowed: 1 to 63 of the characters a-z A-Z 0-9 _ . - "
            "and no dot or dash first"
        )
    return name


def private_key_to_pem(key: Ed25519PrivateKey) -> bytes:
    """PKCS #8, unencrypted: the file's mode protects it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def private_key_from_pem(pem: bytes) -> Ed25519PrivateKey:
    """Read what `private_key_to_pem` wrote; StateError if it is anything else."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StateError(f"the private key cannot be read: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StateError(f"the private key is a {type(key).__name__}, must be Ed25519")
    return key


class Identity:
    """A node's key pair. `sign` proves who speaks; `node_id` is what others call it."""

    __slots__ = ("node_id", "private_key", "public_key")

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self.private_key = private_key
        self.public_key = private_key.public_key().public_bytes_raw()
        "Raw, 32 bytes."
        self.node_id = node_id_of(self.public_key)

    @classmethod
    def generate(cls) -> Self:
        """A new identity from the system's entropy."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read what `to_pem` wrote; StateError if it is anything else."""
        return cls(private_key_from_pem(pem))

    def to_pem(self) -> bytes:
        return private_key_to_pem(self.private_key)

    def sign(self, data: bytes) -> bytes:
        """A signature of 64 bytes (about 46 µs)."""
        return self.private_key.sign(data)

    def __repr__(self) -> str:
        return f"Identity({self.node_id})"
