from __future__ import annotations

from mreza.planes.effects import Dropped
from mreza.wire.records import Prekey
from tests.support.plane_mesh import PlaneMesh


def test_a_prekey_that_nobody_can_seal_for_hurts_only_its_owner() -> None:
    mesh = PlaneMesh.line("b", "a", "c")
    a, b, c = mesh["a"], mesh["b"], mesh["c"]
    genuine = mesh.prekey_of
    bad = Prekey(1, bytes(32))
    mesh.prekey_of = lambda node: bad if node == b.id else genuine(node)  # type: ignore[method-assign]
    a.data.send(b.id, 1)
    a.data.send(c.id, 2)
    mesh.run(seconds=1)
    assert c.payloads == [2]
    assert Dropped("bad_prekey", 1) in a.effects
    mesh.prekey_of = genuine  # type: ignore[method-assign]
    mesh.run(seconds=15)
    assert b.payloads == [1]


def test_an_outbox_without_a_way_looks_again_by_itself() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    mesh.unknown.add(b.id)
    a.data.send(b.id, 1)
    mesh.run(seconds=1)
    deadline = a.data.next_deadline()
    assert deadline is not None
    mesh.unknown.clear()
    mesh.run(seconds=1)
    assert b.payloads == [1]


def test_an_outbox_without_a_way_for_long_looks_seldom_and_is_told_of_routes() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    mesh.unknown.add(b.id)
    a.data.send(b.id, 1)
    mesh.run(seconds=100)
    deadline = a.data.next_deadline()
    assert deadline is not None
    assert deadline > mesh.now
    looks = 0
    for _ in range(600):
        before = deadline
        mesh.run(seconds=0.1)
        deadline = a.data.next_deadline()
        looks += deadline != before
    assert looks <= 3
    mesh.unknown.clear()
    a.data.routes_changed(now=mesh.now)
    mesh.run(seconds=0.2)
    assert b.payloads == [1]


def test_an_outbox_that_was_emptied_looks_for_no_way() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    mesh.unknown.add(b.id)
    a.data.send(b.id, 1)
    mesh.run(seconds=1)
    a.data.forget(b.id)
    mesh.run(seconds=1)
    assert a.data.next_timeout() is None


def test_a_declared_drop_touches_only_the_destination_it_is_about() -> None:
    mesh = PlaneMesh.line("b", "a", "c")
    a, b, c = mesh["a"], mesh["b"], mesh["c"]
    for node in (b, c):
        a.data.send(node.id, "warm")
    mesh.run(seconds=1)
    mesh.swallow = lambda sender, *_: sender == "a"
    for node in (b, c):
        a.data.send(node.id, "lost")
    mesh.run(seconds=0.01)
    outbox = a.data._outgoing.outboxes[b.id]
    a.data._outgoing.dropped_under(outbox.sessions[0], now=mesh.now)
    mesh.swallow = lambda *_: False
    mesh.run(seconds=0.5)
    assert (b.payloads, c.payloads) == (["warm", "lost"], ["warm"])
    mesh.run(seconds=2)
    assert c.payloads == ["warm", "lost"]


def test_own_keys_replaced_means_everything_again_but_to_ourselves() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    mesh.swallow = lambda *_: True
    a.data.send(b.id, 1)
    a.data.send(a.id, 2)
    mesh.run(seconds=0.1)
    mesh.swallow = lambda *_: False
    a.epoch += 1 << 32
    a.sealing.raise_epoch(a.epoch, now=mesh.now)
    a.data.raise_epoch(now=mesh.now)
    mesh.run(seconds=0.1)
    assert b.payloads == [1]
    assert a.payloads == [2]
