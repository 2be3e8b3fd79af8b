from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from mreza.errors import StateError
from mreza.node import token_ledger
from mreza.node.mesh_folder import MeshFolder, found_mesh
from mreza.node.token_ledger import FileTokenLedger
from mreza.security.identity import Identity
from mreza.security.join_token import JoinToken
from tests.support.security import WALL


@pytest.fixture
def folder(tmp_path: Path) -> MeshFolder:
    return found_mesh(tmp_path, "home", wall=WALL)


def invite(folder: MeshFolder, *, uses: int = 1, lifetime_s: float = 3600.0) -> JoinToken:
    return FileTokenLedger(folder).create(
        folder.authorities[0],
        uses=uses,
        lifetime_s=lifetime_s,
        role="member",
        addresses=("a:1",) * 20,
        wall=WALL,
    )


def events(folder: MeshFolder) -> list[str]:
    lines = (folder.path / "audit.log").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_a_token_is_found_as_it_was_made(folder: MeshFolder) -> None:
    token = invite(folder, uses=3)
    found = FileTokenLedger(folder).lookup(token.token_id)
    assert found is not None
    assert (found.secret, found.authority_id) == (token.secret, token.authority_id)
    assert (found.uses, found.expires, found.role) == (3, WALL + 3600, "member")
    assert found.redeemed == ()
    assert len(token.addresses) == 8
    assert JoinToken.parse(token.encode()) == token


def test_what_is_no_token_id_is_not_looked_up(folder: MeshFolder) -> None:
    ledger = FileTokenLedger(folder)
    assert ledger.lookup(b"") is None
    assert ledger.lookup(b"../../xx") is None
    assert ledger.lookup(b"x" * 16) is None
    assert not ledger.redeem(b"\0" * 8, Identity.generate().node_id, wall=WALL)


def test_redemptions_are_counted_on_disk_and_in_the_log(folder: MeshFolder) -> None:
    token = invite(folder, uses=2)
    one, two, three = (Identity.generate().node_id for _ in range(3))
    assert FileTokenLedger(folder).redeem(token.token_id, one, wall=WALL)
    assert FileTokenLedger(folder).redeem(token.token_id, one, wall=WALL)
    assert FileTokenLedger(folder).redeem(token.token_id, two, wall=WALL)
    assert not FileTokenLedger(folder).redeem(token.token_id, three, wall=WALL)
    found = FileTokenLedger(folder).lookup(token.token_id)
    assert found is not None
    assert found.redeemed == (one, two)
    assert events(folder).count("token_redeemed") == 2


def test_of_many_at_once_one_wins(folder: MeshFolder) -> None:
    token = invite(folder)
    won: list[bool] = []
    start = threading.Barrier(8)

    def redeem() -> None:
        start.wait()
        node = Identity.generate().node_id
        won.append(FileTokenLedger(folder).redeem(token.token_id, node, wall=WALL))

    threads = [threading.Thread(target=redeem) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


def test_expired_tokens_make_room(folder: MeshFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_ledger, "TOKENS_MAX", 2)
    short = invite(folder, lifetime_s=10)
    invite(folder)
    with pytest.raises(StateError, match="2 open tokens"):
        invite(folder)
    ledger = FileTokenLedger(folder)
    ledger.create(folder.authorities[0], wall=WALL + 11)
    assert ledger.lookup(short.token_id) is None


@pytest.mark.parametrize(("uses", "lifetime_s"), [(0, 60.0), (1, 0.0), (-1, 60.0)])
def test_a_token_needs_uses_and_time(folder: MeshFolder, uses: int, lifetime_s: float) -> None:
    with pytest.raises(StateError, match="needs uses"):
        invite(folder, uses=uses, lifetime_s=lifetime_s)


@pytest.mark.parametrize("change", [None, {"secret": "xx"}, {"redeemed": [{"node": "x", "at": 1}]}])
def test_a_damaged_token_is_named(folder: MeshFolder, change: dict[str, object] | None) -> None:
    token = invite(folder)
    (path,) = folder.tokens_path.iterdir()
    content = json.loads(path.read_text())
    path.write_text("{" if change is None else json.dumps(content | change))
    with pytest.raises(StateError, match="damaged"):
        FileTokenLedger(folder).lookup(token.token_id)


def test_a_damaged_token_keeps_nobody_from_making_others(folder: MeshFolder) -> None:
    damaged = invite(folder)
    (folder.tokens_path / f"{damaged.token_id.hex()}.json").write_bytes(b"{")
    assert FileTokenLedger(folder).lookup(invite(folder).token_id) is not None
