"""Which files the demo takes: each once, in a fixed order, and no guess about a typing mistake."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from mreza.cli.demo.files import given_files, installed_files
from mreza.cli.problems import UsageProblem


def test_files_are_taken_as_they_are_and_folders_give_their_python_files(tmp_path: Path) -> None:
    (tmp_path / "pkg" / "__pycache__").mkdir(parents=True)
    for name in ("pkg/b.py", "pkg/a.py", "pkg/data.txt", "pkg/__pycache__/c.py", "photo.jpg"):
        (tmp_path / name).write_text("")
    (tmp_path / "link.py").symlink_to(tmp_path / "pkg" / "a.py")
    found = given_files([tmp_path / "photo.jpg", tmp_path / "pkg", tmp_path / "link.py"])
    assert [file.name for file in found] == ["photo.jpg", "link.py", "b.py"]


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"no file .*nothing"):
        given_files([tmp_path / "nothing"])


def test_folders_without_python_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="hold no"):
        given_files([tmp_path])


def test_what_is_installed_is_more_than_a_thousand_files_each_once() -> None:
    found = installed_files()
    assert len(found) >= 1000
    assert len({file.resolve() for file in found}) == len(found)
    assert found == installed_files()
    packages = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    for file in found:
        if "site-packages" in file.parts:
            assert any(file.is_relative_to(place) for place in packages)
    assert any(file.name == "asyncio" or "asyncio" in file.parts for file in found)
