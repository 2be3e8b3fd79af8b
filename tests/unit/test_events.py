"""Events: stable names, plain JSON."""

from __future__ import annotations

import json

import pytest

from mreza import events
from mreza.events import Event, LinkUp, MemberChanged, MemberState, to_json
from mreza.ids import NodeId

NODE = NodeId(bytes(16))


def test_an_event_as_json_has_its_name_and_readable_ids() -> None:
    event = LinkUp(at=1.5, peer=NODE, label="b", address="127.0.0.1:1", dialed=True)
    assert event.name == "link_up"
    assert json.loads(json.dumps(to_json(event))) == {
        "event": "link_up",
        "at": 1.5,
        "peer": "a" * 26,
        "label": "b",
        "address": "127.0.0.1:1",
        "dialed": True,
    }


def test_states_are_words() -> None:
    event = MemberChanged(
        at=0.0, node=NODE, label="", old=None, new=MemberState.FAILED, cause="gone"
    )
    assert to_json(event)["old"] is None
    assert to_json(event)["new"] == "failed"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (events.MemberChanged, "member_changed"),
        (events.LinkUp, "link_up"),
        (events.LinkDown, "link_down"),
        (events.PeerRefused, "peer_refused"),
        (events.EpochRaised, "epoch_raised"),
        (events.DuplicateIdentityFound, "duplicate_identity"),
        (events.HandlerFailed, "handler_failed"),
        (events.WorkMoved, "work_moved"),
        (events.EnvelopesDropped, "envelopes_dropped"),
    ],
)
def test_names_are_stable(kind: type[Event], name: str) -> None:
    assert kind.__struct_config__.tag == name
