"""What a member holds: its key, its certificates, and the keys of authorities on this machine."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mreza.errors import StateError
from mreza.ids import MeshId, NodeId
from mreza.security.authority import Authority
from mreza.security.certificates import MemberCertificate, TrustAnchors
from mreza.security.identity import Identity


def to_pem(certificates: Iterable[bytes]) -> bytes:
    """DER certificates as one PEM text, as OpenSSL reads chains and trust stores (RFC 7468)."""
    lines: list[bytes] = []
    for der in certificates:
        text = base64.b64encode(der)
        lines.append(b"-----BEGIN CERTIFICATE-----")
        lines += (text[i : i + 64] for i in range(0, len(text), 64))
        lines.append(b"-----END CERTIFICATE-----")
    return b"\n".join((*lines, b""))


def from_pem(pem: bytes) -> tuple[bytes, ...]:
    """Read what `to_pem` wrote; StateError if there is no certificate in it."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise StateError(f"the certificates cannot be read: {error}") from error
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in found)


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """Everything with which a node proves itself and judges others."""

    identity: Identity
    mesh: MeshId
    mesh_name: str
    chain: tuple[bytes, ...]
    "DER: our certificate, then the authority's that signed it."
    roots: tuple[bytes, ...]
    "DER."
    authorities: tuple[Authority, ...] = ()
    "Those whose key is in our state directory."

    @property
    def node_id(self) -> NodeId:
        return self.identity.node_id

    @property
    def anchors(self) -> TrustAnchors:
        """A new judge of certificates; make one and keep it."""
        return TrustAnchors(self.mesh, self.roots)

    def check(self, *, wall: float) -> MemberCertificate:
        """Our own certificate, or CertificateRejected when peers would refuse it."""
        return self.anchors.check_chain(self.chain, wall=wall)

    @property
    def chain_pem(self) -> bytes:
        """For `SSLContext.load_cert_chain`."""
        return to_pem(self.chain)

    @property
    def roots_pem(self) -> bytes:
        """For `SSLContext.load_verify_locations`."""
        return to_pem(self.roots)
