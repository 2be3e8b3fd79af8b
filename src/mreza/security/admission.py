"""How a stranger becomes a member: the joiner's side and the authority's, without sockets.

The joiner trusts only its token. It is shown certificates, checks the root against the token and
the server's certificate against the root, and then proves that it knows the token's secret,
without sending it. The authority writes the redemption to disk before it signs: two joiners with
one token cannot both win, whatever crashes.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Protocol

import msgspec

from mreza.errors import AdmissionError, CertificateRejected, ConfigError
from mreza.ids import ID_BYTES, MeshId, NodeId
from mreza.security.authority import Authority
from mreza.security.certificates import TrustAnchors
from mreza.security.credentials import Credentials
from mreza.security.identity import PUBLIC_KEY_BYTES, Identity, check_name, node_id_of, verify
from mreza.security.join_token import TOKEN_ID_BYTES, JoinToken, fingerprint
from mreza.wire.join import REQUEST_CONTEXT, JoinAnswer, JoinChain, JoinRequest

AUTHORITIES_SHOWN_MAX = 16
"As many as a JoinChain may hold."
REFUSALS = {
    "unknown_token": "the authority does not know this token",
    "used": "the token has been used; ask for a new one (`mreza invite`)",
    "expired": "the token has expired; ask for a new one (`mreza invite`)",
    "bad_proof": "the token's secret is wrong",
    "bad_request": "the request is malformed",
    "no_authority": "no node that can redeem this token is reachable from the node that was asked",
    "unavailable": "the authority cannot answer now; try again",
}
"Codes of a refused join, and what to tell a person."


class TokenRecord(msgspec.Struct, frozen=True):
    """What the authority keeps of a token."""

    token_id: bytes
    secret: bytes
    authority_id: bytes
    expires: float
    "Seconds since 1970."
    uses: int
    role: str
    redeemed: tuple[NodeId, ...] = ()

    def __repr__(self) -> str:
        return f"TokenRecord({self.token_id.hex()})"


class TokenLedger(Protocol):
    """Tokens of the authorities on this machine, on disk."""

    def lookup(self, token_id: bytes) -> TokenRecord | None:
        """The token as it is on disk now."""
        ...

    def redeem(self, token_id: bytes, node_id: NodeId, *, wall: float) -> bool:
        """Use the token once for this node, durably; False if it is used up.

        True again for a node that has redeemed it already: its answer may have been lost.
        """
        ...


class Granted(msgspec.Struct, frozen=True):
    """A stranger's new membership, for its state directory."""

    mesh: MeshId
    mesh_name: str
    chain: tuple[bytes, ...]
    roots: tuple[bytes, ...]


def join_chain(credentials: Credentials) -> JoinChain:
    """What any member shows a joiner first."""
    own = credentials.chain[1:]
    others = tuple(held.der for held in credentials.authorities if held.der not in own)
    shown = (own + others)[:AUTHORITIES_SHOWN_MAX]
    return JoinChain(mesh=credentials.mesh, root=credentials.roots[0], authorities=shown)


def refusal(code: str) -> JoinAnswer:
    """The answer that says why not."""
    return JoinAnswer(code=code, text=REFUSALS[code])


class Joiner:
    """The stranger's side: `challenged` with the server's certificates, then `answered`."""

    def __init__(self, token: JoinToken, identity: Identity, *, name: str) -> None:
        self._token = token
        self._identity = identity
        self._name = check_name(name)
        self._root = b""
        self.server: NodeId | None = None
        "The member that was asked; known once it has shown its certificate."

    def challenged(self, chain: JoinChain, *, server_leaf: bytes, wall: float) -> JoinRequest:
        """Check what the server shows, and only then answer; else AdmissionError `wrong_mesh`.

        `server_leaf` is the DER certificate with which the TLS handshake was made.
        """
        token = self._token
        if chain.mesh != token.mesh or fingerprint(chain.root) != token.root_fingerprint:
            raise _not_the_mesh("it shows another root certificate")
        try:
            anchors = TrustAnchors(token.mesh, (chain.root,))
            self.server = _check_server(anchors, server_leaf, chain.authorities, wall=wall)
        except CertificateRejected as error:
            raise _not_the_mesh(f"{error} ({error.code})") from error
        self._root = chain.root
        content = _request_content(
            token.token_id, token.authority_id, self._identity.public_key, self._name, token.mesh
        )
        proof = hmac.digest(token.secret, content, "sha256")
        return JoinRequest(
            token_id=token.token_id,
            authority_id=token.authority_id,
            public_key=self._identity.public_key,
            name=self._name,
            proof=proof,
            signature=self._identity.sign(content + proof),
        )

    def answered(self, answer: JoinAnswer, *, wall: float) -> Granted:
        """The certificates to store, or AdmissionError with the authority's code."""
        if answer.code or not answer.certificates:
            code = answer.code or "refused"
            raise AdmissionError(
                f"not admitted: {REFUSALS.get(code, answer.text or code)}", code=code
            )
        token = self._token
        try:
            anchors = TrustAnchors(token.mesh, (self._root,))
            member = anchors.check_chain(answer.certificates, wall=wall)
        except CertificateRejected as error:
            raise AdmissionError(
                f"the certificate that was granted is not valid here: {error}", code=error.code
            ) from error
        if member.node_id != self._identity.node_id:
            raise AdmissionError(
                "the certificate that was granted is another node's", code="refused"
            )
        return Granted(
            mesh=token.mesh,
            mesh_name=token.mesh_name,
            chain=answer.certificates,
            roots=(self._root,),
        )


class JoinDesk:
    """The authority's side: decides a request, at most once for each use of a token."""

    def __init__(
        self, *, mesh: MeshId, authorities: Sequence[Authority], ledger: TokenLedger
    ) -> None:
        self._mesh = mesh
        self._authorities = {authority.authority_id: authority for authority in authorities}
        self._ledger = ledger

    def holds(self, authority_id: bytes) -> bool:
        """True if requests for this authority are decided here, else they are passed on."""
        return authority_id in self._authorities

    def decide(self, request: JoinRequest, *, wall: float) -> JoinAnswer:
        """Grant or refuse. Reads and writes the ledger, so it takes some milliseconds.

        Raises StateError if the ledger cannot be read or written; nothing is granted then.
        """
        authority = self._authorities.get(request.authority_id)
        if authority is None:
            return refusal("no_authority")
        if not _is_sound(request, self._mesh):
            return refusal("bad_request")
        token = self._ledger.lookup(request.token_id)
        if token is None or token.authority_id != request.authority_id:
            return refusal("unknown_token")
        content = _content_of(request, self._mesh)
        if not hmac.compare_digest(hmac.digest(token.secret, content, "sha256"), request.proof):
            return refusal("bad_proof")
        if wall > token.expires:
            return refusal("expired")
        if not self._ledger.redeem(request.token_id, node_id_of(request.public_key), wall=wall):
            return refusal("used")
        chain = authority.issue(request.public_key, name=request.name, role=token.role, wall=wall)
        return JoinAnswer(certificates=chain)


def _check_server(
    anchors: TrustAnchors, leaf: bytes, authorities: Sequence[bytes], *, wall: float
) -> NodeId:
    """The server is a member if one of the authorities that it shows signed its certificate."""
    rejected: CertificateRejected | None = None
    for authority in authorities:
        try:
            return anchors.check_chain((leaf, authority), wall=wall).node_id
        except CertificateRejected as error:
            # The first reason that is about the leaf itself says more than "not this authority".
            if rejected is None or rejected.code == "unknown_authority":
                rejected = error
    raise rejected or CertificateRejected("it shows no authority", code="unknown_authority")


def _request_content(
    token_id: bytes, authority_id: bytes, public_key: bytes, name: str, mesh: MeshId
) -> bytes:
    # All but the name have fixed lengths, so no two requests have equal content.
    return REQUEST_CONTEXT + token_id + authority_id + public_key + name.encode() + mesh


def _content_of(request: JoinRequest, mesh: MeshId) -> bytes:
    return _request_content(
        request.token_id, request.authority_id, request.public_key, request.name, mesh
    )


def _is_sound(request: JoinRequest, mesh: MeshId) -> bool:
    """Lengths, name, and the proof that the joiner holds the key that is to be signed."""
    if (len(request.token_id), len(request.authority_id), len(request.public_key)) != (
        TOKEN_ID_BYTES,
        ID_BYTES,
        PUBLIC_KEY_BYTES,
    ):
        return False
    try:
        check_name(request.name)
    except ConfigError:
        return False
    signed = _content_of(request, mesh) + request.proof
    return verify(request.public_key, request.signature, signed)


def _not_the_mesh(reason: str) -> AdmissionError:
    return AdmissionError(
        f"the node at that address is not of the token's mesh: {reason}. Nothing was sent to it.",
        code="wrong_mesh",
    )
