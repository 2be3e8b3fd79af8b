"""The certificates of a mesh in front of OpenSSL itself: strict, both sides, without a socket."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest

from mreza.errors import CertificateRejected
from mreza.security.authority import Authority, MeshSecrets, create_mesh
from mreza.security.credentials import Credentials
from mreza.security.identity import Identity

WALL = time.time()
"OpenSSL reads the real clock; only dates depend on it."


def member(
    secrets: MeshSecrets, *, lifetime_s: float = 3600.0, backdated_s: float = 3600.0
) -> Credentials:
    authority = Authority(secrets.authority_key_pem, secrets.authority_der, secrets.root_der)
    identity = Identity.generate()
    chain = authority.issue(
        identity.public_key, name="n", wall=WALL, lifetime_s=lifetime_s, backdated_s=backdated_s
    )
    return Credentials(identity, secrets.mesh, secrets.mesh_name, chain, (secrets.root_der,))


def context(me: Credentials, folder: Path, *, server: bool) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.load_verify_locations(cadata=me.roots_pem.decode())
    pem = folder / f"{me.node_id}.pem"
    pem.write_bytes(me.identity.to_pem() + me.chain_pem)
    made.load_cert_chain(pem)
    return made


def handshake(
    server: Credentials, client: Credentials, folder: Path
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = context(server, folder, server=True).wrap_bio(to_server, to_client, server_side=True)
    here = context(client, folder, server=False).wrap_bio(to_client, to_server)
    for _ in range(3):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return there, here


@pytest.fixture(scope="module")
def ours() -> MeshSecrets:
    return create_mesh("ours", wall=WALL)


@pytest.fixture(scope="module")
def forged(ours: MeshSecrets) -> MeshSecrets:
    """A mesh whose root claims to be ours: same mesh id, so same subject and key identifier."""
    return create_mesh("ours", wall=WALL, mesh=ours.mesh)


def test_two_members_shake_hands_under_tls_1_3_and_strict_checks(
    ours: MeshSecrets, tmp_path: Path
) -> None:
    one, two = member(ours), member(ours)
    there, here = handshake(one, two, tmp_path)
    assert there.version() == here.version() == "TLSv1.3"
    shown = there.getpeercert(binary_form=True)
    assert shown == two.chain[0]
    assert one.anchors.check_leaf(shown, wall=WALL).node_id == two.node_id


@pytest.mark.parametrize("stranger_serves", [True, False])
def test_another_mesh_is_told_from_a_forged_one(
    ours: MeshSecrets, forged: MeshSecrets, tmp_path: Path, stranger_serves: bool
) -> None:
    def code(stranger: Credentials) -> tuple[int, str]:
        pair = (stranger, member(ours)) if stranger_serves else (member(ours), stranger)
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            handshake(*pair, tmp_path)
        return caught.value.verify_code, caught.value.verify_message

    another = member(create_mesh("ours", wall=WALL))
    assert code(another) == (20, "unable to get local issuer certificate")
    assert code(member(forged)) == (7, "certificate signature failure")


def test_a_record_with_a_forged_chain_is_refused_for_its_signature(
    ours: MeshSecrets, forged: MeshSecrets
) -> None:
    member(ours).anchors.check_chain(member(ours).chain, wall=WALL)
    with pytest.raises(CertificateRejected) as caught:
        member(ours).anchors.check_chain(member(forged).chain, wall=WALL)
    assert caught.value.code == "bad_signature"


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        ({"lifetime_s": -5.0}, "certificate has expired"),
        # A day ahead: the clock was read when the tests were collected, long before this one.
        ({"backdated_s": -86_400.0, "lifetime_s": 172_800.0}, "certificate is not yet valid"),
    ],
)
def test_dates_are_checked(
    ours: MeshSecrets, tmp_path: Path, dates: dict[str, float], message: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=message):
        handshake(member(ours), member(ours, **dates), tmp_path)
