"""Which files the demo measures."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from mreza.cli.problems import UsageProblem

_OTHERS = ("site-packages", "dist-packages")


def installed_files() -> list[Path]:
    """Every Python file of the standard library and the installed packages, in a fixed order."""
    library = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # In a virtual environment, the packages beside the standard library are another one's.
    return _unique(
        [
            *(
                file
                for place in sorted(library)
                for file in _python_files(Path(place), but=_OTHERS)
            ),
            *(file for place in sorted(packages) for file in _python_files(Path(place))),
        ]
    )


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


def _python_files(folder: Path, *, but: Collection[str] = ()) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in {"__pycache__", *but})
        for name in sorted(names):
            if name.endswith(".py"):
                yield Path(place, name)


def _unique(files: Iterable[Path]) -> list[Path]:
    """Each file once, even when two folders lead to it."""
    return list({os.path.realpath(file): file for file in files}.values())
