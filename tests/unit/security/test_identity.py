from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mreza.errors import ConfigError, StateError
from mreza.security.identity import Identity, check_name, node_id_of, verify


def test_a_node_id_is_the_first_half_of_the_hash_of_the_key() -> None:
    identity = Identity.generate()
    assert identity.node_id == hashlib.sha256(identity.public_key).digest()[:16]
    assert node_id_of(identity.public_key) == identity.node_id
    assert str(identity.node_id) in repr(identity)


def test_a_key_survives_being_written_down() -> None:
    identity = Identity.generate()
    again = Identity.from_pem(identity.to_pem())
    assert again.node_id == identity.node_id
    assert verify(identity.public_key, again.sign(b"x"), b"x")


def test_a_signature_is_good_for_its_bytes_and_key_only() -> None:
    one, two = Identity.generate(), Identity.generate()
    signature = one.sign(b"data")
    assert verify(one.public_key, signature, b"data")
    assert not verify(one.public_key, signature, b"Data")
    assert not verify(two.public_key, signature, b"data")
    assert not verify(one.public_key, signature[:-1], b"data")
    assert not verify(b"short", signature, b"data")


def test_a_file_that_is_no_ed25519_key_is_refused() -> None:
    other = x25519.X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(StateError, match="must be Ed25519"):
        Identity.from_pem(other)
    with pytest.raises(StateError, match="cannot be read"):
        Identity.from_pem(b"nonsense")


@pytest.mark.parametrize("name", ["a", "edge-1", "A_b.c", "9", "x" * 63])
def test_names_that_a_folder_can_have(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a/b", "a b", "ä", "x" * 64, "a\n", "a\0"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="not allowed"):
        check_name(name)
