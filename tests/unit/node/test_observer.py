"""What a node says about itself; whole nodes over a network without sockets."""

from __future__ import annotations

import pytest

from mreza import __version__
from mreza.events import MemberState
from mreza.node.observer import Observer
from tests.support import whole_nodes
from tests.support.eventually import eventually_async
from tests.support.fake_net import FakeNetwork
from tests.support.whole_nodes import nodes


@pytest.fixture(autouse=True)
async def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    return whole_nodes.install(monkeypatch)


async def test_members_links_and_routes_are_sorted_by_name() -> None:
    async with nodes("m", "z", "a") as (middle, last, first):
        observer = middle._node.observer
        await eventually_async(lambda: len(observer.links()) == len(observer.routes()) == 2)
        members = observer.members(now=middle._node.now)
        assert [(info.name, info.me) for info in members] == [
            ("a", False),
            ("m", True),
            ("z", False),
        ]
        assert all(info.state is MemberState.ALIVE and info.since_s >= 0 for info in members)
        assert all(info.version == __version__ for info in members)
        assert [link.peer for link in observer.links()] == [first.node_id, last.node_id]
        assert [route.destination for route in observer.routes()] == [first.node_id, last.node_id]
        assert {route.hops for route in observer.routes()} == {1}


async def test_a_link_that_was_not_measured_yet_has_no_time() -> None:
    async with nodes("a", "b") as (a, _):
        observer = a._node.observer
        await eventually_async(lambda: observer.links()[0].rtt_ms)
        (link,) = a._node.links._up.all()
        assert link.session is not None
        link.session.rtt.smoothed_s = None
        assert observer.links()[0].rtt_ms is None


async def test_what_the_mesh_does_for_itself_is_not_offered_to_programs() -> None:
    async with nodes("a") as (a,):

        @a.process("work")
        async def work(_: int) -> None: ...

        assert a._node.core.service.registry.offers()
        await eventually_async(lambda: a.members[0].offers == ("work",))


async def test_counters_and_status_have_stable_keys() -> None:
    async with nodes("a", "b") as (a, b):
        b.send("a", "no handler there")
        await eventually_async(lambda: a.snapshot()["dropped"] == {"no_handler": 1})
        snapshot = a.snapshot()
        assert {
            "sent_envelopes",
            "received_envelopes",
            "forwarded_envelopes",
            "opened_envelopes",
            "dropped",
            "offences",
            "accepts_refused",
            "outbox_bytes",
            "records",
            "links",
        } <= snapshot.keys()
        assert snapshot["received_envelopes"] > 0
        assert snapshot["balancer"] == {"ejections": 0, "panics": 0, "shed": 0}
        assert snapshot["offences"] == snapshot["accepts_refused"] == {}
        status = a.status()
        assert (status["name"], status["mesh_name"]) == ("a", "mesh")
        assert status["members"]["alive"] == 2
        assert status["members"]["failed"] == 0
        assert status["epoch"] == f"{a._node.core.epoch:016x}"
        assert status["authority"] is True
        assert status["certificate"]["not_after"] > status["certificate"]["not_before"]


async def test_a_node_it_does_not_know_has_its_id_for_a_label() -> None:
    async with nodes("a", "b") as (a, b):
        observer: Observer = a._node.observer
        assert observer.label(b.node_id) == "b"
        stranger = type(b.node_id)(b"s" * 16)
        assert observer.label(stranger) == stranger.short
