from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from mreza.errors import DecodeError
from mreza.security.identity import Identity
from mreza.security.key_wrap import (
    SESSION_KEY_BYTES,
    WRAP_BYTES,
    WrapScope,
    is_signed,
    read_head,
    unwrap_key,
    wrap_key,
)
from mreza.wire.envelope import WRAP_MAX
from mreza.wire.records import Prekey
from tests.support.security import MESH, OTHER_MESH

SOURCE, DESTINATION = Identity.generate(), Identity.generate()
PRIVATE = X25519PrivateKey.generate()
PREKEY = Prekey(id=7, public=PRIVATE.public_key().public_bytes_raw())
KEY = os.urandom(SESSION_KEY_BYTES)
SCOPE = {
    "mesh": MESH.mesh,
    "source": SOURCE.node_id,
    "source_epoch": 1,
    "destination": DESTINATION.node_id,
    "destination_epoch": 2,
    "session_id": 3,
}


def scope(**changed: object) -> WrapScope:
    return WrapScope(**(SCOPE | changed))  # type: ignore[arg-type]


WRAP = wrap_key(KEY, prekey=PREKEY, scope=scope(), sign=SOURCE.sign)


def test_the_destination_gets_the_key() -> None:
    assert len(WRAP) == WRAP_BYTES <= WRAP_MAX
    assert read_head(WRAP) == (7, 2)
    assert is_signed(WRAP, prekey_id=7, scope=scope(), sender_key=SOURCE.public_key)
    assert unwrap_key(WRAP, prekey_id=7, private=PRIVATE, scope=scope()) == KEY


@pytest.mark.parametrize(
    "changed",
    [
        {"mesh": OTHER_MESH.mesh},
        {"source": DESTINATION.node_id},
        {"source_epoch": 2},
        {"destination": SOURCE.node_id},
        {"destination_epoch": 3},
        {"session_id": 4},
    ],
)
def test_a_wrap_is_good_for_its_scope_only(changed: dict[str, object]) -> None:
    other = scope(**changed)
    assert not is_signed(WRAP, prekey_id=7, scope=other, sender_key=SOURCE.public_key)
    assert unwrap_key(WRAP, prekey_id=7, private=PRIVATE, scope=other) is None


def test_a_wrap_is_good_for_its_prekey_and_signer_only() -> None:
    assert not is_signed(WRAP, prekey_id=8, scope=scope(), sender_key=SOURCE.public_key)
    assert not is_signed(WRAP, prekey_id=7, scope=scope(), sender_key=DESTINATION.public_key)
    other = X25519PrivateKey.generate()
    assert unwrap_key(WRAP, prekey_id=7, private=other, scope=scope()) is None


def test_every_byte_after_the_head_is_signed() -> None:
    for at in range(16, WRAP_BYTES, 5):
        spoiled = WRAP[:at] + bytes((WRAP[at] ^ 1,)) + WRAP[at + 1 :]
        assert not is_signed(spoiled, prekey_id=7, scope=scope(), sender_key=SOURCE.public_key)


def test_bytes_of_another_length_are_no_wrap() -> None:
    assert read_head(WRAP[:-1]) is None
    assert read_head(WRAP + b"x") is None
    assert read_head(b"") is None


def test_a_key_of_another_length_is_not_taken() -> None:
    short = wrap_key(b"k" * 16, prekey=PREKEY, scope=scope(), sign=SOURCE.sign)
    assert read_head(short) is None
    assert unwrap_key(short, prekey_id=7, private=PRIVATE, scope=scope()) is None


@pytest.mark.parametrize("public", [bytes(32), b"short"])
def test_a_prekey_that_nobody_can_seal_for_is_named(public: bytes) -> None:
    with pytest.raises(DecodeError, match="not usable"):
        wrap_key(KEY, prekey=Prekey(id=1, public=public), scope=scope(), sign=SOURCE.sign)
