"""Whatever the wire does to sealed envelopes, each is opened at most once and as it was sent."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings, strategies as st

from mreza.config.security import SecurityConfig
from mreza.errors import DecodeError
from mreza.security.identity import Identity
from mreza.security.sealing import Opened, Sealing
from mreza.wire.envelope import Envelope, decode_envelope
from tests.support.security import MESH

A, B = Identity.generate(), Identity.generate()


def sealing(identity: Identity, **config: int) -> Sealing:
    return Sealing(
        me=identity.node_id,
        mesh=MESH.mesh,
        epoch=1,
        sign=identity.sign,
        config=SecurityConfig(**config),  # type: ignore[arg-type]
        now=0.0,
    )


def seal(sender: Sealing, receiver: Sealing, data: bytes) -> bytes:
    return sender.seal(
        Envelope(kind=1, priority=2, source=A.node_id, source_epoch=0, destinations=(B.node_id,)),
        data,
        destination=B.node_id,
        destination_epoch=1,
        prekey=receiver.prekeys()[0],
        now=0.0,
    )


def opened(receiver: Sealing, body: bytes) -> bytes | None:
    match receiver.open(decode_envelope(body), sender_key=A.public_key, now=0.0):
        case Opened(plaintext):
            return plaintext
        case _:
            return None


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.binary(max_size=40), min_size=1, max_size=30),
    st.lists(st.integers(0, 29), max_size=80),
    st.integers(1, 12),
)
def test_any_order_and_repetition_opens_each_envelope_at_most_once(
    payloads: list[bytes], order: list[int], per_session: int
) -> None:
    sender, receiver = sealing(A, session_envelopes=per_session), sealing(B)
    bodies = [seal(sender, receiver, data) for data in payloads]
    times = [0] * len(bodies)
    for index in order:
        at = index % len(bodies)
        plaintext = opened(receiver, bodies[at])
        if plaintext is not None:
            assert plaintext == payloads[at]
            times[at] += 1
    assert max(times) <= 1


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_envelope_opens_as_it_was_sent_or_not_at_all(data: st.DataObject) -> None:
    sender, receiver = sealing(A), sealing(B)
    if data.draw(st.booleans(), label="session known"):
        assert opened(receiver, seal(sender, receiver, b"first")) == b"first"
    body = bytearray(seal(sender, receiver, b"payload"))
    for _ in range(data.draw(st.integers(1, 3), label="changes")):
        at = data.draw(st.integers(0, len(body) - 1), label="at")
        body[at] ^= data.draw(st.integers(1, 255), label="bits")
    with contextlib.suppress(DecodeError):
        assert opened(receiver, bytes(body)) in (None, b"payload")
    # What was spoiled has not moved any window.
    assert opened(receiver, seal(sender, receiver, b"after")) == b"after"


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=40), st.integers(8129, 20_000))
def test_the_window_moves_only_after_authentication(forged: list[int], far: int) -> None:
    sender, receiver = sealing(A), sealing(B)
    assert opened(receiver, seal(sender, receiver, b"first")) == b"first"
    waiting = seal(sender, receiver, b"waiting")
    for gap in (*forged, far):
        envelope = decode_envelope(seal(sender, receiver, b"x"))
        envelope.counter += gap + 1
        assert opened(receiver, envelope.encode()) is None
    assert opened(receiver, waiting) == b"waiting"
