"""The demo's bookkeeping: who did what, who differs, and what the verdict is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mreza.cli.demo.measure import Measurement, measure
from mreza.cli.demo.tally import NodeTally, Tally
from mreza.cli.demo.view import View, complaints, node_rows, shortened, slowest_rows, verdict
from mreza.cli.demo.worker import Report

A, B, C = "id-a", "id-b", "id-c"


def tally_of(total: int) -> Tally:
    nodes = [NodeTally(name, f"id-{name}", 100 + place) for place, name in enumerate("abc")]
    return Tally(nodes, total=total)


def report(source: bytes, *, pid: int = 101, seconds: float = 0.1) -> Report:
    return Report(measurement=measure(source), pid=pid, seconds=seconds)


def add(tally: Tally, path: str, *, node: str, seconds: float = 0.1, functions: int = 1) -> None:
    source = b"".join(b"def f%d(): pass\n" % number for number in range(functions))
    pid = tally.nodes[node].pid
    tally.add(
        path,
        node=node,
        report=report(source, pid=pid, seconds=seconds),
        expected=measure(source),
    )


def test_files_count_for_the_node_that_measured_them() -> None:
    tally = tally_of(3)
    add(tally, "x.py", node=B)
    add(tally, "y.py", node=C, functions=2)
    add(tally, "z.py", node=C)
    assert [node.files for node in tally.nodes.values()] == [0, 1, 2]
    assert tally.crossed(B) == 2
    assert (tally.agreed, tally.lines, tally.functions) == (3, 4, 4)
    assert tally.all_agreed


def test_the_slowest_are_kept_slowest_first() -> None:
    tally = tally_of(20)
    for number in range(20):
        add(tally, f"{number}.py", node=B, seconds=number / 100)
    assert [row[-1] for row in slowest_rows(tally)] == ["19.py", "18.py", "17.py", "16.py", "15.py"]


@pytest.mark.parametrize("spoil", ["differ", "fail", "wrong process", "miss"])
def test_one_spoiled_result_is_enough_for_a_bad_end(spoil: str) -> None:
    tally = tally_of(2)
    add(tally, "x.py", node=B)
    if spoil == "differ":
        expected: Measurement = {**measure(b"x = 1\n"), "lines": 2}
        tally.add("y.py", node=C, report=report(b"x = 1\n", pid=102), expected=expected)
        assert tally.differing == ["y.py: node c says lines 1 instead of 2"]
    elif spoil == "wrong process":
        source = b"x = 1\n"
        tally.add("y.py", node=C, report=report(source, pid=7), expected=measure(source))
        assert tally.differing == ["y.py: process 7 answered for node c, which is process 102"]
    elif spoil == "fail":
        tally.failed.append("y.py: NoRoute")
    assert not tally.all_agreed
    assert "NOT all agree" in verdict(tally, relay=B, seconds=1.0)[-1]


def test_what_cannot_be_sent_is_told_but_is_no_disagreement() -> None:
    tally = tally_of(2)
    add(tally, "x.py", node=B)
    tally.skipped.append("y.py: Permission denied")
    assert tally.all_agreed
    assert "; 1 file not sent" in verdict(tally, relay=B, seconds=1.0)[-1]
    assert complaints(tally) == ["not sent: y.py: Permission denied"]


def test_nothing_measured_is_not_a_success() -> None:
    tally = tally_of(1)
    tally.skipped.append("y.py: Permission denied")
    assert not tally.all_agreed
    assert tally.to_json(seconds=1.0, relay=B)["forwarded_share"] is None


def test_the_json_has_three_pids_and_the_share_that_was_forwarded() -> None:
    tally = tally_of(4)
    for path, node in (("w", B), ("x", C), ("y", B), ("z", C)):
        add(tally, path, node=node)
    told = tally.to_json(seconds=1.23456, relay=B)
    assert [node["pid"] for node in told["nodes"]] == [100, 101, 102]
    assert told["forwarded_share"] == 0.5
    assert [node["forwarded_files"] for node in told["nodes"]] == [0, 2, 0]
    assert (told["all_agreed"], told["seconds"]) == (True, 1.235)


def test_long_lists_of_complaints_are_cut() -> None:
    tally = tally_of(50)
    tally.failed += [f"{number}.py: no" for number in range(50)]
    assert complaints(tally)[-1] == "and 40 more"


def test_rows_say_who_sends_who_works_and_who_forwards() -> None:
    tally = tally_of(2)
    add(tally, "x.py", node=B)
    add(tally, "y.py", node=C)
    tally.nodes[B].forwarded_envelopes, tally.nodes[B].forwarded_bytes = 4, 2048
    rows = node_rows(tally, relay=B)
    assert [row[2] for row in rows] == ["sends", "works, forwards", "works"]
    assert rows[1][-2:] == ["1 file (50 %)", "4 (2.0 KiB)"]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_whole_outcome_is_shown_on_terminals_and_pipes(terminal: bool) -> None:
    out = io.StringIO()
    view = View(Console(file=out, force_terminal=terminal, width=120))
    tally = tally_of(1)
    view.step("set up")
    view.note("begin")
    with view.progress(tally) as progress:
        progress.update(relay=B)
        add(tally, "some/where/deep/x.py", node=C)
        progress.update(relay=B)
    view.outcome(tally, relay=B, seconds=2.0)
    said = out.getvalue()
    for words in ("set up", "102", "1 file (100 %)", "agrees with what was computed without"):
        assert words in said
    if not terminal:
        assert "1 of 1 file (100 %)" in said
        assert "\x1b" not in said


def test_paths_are_shortened_to_what_tells_them_apart() -> None:
    assert shortened("/usr/lib/python3/json/decoder.py") == "…/python3/json/decoder.py"
    assert shortened("x.py") == "x.py"
