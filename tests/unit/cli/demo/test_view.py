"""What a person sees of the demo, on a terminal and in a file."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from mreza.cli.demo.view import View, picture_of
from tests.support.demo import FAR, add, story_of, tally_of


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", [80, 120])
def test_the_whole_outcome_is_shown_on_terminals_and_pipes(*, terminal: bool, width: int) -> None:
    out = io.StringIO()
    view = View(Console(file=out, force_terminal=terminal, width=width))
    tally = tally_of(1)
    story = story_of(tally)
    view.step("set up")
    view.note("begin")
    with view.progress(tally, story) as progress:
        progress.update()
        view.happened(4.25, "node-3 killed with kill -9, a worker (pid 103)")
        view.happened(5.25, "17 tasks of node-3 moved to other nodes")
        add(tally, "some/where/deep/x.py", node=FAR)
        progress.update()
    view.outcome(tally, story, seconds=2.0)
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    for words in (
        "set up",
        "103",
        "100 %",
        "  4.2 s  node-3 killed",
        "17 tasks",
        "agrees with what",
    ):
        assert words in said
    if terminal:
        assert max(map(len, said.splitlines())) <= width
    else:
        assert "1 of 1 file (100 %)" in said
        assert "\x1b" not in out.getvalue()


def test_nodes_that_do_not_run_stand_out_in_the_picture() -> None:
    assert not picture_of([]).spans
    picture = picture_of(["node-3"])
    (span,) = picture.spans
    assert picture.plain[span.start : span.end] == "node-3"
