"""The bytes of version 1 are what they were: every golden example decodes and encodes the same."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mreza.wire import records
from mreza.wire.envelope import VERSION
from mreza.wire.link import PROTOCOL_VERSION
from tests.golden.cases import CASES, MESH, PUBLIC, golden

NAMES = list(CASES)


def test_the_examples_are_of_this_version() -> None:
    assert (VERSION, PROTOCOL_VERSION) == (1, 1)
    assert list(golden()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_value_encodes_to_the_golden_bytes(name: str) -> None:
    assert CASES[name].encode().hex() == golden()[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_golden_bytes_decode_to_the_value(name: str) -> None:
    case = CASES[name]
    assert case.decode(bytes.fromhex(golden()[name])) == case.value


def test_the_golden_records_are_signed() -> None:
    body = records.RECORDS.decode(bytes.fromhex(golden()["records frame"]))
    for aged in body.records:
        Ed25519PublicKey.from_public_bytes(PUBLIC).verify(
            aged.record.signature, aged.record.signed_bytes(MESH)
        )
