"""What a person sees of the demo: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from mreza.cli.demo.tally import NodeTally, Tally
from mreza.cli.problems import one_line
from mreza.cli.tables import counted, plain_table, size

PLAIN_INTERVAL_S = 5.0
"Without a terminal, one line of progress in so many seconds."
COMPLAINTS_SHOWN = 10
NODE_COLUMNS = ("node", "pid", "part", "files", "bytes", "busy", "forwarded", "envelopes")


class View:
    """Shows steps, progress and the outcome on one console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._plain = not console.is_terminal

    def step(self, text: str) -> None:
        """One thing of the set-up is done."""
        if self._plain:
            self._line(text)
        else:
            self._console.print(Text("✓ ", style="green").append(one_line(text), style="default"))

    def note(self, text: str) -> None:
        """Something to know."""
        if self._plain:
            self._line(text)
        else:
            self._console.print(Text(one_line(text), style="bold"))

    def progress(self, tally: Tally) -> LiveProgress | PlainProgress:
        """A context in which `update` shows how far the work is."""
        if self._plain:
            return PlainProgress(tally, self._line)
        return LiveProgress(tally, self._console)

    def outcome(self, tally: Tally, *, relay: str, seconds: float) -> None:
        """The tables at the end, and the verdict."""
        self._table("", NODE_COLUMNS, node_rows(tally, relay=relay))
        self._table("Slowest files", SLOWEST_COLUMNS, slowest_rows(tally))
        for complaint in complaints(tally):
            self._verdict(complaint, good=False)
        for line in verdict(tally, relay=relay, seconds=seconds):
            self._verdict(line, good=tally.all_agreed)

    def _table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if not rows:
            return
        if self._plain:
            self._line("")
            if title:
                self._line(f"{title}:")
            for line in plain_table(columns, rows):
                self._print(line)
            return
        self._console.print(_rich_table(title, columns, rows))

    def _verdict(self, text: str, *, good: bool) -> None:
        if self._plain:
            self._line(text)
        else:
            self._console.print(Text(one_line(text), style="bold green" if good else "bold red"))

    def _line(self, text: str) -> None:
        self._print(one_line(text))

    def _print(self, line: str) -> None:
        # Whole and unwrapped: somebody may search it.
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveProgress:
    """A bar over the table of the nodes, drawn again as they work."""

    def __init__(self, tally: Tally, console: Console) -> None:
        self._tally = tally
        self._bar = Progress(
            TextColumn("[bold]files"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=console,
            expand=True,
        )
        self._task = self._bar.add_task("files", total=tally.total)
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self.update(relay="")
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def update(self, *, relay: str) -> None:
        """Show the tally as it is now."""
        self._bar.update(self._task, completed=self._tally.settled)
        rows = node_rows(self._tally, relay=relay) if relay else []
        self._live.update(Group(self._bar, _rich_table("", NODE_COLUMNS, rows)))


class PlainProgress:
    """A line now and then."""

    def __init__(self, tally: Tally, line: object) -> None:
        self._tally = tally
        self._line = line
        self._next = time.monotonic() + PLAIN_INTERVAL_S
        self._shown = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._show()

    def update(self, *, relay: str) -> None:
        """Say how far it is, if that was long ago."""
        del relay
        if time.monotonic() >= self._next:
            self._next += PLAIN_INTERVAL_S
            self._show()

    def _show(self) -> None:
        if self._tally.settled != self._shown and callable(self._line):
            self._shown = self._tally.settled
            share = 100 * self._shown // max(self._tally.total, 1)
            self._line(f"{self._shown} of {counted(self._tally.total, 'file')} ({share} %)")


def node_rows(tally: Tally, *, relay: str) -> list[list[str]]:
    """One row for each node: who it is, what it did, what it forwarded."""
    return [
        [
            node.name,
            str(node.pid),
            _part(node, relay=relay, first=node is next(iter(tally.nodes.values()))),
            str(node.files),
            size(node.bytes),
            f"{node.busy_s:.1f} s",
            _forwarded(tally, node, relay=relay),
            _envelopes(node),
        ]
        for node in tally.nodes.values()
    ]


def _part(node: NodeTally, *, relay: str, first: bool) -> str:
    if first:
        return "sends"
    return "works, forwards" if node.node == relay else "works"


def _envelopes(node: NodeTally) -> str:
    count = node.forwarded_envelopes
    return f"{count} ({size(node.forwarded_bytes)})" if count else "-"


def _forwarded(tally: Tally, node: NodeTally, *, relay: str) -> str:
    if node.node != relay:
        return "-"
    measured = sum(each.files for each in tally.nodes.values())
    crossed = tally.crossed(relay)
    return f"{counted(crossed, 'file')} ({100 * crossed / measured:.0f} %)" if measured else "-"


SLOWEST_COLUMNS = ("seconds", "size", "lines", "functions", "longest function", "node", "file")


def slowest_rows(tally: Tally) -> list[list[str]]:
    """The files that took most time, slowest first."""
    rows = []
    for one in sorted(tally.slowest, reverse=True):
        found = one.measurement
        longest = f"{found['longest']} ({found['longest_lines']})" if found["longest"] else "-"
        rows.append(
            [
                f"{one.seconds:.3f}",
                size(found["bytes"]),
                str(found["lines"]),
                found["error"] or str(found["functions"]),
                longest,
                one.node,
                shortened(one.path),
            ]
        )
    return rows


def shortened(path: str) -> str:
    """The end of a path, which tells files apart: at most three parts."""
    parts = Path(path).parts
    return path if len(parts) <= 3 else "/".join(("…", *parts[-3:]))


def complaints(tally: Tally) -> list[str]:
    """What did not go well, the worst first; so many that they can be read."""
    found = [
        *(f"differs: {text}" for text in tally.differing),
        *(f"failed: {text}" for text in tally.failed),
        *(f"not sent: {text}" for text in tally.skipped),
    ]
    shown = found[:COMPLAINTS_SHOWN]
    return [*shown, f"and {len(found) - len(shown)} more"] if len(found) > len(shown) else shown


def verdict(tally: Tally, *, relay: str, seconds: float) -> list[str]:
    """What it all amounts to."""
    total_bytes = sum(node.bytes for node in tally.nodes.values())
    found_all = f"{counted(tally.lines, 'line')} and {counted(tally.functions, 'function')}"
    files = counted(tally.agreed, "file")
    lines = [f"{found_all} in {files} ({size(total_bytes)}) in {seconds:.1f} s"]
    if tally.longest is not None:
        found = tally.longest.measurement
        lines[0] += (
            f"; longest function: {found['longest']}, {found['longest_lines']:,} lines, "
            f"in {shortened(tally.longest.path)}"
        )
    measured = sum(node.files for node in tally.nodes.values())
    if measured:
        crossed = tally.crossed(relay)
        share = 100 * crossed / measured
        lines.append(
            f"the middle node forwarded {crossed:,} of {counted(measured, 'file')} ({share:.1f} %)"
        )
    if tally.all_agreed:
        skipped = f"; {counted(len(tally.skipped), 'file')} not sent" if tally.skipped else ""
        agreed = "one result agrees" if tally.agreed == 1 else f"all {tally.agreed:,} results agree"
        lines.append(f"{agreed} with what was computed without the mesh{skipped}")
    else:
        lines.append(
            f"NOT all agree: {len(tally.differing)} differ, {len(tally.failed)} failed, "
            f"{len(tally.skipped)} were not sent, {tally.total - tally.settled} were not reached, "
            f"{tally.agreed} agree"
        )
    return lines


def _rich_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title or None, title_justify="left")
    for column in columns:
        numeric = column in {"pid", "files", "bytes", "busy", "seconds", "size", "lines"}
        table.add_column(
            column,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=column != "file",
        )
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    return table
