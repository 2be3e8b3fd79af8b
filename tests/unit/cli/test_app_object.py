"""`--app MODULE:OBJECT`: what is found, and what a mistake is answered with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

from mreza.cli.app_object import call_app, load_app
from mreza.cli.problems import CommandFailed, UsageProblem

MODULE = """
class Apps:
    @staticmethod
    def inner(mesh):
        return mesh

def register(mesh):
    mesh.append("plain")

async def register_async(mesh):
    mesh.append("async")

def broken(mesh):
    raise KeyError("no")

number = 7
"""


@pytest.fixture
def app_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder, which is not on sys.path."""
    name = f"app_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"{name}_raises.py").write_text("raise RuntimeError('at import')")
    (tmp_path / f"{name}_misses.py").write_text("import no_such_module_anywhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    return name


async def test_a_function_of_the_current_folder_registers_plain_or_async(app_module: str) -> None:
    mesh: list[str] = []
    for function in ("register", "register_async"):
        await call_app(load_app(f"{app_module}:{function}"), cast("Any", mesh), spec="x")
    assert mesh == ["plain", "async"]
    assert load_app(f"{app_module}:Apps.inner")(cast("Any", 5)) == 5


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("{}", "is not MODULE:OBJECT, as in workers:register"),
        (":x", "is not MODULE:OBJECT"),
        ("{}:registr", "has no 'registr'; did you mean 'register'"),
        ("{}:Apps.outer", "has no 'outer'"),
        ("{}:number", "is a int, not a function"),
        ("no_such_module:x", "no module 'no_such_module' in"),
        ("no_such.module:x", "no module 'no_such.module' in"),
    ],
)
def test_a_mistake_is_explained(app_module: str, spec: str, words: str) -> None:
    with pytest.raises(UsageProblem) as refused:
        load_app(spec.format(app_module))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("suffix", "words"),
    [
        ("_raises", "raised RuntimeError: at import"),
        ("_misses", "No module named 'no_such_module_anywhere'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_from_one_that_is_not_there(
    app_module: str, suffix: str, words: str
) -> None:
    with pytest.raises(CommandFailed, match=words) as failed:
        load_app(f"{app_module}{suffix}:x")
    assert not isinstance(failed.value, UsageProblem)


async def test_a_function_that_raises_is_named(app_module: str) -> None:
    with pytest.raises(CommandFailed, match="--app x:y raised KeyError"):
        await call_app(load_app(f"{app_module}:broken"), cast("Any", []), spec="x:y")
