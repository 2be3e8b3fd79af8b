"""Two TLS ends in memory: they agree, or both know why not."""

from __future__ import annotations

import os
import ssl
import time
from typing import Any, NamedTuple

import pytest

from mreza.io import tls
from mreza.io.tls import (
    HANDSHAKE_MAX,
    TlsFailed,
    TlsStream,
    joiner_context,
    member_context,
    server_context,
)
from mreza.security.authority import Authority, create_mesh
from mreza.security.credentials import Credentials
from mreza.security.identity import Identity

DAY_S = 86_400.0


class Party(NamedTuple):
    authority: Authority

    def member(self, **dates: Any) -> Credentials:
        identity = Identity.generate()
        chain = self.authority.issue(identity.public_key, name="node", wall=time.time(), **dates)
        return Credentials(identity, self.authority.mesh, "m", chain, (self.authority.root_der,))


def party() -> Party:
    secrets = create_mesh("m", wall=time.time())
    return Party(Authority(secrets.authority_key_pem, secrets.authority_der, secrets.root_der))


PARTY = party()


def settle(client: TlsStream, server: TlsStream) -> None:
    """Carry bytes until nobody has any."""
    client.start()
    quiet = False
    while not quiet:
        up, down = client.data_to_send(), server.data_to_send()
        quiet = not up and not down
        if up:
            assert server.receive(up) == b""
        if down:
            assert client.receive(down) == b""


def pair(client: ssl.SSLContext, server: Credentials) -> tuple[TlsStream, TlsStream]:
    ends = (
        TlsStream(client, server_side=False),
        TlsStream(server_context(server), server_side=True),
    )
    settle(*ends)
    return ends


def test_members_prove_themselves_to_each_other() -> None:
    a, b = PARTY.member(), PARTY.member()
    client, server = pair(member_context(a), b)
    assert client.established
    assert server.established
    assert client.failure is None
    assert server.failure is None
    assert client.alpn == server.alpn == "mreza/1"
    assert client.peer_certificate == b.chain[0]
    assert server.peer_certificate == a.chain[0]


def test_plaintext_of_any_size_goes_through_and_the_end_is_said() -> None:
    client, server = pair(member_context(PARTY.member()), PARTY.member())
    for size in (1, 16 * 1024, 200_000):
        data = os.urandom(size)
        client.send(data)
        assert server.receive(client.data_to_send()) == data
    client.send(b"last")
    client.end()
    client.end()
    assert server.receive(client.data_to_send()) == b"last"
    assert server.ended
    assert server.receive(b"ignored") == b""


def test_bytes_may_come_one_by_one() -> None:
    client, server = pair(member_context(PARTY.member()), PARTY.member())
    client.send(b"hello")
    got = [server.receive(bytes((byte,))) for byte in client.data_to_send()]
    assert b"".join(got) == b"hello"


def test_a_joiner_shows_nothing_and_believes_nothing_yet() -> None:
    b = PARTY.member()
    client, server = pair(joiner_context(), b)
    assert server.established
    assert server.alpn == "mreza-join/1"
    assert server.peer_certificate is None
    assert client.peer_certificate == b.chain[0]


@pytest.mark.parametrize(
    ("dates", "code", "ours", "theirs"),
    [
        ({"backdated_s": -DAY_S}, "bad_certificate", "not yet valid", "clocks"),
        ({"backdated_s": DAY_S, "lifetime_s": -60.0}, "bad_certificate", "expired", "expired"),
    ],
)
def test_both_ends_know_that_a_date_is_wrong(
    dates: dict[str, float], code: str, ours: str, theirs: str
) -> None:
    bad, good = PARTY.member(**dates), PARTY.member()
    for client_is_bad in (True, False):
        ends = pair(member_context(bad), good) if client_is_bad else pair(member_context(good), bad)
        judged, judge = ends if client_is_bad else ends[::-1]
        assert isinstance(judge.failure, TlsFailed)
        assert isinstance(judged.failure, TlsFailed)
        assert (judge.failure.code, judge.failure.by_us) == (code, True)
        assert (judged.failure.code, judged.failure.by_us) == (code, False)
        assert ours in str(judge.failure)
        assert theirs in str(judged.failure)


def test_another_mesh_is_called_so_at_both_ends() -> None:
    client, server = pair(member_context(PARTY.member()), party().member())
    assert client.failure is not None
    assert server.failure is not None
    assert client.failure.code == server.failure.code == "other_mesh"


def test_nothing_is_taken_after_a_failure() -> None:
    server = TlsStream(server_context(PARTY.member()), server_side=True)
    assert server.receive(b"GET / HTTP/1.1\r\n\r\n") == b""
    assert server.failure is not None
    assert server.failure.code == "malformed"
    assert server.receive(b"more") == b""
    server.end()


def test_a_handshake_is_bounded() -> None:
    server = TlsStream(server_context(PARTY.member()), server_side=True)
    # Announces a client hello of 16 MiB and goes on in records of the largest size.
    server.receive(b"\x16\x03\x01\x00\x04\x01\xff\xff\xff")
    for _ in range(HANDSHAKE_MAX // 1000 + 1):
        server.receive(b"\x16\x03\x01\x03\xe3" + bytes(995))
    assert server.failure is not None
    assert server.failure.code in ("too_large", "malformed")


def test_a_broken_record_is_an_error_after_what_came_before_it() -> None:
    client, server = pair(member_context(PARTY.member()), PARTY.member())
    client.send(b"good")
    good = client.data_to_send()
    client.send(b"bad")
    bad = bytearray(client.data_to_send())
    bad[-1] ^= 1
    assert server.receive(good + bytes(bad)) == b"good"
    assert server.failure is not None
    assert client.receive(server.data_to_send()) == b""
    assert client.failure is not None
    assert not client.failure.by_us


def test_old_tls_is_named() -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    _, server = pair(old, PARTY.member())
    assert server.failure is not None
    assert server.failure.code == "version"


def test_an_unknown_alert_keeps_its_name() -> None:
    error = ssl.SSLError(1, "x")
    error.reason = "TLSV1_ALERT_USER_CANCELLED"
    failure = tls._explain(error)
    assert "user cancelled" in str(failure)
    assert not failure.by_us


def test_the_key_is_on_no_disk_where_the_system_can_do_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    with tls._as_file(b"secret") as path:
        assert os.stat(path).st_mode & 0o077 == 0  # noqa: PTH116
        with open(path, "rb") as file:  # noqa: PTH123
            assert file.read() == b"secret"
    assert not os.path.exists(path)  # noqa: PTH110
    member_context(PARTY.member())
