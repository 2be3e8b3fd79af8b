"""What the demo says in the end, in rows and sentences."""

from __future__ import annotations

from mreza.cli.demo.report import (
    complaints,
    loss_rows,
    node_rows,
    shortened,
    slowest_rows,
    verdict,
    way_rows,
)
from mreza.cli.demo.story import Loss, Rerouting
from tests.support.demo import FAR, RELAY, add, story_of, tally_of, told


def test_long_lists_of_complaints_are_cut() -> None:
    tally = tally_of(50)
    tally.failed += [f"{number}.py: no" for number in range(50)]
    assert complaints(tally)[-1] == "and 40 more"


def test_rows_say_who_sends_who_works_and_who_forwards() -> None:
    tally = tally_of(2)
    add(tally, "x.py", node=RELAY)
    add(tally, "y.py", node=FAR)
    tally.nodes[RELAY].forwarded[102] = 4, 2048
    tally.nodes[FAR].pids.append(203)
    story = story_of(tally)
    story.down.append("node-2")
    rows = node_rows(tally, story)
    assert [row[2] for row in rows] == ["sends", "relay", "far end", "far end", "relay"]
    assert rows[1] == ["node-2", "killed", "relay", "1", "50 %", "0.1 s", "4 (2.0 KiB)", "-"]
    assert rows[2] == ["node-3", "203", "far end", "1", "50 %", "0.1 s", "-", "1"]
    assert rows[0][3:5] == ["-", "-"]


def test_losses_and_ways_are_told_with_their_times() -> None:
    story = story_of(tally_of(100), calm=False)
    story.losses.append(Loss("node-3", "worker", 103, 2.0, 3.1, 4.0, moved=17))
    story.losses.append(Loss("node-2", "relay", 102, 5.0))
    story.reroutings.append(Rerouting(5.2, "node-3", "node-2", "node-5"))
    assert loss_rows(story) == [
        ["node-3", "worker", "2.0 s", "1.1 s", "17", "2.0 s"],
        ["node-2", "relay", "5.0 s", "never", "0", "never"],
    ]
    assert way_rows(story) == [["node-3", "5.2 s", "via node-2", "via node-5"]]


def test_the_verdict_says_what_was_survived() -> None:
    tally = tally_of(100)
    add(tally, "x.py", node=FAR)
    story = story_of(tally, calm=False)
    assert "NOT all losses were survived: 0 of 2" in verdict(tally, story, seconds=1.0)
    story.losses += [Loss(name, "worker", 1, 1.0, 2.0, 3.0) for name in ("node-3", "node-2")]
    story.moved = 17
    story.reroutings.append(Rerouting(5.2, "node-3", "node-2", "node-5"))
    said = verdict(tally, story, seconds=1.0)
    assert "2 nodes killed and back: 17 tasks moved, 1 change of way, nothing lost" in said
    assert not any("killed" in line for line in told(tally))


def test_a_long_name_does_not_widen_the_table() -> None:
    tally = tally_of(1)
    add(tally, "some/x.py", node=FAR)
    tally.slowest[0].measurement["longest"] = "f" * 50
    assert slowest_rows(tally)[0][4] == f"{'f' * 19}… (1)"


def test_paths_are_shortened_to_what_tells_them_apart() -> None:
    assert shortened("/usr/lib/python3/json/decoder.py") == "…/python3/json/decoder.py"
    assert shortened("x.py") == "x.py"
