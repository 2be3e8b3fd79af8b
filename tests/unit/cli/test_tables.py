"""Numbers and rows as people read them."""

from __future__ import annotations

import pytest

from mreza.cli.tables import (
    LINK_COLUMNS,
    NODE_COLUMNS,
    ROUTE_COLUMNS,
    TRACE_COLUMNS,
    duration,
    event_line,
    link_rows,
    milliseconds,
    node_rows,
    ping_summary,
    plain_table,
    route_rows,
    size,
    status_rows,
    trace_rows,
)
from mreza.events import Partitioned, to_json
from tests.support.fake_node import ME, PEER, FakeNode, link_up


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (-0.1, "0 ms"),
        (0.0, "0 ms"),
        (0.85, "850 ms"),
        (1.0, "1 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
        (3600, "1 h"),
        (4 * 86400 + 3 * 3600 + 59, "4 d 3 h"),
    ],
)
def test_a_duration_has_the_two_units_that_matter(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (20 * 1024**2, "20.0 MiB"),
        (3 * 1024**3, "3.0 GiB"),
    ],
)
def test_a_size_has_the_unit_that_fits(count: int, text: str) -> None:
    assert size(count) == text


def test_round_trips_have_two_decimals() -> None:
    assert milliseconds(None) == "-"
    assert milliseconds(0.256) == "0.26 ms"


@pytest.mark.parametrize(
    ("times", "received", "rtt"),
    [
        ([None], 0, {"min": None, "p50": None, "p99": None, "max": None}),
        ([0.002], 1, {"min": 2.0, "p50": 2.0, "p99": 2.0, "max": 2.0}),
        ([0.003, 0.001, None, 0.002], 3, {"min": 1.0, "p50": 2.0, "p99": 3.0, "max": 3.0}),
        (
            [number / 1000 for number in range(1, 201)],
            200,
            {"min": 1.0, "p50": 100.0, "p99": 198.0, "max": 200.0},
        ),
    ],
)
def test_the_summary_of_pings_has_nearest_rank_percentiles(
    times: list[float | None], received: int, rtt: dict[str, float | None]
) -> None:
    assert ping_summary(times) == {"sent": len(times), "received": received, "rtt_ms": rtt}


def test_rows_have_as_many_cells_as_their_columns() -> None:
    node = FakeNode()
    (me, peer) = node_rows([member.to_json() for member in node.members])
    assert me == ["a (here)", "alive", "12 s", "-", "-", str(ME)]
    assert peer == ["b", "suspect", "200 ms", "x", "silent", str(PEER)]
    assert len(me) == len(NODE_COLUMNS)
    (link,) = link_rows([link.to_json() for link in node.links])
    assert link == ["b", "up", "0.25 ms", "96", "us", "127.0.0.1:2", str(PEER)]
    assert len(link) == len(LINK_COLUMNS)
    (route,) = route_rows([route.to_json() for route in node.routes])
    assert route == ["b", "b", "1", "96", str(PEER)]
    assert len(route) == len(ROUTE_COLUMNS)
    (hop,) = trace_rows([{"node": str(PEER), "name": "b", "rtt_ms": None}])
    assert hop == ["1", "b", "-", str(PEER)]
    assert len(hop) == len(TRACE_COLUMNS)


def test_what_is_not_measured_yet_is_a_dash() -> None:
    link = FakeNode().links[0].to_json() | {"rtt_ms": None, "cost": None, "dialed": False}
    del link["address"]
    assert link_rows([link]) == [["b", "up", "-", "-", "them", "-", str(PEER)]]


def test_the_status_is_one_fact_a_row_without_what_is_not_known() -> None:
    status = {
        "node": "n",
        "health": None,
        "http": {},
        "certificate": {"role": "member", "not_after": 1_700_000_000.0, "days": 3.5},
        "authority": True,
        "listen": ["x:1", "y:2"],
        "counters": [{"a": 1}],
        "peers": [],
    }
    assert status_rows(status) == [
        ["node", "n"],
        ["certificate role", "member"],
        ["certificate not_after", "2023-11-14 22:13 UTC"],
        ["certificate days", "3.5"],
        ["authority", "yes"],
        ["listen", "x:1, y:2"],
        ["counters", "a 1"],
        ["peers", "-"],
    ]


def test_a_partition_is_a_line_with_both_sides_by_name() -> None:
    partition = {
        "ours": ["x"],
        "our_names": ["a", "b"],
        "theirs": ["y"],
        "their_names": ["c", "d"],
        "since_s": 75.0,
    }
    assert status_rows({"partitions": [partition]}) == [
        ["partition", "for 1 min 15 s: here a, b; out of reach c, d"]
    ]
    assert status_rows({"partitions": []}) == []


def test_an_event_of_two_sides_shows_names_and_no_ids() -> None:
    event = Partitioned(
        at=0.0,
        ours=(PEER,),
        theirs=(PEER, PEER),
        our_labels=("a",),
        their_labels=("b", "c"),
        since_s=3.0,
    )
    line = event_line(to_json(event))
    assert "our_labels=a their_labels=b, c" in line
    assert str(PEER) not in line


def test_an_event_is_one_line() -> None:
    line = event_line(to_json(link_up("b\n\x1b[31mred")))
    assert "link_up" in line
    assert f"peer={PEER}" in line
    assert "\n" not in line
    assert "\x1b" not in line


def test_a_plain_table_cuts_nothing_off_and_leaves_no_space_at_the_end() -> None:
    assert plain_table(("name", "id"), [["long name", "1"], ["x", "22\x07"]]) == [
        "NAME       ID",
        "long name  1",
        "x          22",
    ]
