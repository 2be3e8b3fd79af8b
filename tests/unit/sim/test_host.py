"""Ports, clocks and life of a simulated host."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from mreza.sim.host import FIRST_FREE_PORT, LAST_PORT, SimMachine
from mreza.sim.memory_socket import ANY
from mreza.sim.net_loop import SimLoop

WALL = 1_800_000_000.0


@pytest.fixture
def machine() -> Iterator[SimMachine]:
    loop = SimLoop(Random(1))  # noqa: S311
    yield loop.net.add("a", lan="lan", folder=Path("/a"), wall=WALL, rng=Random(1))  # noqa: S311
    loop.close()


def stream(machine: SimMachine) -> socket.socket:
    return machine.process.open_socket(socket.AF_INET, socket.SOCK_STREAM)


def test_free_ports_count_up_and_leave_out_those_taken(machine: SimMachine) -> None:
    first, second, third = (stream(machine) for _ in range(3))
    second.bind((ANY, FIRST_FREE_PORT))
    first.bind(("", 0))
    assert first.getsockname() == (ANY, FIRST_FREE_PORT + 1)
    with pytest.raises(OSError, match="Address already in use"):
        third.bind(("10.0.0.1", FIRST_FREE_PORT))
    second.close()
    third.bind(("10.0.0.1", FIRST_FREE_PORT))
    machine.process._next_port = LAST_PORT
    assert [machine.process.free_port() for _ in range(2)] == [LAST_PORT, FIRST_FREE_PORT]


@pytest.mark.parametrize("host", ["10.0.0.2", "somewhere"])
def test_only_own_addresses_can_be_had(machine: SimMachine, host: str) -> None:
    with pytest.raises(OSError, match="a has no address"):
        stream(machine).bind((host, 80))


def test_there_is_no_ipv6(machine: SimMachine) -> None:
    with pytest.raises(OSError, match="IPv4 only"):
        machine.process.open_socket(socket.AF_INET6, socket.SOCK_STREAM)
    assert list(machine.process.interfaces(socket.AF_INET6)) == []


def test_a_wall_clock_may_be_wrong_and_the_other_never(machine: SimMachine) -> None:
    clock = machine.clock
    before = clock.monotonic()
    assert clock.wall() == WALL + before
    clock.skew_s = 60
    assert clock.wall() == WALL + before + 60
    assert clock.monotonic() == before


def test_chance_is_that_of_the_seed(machine: SimMachine) -> None:
    host = machine.process
    assert host.random().random() != host.random().random()
    machine.rng = Random(7)  # noqa: S311
    first = host.random().random()
    machine.rng = Random(7)  # noqa: S311
    assert host.random().random() == first


def test_the_environment_says_where_state_is_kept(machine: SimMachine) -> None:
    machine.environment["MREZA_LISTEN"] = "0.0.0.0:9"
    assert machine.process.environment() == {
        "MREZA_STATE": "/a/state",
        "MREZA_LISTEN": "0.0.0.0:9",
    }


def test_what_waits_for_power_is_called_when_it_is_back(machine: SimMachine) -> None:
    called: list[str] = []
    machine.when_up(lambda: called.append("now"))
    machine.process.die(silently=True)
    machine.when_up(lambda: called.append("later"))
    assert called == ["now"]
    dead, new = machine.process, machine.process
    new = machine.new_process()
    assert called == ["now", "later"]
    assert new is not dead
    assert machine.process is new


def test_a_dead_process_does_not_thaw(machine: SimMachine) -> None:
    process, loop = machine.process, machine.net.loop
    seen: list[str] = []
    process.freeze()
    loop.call_soon(seen.append, "parked", context=process.context)
    loop.run_until_complete(asyncio.sleep(1))
    process.die(silently=False)
    process.thaw()
    loop.run_until_complete(asyncio.sleep(1))
    assert seen == []


def test_a_host_is_never_busy(machine: SimMachine) -> None:
    busy, all_of_it = machine.process.cpu_times()
    assert busy == machine.process.memory() == 0.0
    assert all_of_it > 0
