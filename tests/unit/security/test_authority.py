from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from mreza.errors import StateError
from mreza.security.authority import Authority, create_authority, create_mesh
from mreza.security.certificates import TrustAnchors
from mreza.security.identity import Identity, key_hash
from tests.support.security import DAY_S, MESH, OTHER_MESH, WALL, authority_of, sign_certificate


def test_every_mesh_has_its_own_id_and_keys() -> None:
    one, two = create_mesh("m", wall=WALL), create_mesh("m", wall=WALL)
    assert one.mesh != two.mesh
    assert one.root_der != two.root_der
    assert one.root_key_pem.decode() not in repr(one)


def test_an_authority_is_named_by_the_hash_of_its_key() -> None:
    authority = authority_of()
    certificate = x509.load_der_x509_certificate(MESH.authority_der)
    key = certificate.public_key().public_bytes_raw()  # type: ignore[union-attr]
    assert authority.authority_id == key_hash(key)
    assert authority.authority_id.hex() in repr(authority)
    assert authority.mesh == MESH.mesh


def test_authorities_of_one_root_are_equal() -> None:
    key, der = create_authority(MESH.root_key_pem, MESH.root_der, wall=WALL)
    second = Authority(key, der, MESH.root_der)
    assert second.authority_id != authority_of().authority_id
    identity = Identity.generate()
    chain = second.issue(identity.public_key, name="n", wall=WALL)
    found = TrustAnchors(MESH.mesh, (MESH.root_der,)).check_chain(chain, wall=WALL)
    assert found.authority_id == second.authority_id


def test_a_key_that_does_not_fit_is_refused() -> None:
    with pytest.raises(StateError, match="does not fit"):
        Authority(MESH.authority_key_pem, OTHER_MESH.authority_der, OTHER_MESH.root_der)
    with pytest.raises(StateError, match="root does not fit"):
        create_authority(MESH.root_key_pem, OTHER_MESH.root_der, wall=WALL)


def test_an_authority_must_name_its_mesh() -> None:
    identity = Identity.generate()
    der = sign_certificate(identity.public_key, [], mesh_in_subject="a company")
    with pytest.raises(StateError, match="names no mesh"):
        Authority(identity.to_pem(), der, MESH.root_der)


def test_a_certificate_never_outlives_its_authority() -> None:
    authority = authority_of()
    late = WALL + 10 * 365 * DAY_S - 5 * DAY_S
    leaf, _ = authority.issue(Identity.generate().public_key, name="n", wall=late)
    ends = x509.load_der_x509_certificate(leaf).not_valid_after_utc
    assert ends == x509.load_der_x509_certificate(MESH.authority_der).not_valid_after_utc


def test_an_expired_authority_signs_nothing() -> None:
    with pytest.raises(StateError, match="has expired"):
        authority_of().issue(Identity.generate().public_key, name="n", wall=WALL + 1e9)


@pytest.mark.parametrize(("name", "shown"), [("edge", "edge"), ("x" * 80, "x" * 64), ("", None)])
def test_the_name_is_a_label_in_the_subject(name: str, shown: str | None) -> None:
    identity = Identity.generate()
    leaf, _ = authority_of().issue(identity.public_key, name=name, wall=WALL)
    subject = x509.load_der_x509_certificate(leaf).subject
    label = subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert label == (str(identity.node_id) if shown is None else shown)
    mesh = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value
    assert mesh == str(MESH.mesh)
