"""What a person sees of the demo: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from mreza.cli.demo.report import (
    LOSS_COLUMNS,
    NODE_COLUMNS,
    SLOWEST_COLUMNS,
    WAY_COLUMNS,
    complaints,
    loss_rows,
    node_rows,
    slowest_rows,
    verdict,
    way_rows,
)
from mreza.cli.demo.story import Story
from mreza.cli.demo.tally import Tally
from mreza.cli.problems import one_line
from mreza.cli.tables import counted, plain_table

PLAIN_INTERVAL_S = 5.0
"Without a terminal, one line of progress in so many seconds."
PICTURE = (
    "node-1 ── node-2 ── node-3",
    "  │                   │   ",
    "node-5 ─────────── node-4 ",
)
"How they are linked: a line of four, and node-5 as the way around."


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

    def happened(self, at_s: float, text: str) -> None:
        """Something happened to the nodes, so long after the work began."""
        line = f"{at_s:5.1f} s  {one_line(text)}"
        if self._plain:
            self._print(line)
        else:
            self._console.print(Text(line, style=_style_of(text)))

    def progress(self, tally: Tally, story: Story) -> LiveProgress | PlainProgress:
        """A context in which `update` shows how far the work is."""
        if self._plain:
            return PlainProgress(tally, self._line)
        return LiveProgress(tally, story, self._console)

    def outcome(self, tally: Tally, story: Story, *, seconds: float) -> None:
        """The tables at the end, and the verdict."""
        self._table("Nodes", NODE_COLUMNS, node_rows(tally, story))
        self._table("Losses", LOSS_COLUMNS, loss_rows(story))
        self._table("Ways from node-1", WAY_COLUMNS, way_rows(story))
        self._table("Slowest files", SLOWEST_COLUMNS, slowest_rows(tally))
        for complaint in complaints(tally):
            self._verdict(complaint, good=False)
        good = tally.all_agreed and story.survived
        for line in verdict(tally, story, seconds=seconds):
            self._verdict(line, good=good)

    def _table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if not rows:
            return
        if self._plain:
            self._line("")
            self._line(f"{title}:")
            for line in plain_table(columns, rows):
                self._print(line)
            self._line("")
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
    """A bar, how the nodes are linked and what they do, drawn again as they work."""

    def __init__(self, tally: Tally, story: Story, console: Console) -> None:
        self._tally = tally
        self._story = story
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
        self._live.__enter__()
        self.update()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def update(self) -> None:
        """Show the tally as it is now."""
        self._bar.update(self._task, completed=self._tally.settled)
        table = _rich_table("", NODE_COLUMNS, node_rows(self._tally, self._story))
        picture = Padding(picture_of(self._story.down), (1, 0, 0, 2))
        self._live.update(Group(self._bar, picture, table))


class PlainProgress:
    """A line now and then."""

    def __init__(self, tally: Tally, line: Callable[[str], None]) -> None:
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

    def update(self) -> None:
        """Say how far it is, if that was long ago."""
        if time.monotonic() >= self._next:
            self._next += PLAIN_INTERVAL_S
            self._show()

    def _show(self) -> None:
        if self._tally.settled != self._shown:
            self._shown = self._tally.settled
            share = 100 * self._shown // max(self._tally.total, 1)
            self._line(f"{self._shown:,} of {counted(self._tally.total, 'file')} ({share} %)")


def picture_of(down: Sequence[str]) -> Text:
    """The links between the nodes; those that do not run in red."""
    text = Text("\n".join(PICTURE), style="green")
    for name in down:
        text.highlight_words([name], style="bold red strike")
    return text


def _style_of(text: str) -> str:
    """How an event looks: bad news red, ways and work that changed yellow, good news green."""
    if " killed " in text or " lost" in text:
        return "red"
    return "green" if text.endswith(" back") else "yellow"


def _rich_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    table.title, table.title_justify = title or None, "left"
    words = {"node", "part", "longest function", "file", "killed", "rerouted", "before", "after"}
    for column in columns:
        table.add_column(
            column,
            justify="left" if column in words else "right",
            overflow="fold",
            no_wrap=column != "file",
        )
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    return table
