"""What a person sees of an overloaded mesh, on a terminal and in a file."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from mreza.cli.demo import load_view
from mreza.cli.demo.load_view import LoadView, rows, verdict
from tests.unit.cli.demo.test_load_tally import filled


@pytest.mark.parametrize("terminal", [True, False])
def test_the_table_and_the_verdict_are_shown(
    *, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_view, "PLAIN_INTERVAL_S", -1.0)
    out = io.StringIO()
    view = LoadView(Console(file=out, force_terminal=terminal, width=90))
    view.step("worker-1 runs")
    view.note("80 a second")
    tally = filled()
    with view.watch(tally) as live:
        live.update()
    view.outcome(tally)
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    for words in ("worker-1 runs", "80 a second", "CRITICAL", "0.50 s", "served a second"):
        assert words in said
    if terminal:
        assert max(map(len, said.splitlines())) <= 90
    else:
        assert "\x1b" not in out.getvalue()


def test_the_most_important_come_first_and_empty_cells_are_dashes() -> None:
    found = rows(filled())
    assert [row[0] for row in found] == ["CRITICAL", "HIGH", "NORMAL", "LOW"]
    assert found[0] == ["CRITICAL", "100", "100", "100.0 %", "-", "-", "-", "49 ms", "98 ms"]
    assert found[3][4:6] == ["5", "0.50 s"]


def test_a_broken_promise_is_said_last() -> None:
    assert verdict(filled())[-1] == "400 requests: what mattered was done, the rest was told so"
    said = verdict(filled(high_failed=50))
    assert said[-1] == "NOT kept: HIGH: 50.0 % served, promised are 99 %"
