"""Meshes and members for tests of trust; and certificates that no authority would sign."""

from __future__ import annotations

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mreza.security.authority import Authority, MeshSecrets, create_mesh
from mreza.security.certificates import ROLE_OID, encode_role, san_uri
from mreza.security.credentials import Credentials
from mreza.security.identity import Identity, private_key_from_pem

WALL = 1_790_000_000.0
DAY_S = 86_400.0
MESH = create_mesh("ours", wall=WALL)
OTHER_MESH = create_mesh("theirs", wall=WALL)
FORGED_MESH = create_mesh("ours", wall=WALL, mesh=MESH.mesh)
"Another root that claims our mesh id."


def authority_of(secrets: MeshSecrets = MESH) -> Authority:
    return Authority(secrets.authority_key_pem, secrets.authority_der, secrets.root_der)


def member(secrets: MeshSecrets = MESH, *, name: str = "n", role: str = "member") -> Credentials:
    """A member whose machine also holds the authority."""
    identity = Identity.generate()
    authority = authority_of(secrets)
    chain = authority.issue(identity.public_key, name=name, role=role, wall=WALL)
    return Credentials(
        identity=identity,
        mesh=secrets.mesh,
        mesh_name=secrets.mesh_name,
        chain=chain,
        roots=(secrets.root_der,),
        authorities=(authority,),
    )


def usage(*, sign_handshakes: bool = True, sign_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign_handshakes,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def key_id(value: bytes) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier(value, None, None)


def leaf_extensions(identity: Identity, secrets: MeshSecrets = MESH) -> list[x509.ExtensionType]:
    """What a good certificate of a node holds, in a list that a test spoils."""
    return [
        x509.BasicConstraints(ca=False, path_length=None),
        usage(),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.SubjectAlternativeName(
            [x509.UniformResourceIdentifier(san_uri(secrets.mesh, identity.node_id))]
        ),
        x509.SubjectKeyIdentifier(bytes(identity.node_id)),
        key_id(authority_of(secrets).authority_id),
        x509.UnrecognizedExtension(ROLE_OID, encode_role("member")),
    ]


def sign_certificate(
    public_key: object,
    extensions: list[x509.ExtensionType],
    *,
    issuer_der: bytes = MESH.authority_der,
    issuer_key_pem: bytes = MESH.authority_key_pem,
    signing_key: CertificateIssuerPrivateKeyTypes | None = None,
    mesh_in_subject: str = str(MESH.mesh),
    critical: bool = False,
) -> bytes:
    """A certificate with exactly these extensions, signed by an authority that does not care."""
    issuer = x509.load_der_x509_certificate(issuer_der)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, mesh_in_subject)]))
        .issuer_name(issuer.subject)
        .public_key(
            Ed25519PublicKey.from_public_bytes(public_key)
            if isinstance(public_key, bytes)
            else public_key  # type: ignore[arg-type]
        )
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.fromtimestamp(int(WALL - DAY_S), dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(int(WALL + DAY_S), dt.UTC))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=critical)
    key = private_key_from_pem(issuer_key_pem) if signing_key is None else signing_key
    return builder.sign(key, None).public_bytes(Encoding.DER)
