"""The balancer alone, and over a mesh."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mreza.balancing.endpoint import NodeLoad
from mreza.config.load_balancer import LoadBalancerConfig, Strategy
from mreza.errors import ConfigError, NotRunning, Overloaded, UnknownNode
from mreza.events import MemberState
from mreza.ids import NodeId
from mreza.node.load_balancer import LoadBalancer
from mreza.qos import Priority

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


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


def test_its_leases_tell_the_time_at_which_they_end() -> None:
    clock = HandClock()
    balancer = LoadBalancer(Strategy.POWER_OF_TWO, clock=clock)
    balancer.update(NodeLoad("a"))
    balancer.update(NodeLoad("b"))
    leases = [balancer.acquire(exclude=("b",)) for _ in range(5)]
    clock.now += 20.0
    for lease in leases:
        lease.failed(ValueError("broken"))
    clock.now += 20.0
    assert {balancer.acquire().node for _ in range(9)} == {"b"}, "ejected until 150"
    assert "ejected for 10 s more" in balancer.why("a")
    clock.now += 10.0
    balancer.acquire(exclude=("b",)).succeeded(0.1)
    assert "but" not in balancer.why("a")


def test_what_is_old_is_not_believed_and_what_matters_less_is_shed() -> None:
    clock = HandClock()
    balancer = LoadBalancer(threshold=0.5, load_max_age_s=2.0, clock=clock)
    balancer.update(NodeLoad("a", in_flight=6, capacity=10))
    with pytest.raises(Overloaded):
        balancer.acquire(priority=Priority.LOW)
    clock.now += 2.0
    lease = balancer.acquire(priority=Priority.LOW, process="p", strategy="random")
    assert balancer.why(lease) == "work for 'p' went to a by random among 1, with 0 in flight there"


def test_a_section_of_the_settings_makes_one() -> None:
    config = LoadBalancerConfig(
        strategy=Strategy.RANDOM,
        threshold=0.7,
        per_process={"p": Strategy.LEAST_LOADED},
    )
    balancer = LoadBalancer.from_config(config)
    assert (balancer.strategy, balancer.threshold) == (Strategy.RANDOM, 0.7)
    assert balancer.balancer.strategy_for("p") is Strategy.LEAST_LOADED


async def test_optimize_moves_keys_unless_it_is_only_asked_what_it_would() -> None:
    clock = HandClock()
    balancer = LoadBalancer(Strategy.CONSISTENT_HASH, clock=clock)
    for name in "ab":
        balancer.update(NodeLoad(name))
    for number in range(20):
        balancer.acquire(f"k{number}").succeeded(6.0)
    balancer.update(NodeLoad("a", in_flight=9, capacity=10))
    dry = await balancer.optimize(dry_run=True)
    assert dry.dry_run
    assert dry.moves == (await balancer.optimize()).moves
    assert (await balancer.optimize()).moves == ()
