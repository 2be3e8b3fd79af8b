from __future__ import annotations

import pytest

from mreza.ids import NodeId
from mreza.recovery import partition as partition_module
from mreza.recovery.partition import NAMED_AFTER_S, Merged, Parted, PartitionWatch

ME, A, B, C, D, E = (NodeId(bytes([number]) * 16) for number in range(6))


class Mesh:
    """A watch, who is linked to whom, and who is on our side."""

    def __init__(self, *links: tuple[NodeId, NodeId]) -> None:
        self.links = links
        self.ours = [ME]
        self.watch = PartitionWatch(neighbors=self.neighbors, ours=lambda: self.ours)

    def neighbors(self, node: NodeId) -> list[NodeId]:
        pairs = [pair for pair in self.links if node in pair]
        return [b if a == node else a for a, b in pairs]

    def lose(self, *nodes: NodeId, now: float) -> None:
        for node in nodes:
            self.watch.lost(node, now=now)

    def find(self, *nodes: NodeId, now: float) -> None:
        for node in nodes:
            self.watch.found(node, now=now)

    def news(self, *, now: float) -> list[Parted | Merged]:
        self.watch.advance(now=now)
        return self.watch.drain()


@pytest.fixture
def mesh() -> Mesh:
    return Mesh((A, B), (B, C), (C, A), (ME, A), (D, ME))


def test_members_that_went_together_are_named_once_after_three_seconds(mesh: Mesh) -> None:
    mesh.ours = [ME, D]
    mesh.lose(B, A, now=10.0)
    mesh.lose(C, now=10.4)
    assert mesh.watch.next_deadline() == 10.0 + NAMED_AFTER_S
    assert mesh.news(now=12.9) == []
    parted = Parted(ours=(ME, D), theirs=(A, B, C), since=10.0)
    assert mesh.news(now=13.0) == [parted]
    assert mesh.watch.partitions == (parted,)
    assert mesh.news(now=100.0) == []
    assert mesh.watch.next_deadline() is None


def test_a_single_loss_is_no_partition(mesh: Mesh) -> None:
    mesh.lose(A, now=0.0)
    assert mesh.news(now=5.0) == []
    assert mesh.watch.partitions == ()


def test_losses_far_apart_are_told_apart(mesh: Mesh) -> None:
    mesh.lose(A, now=0.0)
    mesh.lose(B, now=1.5)
    assert mesh.news(now=9.0) == []


def test_members_that_were_not_linked_to_each_other_are_on_no_common_side(mesh: Mesh) -> None:
    mesh.lose(A, D, now=0.0)
    assert mesh.news(now=9.0) == []


def test_two_sides_lost_at_once_are_two_partitions() -> None:
    mesh = Mesh((A, B), (C, D))
    mesh.lose(A, B, C, D, now=0.0)
    assert [news.theirs for news in mesh.news(now=3.0) if isinstance(news, Parted)] == [
        (A, B),
        (C, D),
    ]


def test_a_process_that_is_gone_is_on_no_side(mesh: Mesh) -> None:
    mesh.lose(A, B, now=0.0)
    mesh.watch.departed(B)
    assert mesh.news(now=9.0) == []


def test_who_is_back_in_time_was_never_parted(mesh: Mesh) -> None:
    mesh.lose(A, B, now=0.0)
    mesh.find(A, B, now=2.0)
    assert mesh.watch.next_deadline() is None
    assert mesh.news(now=9.0) == []


def test_a_partition_ends_when_the_whole_other_side_is_back(mesh: Mesh) -> None:
    mesh.lose(A, B, C, now=0.0)
    (parted,) = mesh.news(now=3.0)
    assert isinstance(parted, Parted)
    mesh.find(A, now=60.0)
    assert mesh.news(now=60.0) == []
    mesh.find(B, C, now=60.5)
    assert mesh.news(now=60.5) == [Merged(parted, missing=(), at=60.0)]
    assert mesh.watch.partitions == ()
    assert mesh.news(now=99.0) == []


def test_a_partition_ends_without_those_who_do_not_come_back(mesh: Mesh) -> None:
    mesh.lose(A, B, C, now=0.0)
    (parted,) = mesh.news(now=3.0)
    assert isinstance(parted, Parted)
    mesh.find(A, now=60.0)
    assert mesh.watch.next_deadline() == 60.0 + NAMED_AFTER_S
    mesh.find(B, now=61.0)
    assert mesh.news(now=63.0) == [Merged(parted, missing=(C,), at=60.0)]


def test_a_side_whose_processes_are_all_gone_is_forgotten_without_a_merge(mesh: Mesh) -> None:
    mesh.lose(A, B, now=0.0)
    assert len(mesh.news(now=3.0)) == 1
    mesh.watch.departed(A)
    mesh.watch.departed(B)
    assert mesh.news(now=20.0) == []
    assert mesh.watch.partitions == ()


def test_the_mesh_may_part_again_while_it_is_parted() -> None:
    mesh = Mesh((A, B), (C, D))
    mesh.lose(A, B, now=0.0)
    assert len(mesh.news(now=3.0)) == 1
    mesh.lose(C, D, now=100.0)
    assert len(mesh.news(now=103.0)) == 1
    assert [partition.theirs for partition in mesh.watch.partitions] == [(A, B), (C, D)]


def test_only_so_many_lost_members_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_module, "AWAY_MAX", 2)
    mesh = Mesh((A, B), (B, C))
    mesh.lose(A, B, C, now=0.0)
    (parted,) = mesh.news(now=3.0)
    assert isinstance(parted, Parted)
    assert parted.theirs == (B, C)


def test_only_so_many_partitions_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_module, "REMEMBERED_MAX", 1)
    mesh = Mesh((A, B), (C, D))
    mesh.lose(A, B, C, D, now=0.0)
    assert len(mesh.news(now=3.0)) == 2
    assert [partition.theirs for partition in mesh.watch.partitions] == [(C, D)]
