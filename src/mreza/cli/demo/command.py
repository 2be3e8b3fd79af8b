"""`mreza demo` as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mreza.cli.options import Json, teach
from mreza.cli.problems import UsageProblem


def add_to(app: typer.Typer) -> None:
    """Put this command under `mreza`."""
    app.command(
        help=teach(
            "Five nodes on this machine do real work on real files, and two of them are killed.",
            "mreza demo",
            "mreza demo src/*.py",
            "mreza demo --calm    kill nobody",
            "mreza demo --load    ask for twice what can be done",
            "mreza demo --json > result.json",
            more="Five processes, linked in a line with a detour, parse and measure Python files: "
            "without FILES the whole standard library and all installed packages. node-1 sends, "
            "the others work, and half of the work crosses a relay. In the middle a worker is "
            "killed (kill -9), later a relay; both are started again. Every result is compared "
            "with one computed without the mesh. Exits 1 unless all agree and both losses were "
            "survived.\n\n--load: four workers are asked for twice what they can do. LOW requests "
            "are shed, each with the time after which to ask again; exits 1 unless HIGH and "
            "CRITICAL ones are served.",
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
    calm: Annotated[bool, typer.Option("--calm", help="Kill nobody.")] = False,
    load: Annotated[
        bool, typer.Option("--load", help="Overload the mesh instead of measuring files.")
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds",
            metavar="S",
            min=1.0,
            max=3600.0,
            help="How long --load asks. Default: 10.",
            show_default=False,
        ),
    ] = None,
    falsify: Annotated[
        bool,
        typer.Option("--falsify", help="Have a worker lie once: the demo must notice and exit 1."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the mesh at work."""
    if load:
        from mreza.cli.demo.load import LoadOptions, run_load

        if files or more_files or calm or falsify:
            raise UsageProblem("--load measures no files; it goes with --seconds and --json only")
        raise typer.Exit(run_load(LoadOptions(seconds=seconds or 10.0, as_json=as_json)))
    if seconds is not None:
        raise UsageProblem("--seconds is for --load; --timeout bounds the measuring of files")
    from mreza.cli.demo.run import DemoOptions, run_demo

    options = DemoOptions(
        files=tuple((files or []) + (more_files or [])),
        timeout_s=timeout,
        calm=calm,
        falsify=falsify,
        as_json=as_json,
    )
    raise typer.Exit(run_demo(options))
