"""Who decides about a stranger: this node if it holds the key, else a member that does."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest

from mreza.address import Address
from mreza.errors import NoRoute, StateError
from mreza.events import MemberState
from mreza.ids import NodeId
from mreza.node import door as module
from mreza.node.door import Door
from mreza.security.admission import refusal
from mreza.security.credentials import Credentials
from mreza.wire.join import JOIN_ANSWER, JOIN_REQUEST, JoinAnswer, JoinRequest
from tests.support.hand_clock import HandClock
from tests.support.security import WALL, authority_of, member

FROM = Address("192.0.2.1", 5)
HOLDER, OTHER = NodeId(b"h" * 16), NodeId(b"o" * 16)
AUTHORITY = authority_of().authority_id


class Member(NamedTuple):
    id: NodeId
    state: MemberState
    authorities: tuple[bytes, ...]


class Case:
    """A member and its door; `plain` has no authority's key."""

    def __init__(self, *, plain: bool) -> None:
        full = member()
        self.credentials = (
            Credentials(full.identity, full.mesh, full.mesh_name, full.chain, full.roots)
            if plain
            else full
        )
        self.members: list[Member] = []
        self.asked: list[tuple[NodeId, JoinRequest]] = []
        self.answers: dict[NodeId, bytes | Exception] = {}
        self.decided: list[JoinRequest] = []
        me = self.credentials.node_id
        control: Any = type("Control", (), {})()
        control.members = {}
        self._control = control
        core: Any = type("Core", (), {"me": me, "control": control})()
        state: Any = type(
            "State", (), {"credentials": self.credentials, "tokens": None, "name": "a"}
        )()
        clock = HandClock()
        clock.wall = lambda: WALL  # type: ignore[method-assign]
        self.door = Door(core, state, clock=clock, ask_authority=self._ask)

    def knows(self, node: NodeId, state: MemberState, *authorities: bytes) -> None:
        self._control.members[node] = Member(node, state, authorities)

    async def _ask(self, node: NodeId, data: bytes) -> bytes:
        self.asked.append((node, JOIN_REQUEST.decode(data)))
        answer = self.answers.get(node)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            await asyncio.Event().wait()
        assert answer is not None
        return answer

    def decides(self, monkeypatch: pytest.MonkeyPatch, answer: JoinAnswer | Exception) -> None:
        def decide(request: JoinRequest, *, wall: float) -> JoinAnswer:
            assert wall > 0
            self.decided.append(request)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(self.door._desk, "decide", decide)


NEW = member()
"Who wants to join, with what it will be granted."


def request_of(authority_id: bytes = AUTHORITY) -> JoinRequest:
    return JoinRequest(
        token_id=b"t" * 16,
        authority_id=authority_id,
        public_key=NEW.identity.public_key,
        name="new",
        proof=bytes(32),
        signature=bytes(64),
    )


GRANTED = JoinAnswer(certificates=NEW.chain)


async def test_the_holder_of_the_key_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(plain=False)
    case.decides(monkeypatch, GRANTED)
    assert case.door.decides
    assert await case.door.answer(request_of(), FROM) == GRANTED
    assert len(case.decided) == 1
    assert case.asked == []


async def test_a_ledger_that_cannot_be_written_decides_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case(plain=False)
    case.decides(monkeypatch, StateError("disk full"))
    assert (await case.door.answer(request_of(), FROM)).code == "unavailable"


async def test_another_member_decides_by_the_join_process(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(plain=False)
    case.decides(monkeypatch, GRANTED)
    data = JOIN_REQUEST.encode(request_of())
    assert JOIN_ANSWER.decode(await case.door.decide_for_member(data)) == GRANTED
    assert JOIN_ANSWER.decode(await case.door.decide_for_member(b"\xff")).code == "bad_request"
    assert len(case.decided) == 1


async def test_without_a_key_a_living_holder_is_asked() -> None:
    case = Case(plain=True)
    assert not case.door.decides
    case.knows(HOLDER, MemberState.ALIVE, AUTHORITY)
    case.knows(OTHER, MemberState.ALIVE, b"another")
    case.answers = {HOLDER: JOIN_ANSWER.encode(GRANTED)}
    assert await case.door.answer(request_of(), FROM) == GRANTED
    assert case.asked == [(HOLDER, request_of())]


async def test_without_a_living_holder_nobody_decides() -> None:
    case = Case(plain=True)
    case.knows(HOLDER, MemberState.FAILED, AUTHORITY)
    case.knows(case.credentials.node_id, MemberState.ALIVE, AUTHORITY)
    assert (await case.door.answer(request_of(), FROM)).code == "no_authority"
    assert case.asked == []


async def test_a_holder_that_fails_or_hangs_makes_room_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PASS_ON_TIMEOUT_S", 0.01)
    case = Case(plain=True)
    nodes = [NodeId(bytes([number]) * 16) for number in (1, 2, 3, 4)]
    for node in nodes:
        case.knows(node, MemberState.ALIVE, AUTHORITY)
    case.answers = {nodes[1]: NoRoute("gone"), nodes[2]: b"\xff nonsense"}
    case.answers[nodes[3]] = JOIN_ANSWER.encode(refusal("used"))
    assert (await case.door.answer(request_of(), FROM)).code == "used"
    assert [node for node, _ in case.asked] == nodes


async def test_a_member_that_only_says_it_holds_the_key_keeps_nobody_out() -> None:
    case = Case(plain=True)
    nodes = [NodeId(bytes([number]) * 16) for number in (1, 2, 3, 4)]
    for node in nodes:
        case.knows(node, MemberState.ALIVE, AUTHORITY)
    case.answers = {
        nodes[0]: JOIN_ANSWER.encode(refusal("used")),
        nodes[1]: JOIN_ANSWER.encode(JoinAnswer(certificates=(b"leaf", b"authority"))),
        nodes[2]: JOIN_ANSWER.encode(JoinAnswer(certificates=member().chain)),
        nodes[3]: JOIN_ANSWER.encode(GRANTED),
    }
    assert await case.door.answer(request_of(), FROM) == GRANTED
    del case.answers[nodes[3]]
    case.answers[nodes[3]] = NoRoute("gone")
    assert (await case.door.answer(request_of(), FROM)).code == "used"


async def test_when_no_holder_answers_the_stranger_may_come_again() -> None:
    case = Case(plain=True)
    case.knows(HOLDER, MemberState.ALIVE, AUTHORITY)
    case.answers = {HOLDER: NoRoute("gone")}
    assert (await case.door.answer(request_of(), FROM)).code == "unavailable"


def test_a_stranger_is_shown_the_chain_of_every_authority_here() -> None:
    for plain in (False, True):
        case = Case(plain=plain)
        chain = case.door.chain()
        assert chain.mesh == case.credentials.mesh
        assert chain.root == case.credentials.roots[0]
        assert chain.authorities == (case.credentials.chain[-1],)
