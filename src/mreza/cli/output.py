"""Printing: tables that fit a terminal, aligned columns for pipes, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from mreza.cli.problems import one_line
from mreza.cli.tables import STATE_STYLES, plain_table


def say(line: str) -> None:
    """One line on standard output, at once."""
    print(line, flush=True)


def show_json(value: Any) -> None:
    """A value as JSON, indented."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Rows as a table; on a pipe nothing is cut off. `empty` is said when there are none."""
    if not rows:
        say(empty)
    elif sys.stdout.isatty():
        _rich_table(columns, rows)
    else:
        for line in plain_table(columns, rows):
            say(line)


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        # Ids are for copying: never folded, while everything else may give way.
        table.add_column(column, no_wrap=column in _IDS, overflow="fold")
    for row in rows:
        cells = [one_line(cell) for cell in row]
        table.add_row(*(Text(cell, style=STATE_STYLES.get(cell, "")) for cell in cells))
    Console().print(table)


_IDS = ("id", "peer", "destination", "node")
