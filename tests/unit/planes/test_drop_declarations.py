from __future__ import annotations

from mreza.ids import NodeId
from mreza.planes.drop_declarations import INTERVAL_S, SOURCES_MAX, DropDeclarations
from mreza.wire.envelope import Envelope, EnvelopeKind
from mreza.wire.packet import ControlKind


def envelope(source: int, counter: int = 0) -> Envelope:
    return Envelope(
        kind=EnvelopeKind.SEALED,
        priority=1,
        source=NodeId(source.to_bytes(16)),
        source_epoch=1,
        destinations=(NodeId(b"d" * 16),),
        session_id=77,
        counter=counter,
    )


def test_many_drops_are_one_word_and_the_next_waits() -> None:
    declarations = DropDeclarations()
    assert declarations.next_deadline() is None
    assert declarations.take(now=1.0) == []
    for counter in range(5):
        declarations.note(envelope(1, counter), "link_queue_full")
    assert declarations.next_deadline() == 0.0
    ((node, control),) = declarations.take(now=1.0)
    assert node == envelope(1).source
    assert control.kind == ControlKind.DROPPED
    assert (control.count, control.session_id, control.number) == (5, 77, 4)
    assert control.reason == "link_queue_full"
    declarations.note(envelope(1), "no_route")
    declarations.note(envelope(2), "no_route")
    assert [node for node, _ in declarations.take(now=1.05)] == [envelope(2).source]
    due = declarations.next_deadline()
    assert due == 1.0 + INTERVAL_S
    assert len(declarations.take(now=due)) == 1


def test_only_so_many_sources_are_told_at_once() -> None:
    declarations = DropDeclarations()
    for source in range(SOURCES_MAX + 5):
        declarations.note(envelope(source), "no_route")
    assert len(declarations.take(now=1.0)) == SOURCES_MAX
