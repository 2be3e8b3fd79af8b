"""The planes joined: what one says, the others hear, and nothing that one refuses ends a turn."""

from __future__ import annotations

import msgspec

from mreza.config.mesh import MeshConfig
from mreza.config.messaging import MessagingConfig
from mreza.errors import OutboxFull, PayloadError
from mreza.messaging.outbox import RESPONSE_BOUND_FACTOR
from mreza.planes.effects import Resolve
from tests.support.world import SimNode, World

KIB = 1024


def pair(config: MessagingConfig) -> tuple[World, SimNode, SimNode]:
    world = World(config=MeshConfig(messaging=config))
    a, b = world.line("a", "b")
    return world, a, b


def outcome(node: SimNode, call_id: int) -> Resolve:
    return node.outcomes[call_id]


def test_answers_that_their_requester_does_not_take_are_counted_and_end_no_turn() -> None:
    world, a, b = pair(MessagingConfig(outbox_bytes=64 * KIB, payload_max=64 * KIB))
    b.process("large", lambda _: bytes(60 * KIB))
    world.run_until(lambda: a.core.control.offering("large") != (), within_s=30)
    calls = [a.call("large", None, timeout_s=60) for _ in range(3 * RESPONSE_BOUND_FACTOR)]
    b.handler_s = 1.0
    world.run(seconds=0.5)
    link = world.link_between("a", "b")
    assert link is not None
    link.loss = 1.0
    world.run(seconds=2)
    assert b.core.drops["response_not_taken"] > 0
    link.loss = 0.0
    world.run(seconds=70)
    results = [a.outcomes[call] for call in calls]
    assert any(result.error is None for result in results)
    assert any(result.error is not None for result in results)


def test_a_result_too_large_for_this_node_is_told() -> None:
    world, a, b = pair(MessagingConfig(payload_max=64 * KIB))
    b.process("large", lambda _: bytes(200 * KIB))
    world.run_until(lambda: a.core.control.offering("large") != (), within_s=30)
    call = a.call("large", None)
    world.run(seconds=5)
    error = outcome(a, call).error
    assert isinstance(error, PayloadError)
    assert "the result cannot be sent" in str(error)


def test_a_request_that_the_outbox_does_not_take_is_resolved() -> None:
    world, a, _ = pair(MessagingConfig(outbox_bytes=64 * KIB))
    world.run_until(world.agree, within_s=30)
    world.cut("a", "b")
    calls = [a.call("", bytes(40 * KIB), node="b", to_handler=True) for _ in range(9)]
    world.run(seconds=0.1)
    errors = [a.outcomes[call].error for call in calls if call in a.outcomes]
    assert errors
    assert all(isinstance(error, OutboxFull) for error in errors)


def test_a_message_whose_node_is_lost_for_a_while_is_handled_once() -> None:
    world, a, b = pair(MessagingConfig())
    world.run_until(world.agree, within_s=30)
    first = a.call("", "one", node="b", timeout_s=120, to_handler=True)
    world.run(seconds=0.0075)
    with world.partitioned():
        second = a.call("", "two", node="b", timeout_s=120, to_handler=True)
        world.run(seconds=30)
        assert "b" not in a.view()
    world.run(seconds=30)
    for call, text in ((first, "one"), (second, "two")):
        assert msgspec.msgpack.decode(outcome(a, call).result) == text
    assert len(b.served) == 2
