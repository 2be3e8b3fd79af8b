from __future__ import annotations

import hmac

import msgspec
import pytest

from mreza.errors import AdmissionError, ConfigError
from mreza.ids import NodeId
from mreza.security.admission import (
    REFUSALS,
    Granted,
    JoinDesk,
    Joiner,
    TokenRecord,
    join_chain,
    refusal,
)
from mreza.security.authority import create_authority
from mreza.security.identity import Identity
from mreza.security.join_token import JoinToken, fingerprint, new_secret
from mreza.wire.join import (
    JOIN_ANSWER,
    JOIN_CHAIN,
    JOIN_REQUEST,
    JoinAnswer,
    JoinChain,
    JoinRequest,
)
from tests.support.security import FORGED_MESH, MESH, OTHER_MESH, WALL, authority_of, member


class Ledger:
    """Tokens in memory."""

    def __init__(self, *records: TokenRecord) -> None:
        self.records = {record.token_id: record for record in records}

    def lookup(self, token_id: bytes) -> TokenRecord | None:
        return self.records.get(token_id)

    def redeem(self, token_id: bytes, node_id: NodeId, *, wall: float) -> bool:
        record = self.records[token_id]
        if node_id in record.redeemed:
            return True
        if len(record.redeemed) >= record.uses:
            return False
        redeemed = (*record.redeemed, node_id)
        self.records[token_id] = msgspec.structs.replace(record, redeemed=redeemed)
        return True


SERVER = member()
AUTHORITY = authority_of()


def invite(*, uses: int = 1, role: str = "member") -> tuple[JoinToken, Ledger]:
    token_id, secret = new_secret()
    token = JoinToken(
        mesh=MESH.mesh,
        root_fingerprint=fingerprint(MESH.root_der),
        token_id=token_id,
        secret=secret,
        expires=int(WALL) + 3600,
        authority_id=AUTHORITY.authority_id,
        addresses=(),
        mesh_name="ours",
    )
    record = TokenRecord(token_id, secret, AUTHORITY.authority_id, WALL + 3600, uses, role)
    return token, Ledger(record)


def desk(ledger: Ledger) -> JoinDesk:
    return JoinDesk(mesh=MESH.mesh, authorities=(AUTHORITY,), ledger=ledger)


def ask(token: JoinToken, identity: Identity | None = None) -> tuple[Joiner, JoinRequest]:
    joiner = Joiner(token, identity or Identity.generate(), name="edge")
    chain = JOIN_CHAIN.decode(JOIN_CHAIN.encode(join_chain(SERVER)))
    request = joiner.challenged(chain, server_leaf=SERVER.chain[0], wall=WALL)
    return joiner, JOIN_REQUEST.decode(JOIN_REQUEST.encode(request))


def decide(ledger: Ledger, request: JoinRequest, *, wall: float = WALL) -> JoinAnswer:
    return JOIN_ANSWER.decode(JOIN_ANSWER.encode(desk(ledger).decide(request, wall=wall)))


def test_a_stranger_with_a_token_becomes_a_member() -> None:
    token, ledger = invite(role="operator")
    identity = Identity.generate()
    joiner, request = ask(token, identity)
    granted = joiner.answered(decide(ledger, request), wall=WALL)
    assert granted == Granted(MESH.mesh, "ours", granted.chain, (MESH.root_der,))
    found = SERVER.anchors.check_chain(granted.chain, wall=WALL)
    assert (found.node_id, found.role) == (identity.node_id, "operator")


def test_the_secret_does_not_travel() -> None:
    token, _ = invite()
    _, request = ask(token)
    assert token.secret not in JOIN_REQUEST.encode(request)


def test_one_token_admits_one_node() -> None:
    token, ledger = invite()
    assert decide(ledger, ask(token)[1]).certificates
    assert decide(ledger, ask(token)[1]).code == "used"


def test_a_token_for_two_admits_two() -> None:
    token, ledger = invite(uses=2)
    codes = [decide(ledger, ask(token)[1]).code for _ in range(3)]
    assert codes == ["", "", "used"]


def test_a_node_whose_answer_was_lost_may_ask_again() -> None:
    token, ledger = invite()
    identity = Identity.generate()
    for _ in range(2):
        joiner, request = ask(token, identity)
        assert joiner.answered(decide(ledger, request), wall=WALL).chain


def test_an_expired_token_is_refused_and_not_redeemed() -> None:
    token, ledger = invite()
    assert decide(ledger, ask(token)[1], wall=WALL + 3601).code == "expired"
    assert not ledger.records[token.token_id].redeemed


def test_a_guessed_token_is_refused() -> None:
    token, ledger = invite()
    guessed_id = msgspec.structs.replace(token, token_id=b"\0" * 8)
    guessed_secret = msgspec.structs.replace(token, secret=b"\0" * 16)
    assert decide(ledger, ask(guessed_id)[1]).code == "unknown_token"
    assert decide(ledger, ask(guessed_secret)[1]).code == "bad_proof"
    assert not ledger.records[token.token_id].redeemed


def test_a_token_of_another_authority_is_passed_on_or_refused() -> None:
    token, ledger = invite()
    elsewhere = msgspec.structs.replace(token, authority_id=b"\1" * 16)
    assert not desk(ledger).holds(elsewhere.authority_id)
    assert desk(ledger).holds(token.authority_id)
    assert decide(ledger, ask(elsewhere)[1]).code == "no_authority"
    record = msgspec.structs.replace(ledger.records[token.token_id], authority_id=b"\1" * 16)
    assert decide(Ledger(record), ask(token)[1]).code == "unknown_token"


@pytest.mark.parametrize(
    "change",
    [
        {"public_key": Identity.generate().public_key},
        {"public_key": b"short"},
        {"name": "another"},
        {"name": "../up"},
        {"token_id": b"\0" * 7},
        {"token_id": b"\0" * 9},
        {"proof": b"\0" * 32},
        {"signature": b"\0" * 64},
        {"signature": b""},
    ],
)
def test_a_request_that_was_changed_on_the_way_is_refused(change: dict[str, object]) -> None:
    token, ledger = invite()
    _, request = ask(token)
    changed = msgspec.structs.replace(request, **change)
    assert decide(ledger, changed).code == "bad_request"


def test_a_thief_of_a_request_cannot_put_in_its_own_key() -> None:
    token, ledger = invite()
    _, request = ask(token)
    thief = Identity.generate()
    content = (
        b"mreza/join/1"
        + request.token_id
        + request.authority_id
        + thief.public_key
        + request.name.encode()
        + MESH.mesh
    )
    stolen = msgspec.structs.replace(
        request,
        public_key=thief.public_key,
        signature=thief.sign(content + request.proof),
    )
    assert decide(ledger, stolen).code == "bad_proof"


def test_the_proof_is_what_the_wire_says() -> None:
    token, _ = invite()
    _, request = ask(token)
    content = (
        b"mreza/join/1"
        + token.token_id
        + token.authority_id
        + request.public_key
        + b"edge"
        + token.mesh
    )
    assert request.proof == hmac.digest(token.secret, content, "sha256")


def wrong_mesh(chain: JoinChain, server_leaf: bytes) -> str:
    token, _ = invite()
    joiner = Joiner(token, Identity.generate(), name="edge")
    with pytest.raises(AdmissionError, match="Nothing was sent") as caught:
        joiner.challenged(chain, server_leaf=server_leaf, wall=WALL)
    assert caught.value.code == "wrong_mesh"
    return str(caught.value)


def test_the_joiner_tells_nothing_to_a_server_that_is_not_of_its_mesh() -> None:
    honest = join_chain(SERVER)
    for secrets in (OTHER_MESH, FORGED_MESH):
        liar = member(secrets)
        assert "another root" in wrong_mesh(join_chain(liar), liar.chain[0])
        # It shows our certificates, which are public, and has none of its own from us.
        assert wrong_mesh(honest, liar.chain[0])
        both = msgspec.structs.replace(honest, authorities=(*honest.authorities, liar.chain[1]))
        assert wrong_mesh(both, liar.chain[0])
    assert wrong_mesh(honest, b"no certificate")
    assert "no authority" in wrong_mesh(
        msgspec.structs.replace(honest, authorities=()), SERVER.chain[0]
    )
    with_id = msgspec.structs.replace(honest, mesh=OTHER_MESH.mesh)
    assert "another root" in wrong_mesh(with_id, SERVER.chain[0])


def test_the_first_reason_about_the_certificate_itself_is_told() -> None:
    _, other_der = create_authority(MESH.root_key_pem, MESH.root_der, wall=WALL)
    chain = msgspec.structs.replace(
        join_chain(SERVER), authorities=(other_der, MESH.authority_der, other_der)
    )
    token, _ = invite()
    joiner = Joiner(token, Identity.generate(), name="edge")
    assert joiner.challenged(chain, server_leaf=SERVER.chain[0], wall=WALL)
    with pytest.raises(AdmissionError, match="expired"):
        joiner.challenged(chain, server_leaf=SERVER.chain[0], wall=WALL + 370 * 86400)


@pytest.mark.parametrize("code", list(REFUSALS))
def test_refusals_are_told_in_words(code: str) -> None:
    token, _ = invite()
    joiner, _ = ask(token)
    with pytest.raises(AdmissionError) as caught:
        joiner.answered(refusal(code), wall=WALL)
    assert caught.value.code == code
    assert REFUSALS[code] in str(caught.value)


def test_an_unknown_refusal_is_passed_on() -> None:
    joiner, _ = ask(invite()[0])
    with pytest.raises(AdmissionError, match="because") as caught:
        joiner.answered(JoinAnswer(code="later", text="because"), wall=WALL)
    assert caught.value.code == "later"
    with pytest.raises(AdmissionError, match="refused"):
        joiner.answered(JoinAnswer(), wall=WALL)


def test_a_granted_certificate_is_checked() -> None:
    token, _ = invite()
    joiner, request = ask(token)
    with pytest.raises(AdmissionError, match="not valid here"):
        joiner.answered(JoinAnswer(certificates=member(OTHER_MESH).chain), wall=WALL)
    with pytest.raises(AdmissionError, match="another node's"):
        joiner.answered(JoinAnswer(certificates=SERVER.chain), wall=WALL)
    assert request.name == "edge"


def test_a_name_that_cannot_be_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ConfigError):
        Joiner(invite()[0], Identity.generate(), name="a/b")


def test_a_member_without_the_authoritys_key_shows_its_own_chain() -> None:
    import dataclasses

    plain = dataclasses.replace(SERVER, authorities=())
    assert join_chain(plain).authorities == (MESH.authority_der,)
    assert join_chain(SERVER).authorities == (MESH.authority_der,)


def test_token_records_do_not_print_their_secret() -> None:
    token, ledger = invite()
    assert repr(token.secret) not in repr(ledger.records[token.token_id])
