"""Networks of the tests here; each is skipped, with the reason, where none can be made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.netns import Net, why_not
from tests.support.netns.members import Member
from tests.support.netns.shapes import on_a_lan, ring_with_chords, whole


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """One net for the tests of a module: to start many nodes takes longer than most tests."""
    if refusal := why_not():
        pytest.skip(refusal)
    with Net(tmp_path_factory.mktemp("net")) as made:
        yield made


@pytest.fixture
def own_net(tmp_path: Path) -> Iterator[Net]:
    """A net of one test."""
    if refusal := why_not():
        pytest.skip(refusal)
    with Net(tmp_path / "net") as made:
        yield made


@pytest.fixture(scope="module")
def ring_members(net: Net) -> dict[str, Member]:
    return ring_with_chords(net)


@pytest.fixture
def ring(net: Net, ring_members: dict[str, Member]) -> Iterator[dict[str, Member]]:
    """Six nodes in a ring with two chords, whole before and after."""
    whole(net, ring_members)
    yield ring_members
    whole(net, ring_members)


@pytest.fixture(scope="module")
def lan_members(net: Net) -> list[Member]:
    """Eight nodes with default settings on one LAN."""
    return on_a_lan(net, 8)[1]
