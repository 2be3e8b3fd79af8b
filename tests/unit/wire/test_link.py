"""What neighbors say: every field of hello, refusal, probe, goodbye and beacon has a bound."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from mreza.errors import DecodeError
from mreza.wire import link, records
from mreza.wire.codec import Wire
from mreza.wire.link import Goodbye, Hello, Probe, RefusalCode, Refused
from tests.golden.cases import BEACON, MESH, RECORD

HELLO = Hello(1, (), 1, 0.0, "alpha", (), MESH)


def changed(message: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(message, **changes)


TOO_MUCH = [
    (changed(HELLO, version=-1), "version is -1"),
    (changed(HELLO, features=("a",) * 33), "features has 33"),
    (changed(HELLO, features=("a" * 129,)), "feature or address has 129"),
    (changed(HELLO, addresses=("a" * 129,)), "feature or address has 129"),
    (changed(HELLO, addresses=("a",) * 17), "addresses has 17"),
    (changed(HELLO, name="x" * 65), "name has 65"),
    (changed(HELLO, epoch=1 << 64), "epoch is 18446744073709551616"),
    (changed(HELLO, uptime_s=-0.5), "uptime is -0.5"),
    (changed(HELLO, uptime_s=math.nan), "uptime is nan"),
    (Refused("x" * 65), "refusal code has 65"),
    (Refused("", "x" * 513), "refusal text has 513"),
    (
        Refused("", "", records.AgedRecord(changed(RECORD, key=bytes(65)), 0.0)),
        "record key has 65",
    ),
    (Probe(-1), "probe time is -1"),
    (Probe(0, 0, -1), "probe time is -1"),
    (Goodbye("x" * 257), "goodbye reason has 257"),
    (changed(BEACON, public_key=b""), "beacon key has 0 bytes, must have 32"),
    (changed(BEACON, signature=bytes(65)), "beacon signature has 65 bytes, must have 64"),
    (changed(BEACON, addresses=("a",) * 17), "addresses has 17"),
    (changed(BEACON, port=0), "beacon port is 0"),
    (changed(BEACON, port=65536), "beacon port is 65536"),
    (changed(BEACON, epoch=-1), "epoch is -1"),
    (changed(BEACON, stamp_ms=-1), "beacon stamp is -1"),
]


@pytest.mark.parametrize(("message", "complaint"), TOO_MUCH, ids=[words for _, words in TOO_MUCH])
def test_what_is_beyond_its_bound_is_refused(message: Wire, complaint: str) -> None:
    with pytest.raises(DecodeError, match=complaint):
        message.check()


def test_a_refusal_with_the_largest_record_fits_its_frame() -> None:
    largest = changed(RECORD, key=bytes(64), body=bytes(16 * 1024))
    refused = Refused("x" * 64, "é" * 512, records.AgedRecord(largest, 1.0))
    assert link.REFUSED.decode(link.REFUSED.encode(refused)) == refused


def test_refusal_codes_are_stable_words() -> None:
    assert [code.value for code in RefusalCode] == [
        "no_certificate",
        "wrong_alpn",
        "bad_certificate",
        "revoked",
        "other_mesh",
        "other_node",
        "version",
        "old_epoch",
        "malformed",
        "too_large",
        "timeout",
        "duplicate_link",
        "self",
        "duplicate_identity",
        "too_many",
        "shutdown",
        "silent",
        "join_refused",
    ]
