"""Fixed values whose bytes on the wire must never change; `wire.json` holds the bytes.

Every case has two functions: `encode()` makes the bytes, `decode(bytes)` gives back the value. A
change of a layout shows here first. It needs a new version number; then `python -m
tests.golden.cases` writes the file again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mreza.discovery import beacon
from mreza.ids import MeshId, NodeId, make_epoch
from mreza.security import key_wrap
from mreza.wire import join, link, packet, records
from mreza.wire.codec import Codec
from mreza.wire.envelope import Envelope, EnvelopeKind, decode_envelope, for_next_hop
from mreza.wire.frame import FrameReader, FrameType, encode_frame

FILE = Path(__file__).with_name("wire.json")

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
MESH = MeshId(bytes(range(0x10, 0x20)))
ALPHA = NodeId(bytes(range(0xA0, 0xB0)))
BETA = NodeId(bytes(range(0xB0, 0xC0)))
GAMMA = NodeId(bytes(range(0xC0, 0xD0)))
EPOCH = make_epoch(boot=7, random_bits=0xDEADBEEF)
SESSION = (1 << 32) | 0x01020304


class Case(NamedTuple):
    """One value and its two ways."""

    value: Any
    encode: Callable[[], bytes]
    decode: Callable[[bytes], Any]


def _message(codec: Codec[Any], value: Any) -> Case:
    return Case(value, lambda: codec.encode(value), codec.decode)


def _frame(kind: FrameType, body: bytes) -> Case:
    return Case(
        [(int(kind), body)],
        lambda: encode_frame(kind, body),
        lambda data: list(FrameReader().feed(data)),
    )


def fields(envelope: Envelope) -> dict[str, Any]:
    """An envelope as plain values, to compare; `flags` are what `encode` writes."""
    names = [name for name in Envelope.__struct_fields__ if name not in ("path_at", "flags")]
    return {name: getattr(envelope, name) for name in names} | {"flags": envelope.wire_flags}


def _envelope(envelope: Envelope) -> Case:
    return Case(fields(envelope), envelope.encode, lambda data: fields(decode_envelope(data)))


def _packet(head: packet.Head, body: bytes) -> Case:
    def decode(data: bytes) -> tuple[packet.Head, bytes]:
        found, rest = packet.decode_packet(data)
        return found, bytes(rest)

    return Case((head, body), lambda: packet.encode_packet(head, body), decode)


PLAIN = Envelope(
    kind=EnvelopeKind.SEALED,
    priority=1,
    source=ALPHA,
    source_epoch=EPOCH,
    destinations=(BETA,),
    session_id=SESSION,
    counter=5,
    sealed=b"sealed packet",
)
FULL = Envelope(
    kind=EnvelopeKind.TRACE,
    priority=3,
    source=ALPHA,
    source_epoch=EPOCH,
    destinations=(BETA, GAMMA),
    session_id=SESSION,
    counter=1 << 33,
    lane=2,
    hop_limit=9,
    path=(GAMMA, BETA),
    path_cursor=1,
    trace=bytes(range(25)),
    wrap=bytes(160),
    sealed=b"x",
)
NO_SUCH_KEY = Envelope(
    kind=EnvelopeKind.NO_SUCH_KEY,
    priority=3,
    source=BETA,
    source_epoch=EPOCH,
    destinations=(ALPHA,),
    session_id=SESSION,
    sealed=EPOCH.to_bytes(8) + bytes(64),
)

PLAINTEXT = packet.encode_packet(
    packet.Head(flags=1, kind=1, stream_epoch=EPOCH, sequence=1), b"\x91\xa5hello"
)


def _next_hop() -> bytes:
    body = FULL.encode()
    return bytes(for_next_hop(body, decode_envelope(body), advance_path=True))


def _sealed() -> bytes:
    """AES-256-GCM of PLAINTEXT in PLAIN, for BETA, with a key of 32 bytes 0x55."""
    aead = AESGCM(b"\x55" * 32)
    nonce = bytes(4) + PLAIN.counter.to_bytes(8)
    associated = PLAIN.associated_data(mesh_flags=PLAIN.wire_flags, opener=BETA)
    return aead.encrypt(nonce, PLAINTEXT, associated)


def _unsealed(data: bytes) -> bytes:
    associated = PLAIN.associated_data(mesh_flags=PLAIN.wire_flags, opener=BETA)
    return AESGCM(b"\x55" * 32).decrypt(bytes(4) + PLAIN.counter.to_bytes(8), data, associated)


def _signed(kind: int, body: bytes, *, key: bytes = b"", sequence: int = 1) -> records.Record:
    unsigned = records.Record(ALPHA, kind, key, EPOCH, sequence, body, b"")
    return msgspec.structs.replace(unsigned, signature=KEY.sign(unsigned.signed_bytes(MESH)))


INTRODUCTION = records.Introduction(
    certificates=(b"\x30\x82leaf", b"\x30\x82authority"),
    name="alpha",
    addresses=("192.0.2.1:7467", "[2001:db8::1]:7467"),
    prekeys=(records.Prekey(2, bytes(32)), records.Prekey(1, b"\xff" * 32)),
    offers=("measure",),
    instance=0x0123456789ABCDEF,
    uptime_s=12.5,
    authorities=(bytes(16),),
    version="0.1.0",
    forwarding=True,
)
LINKS = records.LinksBody(
    links=(records.LinkEntry(BETA, 96), records.LinkEntry(GAMMA, 100_000)),
    lost=(records.LostLink(NodeId(bytes(16)), EPOCH, "gone"),),
)
RECORD = _signed(records.RecordKind.LINKS, records.LINKS.encode(LINKS), sequence=3)
FAREWELL = _signed(
    records.RecordKind.FAREWELL, records.FAREWELL.encode(records.FarewellBody("leave"))
)
ENTRY = records.DigestEntry(
    ALPHA, records.RecordKind.LINKS, b"", EPOCH, 3, bytes.fromhex("0011223344556677")
)


def _join_request() -> join.JoinRequest:
    token_id, authority_id, name = bytes(range(8)), bytes(range(16)), "gamma"
    content = join.REQUEST_CONTEXT + token_id + authority_id + PUBLIC + name.encode() + MESH
    proof = hmac.digest(b"\x33" * 16, content, "sha256")
    signature = KEY.sign(content + proof)
    return join.JoinRequest(token_id, authority_id, PUBLIC, name, proof, signature)


def _beacon() -> link.Beacon:
    unsigned = link.Beacon(
        mesh=MESH,
        node=NodeId(hashlib.sha256(PUBLIC).digest()[:16]),
        public_key=PUBLIC,
        epoch=EPOCH,
        port=7467,
        addresses=("192.0.2.1",),
        stamp_ms=1_700_000_000_000,
        signature=b"",
    )
    signature = KEY.sign(beacon.signed_bytes(unsigned))
    return msgspec.structs.replace(unsigned, signature=signature)


BEACON = _beacon()

PREKEY = X25519PrivateKey.from_private_bytes(b"\x44" * 32)
WRAP = bytes.fromhex(
    "000000000000000300000007deadbef044623c6a5bf83f1e49f2db1af249bafb4f97b558ca85d798"
    "8abd4d44d58e037ff7e86ebc93cfa080bf14608da719ef69f7ce478e7c8eb1d16b518c98beebd8e5"
    "d6e45d539f5875aab87de0cbd61b94854f07a7c75b4501f023845b2ddf5ee3f54eeb22a2e46764ec"
    "a45d4cb989ca1d5ddb54407047b2f6d0fea92997951023927d4656bc99fbfe3543048a4aab8f3e07"
)
"Made once (HPKE draws its own randomness), so this example only decodes."


def _unwrap(data: bytes) -> tuple[int, int, bool, bytes | None]:
    """Prekey id, epoch, whether KEY signed it, and the session key."""
    scope = key_wrap.WrapScope(
        mesh=MESH,
        source=ALPHA,
        source_epoch=EPOCH,
        destination=BETA,
        destination_epoch=EPOCH + 1,
        session_id=SESSION,
    )
    prekey_id, epoch = key_wrap.read_head(data) or (0, 0)
    signed = key_wrap.is_signed(data, prekey_id=prekey_id, scope=scope, sender_key=PUBLIC)
    key = key_wrap.unwrap_key(data, prekey_id=prekey_id, private=PREKEY, scope=scope)
    return prekey_id, epoch, signed, key


CASES: dict[str, Case] = {
    "frame: probe": _frame(FrameType.PROBE, b"\x93\x01\x00\x00"),
    "frame: empty goodbye": _frame(FrameType.GOODBYE, b""),
    "hello": _message(
        link.HELLO,
        link.Hello(1, ("x",), EPOCH, 12.5, "alpha", ("192.0.2.1:7467",), MESH),
    ),
    "refused": _message(link.REFUSED, link.Refused("version", "speaks 3, this node 1")),
    "refused: old epoch": _message(
        link.REFUSED, link.Refused("old_epoch", "", records.AgedRecord(RECORD, 1.5))
    ),
    "probe": _message(link.PROBE, link.Probe(1_000_000, 2_000_000, 300, 100_000, hears=False)),
    "goodbye": _message(link.GOODBYE, link.Goodbye("shutdown")),
    "beacon": _message(link.BEACON, BEACON),
    "envelope": _envelope(PLAIN),
    "envelope: all parts": _envelope(FULL),
    "envelope: all parts, one hop on": Case(
        fields(FULL) | {"hop_limit": 8, "path_cursor": 2},
        _next_hop,
        lambda data: fields(decode_envelope(data)),
    ),
    "envelope: no such key": _envelope(NO_SUCH_KEY),
    "seal": Case(PLAINTEXT, _sealed, _unsealed),
    "key wrap": Case((3, EPOCH + 1, True, b"\x55" * 32), lambda: WRAP, _unwrap),
    "packet: data": _packet(
        packet.Head(
            flags=3,
            kind=packet.PacketKind.DATA,
            stream_epoch=EPOCH,
            sequence=300,
            behind=2,
            acks=(packet.Ack(1, 7, ((9, 9), (11, 20)), ((0, 65536),), 400),),
            session_seen=SESSION,
            deadline_ms=1500,
            inbox=4,
            position=70_000,
        ),
        b"\x92\x01\xa1x",
    ),
    "packet: acknowledgement": _packet(
        packet.Head(0, packet.PacketKind.ACK, EPOCH, acks=(packet.Ack(2, 1),)), b""
    ),
    "packet: fragment": _packet(
        packet.Head(
            flags=1,
            kind=packet.PacketKind.REQUEST,
            stream_epoch=EPOCH,
            sequence=12,
            raw_size=100_000,
            compression=1,
            fragment=packet.Fragment(11, 64_000, 90_000, 0xCAFEBABE),
        ),
        b"piece",
    ),
    "requests": _message(
        packet.REQUESTS,
        [
            packet.Request(1, "measure", msgspec.Raw(b"\x01"), 30_000),
            packet.Request(
                2,
                "",
                msgspec.Raw(b"\xc0"),
                1,
                idempotent=True,
                attempt=2,
                key="k",
                headers={"a": "b"},
                idempotency_key="once",
                progress=True,
            ),
        ],
    ),
    "requests: without later fields": Case(
        [packet.Request(1, "measure", msgspec.Raw(b"\x01"), 30_000)],
        lambda: bytes.fromhex("919801a76d65617375726501cd7530c201a0c0"),
        packet.REQUESTS.decode,
    ),
    "responses": _message(
        packet.RESPONSES,
        [
            packet.Response(1, packet.Status.OK, msgspec.Raw(b"\x93\x01\x02\x03")),
            packet.Response(
                2, packet.Status.PROGRESS, msgspec.Raw(b"\x32"), packet.Load(3, 68, 250, 900, 1500)
            ),
        ],
    ),
    "responses: without later fields": Case(
        [packet.Response(1, packet.Status.OK, msgspec.Raw(b"\x93\x01\x02\x03"))],
        lambda: bytes.fromhex("9193010093010203"),
        packet.RESPONSES.decode,
    ),
    "failure": _message(packet.FAILURE, packet.Failure("ValueError", "no", "Traceback …", 100)),
    "control: ping": _message(packet.CONTROL, packet.Control(1, 77, 1_000_000)),
    "control: dropped": _message(packet.CONTROL, packet.Control(4, 0, 0, SESSION, 3, "queue_full")),
    "control: cancel": _message(packet.CONTROL, packet.Control(5, 77, 0, EPOCH)),
    "record: signed bytes": Case(
        RECORD, lambda: RECORD.signed_bytes(MESH), lambda data: RECORD if data else None
    ),
    "record: digest": Case(RECORD, RECORD.digest, lambda data: RECORD if data else None),
    "introduction": _message(records.INTRODUCTION, INTRODUCTION),
    "links": _message(records.LINKS, LINKS),
    "farewell": _message(records.FAREWELL, records.FarewellBody("leave")),
    "records frame": _message(
        records.RECORDS,
        records.RecordsBody(
            (records.AgedRecord(RECORD, 0.0), records.AgedRecord(FAREWELL, 299.75))
        ),
    ),
    "digest: summary": _message(records.DIGEST, records.DigestBody(bytes(range(16)))),
    "digest: page": _message(
        records.DIGEST, records.DigestBody(bytes(range(16)), ALPHA, b"", (ENTRY,))
    ),
    "join: chain": _message(
        join.JOIN_CHAIN, join.JoinChain(MESH, b"\x30\x82root", (b"\x30\x82authority",))
    ),
    "join: request": _message(join.JOIN_REQUEST, _join_request()),
    "join: granted": _message(
        join.JOIN_ANSWER, join.JoinAnswer((b"\x30\x82leaf", b"\x30\x82authority"))
    ),
    "join: refused": _message(
        join.JOIN_ANSWER, join.JoinAnswer((), "used", "the token has been used")
    ),
}


def golden() -> dict[str, str]:
    """The bytes on file, in hex."""
    stored: dict[str, str] = json.loads(FILE.read_text())
    return stored


if __name__ == "__main__":
    FILE.write_text(
        json.dumps({name: case.encode().hex() for name, case in CASES.items()}, indent=1) + "\n"
    )
