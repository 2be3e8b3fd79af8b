"""Every host has a disk, which a crash takes from who wrote to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from random import Random

import pytest

from mreza.node.state import open_node
from mreza.sim.disks import Disks
from mreza.sim.trust import Trust

WALL = 1_800_000_000.0


@pytest.fixture
def disks() -> Iterator[Disks]:
    made = Disks(seed=1, trust=Trust(rng=Random(1), wall=WALL), wall=WALL)  # noqa: S311
    yield made
    made.remove()
    assert not made.folder.exists()


def test_a_node_is_admitted_once_with_a_key_from_the_seed(disks: Disks) -> None:
    disks.admit("a")
    with open_node(disks.of("a") / "state", "a", mesh_name="", wall=WALL) as state:
        key = state.credentials.identity.public_key
        assert state.credentials.authorities == ()
        state.next_boot()
    disks.admit("a")
    with open_node(disks.of("a") / "state", "a", mesh_name="", wall=WALL) as state:
        assert state.credentials.identity.public_key == key
        assert state.next_boot() == 2


def test_whoever_comes_after_a_crash_finds_the_files_and_no_lock(disks: Disks) -> None:
    disks.admit("a")
    dead = open_node(disks.of("a") / "state", "a", mesh_name="", wall=WALL)
    dead.next_boot()
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(str(dead.directory / "control.sock"))
        disks.crashed("a")
    with open_node(disks.of("a") / "state", "a", mesh_name="", wall=WALL) as state:
        assert state.next_boot() == 2
    dead.close()


def test_a_host_without_a_disk_can_crash(disks: Disks) -> None:
    disks.crashed("nobody")
    assert not disks.of("nobody").exists()
