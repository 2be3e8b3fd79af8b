"""The demo's bookkeeping: who did what, and who differs."""

from __future__ import annotations

import pytest

from mreza.cli.demo.measure import Measurement, measure
from mreza.cli.demo.report import complaints, slowest_rows
from mreza.cli.demo.tally import NodeTally
from tests.support.demo import FAR, RELAY, add, report, story_of, tally_of, told


def test_files_count_for_the_node_that_measured_them() -> None:
    tally = tally_of(3)
    add(tally, "x.py", node=RELAY)
    add(tally, "y.py", node=FAR, functions=2)
    add(tally, "z.py", node=FAR)
    assert [node.files for node in tally.nodes.values()] == [0, 1, 2, 0, 0]
    assert (tally.measured, tally.crossed) == (3, 2)
    assert (tally.agreed, tally.lines, tally.functions) == (3, 4, 4)
    assert tally.all_agreed
    assert tally.share(tally.nodes[FAR]) == pytest.approx(2 / 3)


def test_the_slowest_are_kept_slowest_first() -> None:
    tally = tally_of(20)
    for number in range(20):
        add(tally, f"{number}.py", node=RELAY, seconds=number / 100)
    assert [row[-1] for row in slowest_rows(tally)] == ["19.py", "18.py", "17.py", "16.py", "15.py"]


@pytest.mark.parametrize("spoil", ["differ", "fail", "wrong process", "miss"])
def test_one_spoiled_result_is_enough_for_a_bad_end(spoil: str) -> None:
    tally = tally_of(2)
    add(tally, "x.py", node=RELAY)
    if spoil == "differ":
        expected: Measurement = {**measure(b"x = 1\n"), "lines": 2}
        tally.add("y.py", node=FAR, report=report(b"x = 1\n", pid=103), expected=expected)
        assert tally.differing == ["y.py: node-3 says lines 1 instead of 2"]
    elif spoil == "wrong process":
        source = b"x = 1\n"
        tally.add("y.py", node=FAR, report=report(source, pid=7), expected=measure(source))
        assert tally.differing == ["y.py: process 7 answered for node-3, which is process 103"]
    elif spoil == "fail":
        tally.failed.append("y.py: NoRoute")
    assert not tally.all_agreed
    assert "NOT all agree" in told(tally)[-1]


def test_what_cannot_be_sent_is_told_but_is_no_disagreement() -> None:
    tally = tally_of(2)
    add(tally, "x.py", node=RELAY)
    tally.skipped.append("y.py: Permission denied")
    assert tally.all_agreed
    assert "; 1 file not sent" in told(tally)[-1]
    assert complaints(tally) == ["not sent: y.py: Permission denied"]


def test_nothing_measured_is_not_a_success() -> None:
    tally = tally_of(1)
    tally.skipped.append("y.py: Permission denied")
    assert not tally.all_agreed
    assert tally.to_json(seconds=1.0)["forwarded_share"] is None


def test_the_json_has_five_pids_and_the_share_that_was_forwarded() -> None:
    tally = tally_of(4)
    for path, node in (("w", RELAY), ("x", FAR), ("y", RELAY), ("z", FAR)):
        add(tally, path, node=node)
    told = tally.to_json(seconds=1.23456)
    assert [node["pid"] for node in told["nodes"]] == [101, 102, 103, 104, 105]
    assert told["forwarded_share"] == 0.5
    assert (told["all_agreed"], told["seconds"]) == (True, 1.235)


def test_a_node_that_was_started_again_is_one_node_with_two_processes() -> None:
    tally = tally_of(2)
    add(tally, "x.py", node=RELAY)
    node = tally.nodes[RELAY]
    node.forwarded[102] = 10, 1000
    node.pids.append(202)
    node.forwarded[202] = 1, 50
    add(tally, "y.py", node=RELAY)
    assert tally.all_agreed, "both processes may answer for it"
    assert (node.restarts, node.forwarded_envelopes, node.forwarded_bytes) == (1, 11, 1050)
    entry = tally.to_json(seconds=1.0)["nodes"][1]
    assert (entry["pids"], entry["restarts"], entry["files"]) == ([102, 202], 1, 2)


def test_a_node_begins_without_restarts() -> None:
    assert NodeTally("x", "id", [1]).restarts == 0
    assert story_of(tally_of(1)).calm
