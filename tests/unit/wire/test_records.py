"""Records: what the signature covers, which of two wins, and bounds on every list."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from mreza.errors import DecodeError
from mreza.ids import MeshId, NodeId
from mreza.wire import records
from mreza.wire.codec import Wire
from mreza.wire.records import AgedRecord, DigestBody, DigestEntry, LinkEntry, LinksBody, LostLink
from tests.golden.cases import ALPHA, BETA, EPOCH, INTRODUCTION, MESH, RECORD


def changed(message: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(message, **changes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("origin", BETA),
        ("kind", 9),
        ("key", b"k"),
        ("epoch", EPOCH + 1),
        ("sequence", 9),
        ("body", b"other"),
    ],
)
def test_the_signature_covers_every_field_and_the_mesh(field: str, value: object) -> None:
    assert changed(RECORD, **{field: value}).signed_bytes(MESH) != RECORD.signed_bytes(MESH)
    assert RECORD.signed_bytes(MeshId(bytes(16))) != RECORD.signed_bytes(MESH)
    assert RECORD.signed_bytes(MESH).startswith(b"mreza/record/1" + MESH)


def test_a_digest_tells_equal_versions_with_other_content_apart() -> None:
    other = changed(RECORD, body=b"other")
    assert other.slot == RECORD.slot
    assert other.version == RECORD.version
    assert other.digest() != RECORD.digest()
    assert len(RECORD.digest()) == 32
    assert changed(RECORD, signature=bytes(64)).digest() != RECORD.digest()


def test_a_newer_epoch_beats_any_sequence() -> None:
    newer = changed(RECORD, epoch=EPOCH + 1, sequence=0)
    assert newer.version > changed(RECORD, sequence=1 << 63).version
    assert newer.slot == (ALPHA, records.RecordKind.LINKS, b"")


BIG = 1 << 63
TOO_MANY = [
    (changed(RECORD, key=bytes(65)), "record key has 65"),
    (changed(RECORD, body=bytes(16 * 1024 + 1)), "record body has 16385"),
    (changed(RECORD, signature=bytes(65)), "record signature has 65"),
    (changed(RECORD, kind=256), "record kind is 256"),
    (changed(RECORD, epoch=-1), "record epoch is -1"),
    (changed(RECORD, sequence=-1), "record sequence is -1"),
    (AgedRecord(RECORD, -0.1), "record age in seconds is -0.1"),
    (AgedRecord(RECORD, math.nan), "record age in seconds is nan"),
    (AgedRecord(changed(RECORD, kind=-1), 0), "record kind is -1"),
    (records.RecordsBody((AgedRecord(RECORD, math.inf),)), "record age in seconds is inf"),
    (DigestBody(bytes(17)), "digest summary has 17"),
    (DigestBody(bytes(16), bytes(17)), "digest bounds has 17"),
    (
        DigestBody(bytes(16), entries=(DigestEntry(ALPHA, 1, bytes(65), 0, 0, b""),)),
        "digest key has 65",
    ),
    (DigestEntry(ALPHA, 1, b"", 0, 0, bytes(9)), "digest prefix has 9"),
    (DigestEntry(ALPHA, 256, b"", 0, 0, b""), "digest kind is 256"),
    (DigestEntry(ALPHA, 1, b"", -1, 0, b""), "digest epoch is -1"),
    (DigestEntry(ALPHA, 1, b"", 0, -1, b""), "digest sequence is -1"),
    (records.Prekey(1, bytes(31)), "prekey has 31 bytes, must have 32"),
    (records.Prekey(-1, bytes(32)), "prekey id is -1"),
    (changed(INTRODUCTION, certificates=(b"",) * 4), "certificate chain has 4"),
    (changed(INTRODUCTION, certificates=(bytes(2049),)), "certificate has 2049"),
    (changed(INTRODUCTION, name="š" * 33), "name has 66"),
    (changed(INTRODUCTION, addresses=("a",) * 17), "addresses has 17"),
    (changed(INTRODUCTION, prekeys=(records.Prekey(1, bytes(32)),) * 5), "prekeys has 5"),
    (changed(INTRODUCTION, prekeys=(records.Prekey(1, b""),)), "prekey has 0 bytes"),
    (changed(INTRODUCTION, offers=("a",) * 129), "offers has 129"),
    (changed(INTRODUCTION, instance=-1), "instance is -1"),
    (changed(INTRODUCTION, uptime_s=math.nan), "uptime is nan"),
    (changed(INTRODUCTION, uptime_s=-1.0), "uptime is -1"),
    (LinksBody((LinkEntry(BETA, 1),) * 257), "links has 257"),
    (LinksBody((LinkEntry(BETA, 0),)), "link cost is 0"),
    (LinksBody((LinkEntry(BETA, 1 << 32),)), "link cost is 4294967296"),
    (LinksBody((), (LostLink(BETA, 0, "gone"),) * 33), "lost links has 33"),
    (LinksBody((), (LostLink(BETA, 0, "x" * 33),)), "cause of a lost link has 33"),
    (LinksBody((), (LostLink(BETA, -1, "gone"),)), "epoch of a lost link is -1"),
    (records.FarewellBody("x" * 257), "farewell reason has 257"),
]


@pytest.mark.parametrize(("message", "complaint"), TOO_MANY, ids=[words for _, words in TOO_MANY])
def test_what_is_beyond_its_bound_is_refused(message: Wire, complaint: str) -> None:
    with pytest.raises(DecodeError, match=complaint):
        message.check()


@pytest.mark.parametrize(
    "message",
    [
        changed(RECORD, key=bytes(64), body=bytes(16 * 1024), kind=255, epoch=(1 << 64) - 1),
        changed(INTRODUCTION, name="š" * 32, offers=("a",) * 128),
        LinksBody((LinkEntry(NodeId(bytes(16)), (1 << 32) - 1),) * 256),
        DigestBody(bytes(16)),
    ],
)
def test_what_is_at_its_bound_is_let_in(message: Wire) -> None:
    message.check()
