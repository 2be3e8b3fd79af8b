"""A whole node as a value: facts cross between its planes, what is left is for the driver."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mreza.config.mesh import MeshConfig
from mreza.errors import MeshError, NoSuchProcess, OutboxFull, PayloadError
from mreza.events import EpochRaised, LinkUp, WorkMoved
from mreza.ids import NodeId, boot_of
from mreza.machine import earliest
from mreza.planes.core import CLOCK_JUMP_S, NodeCore
from mreza.planes.effects import (
    Announce,
    CloseLink,
    Dropped,
    InboundData,
    NodeDoubted,
    NodeLost,
    PeerRestarted,
    RaiseEpoch,
    RoutesChanged,
    RoutesLead,
    SendFrame,
    WorkLost,
)
from mreza.planes.service import SendRequest, SendResponse
from mreza.sim.node import SimNode
from mreza.sim.world import World
from mreza.wire.frame import FrameType
from mreza.wire.packet import Request, Response, Status
from mreza.wire.records import AgedRecord

PEER = NodeId(b"p" * 16)


@pytest.fixture
def world() -> World:
    return World(seed=4)


@pytest.fixture
def alone(world: World) -> NodeCore:
    (node,) = world.add("a")
    world.run(seconds=1)
    return node.core


@pytest.fixture
def pair(world: World) -> tuple[SimNode, SimNode]:
    a, b = world.line("a", "b")
    world.run_until(world.agree, within_s=5)
    return a, b


def test_a_message_goes_through_the_whole_node(world: World, pair: tuple[SimNode, SimNode]) -> None:
    a, b = pair
    a.send("b", "hello")
    world.run(seconds=1)
    assert [(entry[0], entry[-1]) for entry in b.handled] == [(a.id, "hello")]


def test_a_call_crosses_both_planes_of_both_nodes(
    world: World, pair: tuple[SimNode, SimNode]
) -> None:
    a, b = pair
    b.process("double", lambda value: 2 * value)
    call = a.call("double", 21)
    world.run_until(lambda: call in a.outcomes, within_s=5)
    outcome = a.outcomes[call]
    assert msgspec.msgpack.decode(outcome.result) == 42
    assert outcome.node == b.id
    assert outcome.message is not None
    assert outcome.message[0] == a.core.epoch


def test_a_worker_that_is_lost_ends_its_calls(world: World, pair: tuple[SimNode, SimNode]) -> None:
    a, b = pair
    b.handler_s = 100.0
    b.process("slow", lambda value: value)
    call = a.call("slow", None)
    world.run(seconds=1)
    world.crash("b")
    world.run_until(lambda: call in a.outcomes, within_s=10)
    assert a.outcomes[call].error is not None


def test_an_unknown_frame_costs_the_peer_its_link(alone: NodeCore) -> None:
    alone.frame(PEER, 99, b"", now=1002.0)
    assert alone.drain() == [CloseLink(PEER, "malformed", "frame type 99 after the hello")]
    assert alone.offences == {"malformed": 1}


def test_a_malformed_record_costs_the_peer_its_link(
    world: World, pair: tuple[SimNode, SimNode]
) -> None:
    a, b = pair
    a.core.frame(b.id, FrameType.RECORDS, b"\xff", now=world.now)
    a.core.frame(b.id, FrameType.DIGEST, b"\xff", now=world.now)
    a.core.advance(now=world.now)
    closed = [effect for effect in a.core.drain() if isinstance(effect, CloseLink)]
    assert [effect.code for effect in closed] == ["malformed"] * 2
    assert a.core.offences == {"malformed": 2}


def test_a_control_frame_that_gave_way_is_counted_and_made_up_for(
    world: World, pair: tuple[SimNode, SimNode]
) -> None:
    a, b = pair
    a.core.frame_dropped(b.id, FrameType.DIGEST, b"", now=world.now)
    assert a.core.drops == {"control_frame": 1}
    world.run(seconds=31)
    assert world.agree()


def test_an_envelope_that_gave_way_is_counted(world: World, pair: tuple[SimNode, SimNode]) -> None:
    a, b = pair
    sent: list[tuple[str, bytes]] = []
    world.taps.append(
        lambda way, kind, body: (
            sent.append((way.source.name, body)) if kind == FrameType.ENVELOPE else None
        )
    )
    b.send("a", "x")
    world.run(seconds=1)
    body = next(body for sender, body in sent if sender == "b")
    a.core.frame_dropped(b.id, FrameType.ENVELOPE, body, now=world.now)
    a.core.advance(now=world.now)
    assert a.core.drops == {"link_queue_full": 1}


def test_a_refused_introduction_is_believed_like_any_record(
    world: World, pair: tuple[SimNode, SimNode]
) -> None:
    _, b = pair
    (c,) = world.add("c")
    newest = b.core.control.newest_introduction(b.id)
    assert newest is not None
    c.core.offer(AgedRecord(newest.record, 0.0), now=world.now)
    c.core.advance(now=world.now)
    assert b.id in c.core.control.members


@pytest.mark.parametrize("raises", ["data_destination", "payload"])
def test_a_request_that_cannot_be_sent_ends_its_call(
    world: World, pair: tuple[SimNode, SimNode], monkeypatch: pytest.MonkeyPatch, raises: str
) -> None:
    a, b = pair
    b.process("echo", lambda value: value)
    world.run(seconds=1)

    def refuse(*_: Any, **__: Any) -> None:
        raise PayloadError(raises)

    monkeypatch.setattr(a.core.data, "send_request", refuse)
    call = a.call("echo", 1, timeout_s=2)
    world.run_until(lambda: call in a.outcomes, within_s=5)
    assert a.outcomes[call].error is not None


def test_offers_reach_the_mesh_and_calls_that_wait_for_them(
    world: World, pair: tuple[SimNode, SimNode]
) -> None:
    a, b = pair
    call = a.call("late", 5)
    world.run(seconds=1)
    assert call not in a.outcomes
    b.process("late", lambda value: value)
    world.run_until(lambda: call in a.outcomes, within_s=5)
    assert a.outcomes[call].error is None


def test_a_call_that_nobody_offers_says_so(world: World, pair: tuple[SimNode, SimNode]) -> None:
    a, _ = pair
    call = a.call("nobody", None, timeout_s=1)
    world.run_until(lambda: call in a.outcomes, within_s=5)
    assert isinstance(a.outcomes[call].error, NoSuchProcess)


def test_a_raised_epoch_seals_and_signs_anew_and_doubles_nothing(
    world: World, pair: tuple[SimNode, SimNode]
) -> None:
    a, b = pair
    before, prekeys = a.core.epoch, a.core.sealing.prekeys()
    a.send("b", "under way")
    a.core.epoch_raised(boot_of(before) + 5, now=world.now)
    assert boot_of(a.core.epoch) == boot_of(before) + 5
    assert a.core.sealing.prekeys() != prekeys
    world.wake(a)
    world.run(seconds=2)
    assert b.core.control.epoch_of(a.id) == a.core.epoch
    assert [entry[-1] for entry in b.handled] == ["under way"]
    assert [event for event in a.events if isinstance(event, EpochRaised)]
    assert b.handled[0][1] == before


def test_a_hello_with_our_key_asks_the_driver_for_a_higher_epoch(alone: NodeCore) -> None:
    alone.own_key_said_hello(alone.epoch + (7 << 32), uptime_s=1.0, now=1002.0)
    alone.advance(now=1002.0)
    assert [e for e in alone.drain() if isinstance(e, RaiseEpoch)] == [
        RaiseEpoch(boot_of(alone.epoch) + 8)
    ]


def test_a_jump_of_the_clock_replaces_the_sealing_keys(alone: NodeCore) -> None:
    wall = alone.control.wall_offset_s
    prekeys = alone.sealing.prekeys()
    alone.clocks(now=1002.0, wall=1002.0 + wall + CLOCK_JUMP_S - 1)
    assert alone.sealing.prekeys() == prekeys
    alone.clocks(now=1003.0, wall=1003.0 + wall + 3 * CLOCK_JUMP_S)
    assert alone.sealing.prekeys() != prekeys
    assert alone.control.wall_offset_s == pytest.approx(wall + 3 * CLOCK_JUMP_S)


def test_prekeys_are_replaced_in_time_and_published(
    world: World, pair: tuple[SimNode, SimNode]
) -> None:
    a, b = pair
    before = b.core.control.prekey_of(a.id)
    assert before is not None
    world.run(seconds=MeshConfig().security.prekey_lifetime_s * 1.5)
    after = b.core.control.prekey_of(a.id)
    assert after is not None
    assert after != before


def test_what_one_plane_says_reaches_the_others(
    alone: NodeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[Any, ...]] = []

    def note(name: str) -> Any:
        return lambda *given, **named: heard.append((name, *given, *named.values()))

    for plane, names in (
        (alone.data, ("routes_changed", "peer_restarted", "node_lost")),
        (alone.service, ("offers_changed", "peer_restarted", "node_doubted", "node_lost")),
    ):
        for name in names:
            monkeypatch.setattr(plane, name, note(f"{type(plane).__name__}.{name}"))
    for effect in (
        RoutesChanged(),
        PeerRestarted(PEER, 9, same_process=True),
        NodeDoubted(PEER, "suspect"),
        NodeLost(PEER, "gone"),
        Dropped("hop_limit", 2),
        Dropped("hop_limit"),
    ):
        alone._said.append(effect)
    alone._settle(5.0)
    assert heard == [
        ("DataPlane.routes_changed", 5.0),
        ("ServicePlane.offers_changed", 5.0),
        ("DataPlane.peer_restarted", PEER, True, 5.0),
        ("ServicePlane.peer_restarted", PEER, True, 5.0),
        ("ServicePlane.node_doubted", PEER, "suspect"),
        ("DataPlane.node_lost", PEER, 5.0),
        ("ServicePlane.node_lost", PEER, "gone", 5.0),
    ]
    assert alone.drops == {"hop_limit": 3}
    assert alone.drain() == [RoutesLead(())]


def test_what_planes_do_not_handle_is_for_the_driver_in_order(alone: NodeCore) -> None:
    event = Announce(LinkUp(at=1.0, peer=PEER, label="p", address="x:1", dialed=True))
    data = InboundData(PEER, 1, 1, 1, 0, b"\x90", 5)
    frame = SendFrame(PEER, 1, b"", 1)
    for effect in (event, data, frame):
        alone._said.append(effect)
    alone._settle(5.0)
    assert alone.drain() == [event, data, frame]
    assert alone.drain() == []


def test_calls_that_a_lost_worker_had_are_an_event(
    world: World, pair: tuple[SimNode, SimNode]
) -> None:
    a, b = pair
    a.core._said.append(WorkLost(b.id, "gone", 17, 2))
    a.core._settle(5.0)
    (announced,) = [e for e in a.core.drain() if isinstance(e, Announce)]
    assert isinstance(announced.event, WorkMoved)
    assert (announced.event.label, announced.event.moved, announced.event.failed) == ("b", 17, 2)


def test_a_node_that_restarts_is_given_work_once_it_has_said_who_it_is(world: World) -> None:
    a, b, c, d = world.line("a", "b", "c", "d")
    world.link("d", "a")
    for node in (b, c, d):
        node.process("p", lambda value: value)
    world.run_until(world.agree, within_s=5)
    world.crash("b")
    world.run_until(lambda: b.id not in a.core.control.offering("p"), within_s=20)
    before = sum(isinstance(event, WorkMoved) for event in a.events)
    calls: list[int] = []

    def call() -> None:
        calls.append(a.call("p", 1))
        world.wake(a)
        world.after(0.002, call)

    call()
    world.restart("b")
    world.run(seconds=1)
    assert sum(isinstance(event, WorkMoved) for event in a.events) == before
    assert any(entry.node == b.id for entry in map(a.outcomes.get, calls) if entry is not None)
    assert all(entry.error is None for entry in map(a.outcomes.get, calls) if entry is not None)


def test_a_request_refused_by_the_data_plane_is_told_to_the_service_plane(
    alone: NodeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, str]] = []
    monkeypatch.setattr(
        alone.service, "not_sent", lambda number, error, **_: told.append((number, str(error)))
    )

    def refuse(*_: Any, **__: Any) -> None:
        raise PayloadError("too big")

    monkeypatch.setattr(alone.data, "send_request", refuse)
    monkeypatch.setattr(alone.service, "wants", lambda _: True)
    request = Request(7, "x", msgspec.Raw(b"\xc0"), 30_000)
    alone._said.append(SendRequest(PEER, request, 1))
    alone._settle(5.0)
    assert told == [(7, "too big")]


def test_a_node_that_restarts_in_the_turn_in_which_it_is_asked_is_asked_once(
    world: World, pair: tuple[SimNode, SimNode]
) -> None:
    """Its routes are heard of first: the call is placed, and then lost, before it was sent."""
    a, b = pair
    world.cut("a", "b")
    world.run(seconds=1)
    call = a.call("", 1, node="b", to_handler=True)
    world.run(seconds=0.1)
    a.core.link_up(b.id, peer_epoch=b.core.epoch, rtt_s=0.01, now=world.now)
    a.core._said += [RoutesChanged(), PeerRestarted(b.id, b.core.epoch + 1, same_process=False)]
    asked: list[int] = []
    a.core.data.send_request = (  # type: ignore[method-assign]
        lambda _node, request, **_: asked.append(request.id)
    )
    a.core.advance(now=world.now)
    assert len(asked) <= 1
    assert call not in a.outcomes


@pytest.mark.parametrize(
    ("error", "tries", "drops"),
    [(PayloadError("too big"), 2, {}), (OutboxFull("full"), 1, {"response_not_taken": 1})],
)
def test_an_answer_that_cannot_be_sent_becomes_a_failure_or_is_counted(
    alone: NodeCore,
    monkeypatch: pytest.MonkeyPatch,
    error: MeshError,
    tries: int,
    drops: dict[str, int],
) -> None:
    sent: list[Response] = []

    def send(_: NodeId, response: Response, **__: Any) -> None:
        sent.append(response)
        if len(sent) == 1:
            raise error

    monkeypatch.setattr(alone.data, "send_response", send)
    response = Response(7, Status.OK, msgspec.Raw(b"\xc0"))
    alone._said.append(SendResponse(PEER, response, 1, 5))
    alone._settle(5.0)
    assert len(sent) == tries
    assert sent[-1].status == (Status.OK if tries == 1 else Status.BAD_PAYLOAD)
    assert alone.drops == drops


def test_a_cancelled_call_is_cancelled_at_its_worker(
    world: World, pair: tuple[SimNode, SimNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    b.handler_s = 50.0
    b.process("slow", lambda value: value)
    call = a.call("slow", None)
    world.run_until(lambda: bool(b.core.service.stats["work_running"]), within_s=5)
    heard: list[tuple[NodeId, int]] = []
    monkeypatch.setattr(
        b.core.service,
        "receive_cancel",
        lambda source, *, stream_epoch, **_: heard.append((source, stream_epoch)),
    )
    a.core.service.cancel(call)
    world.wake(a)
    world.run_until(lambda: bool(heard), within_s=5)
    assert heard == [(a.id, a.core.epoch)]


def test_the_next_deadline_is_the_earliest_of_all_machines(
    alone: NodeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for machine in (alone.sealing, alone.control, alone.service):
        monkeypatch.setattr(machine, "next_deadline", lambda: 7000.0)
    monkeypatch.setattr(alone.data, "next_timeout", lambda: 5000.0)
    alone._alarm.at = 0.0
    alone.advance(now=2000.0)
    assert alone.next_deadline() == 5000.0


def test_nobody_is_asked_before_somebody_has_something_to_do(
    alone: NodeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(alone.data, "advance", lambda *, now: asked.append(now))
    alone.advance(now=2000.0)
    asked.clear()
    due = alone.next_deadline()
    assert due is not None
    alone.advance(now=due - 0.001)
    assert asked == []
    alone.advance(now=due)
    assert asked == [due]


def test_the_alarm_never_rings_later_than_a_machine_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    late: list[tuple[float, float | None]] = []

    def drain(core: NodeCore) -> list[Any]:
        wanted = earliest(
            core.sealing.next_deadline(),
            core.control.next_deadline(),
            core.data.next_deadline(),
            core.service.next_deadline(),
        )
        rings = core.next_deadline()
        if wanted is not None and (rings is None or rings > wanted):
            late.append((wanted, rings))
        effects, core._out = core._out, []
        return effects

    monkeypatch.setattr(NodeCore, "drain", drain)
    world = World(seed=7)
    world.line("a", "b", "c", loss=0.2)
    b, c = world.nodes["b"], world.nodes["c"]
    b.handler_s = c.handler_s = 0.05
    for node in (b, c):
        node.process("work", lambda value: value, idempotent=True)
    world.run(seconds=2)
    a = world.nodes["a"]
    calls = [a.call("work", number, timeout_s=number / 10 + 0.01) for number in range(40)]
    for number in range(20):
        a.send("c", number)
    world.run(seconds=0.2)
    world.crash("b")
    world.run(seconds=10)
    assert all(call in a.outcomes for call in calls)
    assert late == []
