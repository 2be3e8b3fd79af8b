"""Where the state directory is."""

from __future__ import annotations

from pathlib import Path

import pytest

from mreza.config.security import SecurityConfig, default_state_dir


def test_a_given_directory_wins(tmp_path: Path) -> None:
    assert SecurityConfig(state=tmp_path).state_directory({"MREZA_STATE": "/x"}) == tmp_path


def test_the_variable_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREZA_STATE", str(tmp_path))
    assert SecurityConfig().state_directory() == tmp_path
    assert SecurityConfig().state_directory({"MREZA_STATE": "/x"}) == Path("/x")


def test_a_tilde_is_the_home_directory() -> None:
    assert SecurityConfig(state=Path("~/s")).state == Path.home() / "s"
    assert SecurityConfig(state=None).state is None
    assert default_state_dir({"MREZA_STATE": "~/s"}) == Path.home() / "s"


@pytest.mark.parametrize(
    ("platform", "env", "directory"),
    [
        ("linux", {}, Path.home() / ".local/share/mreza"),
        ("linux", {"XDG_DATA_HOME": "/data"}, Path("/data/mreza")),
        ("linux", {"XDG_DATA_HOME": "relative"}, Path.home() / ".local/share/mreza"),
        ("darwin", {}, Path.home() / "Library/Application Support/mreza"),
        ("win32", {"LOCALAPPDATA": "/local"}, Path("/local/mreza")),
        ("win32", {}, Path.home() / "AppData/Local/mreza"),
    ],
)
def test_otherwise_it_is_where_the_system_keeps_a_users_data(
    platform: str, env: dict[str, str], directory: Path
) -> None:
    assert default_state_dir(env, platform=platform) == directory
