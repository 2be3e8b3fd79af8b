"""Laws of every codec: what is encoded decodes to itself; no bytes do worse than DecodeError."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, strategies as st

from mreza.errors import DecodeError
from mreza.ids import MeshId, NodeId
from mreza.wire import join, link, packet, records
from mreza.wire.codec import Codec
from mreza.wire.envelope import (
    ENVELOPE_MAX,
    TRACE_BYTES,
    WRAP_MAX,
    Envelope,
    EnvelopeKind,
    decode_envelope,
    for_next_hop,
)
from mreza.wire.frame import BODY_MAX, FrameReader, FrameType, encode_frame
from tests.golden.cases import fields, golden

u64 = st.integers(0, (1 << 64) - 1)
u32 = st.integers(0, (1 << 32) - 1)
node_ids = st.binary(min_size=16, max_size=16).map(NodeId)
mesh_ids = st.binary(min_size=16, max_size=16).map(MeshId)
names = st.text(max_size=16)
words = st.text(max_size=20)
seconds = st.floats(0, 1e9)


def tuples(of: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=most).map(tuple)


def exactly(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


record = st.builds(
    records.Record,
    origin=node_ids,
    kind=st.integers(0, 255),
    key=st.binary(max_size=records.KEY_MAX),
    epoch=u64,
    sequence=u64,
    body=st.binary(max_size=200),
    signature=exactly(64),
)
aged_record = st.builds(records.AgedRecord, record=record, age_s=seconds)
prekey = st.builds(records.Prekey, id=u64, public=exactly(32))
digest_entry = st.builds(
    records.DigestEntry,
    origin=node_ids,
    kind=st.integers(0, 255),
    key=st.binary(max_size=records.KEY_MAX),
    epoch=u64,
    sequence=u64,
    prefix=exactly(8),
)


@st.composite
def ranges(draw: st.DrawFn, after: int) -> tuple[tuple[int, int], ...]:
    """Rising, apart from each other, beyond the cumulative number."""
    found, before = [], after
    for gap, length in draw(
        st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=packet.RANGES_MAX)
    ):
        found.append((before + gap, before + gap + length))
        before += gap + length
    return tuple(found)


@st.composite
def acks(draw: st.DrawFn) -> packet.Ack:
    cumulative = draw(st.integers(0, 1 << 60))
    return packet.Ack(
        priority=draw(st.integers(0, 3)),
        cumulative=cumulative,
        ranges=draw(ranges(cumulative)),
        credits=draw(tuples(st.tuples(u32, u64), packet.CREDITS_MAX)),
        delay_us=draw(u32),
    )


@st.composite
def fragments(draw: st.DrawFn) -> packet.Fragment:
    total = draw(st.integers(1, packet.BATCH_MAX))
    return packet.Fragment(draw(u64), draw(st.integers(0, total - 1)), total, draw(u32))


@st.composite
def heads(draw: st.DrawFn) -> packet.Head:
    sequence = draw(u64)
    return packet.Head(
        flags=draw(st.integers(0, 3)) | draw(st.integers(0, 255)) << 8,
        kind=draw(st.sampled_from(packet.PacketKind)),
        stream_epoch=draw(u64),
        sequence=sequence,
        behind=draw(st.integers(0, sequence)),
        acks=draw(tuples(acks(), 2)),
        session_seen=draw(u64),
        compression=draw(st.integers(0, 1)),
        raw_size=draw(st.integers(0, packet.BATCH_MAX)),
        fragment=draw(st.none() | fragments()),
        deadline_ms=draw(u32),
        stream=draw(u32),
        inbox=draw(u32),
        position=draw(u64),
    )


raws = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | words | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
).map(lambda value: msgspec.Raw(packet.encode_payload(value)))

MESSAGES: dict[str, tuple[Codec[Any], st.SearchStrategy[Any]]] = {
    "hello": (
        link.HELLO,
        st.builds(
            link.Hello,
            version=st.integers(0, 9),
            features=tuples(words, 4),
            epoch=u64,
            uptime_s=seconds,
            name=names,
            addresses=tuples(words, 4),
            mesh=mesh_ids,
        ),
    ),
    "refused": (
        link.REFUSED,
        st.builds(
            link.Refused,
            code=st.sampled_from(link.RefusalCode).map(str),
            text=words,
            introduction=st.none() | aged_record,
        ),
    ),
    "probe": (link.PROBE, st.builds(link.Probe, stamp_us=u64, echo_us=u64, held_us=u64)),
    "goodbye": (link.GOODBYE, st.builds(link.Goodbye, reason=words)),
    "beacon": (
        link.BEACON,
        st.builds(
            link.Beacon,
            mesh=mesh_ids,
            node=node_ids,
            public_key=exactly(32),
            epoch=u64,
            port=st.integers(1, 65535),
            addresses=tuples(words, 4),
            stamp_ms=u64,
            signature=exactly(64),
        ),
    ),
    "records": (
        records.RECORDS,
        st.builds(records.RecordsBody, records=tuples(aged_record, 4)),
    ),
    "digest": (
        records.DIGEST,
        st.builds(
            records.DigestBody,
            summary=exactly(16),
            low=st.just(b"") | exactly(16),
            high=st.just(b"") | exactly(16),
            entries=st.none() | tuples(digest_entry, 4),
        ),
    ),
    "introduction": (
        records.INTRODUCTION,
        st.builds(
            records.Introduction,
            certificates=tuples(st.binary(max_size=100), records.CHAIN_MAX),
            name=names,
            addresses=tuples(words, 4),
            prekeys=tuples(prekey, records.PREKEYS_MAX),
            offers=tuples(words, 4),
            instance=u64,
            uptime_s=seconds,
            authorities=tuples(exactly(16), 3),
            version=words,
            forwarding=st.booleans(),
        ),
    ),
    "links": (
        records.LINKS,
        st.builds(
            records.LinksBody,
            links=tuples(
                st.builds(records.LinkEntry, peer=node_ids, cost=st.integers(1, (1 << 32) - 1)), 5
            ),
            lost=tuples(
                st.builds(
                    records.LostLink,
                    peer=node_ids,
                    peer_epoch=u64,
                    cause=st.sampled_from(["gone", "reset", "silent", "closed"]),
                ),
                5,
            ),
        ),
    ),
    "farewell": (records.FAREWELL, st.builds(records.FarewellBody, reason=words)),
    "head": (packet.HEAD, heads()),
    "requests": (
        packet.REQUESTS,
        st.lists(
            st.builds(
                packet.Request,
                id=u64,
                target=words,
                payload=raws,
                timeout_ms=u32,
                idempotent=st.booleans(),
                attempt=st.integers(1, 9),
                key=words,
                headers=st.none() | st.dictionaries(words, words, max_size=4),
            ),
            max_size=4,
        ),
    ),
    "responses": (
        packet.RESPONSES,
        st.lists(
            st.builds(packet.Response, id=u64, status=st.sampled_from(packet.Status), payload=raws),
            max_size=4,
        ),
    ),
    "failure": (
        packet.FAILURE,
        st.builds(
            packet.Failure,
            type_name=words,
            message=words,
            traceback=words,
            retry_after_ms=u32,
        ),
    ),
    "control": (
        packet.CONTROL,
        st.builds(
            packet.Control,
            kind=st.sampled_from(packet.ControlKind),
            number=u64,
            stamp_us=u64,
            session_id=u64,
            count=u32,
            reason=words,
        ),
    ),
    "join chain": (
        join.JOIN_CHAIN,
        st.builds(
            join.JoinChain,
            mesh=mesh_ids,
            root=st.binary(max_size=100),
            authorities=tuples(st.binary(max_size=100), 4),
        ),
    ),
    "join request": (
        join.JOIN_REQUEST,
        st.builds(
            join.JoinRequest,
            token_id=exactly(8),
            authority_id=exactly(16),
            public_key=exactly(32),
            name=names,
            proof=exactly(32),
            signature=exactly(64),
        ),
    ),
    "join answer": (
        join.JOIN_ANSWER,
        st.builds(
            join.JoinAnswer,
            certificates=tuples(st.binary(max_size=100), records.CHAIN_MAX),
            code=words,
            text=words,
        ),
    ),
}

envelopes = st.builds(
    Envelope,
    kind=st.sampled_from(EnvelopeKind).map(int),
    priority=st.integers(0, 3),
    source=node_ids,
    source_epoch=u64,
    destinations=st.lists(node_ids, min_size=1, max_size=4).map(tuple),
    session_id=u64,
    counter=u64,
    flags=st.integers(0, 255).map(lambda high: high << 8),
    lane=st.integers(0, 255),
    hop_limit=st.integers(1, 255),
    path=tuples(node_ids, 8),
    trace=st.just(b"") | exactly(TRACE_BYTES),
    wrap=st.binary(max_size=WRAP_MAX),
    sealed=st.binary(max_size=100),
)

DECODERS: dict[str, Callable[[bytes], Any]] = {
    **{name: codec.decode for name, (codec, _) in MESSAGES.items()},
    "envelope": decode_envelope,
    "packet": packet.decode_packet,
    "frames": lambda data: list(FrameReader(limit=BODY_MAX).feed(data)),
}


@pytest.mark.parametrize("name", MESSAGES)
@given(data=st.data())
def test_a_message_decodes_to_what_was_encoded(name: str, data: st.DataObject) -> None:
    codec, messages = MESSAGES[name]
    message = data.draw(messages)
    assert codec.decode(codec.encode(message)) == message


@given(envelopes)
def test_an_envelope_decodes_to_what_was_encoded(envelope: Envelope) -> None:
    assert fields(decode_envelope(envelope.encode())) == fields(envelope)


@given(heads(), st.binary(max_size=100))
def test_a_packet_decodes_to_what_was_encoded(head: packet.Head, body: bytes) -> None:
    found, rest = packet.decode_packet(packet.encode_packet(head, body))
    assert (found, bytes(rest)) == (head, body)


@given(envelopes, st.booleans())
def test_a_relay_changes_hop_limit_and_cursor_and_nothing_else(
    envelope: Envelope, advance: bool
) -> None:
    advance = advance and len(envelope.path) > 0
    body = envelope.encode()
    passed_on = bytes(
        for_next_hop(body, decode_envelope(body), advance_path=advance),
    )
    wanted = fields(envelope) | {
        "hop_limit": envelope.hop_limit - 1,
        "path_cursor": envelope.path_cursor + advance,
    }
    assert fields(decode_envelope(passed_on)) == wanted
    assert sum(a != b for a, b in zip(body, passed_on, strict=True)) == 1 + advance


@given(envelopes, node_ids)
def test_what_relays_change_is_not_under_the_seal(envelope: Envelope, opener: NodeId) -> None:
    before = envelope.associated_data(mesh_flags=envelope.wire_flags, opener=opener)
    envelope.hop_limit = 1
    envelope.path_cursor = len(envelope.path)
    envelope.destinations = (opener,)
    assert envelope.associated_data(mesh_flags=envelope.wire_flags, opener=opener) == before


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=300))
@example(data=b"")
@example(data=b"\xdd\xff\xff\xff\xff")
@example(data=b"\xc1")
@example(data=b"\x91" * 200)
@example(data=b"\xff" * 200)
def test_bytes_of_any_kind_do_no_worse_than_decode_error(name: str, data: bytes) -> None:
    _decode_or_refuse(DECODERS[name], data)


GOLDEN = [bytes.fromhex(text) for text in golden().values()]


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.data())
def test_damaged_messages_do_no_worse_than_decode_error(name: str, data: st.DataObject) -> None:
    """Bytes that look right for a while reach deeper than noise: flip, cut, insert."""
    damaged = bytearray(data.draw(st.sampled_from(GOLDEN)))
    for place, byte, how in data.draw(
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255), st.integers(0, 2)), max_size=4)
    ):
        if place < len(damaged):
            match how:
                case 0:
                    damaged[place] = byte
                case 1:
                    del damaged[place:]
                case _:
                    damaged.insert(place, byte)
    _decode_or_refuse(DECODERS[name], bytes(damaged))


def _decode_or_refuse(decode: Callable[[bytes], Any], data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode(data)


frames = st.lists(
    st.tuples(st.sampled_from(FrameType).map(int), st.binary(max_size=60)), max_size=8
)


@given(frames, st.data())
def test_frames_are_the_same_however_the_stream_is_cut(
    sent: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(encode_frame(kind, body) for kind, body in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    reader = FrameReader()
    received = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += list(reader.feed(stream[start:stop]))
    assert received == sent
    assert reader.buffered == 0


@given(st.integers(0, ENVELOPE_MAX + 10))
def test_an_envelope_of_any_size_that_is_allowed_fits_a_frame(size: int) -> None:
    full = Envelope(
        kind=1,
        priority=0,
        source=NodeId(bytes(16)),
        source_epoch=0,
        destinations=(NodeId(bytes(16)),),
        path=(NodeId(bytes(16)),) * 8,
        trace=bytes(TRACE_BYTES),
        wrap=bytes(WRAP_MAX),
        sealed=bytes(size),
    )
    body = full.encode()
    if size <= ENVELOPE_MAX:
        assert len(body) <= BODY_MAX
        assert decode_envelope(body).sealed == full.sealed
    else:
        with pytest.raises(DecodeError, match="sealed bytes, limit"):
            decode_envelope(body)
