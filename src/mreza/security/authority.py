"""Signing: a mesh's root signs authorities, an authority signs nodes.

The root's key is needed only to make authorities and may go offline. Certificates are dated one
day back, because the clocks of machines that meet for the first time differ.
"""

from __future__ import annotations

import datetime as dt
import os

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mreza.errors import StateError
from mreza.ids import ID_BYTES, MeshId
from mreza.security.certificates import (
    MEMBER_ROLE,
    ROLE_OID,
    encode_role,
    load_certificate,
    mesh_of,
    raw_public_key,
    san_uri,
)
from mreza.security.identity import (
    key_hash,
    node_id_of,
    private_key_from_pem,
    private_key_to_pem,
)

DAY_S = 86_400.0
BACKDATED_S = DAY_S
"One day: a joiner whose clock is slow by less still finds its certificate valid."
NODE_LIFETIME_S = 365 * DAY_S
AUTHORITY_LIFETIME_S = 10 * 365 * DAY_S
"Ten nodes' lifetimes; it can be revoked alone, so a long life costs little."
ROOT_LIFETIME_S = 30 * 365 * DAY_S
"The root cannot be renewed without new tokens everywhere; it outlives three authorities."
_COMMON_NAME_MAX = 64
"Upper bound of RFC 5280 (ub-common-name)."


class MeshSecrets(msgspec.Struct, frozen=True):
    """A new mesh: its id, its root and its first authority."""

    mesh: MeshId
    mesh_name: str
    root_key_pem: bytes
    root_der: bytes
    authority_key_pem: bytes
    authority_der: bytes

    def __repr__(self) -> str:
        return f"MeshSecrets({self.mesh})"


def create_mesh(mesh_name: str, *, wall: float, mesh: MeshId | None = None) -> MeshSecrets:
    """Make a root and its first authority, of a new random mesh id unless one is given."""
    mesh = MeshId(os.urandom(ID_BYTES)) if mesh is None else mesh
    key = Ed25519PrivateKey.generate()
    subject = _name(mesh, "mreza root")
    builder = _builder(
        subject,
        subject,
        key.public_key(),
        first=wall - BACKDATED_S,
        last=wall + ROOT_LIFETIME_S,
    )
    root = _as_authority(builder, path_length=1, own_id=bytes(mesh), issuer_id=bytes(mesh)).sign(
        key, None
    )
    root_der, root_key_pem = root.public_bytes(Encoding.DER), private_key_to_pem(key)
    authority_key_pem, authority_der = create_authority(root_key_pem, root_der, wall=wall)
    return MeshSecrets(
        mesh=mesh,
        mesh_name=mesh_name,
        root_key_pem=root_key_pem,
        root_der=root_der,
        authority_key_pem=authority_key_pem,
        authority_der=authority_der,
    )


def create_authority(root_key_pem: bytes, root_der: bytes, *, wall: float) -> tuple[bytes, bytes]:
    """Make an authority under this root; returns its key (PEM) and certificate (DER)."""
    root_key, root = private_key_from_pem(root_key_pem), load_certificate(root_der)
    mesh = _belongs(root_key, root, what="root")
    key = Ed25519PrivateKey.generate()
    own_id = key_hash(key.public_key().public_bytes_raw())
    builder = _builder(
        _name(mesh, f"mreza authority {own_id.hex()}"),
        root.subject,
        key.public_key(),
        first=wall - BACKDATED_S,
        last=min(wall + AUTHORITY_LIFETIME_S, root.not_valid_after_utc.timestamp()),
    )
    signed = _as_authority(builder, path_length=0, own_id=own_id, issuer_id=bytes(mesh)).sign(
        root_key, None
    )
    return private_key_to_pem(key), signed.public_bytes(Encoding.DER)


class Authority:
    """An authority whose key this node holds: signs certificates of nodes."""

    def __init__(self, key_pem: bytes, der: bytes, root_der: bytes) -> None:
        self._key = private_key_from_pem(key_pem)
        self._certificate = load_certificate(der)
        self.mesh = _belongs(self._key, self._certificate, what="authority")
        self.authority_id = key_hash(raw_public_key(self._certificate))
        self.key_pem = key_pem
        self.der = der
        self.root_der = root_der

    def issue(
        self,
        public_key: bytes,
        *,
        name: str,
        role: str = MEMBER_ROLE,
        wall: float,
        lifetime_s: float = NODE_LIFETIME_S,
        backdated_s: float = BACKDATED_S,
    ) -> tuple[bytes, bytes]:
        """Sign a node's raw public key; returns its certificate and the authority's (DER).

        Raises StateError when the authority itself has expired.
        """
        ends = self._certificate.not_valid_after_utc.timestamp()
        if wall > ends:
            raise StateError(f"the authority {self.authority_id.hex()} has expired; make a new one")
        node = node_id_of(public_key)
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, str(self.mesh)),
                x509.NameAttribute(NameOID.SERIAL_NUMBER, str(node)),
                x509.NameAttribute(NameOID.COMMON_NAME, name[:_COMMON_NAME_MAX] or str(node)),
            ]
        )
        builder = (
            _builder(
                subject,
                self._certificate.subject,
                Ed25519PublicKey.from_public_bytes(public_key),
                first=wall - backdated_s,
                last=min(wall + lifetime_s, ends),
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(for_authority=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
                ),
                critical=False,
            )
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.UniformResourceIdentifier(san_uri(self.mesh, node))]
                ),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier(bytes(node)), critical=False)
            .add_extension(_issued_by(self.authority_id), critical=False)
            .add_extension(x509.UnrecognizedExtension(ROLE_OID, encode_role(role)), critical=False)
        )
        return builder.sign(self._key, None).public_bytes(Encoding.DER), self.der

    def __repr__(self) -> str:
        return f"Authority({self.authority_id.hex()})"


def _belongs(key: Ed25519PrivateKey, certificate: x509.Certificate, *, what: str) -> MeshId:
    """The mesh of a certificate; StateError if the key is not its key or it names no mesh."""
    if key.public_key().public_bytes_raw() != raw_public_key(certificate):
        raise StateError(f"the key of the {what} does not fit its certificate")
    mesh = mesh_of(certificate.subject)
    if mesh is None:
        raise StateError(f"the certificate of the {what} names no mesh")
    return mesh


def _name(mesh: MeshId, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, str(mesh)),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: Ed25519PublicKey,
    *,
    first: float,
    last: float,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.fromtimestamp(int(first), dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(int(last), dt.UTC))
    )


def _as_authority(
    builder: x509.CertificateBuilder, *, path_length: int, own_id: bytes, issuer_id: bytes
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=path_length), critical=True
        )
        .add_extension(_key_usage(for_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(own_id), critical=False)
        .add_extension(_issued_by(issuer_id), critical=False)
    )


def _issued_by(key_id: bytes) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier(
        key_identifier=key_id, authority_cert_issuer=None, authority_cert_serial_number=None
    )


def _key_usage(*, for_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not for_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=for_authority,
        crl_sign=for_authority,
        encipher_only=False,
        decipher_only=False,
    )
