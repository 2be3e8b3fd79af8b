"""`mreza sim`: bad days in virtual time, and what they show of the mesh."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mreza.cli.options import Json, teach


def add_to(app: typer.Typer) -> None:
    """Put this command under `mreza`."""
    app.command(
        name="sim",
        help=teach(
            "Run meshes in virtual time through crashes, partitions and lossy links, from seeds.",
            "mreza sim --list",
            "mreza sim partitions --seeds 0..99",
            "mreza sim everything --seeds 17 --shrink",
            "mreza sim my-day.toml --seeds 0..19 --save-baseline before.json",
            "mreza sim my-day.toml --seeds 0..19 --baseline before.json",
            more="A scenario is a TOML file or the name of a standard one; `all` means all of "
            "these. Equal seeds give equal runs, everywhere. Exits 1 if something did not hold, "
            "or if a figure is worse than in the baseline.",
        ),
    )(sim)


def sim(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCENARIO…", help="Files in TOML, names of standard scenarios, or all."
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="SEEDS", help="7, or 0..99, or 1,5,20..29.")
    ] = "0..9",
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            metavar="N",
            min=1,
            max=1024,
            help="Processes that share the runs. Default: one a core.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline",
            metavar="FILE",
            help="Compare the medians with those of this report.",
            show_default=False,
        ),
    ] = None,
    save_baseline: Annotated[
        Path | None,
        typer.Option(
            "--save-baseline", metavar="FILE", help="Store the report.", show_default=False
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            metavar="SHARE",
            min=0.0,
            help="So much worse than the baseline is not worse.",
        ),
    ] = 0.25,
    shrink: Annotated[
        bool,
        typer.Option("--shrink", help="Make the first run that fails small, and print it."),
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="FILE",
            help="Take down everything that happens in a run; of several, in the first that fails.",
            show_default=False,
        ),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay",
            metavar="FILE",
            help="Run again what was recorded, and show where it first goes another way.",
            show_default=False,
        ),
    ] = None,
    list_them: Annotated[
        bool, typer.Option("--list", help="Show the standard scenarios and the checks.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run scenarios."""
    from mreza.cli.problems import UsageProblem
    from mreza.cli.simulate import SimOptions, list_scenarios, replay_recording, run_scenarios

    if list_them:
        status = list_scenarios(as_json=as_json)
    elif replay is not None:
        if scenarios:
            raise UsageProblem("--replay FILE says itself which scenario; give no other")
        status = replay_recording(replay, as_json=as_json)
    elif not scenarios:
        raise UsageProblem("say which scenario: a file, a name of mreza sim --list, or all")
    else:
        status = run_scenarios(
            SimOptions(
                scenarios=tuple(scenarios),
                seeds=seeds,
                jobs=jobs,
                baseline=baseline,
                save_baseline=save_baseline,
                tolerance=tolerance,
                shrink=shrink,
                record=record,
                as_json=as_json,
            )
        )
    raise typer.Exit(status)
