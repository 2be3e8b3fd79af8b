"""The balancer alone, and over a mesh."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mreza.balancing.endpoint import NodeLoad
from mreza.config.load_balancer import Strategy
from mreza.errors import ConfigError, NotRunning, UnknownNode
from mreza.events import MemberState
from mreza.ids import NodeId
from mreza.node.load_balancer import LoadBalancer

A, B, C = (NodeId(letter * 16) for letter in (b"a", b"b", b"c"))


class Member(msgspec.Struct, frozen=True):
    id: NodeId
    name: str
    state: MemberState = MemberState.ALIVE


class Mesh:
    """What the balancer sees of a mesh."""

    def __init__(self, *members: Member) -> None:
        self._members = members
        self.running = True
        self.balancers: list[Any] = []

    @property
    def members(self) -> list[Member]:
        if not self.running:
            raise NotRunning("not yet")
        return list(self._members)

    def use_load_balancer(self, load_balancer: Any) -> None:
        self.balancers.append(load_balancer)


async def test_alone_it_says_that_it_is_not_attached_and_how_to() -> None:
    report = await LoadBalancer(strategy=Strategy.ROUND_ROBIN, threshold=0.8).optimize()
    assert report.attached is False
    assert "LoadBalancer(mesh=mesh)" in report.advice[0]
    assert "MeshNetwork(load_balancer=balancer)" in report.advice[0]


async def test_alone_it_balances_what_it_is_fed() -> None:
    balancer = LoadBalancer(threshold=0.5)
    balancer.update(NodeLoad("a", in_flight=6, capacity=10))
    balancer.update(NodeLoad("b"))
    lease = balancer.acquire()
    assert lease.node == "b"
    lease.succeeded(0.01)
    assert balancer.why("a").startswith("a gets no new work while above 50%")
    report = await balancer.optimize()
    assert report.overloaded == ("a",)
    assert not report.attached
    balancer.remove("a")
    assert list((await balancer.optimize()).nodes) == ["b"]
    with pytest.raises(UnknownNode):
        balancer.acquire(exclude=("b",))


async def test_given_a_mesh_it_balances_its_living_members() -> None:
    mesh = Mesh(Member(B, "beta"), Member(A, "alpha"), Member(C, "gone", MemberState.FAILED))
    balancer = LoadBalancer(mesh=mesh)
    assert mesh.balancers == [balancer]
    assert [balancer.acquire().node for _ in range(3)] == [A, B, A]
    report = await balancer.optimize()
    assert report.attached
    assert {load.name for load in report.nodes.values()} == {"alpha", "beta"}
    assert list(report.nodes) == [A, B]
    assert report.nodes[A].in_flight == 2
    assert "alpha" in str(report)


async def test_before_its_mesh_runs_there_is_nobody_to_pick() -> None:
    mesh = Mesh(Member(A, "alpha"))
    mesh.running = False
    balancer = LoadBalancer()
    balancer.attach(mesh)
    report = await balancer.optimize()
    assert report.attached
    assert report.nodes == {}
    with pytest.raises(UnknownNode):
        balancer.acquire()


@pytest.mark.parametrize("options", [{"strategy": "prequal"}, {"threshold": 0}, {"threshold": 2}])
def test_what_does_not_exist_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        LoadBalancer(**options)


def test_its_settings_can_be_read() -> None:
    balancer = LoadBalancer("round_robin", 0.7)
    assert (balancer.strategy, balancer.threshold) == (Strategy.ROUND_ROBIN, 0.7)
