"""The library itself: wires do what they are told, and nothing of it is ever left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.netns import Net, why_not
from tests.support.netns.commands import in_namespace
from tests.support.netns.hosts import Host
from tests.support.netns.names import Owner, namespaces, remove_leftovers
from tests.support.netns.neighbours import ENTRIES
from tests.support.processes import ROOT, child_environment

GC_THRESH3 = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3")

MAKE_AND_SLEEP = """
import sys, time
from pathlib import Path
from tests.support.netns import Net
net = Net(Path(sys.argv[1]))
a, b = net.more_hosts(["a", "b"])
net.wire(a, b)
net.lan("lan", [a, b])
import subprocess
subprocess.Popen(["ip", "netns", "exec", a.namespace, "sleep", "1000"], stdout=subprocess.DEVNULL)
print(net.run, net._keeper.pid, flush=True)
time.sleep(1000)
"""


def ping(source: Host, address: str, *, count: int = 1, wait_s: float = 1.0) -> bool:
    """Whether a UDP datagram to a port that nobody has is answered by an ICMP error."""
    code = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"s.settimeout({wait_s}); s.connect(({address!r}, 9))\n"
        "try:\n"
        "    s.send(b'?'); s.recv(1)\n"
        "except ConnectionRefusedError:\n"
        "    sys.exit(0)\n"
        "except OSError:\n"
        "    sys.exit(1)\n"
    )
    command = [*in_namespace(source.namespace), sys.executable, "-c", code]
    return any(
        subprocess.run(command, check=False, timeout=30).returncode == 0 for _ in range(count)
    )


def test_a_wire_delays_cuts_and_counts(own_net: Net) -> None:
    a, b = own_net.more_hosts(["a", "b"])
    wire = own_net.wire(a, b)
    assert ping(a, b.address(a), count=3)
    wire.cut_one_way(b)
    assert not ping(a, b.address(a))
    wire.mend()
    assert ping(b, a.address(b), count=3)
    wire.cut()
    before = wire.counted
    assert not ping(a, b.address(a))
    after = wire.counted
    assert after[0].frames > before[0].frames
    assert after[0].lost > before[0].lost
    wire.mend()
    wire.unplug()
    assert not ping(a, b.address(a))
    wire.mend()
    assert ping(a, b.address(a), count=3)


def test_a_lan_splits_in_two_and_heals(own_net: Net) -> None:
    a, b, c = own_net.more_hosts(["a", "b", "c"])
    lan = own_net.lan("lan", [a, b, c])
    assert ping(a, b.address("lan"), count=3)
    assert ping(a, c.address("lan"), count=3)
    lan.split([c])
    assert ping(a, b.address("lan"), count=3)
    assert not ping(a, c.address("lan"))
    lan.heal()
    assert ping(a, c.address("lan"), count=3)


def test_closing_leaves_nothing_and_puts_the_neighbour_table_back(tmp_path: Path) -> None:
    if refusal := why_not():
        pytest.skip(refusal)
    before = GC_THRESH3.read_text()
    with Net(tmp_path) as net:
        net.lan("lan", net.more_hosts(["a", "b"]))
        assert int(GC_THRESH3.read_text()) == ENTRIES
        run = net.run
        assert len(namespaces(f"{run}.")) == 3
    assert not namespaces(f"{run}.")
    others = [name for name in namespaces() if not name.startswith(f"{run}.")]
    assert others or GC_THRESH3.read_text() == before


@pytest.mark.parametrize("ended", ["killed", "told to end with its children", "keeper and all"])
def test_what_a_killed_test_leaves_is_taken_away(tmp_path: Path, ended: str) -> None:
    if refusal := why_not():
        pytest.skip(refusal)
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE_AND_SLEEP, str(tmp_path)],
        cwd=ROOT,
        env=child_environment(tmp_path),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        run, keeper = process.stdout.readline().decode().split()
        assert len(namespaces(f"{run}.")) == 3
        if ended == "killed":
            process.kill()
        elif ended == "keeper and all":
            os.kill(int(keeper), signal.SIGSTOP)
            process.kill()
            os.kill(int(keeper), signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGTERM)
    if ended == "keeper and all":
        assert set(namespaces(f"{run}.")) <= set(remove_leftovers())
    eventually(lambda: not namespaces(f"{run}."), "the namespaces are gone")


def test_the_living_keep_their_namespaces(own_net: Net) -> None:
    own_net.host("a")
    assert Owner.this_process().is_alive()
    remove_leftovers()
    assert len(namespaces(f"{own_net.run}.")) == 2
