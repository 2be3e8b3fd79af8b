from __future__ import annotations

import pytest

from mreza.planes import transmission
from mreza.wire.envelope import EnvelopeKind, decode_envelope
from mreza.wire.packet import Control, ControlKind
from tests.support.plane_mesh import PlaneMesh


def test_a_session_stops_carrying_its_wrap_when_it_is_confirmed() -> None:
    mesh = PlaneMesh.line("a", "b")
    for _ in range(3):
        mesh["a"].data.send(mesh["b"].id, b"x")
        mesh.run(seconds=1)
    wraps = [bool(decode_envelope(body).wrap) for s, _, body in mesh.frames if s == "a"]
    assert wraps == [True, False, False]


def test_an_answer_carries_the_acknowledgement_that_is_owed() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    a.data.send(b.id, 1)
    mesh.run(seconds=0.0051)
    b.data.send(a.id, 2)
    mesh.run(seconds=1)
    assert [(s, r) for s, r, _ in mesh.frames] == [("a", "b"), ("b", "a"), ("a", "b")]
    assert a.data.waiting() == b.data.waiting() == 0


def test_only_so_many_traces_wait_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transmission, "TRACES_MAX", 2)
    mesh = PlaneMesh.line("a", "b", "c")
    for number in range(3):
        ping = Control(kind=ControlKind.PING, number=number)
        mesh["a"].data.send_control(mesh["c"].id, ping, kind=EnvelopeKind.TRACE, hop_limit=1)
    mesh.run(seconds=1)
    assert [control.number for _, control in mesh["a"].controls] == [1, 2]
    assert mesh["a"].data.stats.dropped == {"unasked_control": 1}


def test_an_acknowledgement_without_a_way_is_kept() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    a.data.send(b.id, 1)
    mesh.run(seconds=0.0051)
    mesh.disconnect(("a", "b"))
    mesh.run(seconds=0.5)
    assert b.payloads == [1]
    assert a.data.waiting() > 0
    mesh.connect(("a", "b"))
    mesh.run(seconds=0.5)
    assert a.data.waiting() == 0
    assert b.payloads == [1]


def test_nothing_is_acknowledged_to_an_epoch_that_was_not_heard() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    a.data.send(b.id, 1)
    mesh.run(seconds=0.0051)
    a.epoch += 1 << 32
    mesh.run(seconds=0.2)
    assert [s for s, _, _ in mesh.frames] == ["a"]


def test_a_refused_key_is_said_once_a_second_and_only_where_there_is_a_way() -> None:
    mesh = PlaneMesh.line("a", "b")
    a, b = mesh["a"], mesh["b"]
    a.data.send(b.id, 1)
    mesh.run(seconds=1)
    b.sealing.raise_epoch(b.epoch, now=mesh.now)
    mesh.swallow = lambda sender, *_: sender == "b"
    for _ in range(3):
        a.data.send(b.id, 2)
        mesh.run(seconds=0.1)
    said = [decode_envelope(body).kind for s, _, body in mesh.frames if s == "b"]
    assert said.count(EnvelopeKind.NO_SUCH_KEY) == 1
    mesh.run(seconds=1)
    mesh.links.pop((b.id, a.id))
    b.router.link_down(a.id)
    frames = len(mesh.frames)
    a.data.send(b.id, 3)
    mesh.run(seconds=0.02)
    assert [s for s, _, _ in mesh.frames[frames:]] == ["a"]
