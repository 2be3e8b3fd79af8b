"""Who is not let in, why, and who is told; and that nobody else notices."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mreza.node.control_protocol import Ping
from mreza.security.credentials import Credentials
from mreza.security.join_token import JoinToken
from mreza.wire.frame import BODY_MAX_BEFORE_HELLO, FrameType
from mreza.wire.link import ALPN_JOIN, RefusalCode
from tests.support.eventually import eventually
from tests.support.processes import NodeProcess, Processes, child_environment, done, mreza
from tests.support.stranger import Ended, Stranger, member_of, member_of_another_mesh


@pytest.fixture
def pair(processes: Processes, state_dir: Path) -> Iterator[tuple[NodeProcess, NodeProcess]]:
    """Two members in good standing, whose link must not suffer from what strangers do to one."""
    a = processes.up("a", state=state_dir)
    b = processes.up("b", state=state_dir)
    a.sees("a", "b")
    b.sees("a", "b")
    before = link_to_a(b)
    yield a, b
    assert {**link_to_a(b), "rtt_ms": 0, "cost": 0} == {**before, "rtt_ms": 0, "cost": 0}
    assert not b.log_lines("link_down", '"label": "a"'), "the link between members ended"
    assert a.alive() == b.alive() == {"a", "b"}
    assert b.ask(Ping(node="a")) > 0


def link_to_a(b: NodeProcess) -> dict[str, Any]:
    return next(link for link in b.ask_links() if link["name"] == "a")


def knock(
    address: str, *, credentials: Credentials | None = None, alpn: str | None = "mreza/1"
) -> Ended:
    """Shake hands and read what comes until the node closes; a handshake that fails counts, too."""
    try:
        with Stranger.tls(address, credentials=credentials, alpn=alpn) as stranger:
            return stranger.read_to_end()
    except ssl.SSLError as error:
        return Ended([], error.reason or str(error))


def told(ended: Ended) -> str:
    """What a stranger has learned: the code of a REFUSED frame, or the name of an alert."""
    return ended.refusal.code if ended.refusal is not None else ended.alert.lower()


def test_no_certificate(pair: tuple[NodeProcess, NodeProcess]) -> None:
    a, _ = pair
    ended = knock(a.listen)
    a.wait_for_log(RefusalCode.NO_CERTIFICATE)
    assert told(ended) == RefusalCode.NO_CERTIFICATE


def test_a_certificate_of_tomorrow(pair: tuple[NodeProcess, NodeProcess]) -> None:
    a, _ = pair
    tomorrow = member_of(a.state, wall=time.time(), backdated_s=-86_400, lifetime_s=2 * 86_400)
    ended = knock(a.listen, credentials=tomorrow)
    a.wait_for_log(RefusalCode.BAD_CERTIFICATE, "not yet valid")
    assert "bad_certificate" in told(ended)


def test_a_certificate_of_yesterday(pair: tuple[NodeProcess, NodeProcess]) -> None:
    a, _ = pair
    yesterday = member_of(a.state, wall=time.time(), backdated_s=86_400, lifetime_s=-3_600)
    ended = knock(a.listen, credentials=yesterday)
    a.wait_for_log(RefusalCode.BAD_CERTIFICATE, "expired")
    assert "certificate_expired" in told(ended)


def test_a_certificate_of_another_mesh(pair: tuple[NodeProcess, NodeProcess]) -> None:
    a, _ = pair
    ended = knock(a.listen, credentials=member_of_another_mesh(wall=time.time()))
    a.wait_for_log(RefusalCode.OTHER_MESH)
    assert "unknown_ca" in told(ended)


@pytest.mark.parametrize("alpn", ["h2", None])
def test_a_protocol_that_is_not_ours(
    pair: tuple[NodeProcess, NodeProcess], alpn: str | None
) -> None:
    a, _ = pair
    member = member_of(a.state, wall=time.time())
    ended = knock(a.listen, credentials=member, alpn=alpn)
    a.wait_for_log(RefusalCode.WRONG_ALPN)
    assert told(ended) in (RefusalCode.WRONG_ALPN, "tlsv1_alert_no_application_protocol")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: mreza\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        bytes(4096),
        b"\x16\x03\x01\x02\x00\x01" + b"\xff" * 600,
    ],
    ids=["http", "ssh", "zeros", "half a client hello"],
)
def test_bytes_that_are_not_tls(pair: tuple[NodeProcess, NodeProcess], data: bytes) -> None:
    a, _ = pair
    with Stranger.tcp(a.listen) as stranger:
        stranger.send(data)
        stranger.read_to_end()
    a.wait_for_log(RefusalCode.MALFORMED)


def test_random_bytes_of_any_length(pair: tuple[NodeProcess, NodeProcess]) -> None:
    a, _ = pair
    for length in (0, 1, 4, 5, 6, 100, 70_000):
        with Stranger.tcp(a.listen) as stranger, contextlib.suppress(ConnectionError):
            stranger.send(os.urandom(length))
    assert a.running


def test_a_frame_over_the_limit_before_the_hello(pair: tuple[NodeProcess, NodeProcess]) -> None:
    a, _ = pair
    member = member_of(a.state, wall=time.time())
    with Stranger.tls(a.listen, credentials=member) as stranger:
        stranger.send_frame(FrameType.HELLO, bytes(BODY_MAX_BEFORE_HELLO + 1))
        ended = stranger.read_to_end()
    a.wait_for_log(RefusalCode.MALFORMED, f"limit {BODY_MAX_BEFORE_HELLO}")
    assert told(ended) == RefusalCode.MALFORMED


def test_a_node_of_another_mesh_that_was_told_to_dial_us(
    processes: Processes, pair: tuple[NodeProcess, NodeProcess], tmp_path: Path
) -> None:
    a, _ = pair
    other = processes.up("other", state=tmp_path / "other", peers=[a.listen])
    # The dialing end sees the certificate of the other first, so it is the one that refuses.
    other.wait_for_log(RefusalCode.OTHER_MESH)
    a.wait_for_log(RefusalCode.OTHER_MESH, "alert")
    assert other.peers() == set()
    assert other.alive() == {"other"}


def invite(state: Path, *more: str) -> str:
    return done(mreza("invite", *more, state=state))


def test_a_token_lets_one_node_in_and_not_a_second(
    pair: tuple[NodeProcess, NodeProcess], processes: Processes, tmp_path: Path
) -> None:
    a, _ = pair
    token = invite(a.state)
    done(mreza("join", token, "--name", "c", state=tmp_path / "c"))
    c = processes.up("c", state=tmp_path / "c", peers=[a.listen]).sees("a", "b", "c")
    assert c.running

    again = mreza("join", token, "--name", "d", state=tmp_path / "d")
    assert again.returncode == 1
    assert "has been used" in again.stderr
    a.wait_for_log('"used"')
    c.stop()
    # What the fixture checks afterwards: only the pair is alive.
    eventually(lambda: a.alive() == {"a", "b"}, "c is gone", timeout_s=60)
    eventually(lambda: pair[1].alive() == {"a", "b"}, "c is gone", timeout_s=60)


def test_an_expired_token(pair: tuple[NodeProcess, NodeProcess], tmp_path: Path) -> None:
    a, _ = pair
    token = invite(a.state, "--ttl", "1s")
    expires = JoinToken.parse(token).expires
    eventually(lambda: time.time() > expires + 1, "the token has expired")
    late = mreza("join", token, state=tmp_path / "late")
    assert late.returncode == 1
    assert "expired" in late.stderr
    pair[0].wait_for_log('"expired"')


def test_a_guessed_token(pair: tuple[NodeProcess, NodeProcess], tmp_path: Path) -> None:
    a, _ = pair
    good = JoinToken.parse(invite(a.state))
    for wrong, code, words in (
        ({"secret": os.urandom(len(good.secret))}, "bad_proof", "secret is wrong"),
        ({"token_id": os.urandom(len(good.token_id))}, "unknown_token", "does not know"),
    ):
        token = msgspec.structs.replace(good, **wrong).encode()
        guessed = mreza("join", token, state=tmp_path / code)
        assert guessed.returncode == 1
        assert words in guessed.stderr
        a.wait_for_log(f'"{code}"')
    done(mreza("join", good.encode(), "--name", "good", state=tmp_path / "good"))


def test_of_two_joiners_with_one_token_at_once_exactly_one_wins(
    pair: tuple[NodeProcess, NodeProcess], tmp_path: Path
) -> None:
    a, _ = pair
    token = invite(a.state)
    joiners = [
        subprocess.Popen(
            [sys.executable, "-m", "mreza", "join", token, "--name", f"j{number}"],
            env=child_environment(tmp_path / f"j{number}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    ended = [(joiner.communicate(timeout=60)[1], joiner.returncode) for joiner in joiners]
    assert sorted(status for _, status in ended) == [0, 1, 1, 1], ended
    assert all("has been used" in text for text, status in ended if status)
    audit = [json.loads(line) for line in (a.state / "mesh" / "audit.log").read_text().splitlines()]
    assert len([entry for entry in audit if "redeemed" in entry["event"]]) == 1


def test_who_shakes_hands_to_join_gets_no_further_than_the_join_desk(
    pair: tuple[NodeProcess, NodeProcess],
) -> None:
    a, _ = pair
    with Stranger.tls(a.listen, alpn=ALPN_JOIN) as stranger:
        stranger.wait_for(FrameType.JOIN)
        stranger.send_frame(FrameType.RECORDS, b"\x91\x90")
        stranger.read_to_end()
    a.wait_for_log(RefusalCode.MALFORMED)
