from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path

import pytest

from mreza.address import Address
from mreza.errors import AdmissionError, ConfigError, StateError
from mreza.node import state as state_module
from mreza.node.mesh_folder import find_mesh
from mreza.node.state import JoiningNode, NodeState, begin_join, node_folders, open_node
from mreza.security.admission import Granted, JoinDesk, Joiner, join_chain
from mreza.security.credentials import to_pem
from mreza.security.join_token import JoinToken
from tests.support.security import DAY_S, OTHER_MESH, WALL, member


def start(state: Path, name: str | None = "a", *, wall: float = WALL) -> NodeState:
    return open_node(state, name, mesh_name="home", wall=wall)


def joined(authority: NodeState, state: Path, name: str | None) -> None:
    token = JoinToken.parse(authority.create_token(wall=WALL).encode())
    with begin_join(state, name, token, wall=WALL) as joining:
        joining.finish(grant(authority, token, joining), wall=WALL)


def grant(authority: NodeState, token: JoinToken, joining: JoiningNode) -> Granted:
    mine = authority.credentials
    joiner = Joiner(token, joining.identity, name=joining.name)
    request = joiner.challenged(join_chain(mine), server_leaf=mine.chain[0], wall=WALL)
    desk = JoinDesk(mesh=mine.mesh, authorities=mine.authorities, ledger=authority.tokens)
    return joiner.answered(desk.decide(request, wall=WALL), wall=WALL)


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "pc.example.org")


def test_the_first_node_makes_the_mesh_and_is_its_member(tmp_path: Path) -> None:
    with start(tmp_path) as one:
        assert (one.name, one.credentials.mesh_name) == ("a", "home")
        assert one.credentials.check(wall=WALL) == one.certificate
        assert one.state_dir == tmp_path
        assert len(one.credentials.authorities) == 1


def test_a_node_is_the_same_after_a_restart(tmp_path: Path) -> None:
    with start(tmp_path) as one:
        first = one.credentials
    with start(tmp_path) as again:
        assert again.credentials.node_id == first.node_id
        assert again.credentials.chain == first.chain


def test_nodes_of_one_directory_are_of_one_mesh(tmp_path: Path) -> None:
    with start(tmp_path, "a") as one, start(tmp_path, "b") as two:
        assert one.credentials.mesh == two.credentials.mesh
        assert one.credentials.node_id != two.credentials.node_id
        assert [path.name for path in node_folders(tmp_path)] == ["a", "b"]
    assert node_folders(tmp_path / "none") == []


def test_a_running_node_cannot_be_started_again(tmp_path: Path) -> None:
    with start(tmp_path, "a") as one:
        with pytest.raises(StateError, match=r"running already$"):
            start(tmp_path, "a")
        one.write_listen(("a:1",), epoch=1)
        with pytest.raises(StateError, match=r"running already \(process \d+\)"):
            start(tmp_path, "a")
    one.close()
    start(tmp_path, "a").close()


def test_nodes_without_a_name_take_the_hosts(tmp_path: Path) -> None:
    with start(tmp_path, None) as one, start(tmp_path, None) as two, start(tmp_path, None) as three:
        assert [node.name for node in (one, two, three)] == ["pc", "pc-2", "pc-3"]
        two.close()
        with start(tmp_path, None) as again:
            assert again.name == "pc-2"
            assert again.credentials.node_id == two.credentials.node_id


@pytest.mark.parametrize(("host", "name"), [("", "node"), ("..", "node"), ("my pc", "my-pc")])
def test_host_names_that_cannot_be_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, name: str
) -> None:
    monkeypatch.setattr(platform, "node", lambda: host)
    with start(tmp_path, None) as one:
        assert one.name == name


def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        start(tmp_path, "../up")


def test_every_start_has_a_higher_boot_number_on_disk(tmp_path: Path) -> None:
    with start(tmp_path) as one:
        assert one.next_boot() == 1
        assert one.next_boot() == 2
        assert one.next_boot(at_least=9) == 9
        assert one.next_boot(at_least=3) == 10
        assert (one.directory / "boot").read_text() == "10\n"
    with start(tmp_path) as again:
        assert again.next_boot() == 11
        (again.directory / "boot").write_text("nonsense")
        assert again.next_boot() == 1
        with pytest.raises(StateError, match="used up"):
            again.next_boot(at_least=2**32)


def test_siblings_are_the_other_running_nodes(tmp_path: Path) -> None:
    with start(tmp_path, "a") as one, start(tmp_path, "b") as two:
        one.write_listen(("127.0.0.1:1",), epoch=1)
        assert one.siblings() == []
        assert two.siblings() == [(one.credentials.node_id, ("127.0.0.1:1",))]
        one.close()
        assert two.siblings() == []


def test_a_token_admits_a_node_of_another_directory(tmp_path: Path) -> None:
    with start(tmp_path / "one") as one:
        joined(one, tmp_path / "two", "b")
        with start(tmp_path / "two", "b") as two:
            assert two.credentials.mesh == one.credentials.mesh
            assert two.credentials.mesh_name == "home"
            assert two.credentials.authorities == ()
            assert one.credentials.anchors.check_chain(two.credentials.chain, wall=WALL)
            with pytest.raises(AdmissionError) as caught:
                two.create_token(wall=WALL)
            assert caught.value.code == "no_authority"


def test_without_an_authority_every_new_node_needs_its_own_token(tmp_path: Path) -> None:
    with start(tmp_path / "one") as one:
        joined(one, tmp_path / "two", "b")
        for name in ("c", None):
            with start(tmp_path / "two", "b"), pytest.raises(AdmissionError) as caught:
                start(tmp_path / "two", name)
            assert caught.value.code == "needs_token"
            assert "mreza invite" in str(caught.value)
        assert [path.name for path in node_folders(tmp_path / "two")] == ["b"]
        joined(one, tmp_path / "two", "c")
        with start(tmp_path / "two", "c") as three:
            assert three.name == "c"


def test_without_a_name_and_authority_the_node_that_joined_is_started(tmp_path: Path) -> None:
    with start(tmp_path / "one") as one:
        joined(one, tmp_path / "two", "b")
        joined(one, tmp_path / "two", None)
        with start(tmp_path / "two", None) as first, start(tmp_path / "two", None) as second:
            assert [first.name, second.name] == ["pc", "b"]


def test_a_second_try_to_join_has_the_same_key(tmp_path: Path) -> None:
    with start(tmp_path / "one") as one:
        token = one.create_token(wall=WALL)
        with begin_join(tmp_path / "two", None, token, wall=WALL) as joining:
            first = joining.identity.node_id
            with pytest.raises(StateError, match="joining now"):
                begin_join(tmp_path / "two", "pc", token, wall=WALL)
        with begin_join(tmp_path / "two", None, token, wall=WALL) as joining:
            assert joining.identity.node_id == first


def test_a_node_that_was_not_let_in_makes_no_mesh_of_its_own(tmp_path: Path) -> None:
    with start(tmp_path / "one") as one:
        begin_join(tmp_path / "two", "b", one.create_token(wall=WALL), wall=WALL).close()
        for name in ("b", None):
            with pytest.raises(AdmissionError, match="join TOKEN` again") as caught:
                start(tmp_path / "two", name)
            assert caught.value.code == "needs_token"
        joined(one, tmp_path / "two", "b")
        start(tmp_path / "two", "b").close()


def test_where_a_member_was_met_is_in_the_address_book(tmp_path: Path) -> None:
    with start(tmp_path / "one") as one:
        member_id = one.credentials.node_id
        token = one.create_token(wall=WALL)
        with begin_join(tmp_path / "two", "b", token, wall=WALL) as joining:
            granted = grant(one, token, joining)
            joining.finish(granted, wall=WALL, met=(member_id, Address("10.0.0.1", 7)))
    with start(tmp_path / "two", "b") as two:
        assert two.addresses.addresses() == {member_id: ("10.0.0.1:7",)}


def test_where_all_that_have_joined_run_already_another_needs_a_token(tmp_path: Path) -> None:
    with start(tmp_path / "one") as one:
        joined(one, tmp_path / "two", "b")
        with (
            start(tmp_path / "two", None),
            pytest.raises(AdmissionError, match=r"run already \(b\)"),
        ):
            start(tmp_path / "two", None)


def test_a_member_does_not_join_again_nor_another_mesh(tmp_path: Path) -> None:
    with start(tmp_path / "one") as one, start(tmp_path / "two", "b") as two:
        joined(one, tmp_path / "three", "c")
        with pytest.raises(StateError, match="member already"):
            begin_join(tmp_path / "three", "c", one.create_token(wall=WALL), wall=WALL)
        with pytest.raises(StateError, match="belongs to one mesh"):
            begin_join(tmp_path / "three", "d", two.create_token(wall=WALL), wall=WALL)


def test_a_certificate_is_renewed_in_its_last_sixty_days(tmp_path: Path) -> None:
    with start(tmp_path) as one:
        first = one.credentials.chain[0]
    with start(tmp_path, wall=WALL + 304 * DAY_S) as early:
        assert early.credentials.chain[0] == first
    with start(tmp_path, wall=WALL + 306 * DAY_S) as late:
        assert late.credentials.chain[0] != first
        assert late.certificate.not_after == WALL + (306 + 365) * DAY_S
    with start(tmp_path, wall=WALL + 3000 * DAY_S) as long_after:
        assert long_after.credentials.check(wall=WALL + 3000 * DAY_S)
    log = (tmp_path / "mesh" / "audit.log").read_text().splitlines()
    assert [json.loads(line)["event"] for line in log].count("certificate_issued") == 3


def test_without_an_authority_an_expired_certificate_needs_a_token(tmp_path: Path) -> None:
    with start(tmp_path / "one") as one:
        joined(one, tmp_path / "two", "b")
    start(tmp_path / "two", "b", wall=WALL + 360 * DAY_S).close()
    with pytest.raises(AdmissionError, match="join again") as caught:
        start(tmp_path / "two", "b", wall=WALL + 366 * DAY_S)
    assert caught.value.code == "expired"


def test_a_clock_that_is_far_behind_is_named(tmp_path: Path) -> None:
    start(tmp_path).close()
    with pytest.raises(AdmissionError, match="this clock says") as caught:
        start(tmp_path, wall=WALL - 3 * DAY_S)
    assert caught.value.code == "not_yet_valid"
    # The failed start has not kept the lock.
    start(tmp_path).close()


def test_a_certificate_of_another_key_or_mesh_is_not_used(tmp_path: Path) -> None:
    start(tmp_path, "a").close()
    start(tmp_path, "b").close()
    a, b = (tmp_path / "nodes" / name / "chain.pem" for name in "ab")
    kept = a.read_bytes()
    shutil.copy(b, a)
    with pytest.raises(StateError, match="not of this node's key"):
        start(tmp_path, "a")
    a.write_bytes(to_pem(member(OTHER_MESH).chain))
    with pytest.raises(AdmissionError) as caught:
        start(tmp_path, "a")
    assert caught.value.code == "other_mesh"
    a.write_bytes(kept)
    start(tmp_path, "a").close()


def test_a_key_without_certificate_and_authority_needs_a_token(tmp_path: Path) -> None:
    with start(tmp_path / "one") as one:
        joined(one, tmp_path / "two", "b")
    mesh = find_mesh(tmp_path / "two")
    assert mesh is not None
    directory = tmp_path / "two" / "nodes" / "b"
    (directory / "chain.pem").unlink()
    identity = state_module._identity(directory)
    with pytest.raises(AdmissionError) as caught:
        state_module._credentials(directory, identity, mesh, wall=WALL)
    assert caught.value.code == "needs_token"


def test_a_restored_copy_counts_from_where_it_was(tmp_path: Path) -> None:
    with start(tmp_path / "one") as one:
        one.next_boot()
        shutil.copytree(tmp_path / "one", tmp_path / "copy")
        one.next_boot()
        with start(tmp_path / "copy") as copy:
            assert copy.credentials.node_id == one.credentials.node_id
            assert copy.next_boot() == 2


def test_a_node_whose_certificate_has_expired_may_join_again_under_its_name(tmp_path: Path) -> None:
    with start(tmp_path / "one") as one:
        joined(one, tmp_path / "two", "b")
        much_later = WALL + 400 * DAY_S
        token = one.create_token(wall=much_later)
    with pytest.raises(AdmissionError, match="expired"):
        start(tmp_path / "two", "b", wall=much_later)
    with begin_join(tmp_path / "two", "b", token, wall=much_later) as joining:
        assert joining.name == "b"


def test_a_full_disk_does_not_keep_the_folder_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = start(tmp_path)
    one.write_listen(("127.0.0.1:1",), epoch=1)

    def full(*_: object, **__: object) -> None:
        raise StateError("cannot write: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mreza.node.listening.write_atomic", full)
        one.close()
    start(tmp_path).close()
