"""Certificates of a mesh: what each must say, and whether one shown to us does (RFC 5280 profile).

root (names the mesh, path length 1) → authority (path length 0) → node, all with Ed25519 keys.
OpenSSL checks the chain of a TLS peer by itself, and `check_leaf` adds what it does not know: the
id in the certificate must be the hash of its key. `check_chain` checks all of it, for the chains
that come in records and joins.

Key identifiers are ours to choose. The root's is the mesh id, so that a chain forged under another
root of the same mesh id fails by its signature and is not mistaken for another mesh. An authority's
is the hash of its key, which is its id.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mreza.errors import CertificateRejected, InvalidId
from mreza.ids import ID_BYTES, MeshId, NodeId
from mreza.security.identity import key_hash, node_id_of
from mreza.wire.records import CERTIFICATE_MAX, CHAIN_MAX

ROLE_OID = x509.ObjectIdentifier("2.25.178614389204691075989997960431873490743")
"Non-critical, the role as a UTF8String. Made from a random UUID, so not registered (X.667)."
ROLE_MAX = 64
"UTF-8 bytes."
MEMBER_ROLE = "member"
SAN_SCHEME = "mreza"
_UTF8_STRING = 0x0C
_AUTHORITIES_CACHED_MAX = 64
_UNREADABLE = (
    ValueError,
    TypeError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)


class MemberCertificate(msgspec.Struct, frozen=True):
    """What a valid node certificate says."""

    node_id: NodeId
    public_key: bytes
    "Raw Ed25519, 32 bytes; its hash is `node_id`."
    role: str
    authority_id: bytes
    "Key hash of the authority that signed it."
    serial: int
    not_before: float
    not_after: float
    "Seconds since 1970; the last second in which it is valid."
    mesh: MeshId


def san_uri(mesh: MeshId, node: NodeId) -> str:
    """The only alternative name of a node's certificate."""
    return f"{SAN_SCHEME}://{mesh}/{node}"


def encode_role(role: str) -> bytes:
    """The role extension's value."""
    text = role.encode()
    if not 1 <= len(text) <= ROLE_MAX:
        raise ValueError(f"role {role!r} has {len(text)} bytes, allowed are 1 to {ROLE_MAX}")
    return bytes((_UTF8_STRING, len(text))) + text


def decode_role(value: bytes) -> str:
    """Read what `encode_role` wrote; ValueError if it is anything else."""
    if len(value) < 3 or value[0] != _UTF8_STRING or value[1] != len(value) - 2:
        raise ValueError("the role extension is not a short UTF8String")
    if len(value) - 2 > ROLE_MAX:
        raise ValueError(f"the role has {len(value) - 2} bytes, limit {ROLE_MAX}")
    return value[2:].decode()


def load_certificate(der: bytes) -> x509.Certificate:
    """Parse one certificate; CertificateRejected `malformed` if it is none or too large."""
    if len(der) > CERTIFICATE_MAX:
        raise CertificateRejected(
            f"a certificate of {len(der)} bytes, limit {CERTIFICATE_MAX}", code="malformed"
        )
    try:
        return x509.load_der_x509_certificate(der)
    except _UNREADABLE as error:
        raise CertificateRejected(f"not a certificate: {error}", code="malformed") from error


def mesh_of(name: x509.Name) -> MeshId | None:
    """The mesh that a subject or issuer names, if it names one."""
    values = name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    try:
        return MeshId.parse(str(values[0].value)) if len(values) == 1 else None
    except InvalidId:
        return None


def raw_public_key(certificate: x509.Certificate) -> bytes:
    """The Ed25519 key of a certificate as 32 bytes; CertificateRejected for any other algorithm."""
    try:
        key = certificate.public_key()
    except _UNREADABLE as error:
        raise CertificateRejected(f"unreadable public key: {error}", code="malformed") from error
    if not isinstance(key, Ed25519PublicKey):
        raise CertificateRejected("the key of the certificate is not Ed25519", code="wrong_usage")
    return key.public_bytes_raw()


class TrustAnchors:
    """The mesh and its roots: decides which certificates this mesh accepts."""

    def __init__(self, mesh: MeshId, roots: tuple[bytes, ...]) -> None:
        self.mesh = mesh
        self.roots = roots
        "DER."
        self._roots = tuple(load_certificate(root) for root in roots)
        self._authorities: dict[bytes, x509.Certificate] = {}
        "Authorities whose signature has been checked, by their DER; the oldest gives way."

    def check_chain(self, certificates: Sequence[bytes], *, wall: float) -> MemberCertificate:
        """Accept a node's certificate followed by its authority's, or raise CertificateRejected."""
        if not 1 <= len(certificates) <= CHAIN_MAX:
            raise CertificateRejected(
                f"a chain of {len(certificates)} certificates, allowed are 1 to {CHAIN_MAX}",
                code="malformed",
            )
        leaf = load_certificate(certificates[0])
        member = self._read_member(leaf)
        issuers = [load_certificate(der) for der in certificates[1:]]
        authority = next((c for c in issuers if _may_have_issued(c, leaf)), None)
        if authority is None:
            raise CertificateRejected(
                f"the chain of {member.node_id} lacks the authority that signed it",
                code="unknown_authority",
            )
        self._check_authority_signature(authority)
        _check_signature(leaf, authority)
        check_dates(authority, wall=wall)
        check_dates(leaf, wall=wall)
        return member

    def check_leaf(self, der: bytes, *, wall: float) -> MemberCertificate:
        """Accept the certificate of a TLS peer whose chain OpenSSL has verified already."""
        leaf = load_certificate(der)
        member = self._read_member(leaf)
        check_dates(leaf, wall=wall)
        return member

    def check_authority(self, der: bytes, *, wall: float) -> bytes:
        """Accept an authority's certificate and return its id, or raise CertificateRejected."""
        authority = load_certificate(der)
        self._check_authority_signature(authority)
        check_dates(authority, wall=wall)
        return key_hash(raw_public_key(authority))

    def _check_authority_signature(self, authority: x509.Certificate) -> None:
        der = authority.public_bytes(Encoding.DER)
        if der in self._authorities:
            return
        if mesh_of(authority.subject) != self.mesh:
            raise CertificateRejected("the authority is of another mesh", code="other_mesh")
        root = next((root for root in self._roots if _may_have_issued(root, authority)), None)
        if root is None:
            raise CertificateRejected(
                "the authority is signed by no root of this mesh", code="unknown_authority"
            )
        _check_signature(authority, root)
        _check_authority_usage(authority)
        if len(self._authorities) >= _AUTHORITIES_CACHED_MAX:
            del self._authorities[next(iter(self._authorities))]
        self._authorities[der] = authority

    def _read_member(self, leaf: x509.Certificate) -> MemberCertificate:
        """What the certificate says, if it says it as a node's must. No signature, no dates."""
        try:
            extensions = leaf.extensions
            mesh, node = _read_san(extensions)
            if mesh != self.mesh:
                raise CertificateRejected(
                    f"certificate of mesh {mesh}, this mesh is {self.mesh}", code="other_mesh"
                )
            public_key = raw_public_key(leaf)
            if node_id_of(public_key) != node:
                raise CertificateRejected(
                    f"the certificate names {node}, its key is that of {node_id_of(public_key)}",
                    code="id_mismatch",
                )
            _check_member_usage(extensions)
            return MemberCertificate(
                node_id=node,
                public_key=public_key,
                role=_read_role(extensions),
                authority_id=_issuer_key_id(leaf),
                serial=leaf.serial_number,
                not_before=leaf.not_valid_before_utc.timestamp(),
                not_after=leaf.not_valid_after_utc.timestamp(),
                mesh=mesh,
            )
        except _UNREADABLE as error:
            raise CertificateRejected(
                f"unreadable certificate: {error}", code="malformed"
            ) from error


def check_dates(certificate: x509.Certificate, *, wall: float) -> None:
    """Raise CertificateRejected `expired` or `not_yet_valid`."""
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if wall < first.timestamp():
        raise CertificateRejected(
            f"not valid before {first:%Y-%m-%d %H:%M} UTC, this clock says {_date(wall)}",
            code="not_yet_valid",
        )
    if wall > last.timestamp():
        raise CertificateRejected(
            f"expired on {last:%Y-%m-%d %H:%M} UTC, this clock says {_date(wall)}", code="expired"
        )


def _date(wall: float) -> str:
    return f"{dt.datetime.fromtimestamp(wall, dt.UTC):%Y-%m-%d %H:%M}"


def _issuer_key_id(certificate: x509.Certificate) -> bytes:
    """Who signed it, by key identifier; the authority's id for a node's certificate."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        raise CertificateRejected(
            "the certificate has no authority key identifier", code="malformed"
        ) from None
    key_id = found.value.key_identifier
    if key_id is None or len(key_id) != ID_BYTES:
        raise CertificateRejected(
            f"the authority key identifier must have {ID_BYTES} bytes", code="malformed"
        )
    return key_id


def _may_have_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """True if name and key identifier say so; the signature decides."""
    try:
        if issuer.subject != certificate.issuer:
            return False
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (*_UNREADABLE, x509.ExtensionNotFound):
        return False
    return own.value.digest == _issuer_key_id(certificate)


def _check_signature(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    raw_public_key(issuer)
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_UNREADABLE) as error:
        raise CertificateRejected(
            "the certificate was not signed by the key it names", code="bad_signature"
        ) from error


def _read_san(extensions: x509.Extensions) -> tuple[MeshId, NodeId]:
    try:
        names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        names = []
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        raise CertificateRejected(
            f"a node's certificate has exactly one name, a URI; this one has {len(names)} names",
            code="bad_san",
        )
    uri = names[0].value
    try:
        mesh_text, _, node_text = uri.removeprefix(f"{SAN_SCHEME}://").partition("/")
        mesh, node = MeshId.parse(mesh_text), NodeId.parse(node_text)
    except InvalidId as error:
        raise CertificateRejected(
            f"{uri!r} is not a node's name: {error}", code="bad_san"
        ) from error
    if uri != san_uri(mesh, node):
        raise CertificateRejected(f"{uri!r} is not a node's name", code="bad_san")
    return mesh, node


def _read_role(extensions: x509.Extensions) -> str:
    try:
        extension = extensions.get_extension_for_oid(ROLE_OID)
    except x509.ExtensionNotFound:
        raise CertificateRejected("the certificate has no role", code="wrong_usage") from None
    value = extension.value
    return decode_role(value.value if isinstance(value, x509.UnrecognizedExtension) else b"")


def _check_member_usage(extensions: x509.Extensions) -> None:
    """A node's certificate signs handshakes on both sides, and nothing else."""
    _check_critical(extensions)
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as error:
        raise CertificateRejected(f"the certificate lacks {error}", code="wrong_usage") from error
    wanted = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)
    if constraints.ca or not usage.digital_signature or usage.key_cert_sign:
        raise CertificateRejected("the certificate is not for a node", code="wrong_usage")
    if any(purpose not in extended for purpose in wanted):
        raise CertificateRejected(
            "the certificate is not for both sides of TLS", code="wrong_usage"
        )


def _check_authority_usage(authority: x509.Certificate) -> None:
    """An authority signs nodes and no further authority; its key id is its key's hash."""
    try:
        extensions = authority.extensions
        _check_critical(extensions)
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        key_id = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (*_UNREADABLE, x509.ExtensionNotFound) as error:
        raise CertificateRejected(f"not an authority: {error}", code="wrong_usage") from error
    if not constraints.ca or constraints.path_length != 0 or not usage.key_cert_sign:
        raise CertificateRejected("the certificate is not an authority's", code="wrong_usage")
    if key_id != key_hash(raw_public_key(authority)):
        raise CertificateRejected(
            "the authority's key identifier is not the hash of its key", code="id_mismatch"
        )


def _check_critical(extensions: x509.Extensions) -> None:
    for extension in extensions:
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            raise CertificateRejected(
                f"unknown critical extension {extension.oid.dotted_string}", code="wrong_usage"
            )
