"""How a stranger becomes a member: three messages in JOIN frames, after TLS it does not trust.

server → joiner   JoinChain     certificates; the joiner checks them against its token
joiner → server   JoinRequest   public key, name, HMAC of the token's secret over all of it
server → joiner   JoinAnswer    the node's certificate chain, or why not
"""

from __future__ import annotations

from mreza.ids import MeshId
from mreza.wire.codec import Codec, Wire, bounded
from mreza.wire.records import CERTIFICATE_MAX, CHAIN_MAX, NAME_MAX

REQUEST_CONTEXT = b"mreza/join/1"
JOIN_PROCESS = "mreza/join"
"Reserved process name under which a member passes a join on to the authority."


class JoinChain(Wire, frozen=True):
    """What the joiner verifies before it proves anything."""

    mesh: MeshId
    root: bytes
    authorities: tuple[bytes, ...]
    "DER certificates of the authorities that the server knows, its own first."

    def check(self) -> None:
        bounded("root certificate", len(self.root), CERTIFICATE_MAX)
        bounded("authorities", len(self.authorities), 16)
        for certificate in self.authorities:
            bounded("certificate", len(certificate), CERTIFICATE_MAX)


class JoinRequest(Wire, frozen=True):
    """Proof that the joiner knows the secret of a token and the private half of a key."""

    token_id: bytes
    authority_id: bytes
    public_key: bytes
    name: str
    proof: bytes
    "HMAC-SHA-256(secret, context ‖ token id ‖ authority id ‖ public key ‖ name ‖ mesh id)."
    signature: bytes
    "By the joiner's key over the same bytes and the proof."

    def check(self) -> None:
        bounded("token id", len(self.token_id), 16)
        bounded("authority id", len(self.authority_id), 16)
        bounded("public key", len(self.public_key), 32)
        bounded("name", len(self.name.encode()), NAME_MAX)
        bounded("proof", len(self.proof), 32)
        bounded("signature", len(self.signature), 64)


class JoinAnswer(Wire, frozen=True):
    """The certificate chain, or why not."""

    certificates: tuple[bytes, ...] = ()
    code: str = ""
    "Empty: granted. Else a code that docs/reference/wire.md lists."
    text: str = ""

    def check(self) -> None:
        bounded("certificate chain", len(self.certificates), CHAIN_MAX)
        for certificate in self.certificates:
            bounded("certificate", len(certificate), CERTIFICATE_MAX)
        bounded("join answer", len(self.code) + len(self.text), 1024)


JOIN_CHAIN = Codec(JoinChain, limit=60 * 1024, what="join chain")
JOIN_REQUEST = Codec(JoinRequest, limit=2048, what="join request")
JOIN_ANSWER = Codec(JoinAnswer, limit=16 * 1024, what="join answer")
