"""`mreza demo` as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mreza.cli.options import Json, teach


def add_to(app: typer.Typer) -> None:
    """Put this command under `mreza`."""
    app.command(
        help=teach(
            "Three nodes on this machine do real work on real files.",
            "mreza demo",
            "mreza demo src/*.py",
            "mreza demo --json > result.json",
            more="Processes a, b and c, linked in a line, parse and measure Python files: without "
            "FILES the whole standard library and all installed packages. Node a sends, b and c "
            "work, and what is for c crosses b. Every result is compared with one computed without "
            "the mesh; exits 1 unless all agree.",
        )
    )(demo)


def demo(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILES",
            help="Files or folders (their *.py) to measure. Default: all Python files installed.",
            show_default=False,
        ),
    ] = None,
    more_files: Annotated[
        list[Path] | None,
        typer.Option("--files", metavar="PATH", help="As FILES; may be given several times."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=1.0, help="Give up after so long."),
    ] = 300.0,
    falsify: Annotated[
        bool,
        typer.Option("--falsify", help="Have a worker lie once: the demo must notice and exit 1."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the mesh at work."""
    from mreza.cli.demo.run import DemoOptions, run_demo

    options = DemoOptions(
        files=tuple((files or []) + (more_files or [])),
        timeout_s=timeout,
        falsify=falsify,
        as_json=as_json,
    )
    raise typer.Exit(run_demo(options))
