"""What planes ask for are plain values."""

from __future__ import annotations

import msgspec
import pytest

from mreza.ids import NodeId
from mreza.planes import effects
from mreza.planes.effects import CloseLink, Dropped, RequestsNumbered, SendFrame

PEER = NodeId(b"p" * 16)


def test_a_frame_to_send_says_where_to_what_and_how_urgent() -> None:
    frame = SendFrame(PEER, 3, b"body", 2)
    assert (frame.peer, frame.kind, frame.body, frame.priority) == (PEER, 3, b"body", 2)
    with pytest.raises(AttributeError):
        frame.other = 1  # type: ignore[attr-defined]


def test_each_request_of_a_batch_has_its_place_in_the_message_id() -> None:
    numbered = RequestsNumbered((7, 9), 5, 1, 30)
    assert list(numbered.messages()) == [(7, (5, 1, 30, 0)), (9, (5, 1, 30, 1))]


def test_what_is_decided_once_is_not_changed_later() -> None:
    for effect in (CloseLink(PEER, "malformed", "why"), Dropped("hop_limit")):
        with pytest.raises(AttributeError):
            setattr(effect, effect.__struct_fields__[0], None)


def test_every_effect_says_what_it_asks_for() -> None:
    kinds = [
        kind
        for kind in vars(effects).values()
        if isinstance(kind, type) and kind.__module__ == effects.__name__
    ]
    assert len(kinds) > 15
    assert [kind for kind in kinds if not (kind.__doc__ or "").strip()] == []
    assert all(issubclass(kind, msgspec.Struct) or kind is SendFrame for kind in kinds)
