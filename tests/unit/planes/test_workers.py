"""Who is asked for a call."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mreza.balancing.balancer import Balancer
from mreza.balancing.endpoint import NodeLoad
from mreza.errors import Overloaded
from mreza.ids import NodeId
from mreza.planes.call import Call
from mreza.planes.workers import Workers
from mreza.processes.handlers import ProcessSpec, Registry, idempotent_offer
from mreza.wire.packet import Load
from tests.support.service_bench import ME, A, B, C


class Mesh:
    """Offers and paths in a dictionary."""

    def __init__(self) -> None:
        self.offers: dict[str, tuple[NodeId, ...]] = {"p": (A, B)}
        self.unreachable: list[NodeId] = []
        self.registry = Registry()
        self.balancer = Balancer()
        self.workers = Workers(
            me=ME,
            offering=lambda process: self.offers.get(process, ()),
            path_to=lambda node: () if node in self.unreachable else (ME, node),
            registry=self.registry,
            balancer=self.balancer,
            inbox_requests=10,
        )

    def does(self, name: str, *, idempotent: bool = False) -> None:
        async def handler(payload: Any) -> Any:
            raise NotImplementedError(payload)

        self.registry.register(ProcessSpec(name, handler, idempotent=idempotent))


@pytest.fixture
def mesh() -> Mesh:
    return Mesh()


def call(process: str = "p", node: NodeId | None = None) -> Call:
    made = Call(1, process, msgspec.Raw(b"\xc0"))
    made.node = node
    made.to_handler = not process
    return made


def test_of_ourselves_the_registry_knows_best(mesh: Mesh) -> None:
    assert mesh.workers.of("p") == (A, B)
    mesh.does("p")
    assert mesh.workers.of("p") == (A, B, ME)
    mesh.offers["p"] = (A, ME)
    mesh.registry.unregister("p")
    assert mesh.workers.of("p") == (A,)


def test_who_has_refused_is_not_chosen(mesh: Mesh) -> None:
    one = call()
    one.refused = [A]
    choice = mesh.workers.choose(one, now=0.0)
    assert choice is not None
    assert choice[0] == B
    one.refused = [A, B]
    assert mesh.workers.choose(one, now=0.0) is None


def test_a_given_node_is_chosen_if_it_offers_the_process(mesh: Mesh) -> None:
    choice = mesh.workers.choose(call(node=B), now=0.0)
    assert choice is not None
    assert choice[0] == B
    assert mesh.balancer.load_of(B).in_flight == 1
    assert mesh.workers.choose(call(node=C), now=0.0) is None


def test_a_message_needs_a_path_and_no_lease(mesh: Mesh) -> None:
    assert mesh.workers.choose(call("", C), now=0.0) == (C, None)
    mesh.unreachable.append(C)
    assert mesh.workers.choose(call("", C), now=0.0) is None
    assert mesh.workers.can_reach(ME)


def test_a_second_node_is_another_one_and_costs_a_retry(mesh: Mesh) -> None:
    second = mesh.workers.second(call(), asked=A, now=0.0)
    assert second is not None
    assert second[0] == B
    mesh.offers["p"] = (A,)
    assert mesh.workers.second(call(), asked=A, now=0.0) is None
    mesh.offers["p"] = (A, B)
    while mesh.balancer.may_retry("p", now=0.0):
        pass
    assert mesh.workers.second(call(), asked=A, now=0.0) is None


def test_no_second_is_asked_when_all_others_have_too_much_to_do(mesh: Mesh) -> None:
    mesh.workers.learn(B, Load(20, 10), 0.0)
    assert mesh.workers.second(call(), asked=A, now=0.0) is None
    mesh.workers.learn(A, Load(20, 10), 0.0)
    with pytest.raises(Overloaded):
        mesh.workers.choose(call(), now=0.0)


def test_anybody_may_say_that_work_may_run_twice(mesh: Mesh) -> None:
    one = call()
    assert not mesh.workers.is_idempotent(one, A)
    mesh.offers[idempotent_offer("p")] = (A,)
    assert mesh.workers.is_idempotent(one, A)
    assert not mesh.workers.is_idempotent(one, B)
    mesh.does("p", idempotent=True)
    assert mesh.workers.is_idempotent(one, B)
    one.idempotent = True
    assert mesh.workers.is_idempotent(one, C)
    assert not mesh.workers.is_idempotent(call("", A), A), "a message is no process"


def test_a_doubted_node_is_not_chosen_until_the_doubt_is_over(mesh: Mesh) -> None:
    mesh.offers["p"] = (A, B, C)
    mesh.workers.doubt(A, "suspect")
    assert [chosen(mesh) for _ in range(4)] == [B, C, B, C]
    assert "gets no work: suspect" in mesh.workers.balancer.why(A)
    mesh.workers.doubt(A, "")
    assert A in [chosen(mesh) for _ in range(3)]


def test_another_balancer_hears_of_the_doubts_too(mesh: Mesh) -> None:
    mesh.workers.doubt(A, "suspect")
    mesh.workers.doubt(B, "suspect")
    mesh.workers.lost(B)
    mesh.workers.balancer = Balancer()
    assert "gets no work: suspect" in mesh.workers.balancer.why(A)
    assert "has not heard of it" in mesh.workers.balancer.why(B)


def chosen(mesh: Mesh) -> NodeId:
    choice = mesh.workers.choose(call(), now=0.0)
    assert choice is not None
    return choice[0]


def test_figures_of_the_wire_become_shares_and_seconds(mesh: Mesh) -> None:
    mesh.workers.learn(A, None, 0.0)
    assert mesh.balancer.load_of(A, now=0.0) == NodeLoad(A)
    mesh.workers.learn(A, Load(2, 8, 250, 500, 1500), 0.0)
    assert mesh.balancer.load_of(A, now=0.0) == NodeLoad(
        A, in_flight=2, capacity=8, cpu=0.25, memory=0.5, loop_lag_s=0.0015, room=18
    )
