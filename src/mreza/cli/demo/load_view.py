"""What a person sees of `mreza demo --load`: a live table by priority, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mreza.cli.demo.load_tally import GOODPUT_MIN, PROTECTED, LoadTally, percentile
from mreza.cli.problems import one_line
from mreza.cli.tables import counted, plain_table
from mreza.qos import Priority

PLAIN_INTERVAL_S = 2.0
"Without a terminal, one line of progress in so many seconds."
COLUMNS = ("priority", "offered", "served", "share", "shed", "retry after", "failed", "p50", "p99")


class LoadView:
    """Shows steps, the table and the verdict on one console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._plain = not console.is_terminal

    def step(self, text: str) -> None:
        """One thing of the set-up is done."""
        mark = Text("" if self._plain else "✓ ", style="green")
        self._print(mark.append(one_line(text), style="default"))

    def note(self, text: str) -> None:
        """Something to know."""
        self._print(Text(one_line(text), style="" if self._plain else "bold"))

    def watch(self, tally: LoadTally) -> LiveLoad | PlainLoad:
        """A context in which `update` shows how it goes."""
        return PlainLoad(tally, self.note) if self._plain else LiveLoad(tally, self._console)

    def outcome(self, tally: LoadTally) -> None:
        """The table at the end, and the verdict."""
        if self._plain:
            for line in plain_table(COLUMNS, rows(tally)):
                self._print(Text(line))
        else:
            self._console.print(_rich_table(tally))
        good = not tally.broken_promises()
        for line in verdict(tally):
            style = "bold green" if good else "bold red"
            self._print(Text(one_line(line), style="" if self._plain else style))

    def _print(self, text: Text) -> None:
        # On a pipe whole and unwrapped: somebody may search it.
        self._console.print(text, highlight=False, soft_wrap=self._plain)


class LiveLoad:
    """The table, drawn again while requests come and go."""

    def __init__(self, tally: LoadTally, console: Console) -> None:
        self._tally = tally
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
        self._live.update(Group(_rich_table(self._tally), Text(pace(self._tally), style="bold")))


class PlainLoad:
    """A line now and then."""

    def __init__(self, tally: LoadTally, line: Callable[[str], None]) -> None:
        self._tally = tally
        self._line = line
        self._next = time.monotonic() + PLAIN_INTERVAL_S

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def update(self) -> None:
        """Say how it goes, if that was long ago."""
        if time.monotonic() >= self._next:
            self._next += PLAIN_INTERVAL_S
            self._line(pace(self._tally))


def pace(tally: LoadTally) -> str:
    """How much is done, against how much could be."""
    return (
        f"{tally.seconds:.1f} s: {tally.goodput_per_s:.0f} served a second: "
        f"{100 * tally.goodput_share:.0f} % of what the workers did before"
    )


def rows(tally: LoadTally) -> list[list[str]]:
    """One row for each priority, the most important first."""
    return [
        [
            priority.name,
            f"{one.offered:,}",
            f"{len(one.served_s):,}",
            f"{100 * one.served_share:.1f} %" if one.ended else "-",
            f"{len(one.shed_s):,}" if one.shed_s else "-",
            _seconds(percentile(one.shed_s, 0.5)),
            f"{one.failed:,}" if one.failed else "-",
            _milliseconds(percentile(one.served_s, 0.5)),
            _milliseconds(percentile(one.served_s, 0.99)),
        ]
        for priority, one in tally.priorities.items()
    ]


def verdict(tally: LoadTally) -> list[str]:
    """What it all amounts to."""
    low = tally.priorities[Priority.LOW]
    lines = []
    for priority in PROTECTED:
        one = tally.priorities[priority]
        lines.append(
            f"{priority.name}: {len(one.served_s):,} of {one.ended:,} served "
            f"({100 * one.served_share:.1f} %)"
        )
    lines.append(
        f"LOW: {len(low.shed_s):,} of {low.ended:,} shed with Overloaded, each told when to ask "
        f"again (half of them after {_seconds(percentile(low.shed_s, 0.5))} or less)"
    )
    share = tally.goodput_share
    busy = "the workers stayed busy" if share >= GOODPUT_MIN else "the workers were idle at times"
    lines.append(
        f"{tally.goodput_per_s:.0f} served a second, {100 * share:.0f} % of the "
        f"{tally.capacity_per_s:.0f} before: {busy}"
    )
    broken = tally.broken_promises()
    if broken:
        return [*lines, *(f"NOT kept: {sentence}" for sentence in broken)]
    total = sum(one.ended for one in tally.priorities.values())
    return [*lines, f"{counted(total, 'request')}: what mattered was done, the rest was told so"]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value * 1000:.0f} ms"


def _rich_table(tally: LoadTally) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "priority" else "right", no_wrap=True)
    for row in rows(tally):
        table.add_row(*row, style=_style(row))
    return table


def _style(row: Sequence[str]) -> str:
    protected = row[0] in {priority.name for priority in PROTECTED}
    return "green" if protected else ""
