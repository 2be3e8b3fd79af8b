from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from mreza.errors import CertificateRejected
from mreza.ids import MeshId
from mreza.security import certificates
from mreza.security.authority import create_authority
from mreza.security.certificates import (
    ROLE_OID,
    TrustAnchors,
    decode_role,
    encode_role,
    mesh_of,
    raw_public_key,
    san_uri,
)
from mreza.security.identity import Identity, key_hash
from tests.support.security import (
    DAY_S,
    FORGED_MESH,
    MESH,
    OTHER_MESH,
    WALL,
    authority_of,
    key_id,
    leaf_extensions,
    member,
    sign_certificate,
    usage,
)

ANCHORS = TrustAnchors(MESH.mesh, (MESH.root_der,))


def refused(chain: tuple[bytes, ...], *, wall: float = WALL) -> str:
    with pytest.raises(CertificateRejected) as caught:
        TrustAnchors(MESH.mesh, (MESH.root_der,)).check_chain(chain, wall=wall)
    return caught.value.code


def refused_leaf(leaf: bytes) -> str:
    """Refused alone exactly as in its chain, because TLS shows only the leaf."""
    code = refused((leaf, MESH.authority_der))
    with pytest.raises(CertificateRejected) as caught:
        ANCHORS.check_leaf(leaf, wall=WALL)
    assert caught.value.code == code
    return code


def spoiled(*replaced: x509.ExtensionType, identity: Identity | None = None) -> bytes:
    """A certificate of a node in which extensions of the same kind are replaced."""
    identity = Identity.generate() if identity is None else identity
    kinds = tuple(type(extension) for extension in replaced)
    kept = [e for e in leaf_extensions(identity) if not isinstance(e, kinds)]
    return sign_certificate(identity.public_key, [*kept, *replaced])


def without(kind: type[x509.ExtensionType]) -> bytes:
    identity = Identity.generate()
    kept = [e for e in leaf_extensions(identity) if not isinstance(e, kind)]
    return sign_certificate(identity.public_key, kept)


def test_a_members_chain_says_who_it_is() -> None:
    one = member(role="operator")
    found = ANCHORS.check_chain(one.chain, wall=WALL)
    assert found == ANCHORS.check_leaf(one.chain[0], wall=WALL)
    assert (found.node_id, found.public_key) == (one.node_id, one.identity.public_key)
    assert (found.role, found.mesh) == ("operator", MESH.mesh)
    assert found.authority_id == authority_of().authority_id
    assert found.not_before == WALL - DAY_S
    assert found.not_after == WALL + 365 * DAY_S
    assert found.serial > 0


def test_the_spoiling_of_these_tests_starts_from_a_good_certificate() -> None:
    assert ANCHORS.check_chain((spoiled(), MESH.authority_der), wall=WALL).role == "member"


def test_the_root_may_be_in_the_chain() -> None:
    one = member()
    assert ANCHORS.check_chain((*one.chain, MESH.root_der), wall=WALL).node_id == one.node_id


def test_an_authority_is_checked_once_and_remembered_within_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(certificates, "_AUTHORITIES_CACHED_MAX", 2)
    anchors = TrustAnchors(MESH.mesh, (MESH.root_der,))
    for _ in range(4):
        _, der = create_authority(MESH.root_key_pem, MESH.root_der, wall=WALL)
        assert len(anchors.check_authority(der, wall=WALL)) == 16
    assert len(anchors._authorities) == 2
    assert anchors.check_authority(MESH.authority_der, wall=WALL) == authority_of().authority_id


def test_dates_are_kept_to_the_second() -> None:
    chain = member().chain
    first, last = WALL - DAY_S, WALL + 365 * DAY_S
    assert ANCHORS.check_chain(chain, wall=first)
    assert ANCHORS.check_chain(chain, wall=last)
    assert refused(chain, wall=first - 1) == "not_yet_valid"
    assert refused(chain, wall=last + 1) == "expired"
    with pytest.raises(CertificateRejected, match="expired on"):
        ANCHORS.check_leaf(chain[0], wall=last + 1)


@pytest.mark.parametrize("version", [1, 3, 0x7F])
def test_a_certificate_of_an_unknown_version_is_malformed(version: int) -> None:
    leaf = member().chain[0]
    at = leaf.index(b"\xa0\x03\x02\x01\x02") + 4
    odd = leaf[:at] + bytes((version,)) + leaf[at + 1 :]
    assert refused((odd, MESH.authority_der)) == "malformed"
    assert refused((member().chain[0], odd)) == "malformed"


def test_an_expired_authority_takes_its_nodes_with_it() -> None:
    late = WALL + 10 * 365 * DAY_S
    chain = authority_of().issue(Identity.generate().public_key, name="n", wall=late - DAY_S)
    assert refused(chain, wall=late + 1) == "expired"
    with pytest.raises(CertificateRejected, match="expired on"):
        ANCHORS.check_authority(MESH.authority_der, wall=late + 1)


@pytest.mark.parametrize(
    ("chain", "code"),
    [
        ((), "malformed"),
        ((b"x",) * 4, "malformed"),
        ((b"", MESH.authority_der), "malformed"),
        ((b"x" * 3000, MESH.authority_der), "malformed"),
        (member().chain[:1], "unknown_authority"),
        ((member().chain[0], MESH.root_der), "unknown_authority"),
        ((member().chain[0], OTHER_MESH.authority_der), "unknown_authority"),
        (member(OTHER_MESH).chain, "other_mesh"),
        (member(FORGED_MESH).chain, "bad_signature"),
        ((MESH.authority_der, MESH.root_der), "bad_san"),
    ],
)
def test_chains_that_are_refused(chain: tuple[bytes, ...], code: str) -> None:
    assert refused(chain) == code


def test_a_forger_with_its_own_authority_name_is_an_unknown_authority() -> None:
    # The leaf of the forged mesh, shown with our real authority.
    assert refused((member(FORGED_MESH).chain[0], MESH.authority_der)) == "unknown_authority"


def test_a_member_cannot_sign_members() -> None:
    one = member()
    identity = Identity.generate()
    extensions = [e for e in leaf_extensions(identity) if not isinstance(e, type(key_id(b"")))]
    leaf = sign_certificate(
        identity.public_key,
        [*extensions, key_id(bytes(one.node_id))],
        issuer_der=one.chain[0],
        issuer_key_pem=one.identity.to_pem(),
    )
    # Its own certificate is signed by an authority, not by a root.
    assert refused((leaf, one.chain[0])) == "unknown_authority"


def test_a_signature_by_another_key_is_refused() -> None:
    identity = Identity.generate()
    leaf = sign_certificate(
        identity.public_key, leaf_extensions(identity), issuer_key_pem=identity.to_pem()
    )
    assert refused((leaf, MESH.authority_der)) == "bad_signature"


OTHER = Identity.generate()
MINE = Identity.generate()
URI = x509.UniformResourceIdentifier


def san(*names: x509.GeneralName) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(names)


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ((), "bad_san"),
        ((x509.DNSName("example.org"),), "bad_san"),
        ((URI(san_uri(MESH.mesh, MINE.node_id)), x509.DNSName("example.org")), "bad_san"),
        ((URI(san_uri(MESH.mesh, MINE.node_id)), URI("mreza://x")), "bad_san"),
        ((URI("mreza://x"),), "bad_san"),
        ((URI(f"https://{MESH.mesh}/{MINE.node_id}"),), "bad_san"),
        ((URI(f"{MESH.mesh}/{MINE.node_id}"),), "bad_san"),
        ((URI(san_uri(MESH.mesh, MINE.node_id).upper().replace("MREZA", "mreza")),), "bad_san"),
        ((URI(san_uri(MESH.mesh, MINE.node_id) + "/"),), "bad_san"),
        ((URI(san_uri(OTHER_MESH.mesh, MINE.node_id)),), "other_mesh"),
        ((URI(san_uri(MESH.mesh, OTHER.node_id)),), "id_mismatch"),
    ],
)
def test_the_only_name_is_the_id_of_the_key_in_this_mesh(
    names: tuple[x509.GeneralName, ...], code: str
) -> None:
    assert refused_leaf(spoiled(san(*names), identity=MINE)) == code


@pytest.mark.parametrize(
    "leaf",
    [
        spoiled(x509.BasicConstraints(ca=True, path_length=None)),
        spoiled(usage(sign_handshakes=False)),
        spoiled(usage(sign_certificates=True)),
        spoiled(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])),
        spoiled(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])),
        without(x509.BasicConstraints),
        without(x509.KeyUsage),
        without(x509.ExtendedKeyUsage),
        without(x509.UnrecognizedExtension),
    ],
)
def test_a_certificate_for_something_else_is_refused(leaf: bytes) -> None:
    assert refused_leaf(leaf) == "wrong_usage"


def test_unknown_critical_extensions_are_refused() -> None:
    identity = Identity.generate()
    leaf = sign_certificate(identity.public_key, leaf_extensions(identity), critical=True)
    assert refused_leaf(leaf) == "wrong_usage"


@pytest.mark.parametrize(
    "leaf",
    [
        without(x509.SubjectAlternativeName),
    ],
)
def test_a_certificate_without_a_name_is_refused(leaf: bytes) -> None:
    assert refused_leaf(leaf) == "bad_san"


@pytest.mark.parametrize(
    "leaf",
    [
        without(x509.AuthorityKeyIdentifier),
        spoiled(key_id(b"short")),
        spoiled(x509.UnrecognizedExtension(ROLE_OID, b"")),
        spoiled(x509.UnrecognizedExtension(ROLE_OID, b"\x0c\x01\xff")),
    ],
)
def test_a_certificate_without_issuer_or_role_is_malformed(leaf: bytes) -> None:
    assert refused_leaf(leaf) == "malformed"


def test_keys_of_other_algorithms_are_refused() -> None:
    for key in (
        rsa.generate_private_key(65537, 2048).public_key(),
        ec.generate_private_key(ec.SECP256R1()).public_key(),
    ):
        assert refused_leaf(sign_certificate(key, leaf_extensions(Identity.generate()))) == (
            "wrong_usage"
        )


def test_an_authority_with_a_key_of_another_algorithm_signs_nothing() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    raw = b"\x01" * 16
    authority = sign_certificate(
        key.public_key(),
        [
            x509.BasicConstraints(ca=True, path_length=0),
            usage(sign_certificates=True),
            x509.SubjectKeyIdentifier(raw),
            key_id(bytes(MESH.mesh)),
        ],
        issuer_der=MESH.root_der,
        issuer_key_pem=MESH.root_key_pem,
    )
    assert refused_authority(authority) == "wrong_usage"


def refused_authority(der: bytes) -> str:
    with pytest.raises(CertificateRejected) as caught:
        TrustAnchors(MESH.mesh, (MESH.root_der,)).check_authority(der, wall=WALL)
    return caught.value.code


def authority_with(*extensions: x509.ExtensionType, mesh: MeshId = MESH.mesh) -> bytes:
    identity = Identity.generate()
    own: list[x509.ExtensionType] = [
        x509.BasicConstraints(ca=True, path_length=0),
        usage(sign_certificates=True),
        x509.SubjectKeyIdentifier(key_hash(identity.public_key)),
        key_id(bytes(MESH.mesh)),
    ]
    kinds = tuple(type(extension) for extension in extensions)
    kept = [e for e in own if not isinstance(e, kinds)]
    return sign_certificate(
        identity.public_key,
        [*kept, *extensions],
        issuer_der=MESH.root_der,
        issuer_key_pem=MESH.root_key_pem,
        mesh_in_subject=str(mesh),
    )


@pytest.mark.parametrize(
    ("der", "code"),
    [
        (authority_with(x509.BasicConstraints(ca=True, path_length=1)), "wrong_usage"),
        (authority_with(x509.BasicConstraints(ca=True, path_length=None)), "wrong_usage"),
        (authority_with(x509.BasicConstraints(ca=False, path_length=None)), "wrong_usage"),
        (authority_with(usage()), "wrong_usage"),
        (authority_with(x509.SubjectKeyIdentifier(b"\x02" * 16)), "id_mismatch"),
        (authority_with(key_id(b"\x02" * 16)), "unknown_authority"),
        (authority_with(mesh=OTHER_MESH.mesh), "other_mesh"),
        (FORGED_MESH.authority_der, "bad_signature"),
        (MESH.root_der, "wrong_usage"),
        (b"", "malformed"),
    ],
)
def test_authorities_that_are_refused(der: bytes, code: str) -> None:
    assert refused_authority(der) == code


def test_an_authority_without_key_usage_is_refused() -> None:
    identity = Identity.generate()
    der = sign_certificate(
        identity.public_key,
        [key_id(bytes(MESH.mesh))],
        issuer_der=MESH.root_der,
        issuer_key_pem=MESH.root_key_pem,
    )
    assert refused_authority(der) == "wrong_usage"


def test_a_good_authority_is_accepted_by_the_same_helper() -> None:
    assert ANCHORS.check_authority(authority_with(), wall=WALL)


def test_duplicate_extensions_cannot_be_smuggled() -> None:
    leaf = spoiled()
    certificate = x509.load_der_x509_certificate(leaf)
    marker = b"\x06\x03\x55\x1d\x0e"  # subject key identifier …
    assert leaf.count(marker) == 1
    twin = leaf.replace(marker, b"\x06\x03\x55\x1d\x23")  # … renamed to a second authority key id
    assert certificate.extensions
    assert refused_leaf(twin) == "malformed"


def test_roles_are_short_text() -> None:
    assert decode_role(encode_role("operator")) == "operator"
    for bad in ("", "x" * 65):
        with pytest.raises(ValueError, match="bytes, allowed"):
            encode_role(bad)
    for wrong in (b"", b"\x0c\x05ab", b"\x13\x02ab", b"\x0c\x46" + b"x" * 70):
        with pytest.raises(ValueError, match="role"):
            decode_role(wrong)


def test_the_mesh_of_a_subject() -> None:
    root = x509.load_der_x509_certificate(MESH.root_der)
    assert mesh_of(root.subject) == MESH.mesh
    assert mesh_of(x509.Name([])) is None
    name = x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "a company")
    assert mesh_of(x509.Name([name])) is None
    assert len(raw_public_key(root)) == 32


def test_a_key_of_an_unknown_algorithm_is_malformed() -> None:
    leaf = spoiled()
    ed25519 = b"\x06\x03\x2b\x65\x70"
    first, second, third, fourth = leaf.split(ed25519)
    # The algorithm is named in the signed part, in the key, and beside the signature.
    changed = first + ed25519 + second + b"\x06\x03\x2b\x65\x7f" + third + ed25519 + fourth
    assert refused_leaf(changed) == "malformed"


def test_an_authority_without_a_key_identifier_issued_nothing() -> None:
    issuer, identity = Identity.generate(), Identity.generate()
    authority = sign_certificate(
        issuer.public_key,
        [x509.BasicConstraints(ca=True, path_length=0), key_id(bytes(MESH.mesh))],
        issuer_der=MESH.root_der,
        issuer_key_pem=MESH.root_key_pem,
    )
    leaf = sign_certificate(
        identity.public_key,
        leaf_extensions(identity),
        issuer_der=authority,
        issuer_key_pem=issuer.to_pem(),
    )
    assert refused((leaf, authority)) == "unknown_authority"
