"""`--app MODULE:OBJECT`: the user's function that registers handlers before the node starts."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mreza.cli.problems import CommandFailed, UsageProblem
from mreza.config.base import nearest

if TYPE_CHECKING:
    from mreza.node.mesh import MeshNetwork


def load_app(spec: str) -> Callable[[MeshNetwork], Any]:
    """Import the function; the current folder comes first, as with `python -m`.

    Raises:
        UsageProblem: there is no such module or object, or it cannot be called with a MeshNetwork.
        CommandFailed: the module raised while it was imported.
    """
    module_name, colon, path = spec.partition(":")
    if not (module_name and colon and path):
        raise UsageProblem(f"--app {spec!r} is not MODULE:OBJECT, as in workers:register")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    found: Any = _import(module_name)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            names = [name for name in dir(found) if not name.startswith("_")]
            raise UsageProblem(
                f"--app {spec}: {module_name} has no {part!r}; {nearest(part, names)}"
            ) from None
    if not callable(found):
        raise UsageProblem(
            f"--app {spec} is a {type(found).__name__}, not a function; "
            "it must take the MeshNetwork and register handlers"
        )
    return found  # type: ignore[no-any-return]


async def call_app(function: Callable[[MeshNetwork], Any], mesh: MeshNetwork, *, spec: str) -> None:
    """Let the user's function, async or not, register its handlers.

    Raises:
        CommandFailed: it raised.
    """
    try:
        outcome = function(mesh)
        if inspect.isawaitable(outcome):
            await outcome
    except Exception as error:
        raise CommandFailed(f"--app {spec} raised {type(error).__name__}: {error}") from error


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageProblem(
                f"--app: no module {name!r} in {Path.cwd()} or among the installed ones"
            ) from None
        raise CommandFailed(f"--app: importing {name} failed: {error}") from error
    except Exception as error:
        raise CommandFailed(
            f"--app: importing {name} raised {type(error).__name__}: {error}"
        ) from error
