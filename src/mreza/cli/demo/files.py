"""Which files the demo measures."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from mreza.cli.problems import UsageProblem


def installed_files() -> list[Path]:
    """Every Python file of the standard library and the installed packages, in a fixed order."""
    places = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return _unique(file for place in places if place for file in _python_files(Path(place)))


def given_files(paths: Iterable[Path]) -> list[Path]:
    """The named files, whatever they hold, and the Python files below the named folders.

    Raises:
        UsageProblem: one does not exist, or there is no file at all.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += _python_files(path)
        elif path.exists():
            files.append(path)
        else:
            raise UsageProblem(f"no file {path}; name files, or folders that hold *.py")
    if not files:
        raise UsageProblem("the named folders hold no *.py; name files, or leave FILES out")
    return _unique(files)


def _python_files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            if name.endswith(".py"):
                yield Path(place, name)


def _unique(files: Iterable[Path]) -> list[Path]:
    """Each file once, even when two folders lead to it."""
    return list({os.path.realpath(file): file for file in files}.values())
