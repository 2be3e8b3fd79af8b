"""What each command prints, word for word, asked of a fake node over a real control socket."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mreza.cli import output
from mreza.cli.main import exit_status
from mreza.errors import RemoteError, WorkerLost
from mreza.node.control_endpoint import control_path
from mreza.node.control_socket import ControlSocket
from tests.support.fake_node import ME, PEER, FakeNode, link_up


@pytest.fixture
def node(state_dir: Path) -> Iterator[FakeNode]:
    """A fake node whose control socket is served by a thread: commands run their own loop."""
    folder = state_dir / "nodes" / "a"
    folder.mkdir(parents=True, mode=0o700)
    fake = FakeNode()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake-node")
    thread.start()

    async def open_socket() -> ControlSocket:
        control = ControlSocket(fake, control_path(folder))
        await control.open()
        return control

    control = asyncio.run_coroutine_threadsafe(open_socket(), loop).result(10)
    yield fake
    asyncio.run_coroutine_threadsafe(control.close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


pytestmark = pytest.mark.usefixtures("node")


@pytest.mark.parametrize(
    ("typed", "lines"),
    [
        (
            ["nodes"],
            [
                "NAME      STATE    SINCE   OFFERS  CAUSE   ID",
                f"a (here)  alive    12 s    -       -       {ME}",
                f"b         suspect  200 ms  x       silent  {PEER}",
            ],
        ),
        (
            ["links"],
            [
                "NAME  STATE  RTT      COST  DIALED BY  ADDRESS      PEER",
                f"b     up     0.25 ms  96    us         127.0.0.1:2  {PEER}",
            ],
        ),
        (
            ["routes"],
            ["TO  THROUGH  HOPS  COST  DESTINATION", f"b   b        1     96    {PEER}"],
        ),
        (
            ["ping", "b", "-c", "2", "-i", "0"],
            [
                "b #1: 1.00 ms",
                "b #2: 1.00 ms",
                "2 sent, 2 answered; min 1.00 ms, p50 1.00 ms, p99 1.00 ms, max 1.00 ms",
            ],
        ),
        (["call", "x"], ['"done"']),
        (["send", "b"], ["handled by b after 500.0 ms", '"done"']),
        (["send", "b", "--no-wait"], ["waiting to be sent to b"]),
        (["leave"], ["left"]),
        (["leave", "--json"], ["{", '  "node": "a",', '  "left": true', "}"]),
        (["events"], []),
    ],
)
def test_a_command_prints_lines_that_can_be_searched(
    typed: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(typed) == 0
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.parametrize(
    ("typed", "still_running", "status", "said", "left"),
    [
        ([], [2, 1, 0], 0, ["2 handlers still run", "it has left and stopped"], ["drained"]),
        (["--reason", "disk"], [0], 0, ["nothing runs there", "has left"], ["disk"]),
        (["--stay"], [1, 0], 0, ["1 handler still runs", "it stays, without work"], []),
        (["--timeout", "7"], [3, 3], 1, ["3 handlers still run on a after 7 s"], []),
        (["--json"], [3, 3], 1, ['"running": 3', '"left": false'], []),
        (["--json"], [0], 0, ['"node": "a"', '"left": true'], ["drained"]),
    ],
)
def test_draining_tells_what_runs_and_how_it_ended(
    *,
    typed: list[str],
    still_running: list[int],
    status: int,
    said: list[str],
    left: list[str],
    node: FakeNode,
    capsys: pytest.CaptureFixture[str],
) -> None:
    node.still_running = still_running
    assert exit_status(["drain", *typed]) == status
    printed = capsys.readouterr()
    for words in said:
        assert words in printed.out + printed.err
    assert node.left == left
    if "--json" in typed:
        json.loads(printed.out)


def test_status_is_one_fact_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"node  {ME}", "name  a"]
    assert lines[2].startswith("pid   ")


def test_a_trace_that_does_not_arrive_shows_the_way_and_exits_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_status(["trace", "z"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "HOP  NAME  RTT      NODE",
        f"1    b     2.00 ms  {PEER}",
        f"2    z     -        {ME}",
    ]


def test_nothing_to_show_is_said(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    node.links, node.routes = [], []
    assert exit_status(["links"]) == 0
    assert exit_status(["routes"]) == 0
    assert capsys.readouterr().out.splitlines() == ["no links", "no routes"]


def test_past_events_are_one_line_each(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    for label in "xy":
        node.hub.emit(link_up(label))
    assert exit_status(["events", "--last", "1"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "link_up" in line
    assert "label=y" in line
    assert exit_status(["events", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["label"], second["label"]) == ("x", "y")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            WorkerLost("node b vanished", may_have_run=True),
            {"error": "node b vanished", "type": "WorkerLost", "may_have_run": True},
        ),
        (
            RemoteError("bad", type_name="ValueError", traceback_text="Traceback…", node="b"),
            {
                "error": "ValueError on node b: bad",
                "type": "ValueError",
                "may_have_run": True,
                "traceback": "Traceback…",
            },
        ),
    ],
)
def test_a_failed_call_says_why_on_both_outputs(
    error: Exception,
    told: dict[str, object],
    node: FakeNode,
    capsys: pytest.CaptureFixture[str],
) -> None:
    node.error = error
    assert exit_status(["call", "x", "--json"]) == 1
    said = capsys.readouterr()
    assert said.err == f"mreza: {told['error']}\n"
    answer = json.loads(said.out)
    assert {"traceback": None, **told} == answer


def test_a_ping_without_an_answer_exits_1(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def silent(_: str, *, timeout_s: float) -> list[float | None]:
        return [None]

    monkeypatch.setattr(node, "ping", silent)
    assert exit_status(["ping", "b", "-c", "1", "--timeout", "2"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "b #1: no answer within 2 s",
        "1 sent, 0 answered; min -, p50 -, p99 -, max -",
    ]


def test_an_interrupted_ping_sums_up(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(line: str) -> None:
        print(line)
        if "#2" in line:
            raise KeyboardInterrupt

    monkeypatch.setattr(output, "say", interrupted)
    assert exit_status(["ping", "b", "-c", "100", "-i", "0"]) == 0
    assert "2 sent, 2 answered" in capsys.readouterr().out.splitlines()[-1]


def test_tables_fit_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    assert exit_status(["nodes"]) == 0
    said = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert str(PEER) in said
    assert "suspect" in said
    assert max(map(len, said.splitlines())) <= 100


def test_a_reader_that_goes_away_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(_: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(output, "say", gone)
    monkeypatch.setattr("os.dup2", lambda *_: 0)
    monkeypatch.setattr("sys.stdout.fileno", lambda: 1)
    assert exit_status(["links", "--json"]) == 1
    assert capsys.readouterr().err == ""
