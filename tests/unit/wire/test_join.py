"""What a stranger and an authority say to each other is bounded before anything is checked."""

from __future__ import annotations

import pytest

from mreza.errors import DecodeError
from mreza.wire.codec import Wire
from mreza.wire.join import JoinAnswer, JoinChain, JoinRequest
from tests.golden.cases import MESH


def request(
    *,
    token_id: bytes = b"",
    authority_id: bytes = b"",
    public_key: bytes = b"",
    name: str = "",
    proof: bytes = b"",
    signature: bytes = b"",
) -> JoinRequest:
    return JoinRequest(token_id, authority_id, public_key, name, proof, signature)


TOO_MUCH = [
    (JoinChain(MESH, bytes(2049), ()), "root certificate has 2049"),
    (JoinChain(MESH, b"", (b"",) * 17), "authorities has 17"),
    (JoinChain(MESH, b"", (bytes(2049),)), "certificate has 2049"),
    (request(token_id=bytes(17)), "token id has 17"),
    (request(authority_id=bytes(17)), "authority id has 17"),
    (request(public_key=bytes(33)), "public key has 33"),
    (request(name="x" * 65), "name has 65"),
    (request(proof=bytes(33)), "proof has 33"),
    (request(signature=bytes(65)), "signature has 65"),
    (JoinAnswer((b"",) * 4), "certificate chain has 4"),
    (JoinAnswer((bytes(2049),)), "certificate has 2049"),
    (JoinAnswer((), "x" * 512, "x" * 513), "join answer has 1025"),
]


@pytest.mark.parametrize(("message", "complaint"), TOO_MUCH, ids=[words for _, words in TOO_MUCH])
def test_what_is_beyond_its_bound_is_refused(message: Wire, complaint: str) -> None:
    with pytest.raises(DecodeError, match=complaint):
        message.check()
