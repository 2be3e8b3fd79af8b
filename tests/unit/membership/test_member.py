from __future__ import annotations

from mreza.events import MemberState
from mreza.ids import NodeId
from mreza.membership.member import Member


def member(name: str) -> Member:
    return Member(
        id=NodeId(bytes(16)),
        name=name,
        state=MemberState.ALIVE,
        cause="joined",
        since=0.0,
        epoch=1,
        instance=1,
        addresses=(),
        offers=(),
        version="",
        authorities=(),
    )


def test_a_member_is_called_by_its_name_or_the_beginning_of_its_id() -> None:
    assert member("ada").label == "ada"
    assert member("").label == "aaaaaaaa"
