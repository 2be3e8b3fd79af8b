"""`python -m benchmarks.faults`: measure, and print what was measured beside what is asked."""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.faults import lan, ring
from benchmarks.faults.figures import GOALS, Measured, join
from tests.support.netns import why_not

Measurement = Callable[[Path, int, str], list[Measured]]

MEASUREMENTS: dict[str, Measurement] = {
    "silent": ring.flow,
    "silent-fast": ring.flow,
    "visible": ring.flow,
    "unplugged": ring.flow,
    "one-way": ring.flow,
    "receipts": ring.receipts,
    "killed-8": lan.killed,
    "killed-32": lan.killed,
    "left": lan.left_and_joined,
    "split": lan.split,
    "first-message": lan.first_message,
    "frozen": ring.frozen,
    "burn": ring.burn,
    "lossy": ring.lossy,
    "load": ring.loaded,
    "idle": ring.idle,
    "restart-50": lan.restarted,
}
_KEYS = {"burn": "burn-failed"}
RUNS = 5
WIDTH = 150


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="of each measurement")
    parser.add_argument("--minutes", type=float, default=ring.LOAD_MINUTES, help="of the load test")
    parser.add_argument(
        "--split-s", type=float, default=lan.SPLIT_S, help="seconds for which a LAN is split"
    )
    parser.add_argument(
        "--only", nargs="+", choices=MEASUREMENTS, metavar="NAME", help=", ".join(MEASUREMENTS)
    )
    parser.add_argument(
        "--file", type=Path, help="add the runs to this JSON file, and show all that is in it"
    )
    return parser.parse_args()


def measure(names: Iterable[str], given: argparse.Namespace) -> list[Measured]:
    """Each measurement in a net of its own; one that fails is said and left out."""
    special: dict[str, Measurement] = {
        "load": functools.partial(ring.loaded, minutes=given.minutes),
        "split": functools.partial(lan.split, seconds=given.split_s),
    }
    found: list[Measured] = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            function = special.get(name, MEASUREMENTS[name])
            try:
                made = function(Path(folder), given.runs, _KEYS.get(name, name))
            except AssertionError as error:
                print(f"{name} failed: {error}", file=sys.stderr)
                continue
        found += made
        if given.file is not None:
            keep(made, given.file)
    return found


def keep(measured: list[Measured], file: Path) -> None:
    """Add these to what a file holds."""
    before = msgspec.json.decode(file.read_bytes(), type=list[Measured]) if file.exists() else []
    file.write_bytes(msgspec.json.encode(join([*before, *measured])))


def table(measured: list[Measured]) -> Table:
    figures = {one.key: one for one in measured}
    made = Table("what", title="medians and worst, beside what is asked (ms unless said)")
    for heading in ("median", "worst", "runs", "asked", ""):
        made.add_column(heading, justify="right", no_wrap=True)
    made.add_column("others, best we measured")
    for goal in GOALS:
        if (one := figures.get(goal.key)) is None:
            continue
        asked = [f"{bound:g}" if bound is not None else "–" for bound in (goal.median, goal.worst)]
        unit = "" if goal.unit == "ms" else goal.unit
        made.add_row(
            goal.what,
            f"{one.median:,.0f}{unit}" if one.median >= 10 else f"{one.median:.3g}{unit}",
            f"{one.worst:,.0f}{unit}" if one.worst >= 10 else f"{one.worst:.3g}{unit}",
            str(len(one.runs)),
            " / ".join(asked) if asked != ["–", "–"] else "",
            {True: "met", False: "MISSED", None: ""}[one.meets(goal)],
            goal.others,
        )
    return made


def main() -> None:
    given = arguments()
    if refusal := why_not():
        raise SystemExit(f"faults: {refusal}")
    measured = measure(given.only or MEASUREMENTS, given)
    if given.file is not None and given.file.exists():
        measured = msgspec.json.decode(given.file.read_bytes(), type=list[Measured])
    Console(width=WIDTH).print(table(measured))


if __name__ == "__main__":
    main()
