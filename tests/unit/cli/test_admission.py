"""init, invite and join, as far as they go without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from mreza.cli import admission
from mreza.cli.admission import join_mesh, make_mesh, make_token, read_token, seconds
from mreza.cli.problems import CommandFailed, UsageProblem
from mreza.errors import AdmissionError, InvalidAddress, StateError
from mreza.ids import NodeId
from mreza.node.listening import Listening, write_listening
from mreza.security.join_token import JoinToken


@pytest.mark.parametrize(
    ("text", "length"),
    [("90s", 90), ("30m", 1800), ("1h", 3600), (" 7D ", 604800), ("365d", 365 * 86400)],
)
def test_times_are_read(text: str, length: int) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "1", "h", "1.5h", "-1h", "1w", "0s", "366d", "9" * 30 + "s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="--ttl"):
        seconds(text)


def test_a_mesh_is_made_once(state_dir: Path) -> None:
    made = make_mesh(state_dir, mesh="greenhouse", name="pump-1")
    assert (made["mesh_name"], made["name"]) == ("greenhouse", "pump-1")
    assert NodeId.parse(made["node"])
    with pytest.raises(CommandFailed, match="holds the mesh 'greenhouse' already"):
        make_mesh(state_dir, mesh="other", name="pump-1")


def test_a_token_names_what_the_joiner_needs(state_dir: Path) -> None:
    mesh = make_mesh(state_dir, mesh="m", name="a")
    made = make_token(state_dir, uses=3, ttl_s=60, role="member", addresses=("10.0.0.1",))
    token = read_token(made["token"])
    assert str(token.mesh) == mesh["mesh"]
    assert token.addresses == ("10.0.0.1:7467",)
    assert (token.uses, token.role, token.mesh_name) == (3, "member", "m")
    assert made["expires"] == token.expires


def test_a_token_names_where_nodes_listen_running_ones_first(state_dir: Path) -> None:
    made = make_mesh(state_dir, mesh="m", name="a")

    def addresses() -> list[str]:
        told: list[str] = make_token(state_dir, uses=1, ttl_s=60, role="member")["addresses"]
        return told

    assert all(address.endswith(":7467") for address in addresses())
    node = NodeId.parse(made["node"])
    (state_dir / "nodes" / "b").mkdir()
    here = Listening.of_this_process(node, addresses=("10.0.0.2:1",), epoch=1)
    write_listening(state_dir / "nodes" / "a", here.ended())
    assert addresses() == ["10.0.0.2:1"]
    other = Listening.of_this_process(node, addresses=("10.0.0.3:1", "10.0.0.3:1"), epoch=1)
    write_listening(state_dir / "nodes" / "b", other)
    assert addresses() == ["10.0.0.3:1"]


def test_a_token_needs_a_mesh_and_its_authority(state_dir: Path) -> None:
    with pytest.raises(CommandFailed, match="no mesh in"):
        make_token(state_dir, uses=1, ttl_s=60, role="member")
    make_mesh(state_dir, mesh="m", name="a")
    for file in (state_dir / "mesh" / "authorities").glob("*/*"):
        file.unlink()
    with pytest.raises(CommandFailed, match="holds no authority key"):
        make_token(state_dir, uses=1, ttl_s=60, role="member")


def test_an_address_that_is_none_is_refused(state_dir: Path) -> None:
    make_mesh(state_dir, mesh="m", name="a")
    with pytest.raises(InvalidAddress):
        make_token(state_dir, uses=1, ttl_s=60, role="member", addresses=("a b",))


@pytest.fixture
def token(tmp_path: Path) -> JoinToken:
    make_mesh(tmp_path / "other", mesh="m", name="a")
    addresses = ("10.0.0.1:1", "10.0.0.2:2")
    made = make_token(tmp_path / "other", uses=1, ttl_s=60, role="member", addresses=addresses)
    return JoinToken.parse(made["token"])


class Members:
    """Answers joins with errors, by address."""

    def __init__(self, codes: dict[str, str]) -> None:
        self.codes = codes
        self.asked: list[str] = []

    async def join(self, address: object, joiner: object, *, clock: object) -> None:
        self.asked.append(str(address))
        code = self.codes[str(address)]
        raise AdmissionError(f"{code} at {address}", code=code)


@pytest.mark.parametrize(
    ("codes", "asked", "words"),
    [
        (("unreachable", "unreachable"), 2, "none of the 2 addresses"),
        (("wrong_mesh", "unreachable"), 2, "none of the 2 addresses"),
        (("unreachable", "expired"), 2, "expired at 10.0.0.2:2"),
        (("used", "unreachable"), 1, "used at 10.0.0.1:1"),
    ],
)
async def test_the_next_address_is_tried_unless_the_token_itself_was_refused(
    codes: tuple[str, str],
    asked: int,
    words: str,
    *,
    token: JoinToken,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    members = Members(dict(zip(token.addresses, codes, strict=True)))
    monkeypatch.setattr(admission, "join", members.join)
    with pytest.raises(AdmissionError, match=words):
        await join_mesh(state_dir, token, name="b")
    assert len(members.asked) == asked


async def test_given_addresses_come_first_and_none_twice(
    token: JoinToken, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = Members(dict.fromkeys(("10.0.0.9:7467", "10.0.0.1:1", "10.0.0.2:2"), "unreachable"))
    monkeypatch.setattr(admission, "join", members.join)
    with pytest.raises(AdmissionError):
        await join_mesh(state_dir, token, name="b", addresses=("10.0.0.9", "10.0.0.2:2"))
    assert members.asked == ["10.0.0.9:7467", "10.0.0.2:2", "10.0.0.1:1"]


async def test_a_directory_of_another_mesh_cannot_join(token: JoinToken, state_dir: Path) -> None:
    make_mesh(state_dir, mesh="mine", name="a")
    with pytest.raises(StateError, match="belongs to one mesh"):
        await join_mesh(state_dir, token, name="b")
