"""The command line against real nodes: what it prints, its JSON, its exit statuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.eventually import GENEROUS_S, eventually
from tests.support.processes import ROOT, NodeProcess, Processes, child_environment, done, mreza

WORKER = "tests.support.apps:worker"


def told(*arguments: str, state: Path) -> Any:
    """The JSON of a command that must have worked."""
    return json.loads(done(mreza(*arguments, "--json", state=state)))


@pytest.fixture
def pair(processes: Processes, tmp_path: Path) -> tuple[NodeProcess, NodeProcess]:
    """Nodes a and b of one mesh, in state directories of their own; b joined with a token."""
    first, second = tmp_path / "first", tmp_path / "second"
    a = processes.up("a", state=first, app=WORKER)
    done(mreza("join", done(mreza("invite", state=first)), "--name", "b", state=second))
    b = processes.up("b", state=second, peers=[a.listen], app=WORKER)
    a.sees("a", "b")
    b.sees("a", "b")
    return a, b


def test_a_mesh_from_init_to_leave(processes: Processes, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    made = told("init", "--mesh", "greenhouse", "--name", "a", state=first)
    assert made["mesh_name"] == "greenhouse"
    again = mreza("init", state=first)
    assert (again.returncode, again.stdout) == (1, "")
    assert "holds the mesh 'greenhouse' already" in again.stderr

    a = processes.up("a", state=first)
    assert a.node_id == made["node"]
    invited = told("invite", "--ttl", "5m", "--uses", "2", state=first)
    assert invited["addresses"] == [a.listen]
    joined = told("join", invited["token"], "--name", "b", state=second)
    assert (joined["mesh"], joined["name"]) == (made["mesh"], "b")
    # It was told no peer: it finds the mesh where it was let in.
    b = processes.up("b", state=second)
    assert b.node_id == joined["node"]
    a.sees("b")

    assert done(mreza("leave", "--reason", "moved", state=second)) == "left"
    assert b.wait() == 0
    states = {node["name"]: node for node in told("nodes", state=first)}
    assert states["b"]["state"] == "left"
    assert "moved" in states["b"]["cause"]


def test_a_token_from_standard_input_stays_out_of_the_history(
    processes: Processes, tmp_path: Path
) -> None:
    processes.up("a", state=tmp_path / "first")
    token = done(mreza("invite", state=tmp_path / "first"))
    ended = subprocess.run(
        [sys.executable, "-m", "mreza", "join", "-", "--name", "b"],
        cwd=ROOT,
        env=child_environment(tmp_path / "second"),
        input=f"{token[:60]}\n{token[60:]}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "joined mesh" in done(ended)


def test_reading_commands_say_the_same_in_json_and_in_words(
    pair: tuple[NodeProcess, NodeProcess],
) -> None:
    a, b = pair
    state = a.state
    status = told("status", state=state)
    assert (status["node"], status["name"], status["pid"]) == (a.node_id, "a", a.pid)
    assert {"mesh", "version", "members", "links", "health", "certificate", "http"} <= status.keys()
    assert (status["listen"], status["state"]) == ([a.listen], str(state / "nodes" / "a"))
    assert a.node_id in done(mreza("status", state=state))

    nodes = {node["name"]: node for node in told("nodes", state=state)}
    assert nodes["b"]["id"] == b.node_id
    assert nodes["b"]["state"] == "alive"
    assert "echo" in nodes["b"]["offers"]
    assert {"cause", "since_s"} <= nodes["b"].keys()
    assert b.node_id in done(mreza("nodes", state=state))

    (link,) = told("links", state=state)
    assert (link["peer"], link["name"], link["state"]) == (b.node_id, "b", "up")
    assert link["dialed"] is False
    assert link["rtt_ms"] > 0
    assert link["cost"] >= 1
    assert b.node_id in done(mreza("links", state=state))

    (route,) = told("routes", state=state)
    assert (route["destination"], route["next_hop"]) == (b.node_id, b.node_id)
    assert (route["name"], route["hops"]) == ("b", 1)
    assert b.node_id in done(mreza("routes", state=state))

    ping = told("ping", "b", "-c", "5", "-i", "0.01", state=state)
    assert (ping["sent"], ping["received"]) == (5, 5)
    rtt = ping["rtt_ms"]
    assert 0 < rtt["min"] <= rtt["p50"] <= rtt["p99"] <= rtt["max"]
    words = done(mreza("ping", b.node_id, "-c", "2", "-i", "0", state=state)).splitlines()
    assert len(words) == 3
    assert "2 sent, 2 answered" in words[-1]

    (hop,) = told("trace", "b", state=state)["path"]
    assert (hop["node"], hop["name"]) == (b.node_id, "b")
    assert hop["rtt_ms"] > 0
    assert b.node_id in done(mreza("trace", "b", state=state))

    events = [
        json.loads(line) for line in done(mreza("events", "--json", state=state)).splitlines()
    ]
    assert any(event["event"] == "link_up" and event["peer"] == b.node_id for event in events)
    assert all(event["at"] > 0 for event in events)
    assert len(done(mreza("events", "-n", "1", state=state)).splitlines()) == 1


def test_calls_and_messages_go_to_other_nodes(
    pair: tuple[NodeProcess, NodeProcess], tmp_path: Path
) -> None:
    a, b = pair
    state = a.state
    answer = told("call", "who", "--node", "b", state=state)
    assert (answer["node"], answer["attempts"]) == (b.node_id, 1)
    assert answer["result"]["pid"] == b.pid
    assert 0 < answer["latency_s"] < GENEROUS_S
    assert done(mreza("call", "double", "--payload", "21", state=state)) == "42"
    file = tmp_path / "payload.json"
    file.write_text('{"a": [1, null, "ž"]}')
    echoed = done(mreza("call", "echo", "--payload", f"@{file}", "--node", "b", state=state))
    assert json.loads(echoed) == {"a": [1, None, "ž"]}

    receipt = told("send", "b", "--payload", '"hello"', state=state)
    assert (receipt["node"], receipt["result"]) == (b.node_id, "hello")
    assert receipt["path"] == [a.node_id, b.node_id]
    done(mreza("send", "b", "--bytes", "--payload", "raw", "--no-wait", state=state))
    eventually(lambda: b.output("messages").count(b"\n") == 2, "both messages have come")
    assert b"b'raw'" in b.output("messages")


@pytest.mark.parametrize(
    ("arguments", "words", "kind"),
    [
        (["call", "fail", "--payload", '"bad luck"'], "ValueError on node", "ValueError"),
        (["call", "echo", "--node", "nobody"], "no node is named 'nobody'", "UnknownNode"),
        (["call", "nonsense", "--timeout", "0.3"], "nonsense", "NoSuchProcess"),
        (["call", "sleep", "--payload", "5", "--timeout", "0.3"], "0.3", "DeadlineExceeded"),
    ],
)
def test_a_call_that_fails_exits_1_and_says_why(
    arguments: list[str], words: str, kind: str, pair: tuple[NodeProcess, NodeProcess]
) -> None:
    ended = mreza(*arguments, "--json", state=pair[0].state)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert words in ended.stderr
    answer = json.loads(ended.stdout)
    assert answer["type"] == kind
    assert words in answer["error"]
    assert "may_have_run" in answer
    assert ("Traceback" in str(answer["traceback"])) == (kind == "ValueError")


def test_a_drained_node_finishes_its_work_and_its_callers_notice_nothing(
    pair: tuple[NodeProcess, NodeProcess],
) -> None:
    a, b = pair
    calling = [sys.executable, "-m", "mreza", "call", "sleep", "--payload", "2.5", "--node", "b"]
    with subprocess.Popen(
        calling, cwd=ROOT, env=child_environment(a.state), stdout=subprocess.PIPE, text=True
    ) as call:
        eventually(lambda: b.snapshot()["work_running"] == 1, "b works")
        ended = mreza("drain", "--timeout", "0.1", state=b.state)
        assert ended.returncode == 1
        assert "1 handler still runs on b after 0.1 s; it stays" in ended.stderr
        assert told("status", state=b.state)["drained"] is True
        assert call.poll() is None
        # Nobody asks it any more: this would have gone to both in turn.
        for _ in range(4):
            assert told("call", "who", state=a.state)["node"] == a.node_id
        drained = told("drain", state=b.state)
        assert (drained["running"], drained["left"], drained["node"]) == (0, True, "b")
        assert call.stdout is not None
        assert json.loads(call.stdout.read()) == 2.5
        assert call.wait(GENEROUS_S) == 0
    assert b.wait() == 0
    states = {node["name"]: node for node in told("nodes", state=a.state)}
    assert (states["b"]["state"], states["b"]["cause"]) == ("left", "drained")


def test_an_unknown_node_is_answered_at_once(pair: tuple[NodeProcess, NodeProcess]) -> None:
    for command in ("ping", "trace", "send"):
        ended = mreza(command, "nobody", state=pair[0].state)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "no node is named 'nobody'" in ended.stderr
        assert ended.stderr.count("\n") == 1


def test_events_are_followed(pair: tuple[NodeProcess, NodeProcess]) -> None:
    a, b = pair
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "mreza", "events", "--follow", "--json"],
        cwd=ROOT,
        env=child_environment(a.state),
        stdout=subprocess.PIPE,
        text=True,
    ) as following:
        try:
            assert following.stdout is not None
            # What has happened comes first; then it listens.
            names = {json.loads(following.stdout.readline())["event"]}
            assert b.stop() == 0
            while "link_down" not in names:
                names.add(json.loads(following.stdout.readline())["event"])
            assert "link_up" in names
            following.send_signal(signal.SIGINT)
            assert following.wait(GENEROUS_S) == 130
        finally:
            following.kill()


def test_of_several_local_nodes_one_is_named(processes: Processes, state_dir: Path) -> None:
    a = processes.up("a", state=state_dir)
    b = processes.up("b", state=state_dir)
    a.sees("b")
    ended = mreza("status", state=state_dir)
    assert ended.returncode == 2
    assert "several nodes run in" in ended.stderr
    assert told("status", "--node", "b", state=state_dir)["node"] == b.node_id
    assert told("--node", "a", "status", state=state_dir)["node"] == a.node_id
    assert told("ping", "b", "-c", "1", "--via", "a", state=state_dir)["received"] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_says_ready_once_and_ends_within_two_seconds(
    processes: Processes, state_dir: Path, number: signal.Signals
) -> None:
    node = processes.up("a", state=state_dir)
    started = time.monotonic()
    os.kill(node.pid, number)
    assert node.wait() == 0
    took_s = time.monotonic() - started
    (line,) = (node.folder / "out").read_text().splitlines()
    assert re.fullmatch(rf"ready node={node.node_id} listen=127\.0\.0\.1:\d+", line)
    assert took_s < 2.0
    logged = [json.loads(line) for line in node.log.splitlines()]
    assert any(entry["event"] == "stopping" for entry in logged)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--app", "no_such_module:x"], 2, "no module 'no_such_module'"),
        (["--app", "tests.support.apps:workr"], 2, "did you mean 'worker'"),
        (["--listen", "127.0.0.1:99999"], 2, "99999"),
        (["--listen", "192.0.2.77:7467"], 1, "mreza: cannot listen on 192.0.2.77:7467"),
        (["--name", "a b"], 2, "'a b'"),
        (["--config", "/no/such.toml"], 2, "/no/such.toml"),
    ],
)
def test_up_explains_in_one_line_why_it_does_not_start(
    arguments: list[str], status: int, words: str, state_dir: Path
) -> None:
    ended = mreza("up", *arguments, state=state_dir)
    assert ended.returncode == status
    assert ended.stdout == ""
    assert words in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_node_that_runs_already_is_not_started_again(
    processes: Processes, state_dir: Path
) -> None:
    processes.up("a", state=state_dir)
    ended = mreza("up", "--name", "a", state=state_dir)
    assert ended.returncode == 1
    assert "running already" in ended.stderr


def demo(*arguments: str, state: Path) -> tuple[int, dict[str, Any]]:
    """Exit status and JSON of a demo; what it showed a person goes to the test's output."""
    ended = mreza("demo", "--json", *arguments, state=state, timeout_s=120.0)
    print(ended.stderr)
    return ended.returncode, json.loads(ended.stdout)


def test_the_demo_survives_the_loss_of_a_worker_and_of_a_relay(state_dir: Path) -> None:
    files = sorted((ROOT / "src" / "mreza").rglob("*.py"))
    status, told = demo(str(ROOT / "src" / "mreza"), state=state_dir)
    assert status == 0
    assert (told["agreed"], told["total"], told["all_agreed"]) == (len(files), len(files), True)
    sender, relay, far, far_too, detour = told["nodes"]
    assert sender["files"] == 0
    assert sum(node["files"] for node in told["nodes"]) == len(files)
    assert all(node["files"] for node in (relay, far, far_too, detour))
    assert detour["forwarded_envelopes"] >= far_too["files"]
    assert sender["forwarded_envelopes"] == 0
    assert [node["restarts"] for node in told["nodes"]] == [0, 1, 1, 0, 0]
    pids = [pid for node in told["nodes"] for pid in node["pids"]]
    assert len(set(pids)) == 7
    assert len(told["slowest"]) == 5

    worker_loss, relay_loss = told["killed"]
    assert (worker_loss["node"], worker_loss["part"]) == ("node-3", "worker")
    assert (relay_loss["node"], relay_loss["part"]) == ("node-2", "relay")
    for loss in (worker_loss, relay_loss):
        assert loss["killed_s"] < loss["noticed_s"] < loss["back_s"]
    assert told["moved"] >= 1
    way = told["rerouted"][0]
    assert (way["node"], way["before"], way["after"]) == ("node-3", "node-2", "node-5")
    said = [event["text"] for event in told["events"]]
    assert "node-3 lost (gone)" in said
    assert "node-3 now via node-5" in said
    assert not state_dir.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_in_a_calm_demo_half_of_the_files_cross_a_relay(state_dir: Path) -> None:
    status, told = demo("--calm", str(ROOT / "src" / "mreza" / "planes"), state=state_dir)
    assert status == 0
    assert told["killed"] == told["rerouted"] == []
    assert 0.45 <= told["forwarded_share"] <= 0.55
    _, relay, far, far_too, detour = told["nodes"]
    assert relay["forwarded_envelopes"] >= far["files"]
    assert detour["forwarded_envelopes"] >= far_too["files"]
    assert detour["forwarded_bytes"] > far_too["bytes"]


def test_the_demo_notices_a_lie(state_dir: Path) -> None:
    status, told = demo("--falsify", str(ROOT / "src" / "mreza" / "wire"), state=state_dir)
    assert status == 1
    assert len(told["differing"]) == 1
    assert "lines" in told["differing"][0]


def test_the_demo_takes_what_is_no_python(tmp_path: Path, state_dir: Path) -> None:
    (tmp_path / "empty.py").touch()
    (tmp_path / "noise.bin").write_bytes(os.urandom(100_000))
    os.mkfifo(tmp_path / "pipe")
    names = [str(tmp_path / name) for name in ("empty.py", "noise.bin", "pipe")]
    status, told = demo(*names, state=state_dir)
    assert status == 0
    assert told["agreed"] == 2
    assert [text.partition(": ")[2] for text in told["skipped"]] == ["not a regular file"]


def test_an_overloaded_mesh_sheds_low_work_and_keeps_what_matters(state_dir: Path) -> None:
    status, told = demo("--load", "--seconds", "3", state=state_dir)
    assert status == 0
    assert told["kept"]
    low = told["priorities"]["LOW"]
    assert low["shed"] > 0
    assert low["retry_after_s"] > 0
    for name in ("CRITICAL", "HIGH"):
        priority = told["priorities"][name]
        assert priority["served"] >= 0.99 * priority["offered"] > 0
    for priority in told["priorities"].values():
        ended = priority["served"] + priority["shed"] + priority["failed"]
        assert ended == priority["offered"]
    assert not state_dir.exists()


@pytest.mark.parametrize("moment", ["set up", "killed with kill -9"])
def test_an_interrupted_demo_leaves_nothing(moment: str, state_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "mreza", "demo"],
        cwd=ROOT,
        env=child_environment(state_dir, {"TMPDIR": str(folder)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        pids = []
        for line in process.stdout:
            if found := re.search(r"runs: pid (\d+)", line):
                pids.append(int(found[1]))
            if moment in line:
                break
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(GENEROUS_S) == 130
    assert len(pids) == 5
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert list(folder.glob("mreza-demo-*")) == []
    assert list(folder.rglob("*.sock")) == []
