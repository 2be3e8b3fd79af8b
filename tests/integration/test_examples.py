"""Every file of examples/ runs as its reader would run it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Processes, child_environment, done, mreza

EXAMPLES = ROOT / "examples"
TIMEOUT_S = 60.0


def run(name: str, state: Path) -> str:
    ended = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        env=child_environment(state),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout


def test_the_mesh_of_the_request(state_dir: Path) -> None:
    shown = run("request_mesh.py", state_dir)
    assert re.search(r"^mesh    [a-z2-7]{26}$", shown, re.MULTILINE)
    assert re.search(r"^node    [a-z2-7]{26} \(.+\)$", shown, re.MULTILINE)
    assert re.search(r"^listens 127\.0\.0\.1:\d+$", shown, re.MULTILINE)
    # The state directory holds the mesh: a second run finds it and is the same node.
    assert run("request_mesh.py", state_dir).splitlines()[:2] == shown.splitlines()[:2]


def test_the_message_of_the_request(state_dir: Path) -> None:
    shown = run("request_message.py", state_dir)
    asker, worker = (
        re.search(rf"^{words} +([a-z2-7]{{26}}) in process (\d+)$", shown, re.MULTILINE)
        for words in ("this is node", "answered by")
    )
    assert asker is not None
    assert worker is not None
    assert asker.group(1) != worker.group(1)
    assert asker.group(2) != worker.group(2)
    assert "sum 15 after" in shown
    assert "link to worker at 127.0.0.1:" in shown


def test_the_load_balancer_of_the_request(state_dir: Path) -> None:
    shown = run("request_load_balancer.py", state_dir)
    assert "alone: attached=False; " in shown
    assert "LoadBalancer(mesh=mesh)" in shown
    assert "alone: the work goes to right; left gets no new work" in shown
    assert "mesh: 2 × 21 = 42" in shown
    assert "mesh: attached=True; nodes one, two" in shown


def test_hello(state_dir: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "hello_worker.py")],
        env=child_environment(state_dir),
        stderr=subprocess.PIPE,
    )
    try:
        assert run("hello_caller.py", state_dir) == "Hello, world!\n"
    finally:
        worker.send_signal(signal.SIGINT)
        worker.communicate(timeout=TIMEOUT_S)


def test_messages_plain_and_with_a_receipt(state_dir: Path) -> None:
    assert run("messages.py", state_dir).splitlines() == [
        "1000 readings, in order: True",
        "handled by True, result 1001",
        "ValueError; a ValueError here, too: True",
    ]


def test_work_and_the_ways_in_which_it_fails(state_dir: Path) -> None:
    shown = run("work.py", state_dir)
    assert "waited 0.1 s at attempt 1\n[320, 240] from worker: True, attempt 1\n" in shown
    assert "[160, 120]\nthe handler raised: ValueError on node " in shown
    for name in ("PayloadError", "DeadlineExceeded", "NoSuchProcess"):
        assert f"{name}: a MeshError, True" in shown


def test_three_nodes_in_a_line(state_dir: Path) -> None:
    assert run("line.py", state_dir).splitlines() == [
        "HELLO",
        "links of a: ['b']",
        "way to c: ['b', 'c']",
        "forwarded by b: True",
    ]


def test_events_are_heard(state_dir: Path) -> None:
    shown = run("events.py", state_dir).splitlines()
    assert shown[-2:] == ["guest is alive (joined)", "guest is left (going home)"]


def test_workers_are_what_a_node_offers(processes: Processes, state_dir: Path) -> None:
    # "workers.py"
    node = processes.up("w", state=state_dir, app="examples.workers:register")

    def call(process: str, payload: str) -> str:
        return done(mreza("call", process, "--payload", payload, state=node.state))

    assert json.loads(call("count-words", '"a rose is a rose"')) == {"a": 2, "rose": 2, "is": 1}
    assert json.loads(call("resize", '{"width": 640, "height": 480}')) == [320, 240]
    assert call("wait", "0.01") == f'"waited 0.01 s for {node.node_id}"'
    raw = done(mreza("call", "sha256", "--bytes", "--payload", "", state=node.state))
    assert json.loads(raw).startswith("e3b0c44298fc1c14")
    assert "thank you" in done(mreza("send", "w", "--payload", '"hello"', state=node.state))


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{example.name}"' in text for example in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("hello_*.py")))
def test_hello_is_short_enough_to_be_read(name: str) -> None:
    lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line]) <= 12


@pytest.mark.parametrize(
    ("name", "passed", "failed"), [("test_orders.py", 0, 3), ("test_orders_mended.py", 3, 0)]
)
def test_a_shop_with_a_bug_is_found_out_and_a_mended_one_is_not(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    passed: int,
    failed: int,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    pytester.path.joinpath(name).write_text((EXAMPLES / name).read_text())
    done = pytester.runpytest_subprocess(
        "-p", "mreza.sim.pytest_plugin", "-p", "no:asyncio", "--mesh-seed", "0..2"
    )
    done.assert_outcomes(passed=passed, failed=failed)
    if failed:
        done.stdout.fnmatch_lines(["*assert * == [[]0, 1, 2, 3,*", "*crash desk1*"])


def test_the_shop_is_found_out_in_eight_lines() -> None:
    text = (EXAMPLES / "test_orders.py").read_text()
    body = text.split("async def test_every_order_is_booked_once", 1)[1].splitlines()[1:]
    assert len(body) == 8


def test_a_simulation_without_pytest(state_dir: Path) -> None:
    first, healed, doubled = run("simulate.py", state_dir).splitlines()
    assert first == "at 600 s a sees ['a', 'b'], c sees ['c']"
    assert re.fullmatch(r"one mesh again after \d+\.\d s", healed)
    assert doubled == "c doubles 21 for a: 42"
