from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mreza.errors import ConfigError, StateError
from mreza.node import mesh_folder
from mreza.node.mesh_folder import adopt_mesh, find_mesh, found_mesh, lock_state
from tests.support.security import MESH, OTHER_MESH, WALL


def audit(state: Path) -> list[str]:
    lines = (state / "mesh" / "audit.log").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_a_new_mesh_has_a_root_and_an_authority(tmp_path: Path) -> None:
    assert find_mesh(tmp_path) is None
    made = found_mesh(tmp_path, "home", wall=WALL)
    again = find_mesh(tmp_path)
    assert again is not None
    assert (again.mesh, again.name, again.roots) == (made.mesh, "home", made.roots)
    assert [one.authority_id for one in again.authorities] == [made.authorities[0].authority_id]
    assert again.root_key_path.exists()
    assert audit(tmp_path) == ["mesh_created"]


def test_no_key_is_readable_by_others(tmp_path: Path) -> None:
    found_mesh(tmp_path, "home", wall=WALL)
    files = [path for path in (tmp_path / "mesh").rglob("*") if path.is_file()]
    assert files
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


def test_a_crash_while_creating_leaves_no_mesh_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(mesh_folder, "_MeshFile", None)
        with pytest.raises(TypeError):
            found_mesh(tmp_path, "home", wall=WALL)
    assert find_mesh(tmp_path) is None
    assert (tmp_path / "mesh.new").exists()
    made = found_mesh(tmp_path, "home", wall=WALL)
    assert not (tmp_path / "mesh.new").exists()
    assert len(made.authorities) == 1
    assert len(list((tmp_path / "mesh" / "roots").iterdir())) == 1


def test_a_mesh_is_not_created_over_another(tmp_path: Path) -> None:
    found_mesh(tmp_path, "home", wall=WALL)
    with pytest.raises(StateError, match="cannot create"):
        found_mesh(tmp_path, "home", wall=WALL)


def test_a_joined_mesh_has_a_root_and_no_key(tmp_path: Path) -> None:
    joined = adopt_mesh(tmp_path, mesh=MESH.mesh, name="ours", roots=(MESH.root_der,), wall=WALL)
    assert (joined.mesh, joined.roots, joined.authorities) == (MESH.mesh, (MESH.root_der,), ())
    assert not joined.root_key_path.exists()
    again = adopt_mesh(tmp_path, mesh=MESH.mesh, name="x", roots=(MESH.root_der,), wall=WALL)
    assert again.name == "ours"
    assert audit(tmp_path) == ["mesh_joined"]
    with pytest.raises(StateError, match="belongs to one mesh"):
        adopt_mesh(
            tmp_path, mesh=OTHER_MESH.mesh, name="x", roots=(OTHER_MESH.root_der,), wall=WALL
        )


def test_more_authorities_while_the_root_is_here(tmp_path: Path) -> None:
    made = found_mesh(tmp_path, "home", wall=WALL)
    second = made.add_authority(wall=WALL)
    again = find_mesh(tmp_path)
    assert again is not None
    ids = {one.authority_id for one in again.authorities}
    assert ids == {one.authority_id for one in made.authorities}
    assert second.authority_id in ids
    assert len(ids) == 2
    made.root_key_path.unlink()
    with pytest.raises(StateError, match="not in this state directory"):
        made.add_authority(wall=WALL)


def test_an_authority_that_was_not_finished_does_not_count(tmp_path: Path) -> None:
    found_mesh(tmp_path, "home", wall=WALL)
    unfinished = tmp_path / "mesh" / "authorities" / "00"
    unfinished.mkdir()
    (unfinished / "key.pem").write_bytes(b"x")
    again = find_mesh(tmp_path)
    assert again is not None
    assert len(again.authorities) == 1
    shutil.rmtree(tmp_path / "mesh" / "authorities")
    again = find_mesh(tmp_path)
    assert again is not None
    assert again.authorities == ()


@pytest.mark.parametrize(
    "content",
    [
        b"not json",
        b"{}",
        b'{"mesh": "x", "name": "n", "roots": ["ab"]}',
        b'{"mesh": "aaaaaaaaaaaaaaaaaaaaaaaaaa", "name": "n", "roots": []}',
        b'{"mesh": "aaaaaaaaaaaaaaaaaaaaaaaaaa", "name": "n", "roots": ["00"]}',
        b'{"mesh": "aaaaaaaaaaaaaaaaaaaaaaaaaa", "name": "n", "roots": ["../../x"]}',
    ],
)
def test_a_damaged_mesh_is_named(tmp_path: Path, content: bytes) -> None:
    found_mesh(tmp_path, "home", wall=WALL)
    (tmp_path / "mesh" / "mesh.json").write_bytes(content)
    with pytest.raises(StateError, match=r"damaged|lists 0"):
        find_mesh(tmp_path)


def test_a_root_that_was_exchanged_is_not_trusted(tmp_path: Path) -> None:
    found_mesh(tmp_path, "home", wall=WALL)
    (root,) = (tmp_path / "mesh" / "roots").iterdir()
    root.write_bytes(OTHER_MESH.root_der)
    with pytest.raises(StateError, match="missing or damaged"):
        find_mesh(tmp_path)


def test_a_folder_without_a_mesh_is_none(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no mesh"):
        mesh_folder.MeshFolder(tmp_path / "mesh")


def test_a_mesh_name_fits_a_token(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="longer than 64 bytes"):
        found_mesh(tmp_path, "é" * 33, wall=WALL)


def test_one_at_a_time_may_create(tmp_path: Path) -> None:
    with lock_state(tmp_path / "new") as lock:
        assert lock.held
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["cert.der", "key.pem"])
def test_a_damaged_authority_is_named(tmp_path: Path, name: str) -> None:
    made = found_mesh(tmp_path, "home", wall=WALL)
    (folder,) = (made.path / "authorities").iterdir()
    (folder / name).write_bytes(b"garbage")
    with pytest.raises(StateError, match=f"{folder.name} is damaged"):
        find_mesh(tmp_path)
