"""A join token: what a stranger needs to find a mesh, to know it again, and to be let in.

Text: "mreza-" and base32 of version (u8), msgpack array of the fields, and 4 bytes of SHA-256 of
both, so that a mistyped token is told from a refused one. The secret never travels; whoever reads
the token can join.
"""

from __future__ import annotations

import base64
import hashlib
import os

from mreza.errors import AdmissionError, DecodeError
from mreza.ids import ID_BYTES, MeshId
from mreza.security.certificates import MEMBER_ROLE, ROLE_MAX
from mreza.wire.codec import Codec, Wire, bounded
from mreza.wire.records import NAME_MAX

PREFIX = "mreza-"
VERSION = 1
TOKEN_ID_BYTES = 8
SECRET_BYTES = 16
"128 bits: nobody guesses it, with or without asking."
FINGERPRINT_BYTES = 32
TOKEN_ADDRESSES_MAX = 8
ADDRESS_MAX = 128
_CHECKSUM_BYTES = 4
_TEXT_MAX = 4096


def fingerprint(certificate: bytes) -> bytes:
    """SHA-256 of a DER certificate."""
    return hashlib.sha256(certificate).digest()


class JoinToken(Wire, frozen=True):
    """All that is printed as one word by `mreza invite`."""

    mesh: MeshId
    root_fingerprint: bytes
    "SHA-256 of the root certificate: the joiner trusts no other."
    token_id: bytes
    secret: bytes
    expires: int
    "Seconds since 1970, by the authority's clock."
    authority_id: bytes
    "Who must redeem it."
    addresses: tuple[str, ...]
    "Where the authority and some members were listening; any member passes a join on."
    mesh_name: str = ""
    uses: int = 1
    role: str = MEMBER_ROLE

    def __repr__(self) -> str:
        return f"JoinToken({self.token_id.hex()})"

    def check(self) -> None:
        for what, value, size in (
            ("root fingerprint", self.root_fingerprint, FINGERPRINT_BYTES),
            ("token id", self.token_id, TOKEN_ID_BYTES),
            ("secret", self.secret, SECRET_BYTES),
            ("authority id", self.authority_id, ID_BYTES),
        ):
            if len(value) != size:
                raise DecodeError(f"{what} has {len(value)} bytes, must have {size}")
        bounded("addresses of a token", len(self.addresses), TOKEN_ADDRESSES_MAX)
        for address in self.addresses:
            bounded("address", len(address), ADDRESS_MAX)
        bounded("mesh name", len(self.mesh_name.encode()), NAME_MAX)
        bounded("role", len(self.role.encode()), ROLE_MAX)

    def encode(self) -> str:
        """The token as text."""
        content = bytes((VERSION,)) + _CODEC.encode(self)
        return PREFIX + _to_text(content + fingerprint(content)[:_CHECKSUM_BYTES])

    @classmethod
    def parse(cls, text: str) -> JoinToken:
        """Read a token; AdmissionError `bad_token` says in plain words what is wrong with it."""
        # A terminal or a mail may have wrapped it.
        text = "".join(text.split())
        if not text.lower().startswith(PREFIX) or len(text) > _TEXT_MAX:
            raise _bad(f"a join token begins with {PREFIX!r}; make one with `mreza invite`")
        data = _from_text(text[len(PREFIX) :])
        content, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        if len(content) < 2 or fingerprint(content)[:_CHECKSUM_BYTES] != checksum:
            raise _bad("the join token is damaged or incomplete: copy all of it again")
        if content[0] != VERSION:
            raise _bad(
                f"the join token has version {content[0]}, this mreza reads {VERSION}: "
                "use the same version on both sides"
            )
        try:
            return _CODEC.decode(content[1:])
        except DecodeError as error:
            raise _bad(f"the join token is malformed: {error}") from error


_CODEC = Codec(JoinToken, limit=2048, what="join token")


def new_secret() -> tuple[bytes, bytes]:
    """A token id and a secret."""
    return os.urandom(TOKEN_ID_BYTES), os.urandom(SECRET_BYTES)


def _to_text(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _from_text(text: str) -> bytes:
    try:
        data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError:
        raise _bad(
            "the join token has characters that no token has: copy all of it again"
        ) from None
    # The last letter has bits to spare, which must be zero: each token has one spelling.
    return data if _to_text(data) == text.lower() else b""


def _bad(message: str) -> AdmissionError:
    return AdmissionError(message, code="bad_token")
