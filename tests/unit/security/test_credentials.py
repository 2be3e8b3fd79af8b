from __future__ import annotations

import ssl

import pytest

from mreza.errors import CertificateRejected, StateError
from mreza.security.credentials import from_pem, to_pem
from tests.support.security import MESH, WALL, member


def test_chains_survive_being_written_as_pem() -> None:
    chain = member().chain
    assert from_pem(to_pem(chain)) == chain


def test_openssl_reads_the_same_pem() -> None:
    one = member()
    first = one.chain_pem.decode().partition("-----END CERTIFICATE-----\n")
    assert ssl.PEM_cert_to_DER_cert(first[0] + first[1]) == one.chain[0]
    assert from_pem(one.roots_pem) == (MESH.root_der,)


def test_a_damaged_chain_is_refused() -> None:
    with pytest.raises(StateError, match="cannot be read"):
        from_pem(b"nonsense")


def test_a_member_can_see_that_its_own_certificate_is_too_old() -> None:
    one = member()
    assert one.check(wall=WALL).node_id == one.node_id
    with pytest.raises(CertificateRejected, match="expired"):
        one.check(wall=WALL + 1e9)
