from __future__ import annotations

import pytest

from mreza.errors import AdmissionError
from mreza.security import join_token
from mreza.security.join_token import JoinToken, fingerprint, new_secret
from mreza.wire.codec import ENCODER
from tests.support.security import MESH, WALL, authority_of


def token(**changed: object) -> JoinToken:
    token_id, secret = new_secret()
    fields = {
        "mesh": MESH.mesh,
        "root_fingerprint": fingerprint(MESH.root_der),
        "token_id": token_id,
        "secret": secret,
        "expires": int(WALL) + 3600,
        "authority_id": authority_of().authority_id,
        "addresses": ("192.0.2.1:7467", "[2001:db8::1]:7467"),
        "mesh_name": "ours",
    }
    return JoinToken(**(fields | changed))  # type: ignore[arg-type]


def refused(text: str) -> str:
    with pytest.raises(AdmissionError) as caught:
        JoinToken.parse(text)
    assert caught.value.code == "bad_token"
    return str(caught.value)


def encoded(content: bytes) -> str:
    data = content + fingerprint(content)[:4]
    return join_token.PREFIX + join_token._to_text(data)


def test_a_token_is_one_word_and_survives_it() -> None:
    made = token()
    text = made.encode()
    assert text.startswith("mreza-")
    assert text.removeprefix("mreza-").isalnum()
    assert JoinToken.parse(text) == made


def test_wrapped_lines_and_capitals_do_no_harm() -> None:
    made = token()
    text = made.encode()
    assert JoinToken.parse(f"  {text[:40]}\r\n   {text[40:].upper()}\n") == made


@pytest.mark.parametrize("text", ["", "hello", "mreza", "x" * 5000, "mreza-" + "a" * 5000])
def test_text_that_is_no_token(text: str) -> None:
    assert "mreza invite" in refused(text)


def test_every_single_letter_is_protected() -> None:
    text = token().encode()
    for at in range(len("mreza-"), len(text)):
        other = "a" if text[at] != "a" else "b"
        assert "copy all of it again" in refused(text[:at] + other + text[at + 1 :])


@pytest.mark.parametrize("end", [6, 7, 8, 20, 100])
def test_a_token_that_was_cut_off(end: int) -> None:
    assert "copy all of it again" in refused(token().encode()[:end])


def test_letters_that_no_token_has() -> None:
    assert "characters" in refused("mreza-!!!!!!!!")


def test_a_token_of_a_later_version_says_so() -> None:
    assert "version 2" in refused(encoded(b"\x02" + ENCODER.encode(token())))


def test_a_token_that_breaks_its_own_rules() -> None:
    short = ENCODER.encode(token(secret=b"x"))
    assert "secret has 1 bytes" in refused(encoded(b"\x01" + short))
    assert "malformed" in refused(encoded(b"\x01\xc0"))
    many = ENCODER.encode(token(addresses=("a:1",) * 9))
    assert "addresses" in refused(encoded(b"\x01" + many))


def test_a_printed_token_object_does_not_show_its_secret() -> None:
    made = token()
    assert made.secret.hex() not in repr(made)
    assert repr(made.secret) not in repr(made)
