"""The door for strangers: a member shows them certificates and has an authority decide."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mreza.address import Address
from mreza.clock import Clock
from mreza.errors import CertificateRejected, DecodeError, MeshError, StateError
from mreza.events import MemberState
from mreza.ids import NodeId
from mreza.node.logs import Log
from mreza.node.state import NodeState
from mreza.planes.core import NodeCore
from mreza.security.admission import JoinDesk, refusal
from mreza.security.identity import node_id_of
from mreza.wire.join import JOIN_ANSWER, JOIN_REQUEST, JoinAnswer, JoinChain, JoinRequest

PASS_ON_TIMEOUT_S = 10.0
log = Log("mreza.join")

AskAuthority = Callable[[NodeId, bytes], Awaitable[bytes]]
"Have the join process of that member decide: request in, answer out, sealed on the way."


class Door:
    """Decides joins where this node holds the authority's key, and passes the others on."""

    def __init__(
        self, core: NodeCore, state: NodeState, *, clock: Clock, ask_authority: AskAuthority
    ) -> None:
        credentials = state.credentials
        self._core = core
        self._state = state
        self._clock = clock
        self._ask_authority = ask_authority
        self._anchors = credentials.anchors
        self._desk = JoinDesk(
            mesh=credentials.mesh, authorities=credentials.authorities, ledger=state.tokens
        )
        shown = [credentials.chain[-1], *(one.der for one in credentials.authorities)]
        self._chain = JoinChain(
            mesh=credentials.mesh,
            root=credentials.roots[0],
            authorities=tuple(dict.fromkeys(shown)),
        )

    @property
    def decides(self) -> bool:
        """True if an authority's key is here."""
        return bool(self._state.credentials.authorities)

    def chain(self) -> JoinChain:
        """What a stranger checks against its token."""
        return self._chain

    async def answer(self, request: JoinRequest, address: Address) -> JoinAnswer:
        """Decide here or have it decided; every outcome is logged with its reason."""
        answer = await self._decide(request)
        log.info(
            "join_refused" if answer.code else "join_granted",
            node=self._state.name,
            address=str(address),
            name=request.name,
            token=request.token_id.hex(),
            **({"code": answer.code, "reason": answer.text} if answer.code else {}),
        )
        return answer

    async def decide_for_member(self, payload: bytes) -> bytes:
        """The join process: another member passes a request on to this authority."""
        try:
            request = JOIN_REQUEST.decode(payload)
        except DecodeError:
            return JOIN_ANSWER.encode(refusal("bad_request"))
        return JOIN_ANSWER.encode(await self._decide_here(request))

    async def _decide(self, request: JoinRequest) -> JoinAnswer:
        if self._desk.holds(request.authority_id):
            return await self._decide_here(request)
        holders = self._holders(request.authority_id)
        refused: JoinAnswer | None = None
        for node in holders:
            try:
                async with asyncio.timeout(PASS_ON_TIMEOUT_S):
                    raw = await self._ask_authority(node, JOIN_REQUEST.encode(request))
                answer = JOIN_ANSWER.decode(raw)
                if not answer.code:
                    self._check_grant(answer, request)
                    return answer
                # Any member may say that it holds the key; only a certificate proves it.
                refused = answer
            except (MeshError, TimeoutError) as error:
                log.warning("join_authority_silent", authority=node.short, error=str(error))
        return refused or refusal("unavailable" if holders else "no_authority")

    def _check_grant(self, answer: JoinAnswer, request: JoinRequest) -> None:
        """Raise CertificateRejected unless an authority of this mesh has signed it for them."""
        granted = self._anchors.check_chain(answer.certificates, wall=self._clock.wall())
        if granted.node_id != node_id_of(request.public_key):
            raise CertificateRejected(
                f"the certificate granted is that of {granted.node_id}", code="id_mismatch"
            )

    async def _decide_here(self, request: JoinRequest) -> JoinAnswer:
        # The ledger waits for the disk; other messages must not wait with it.
        try:
            return await asyncio.to_thread(self._desk.decide, request, wall=self._clock.wall())
        except StateError as error:
            log.error("join_undecided", node=self._state.name, reason=str(error))
            return refusal("unavailable")

    def _holders(self, authority_id: bytes) -> list[NodeId]:
        members = self._core.control.members.values()
        return sorted(
            member.id
            for member in members
            if member.state is MemberState.ALIVE
            and member.id != self._core.me
            and authority_id in member.authorities
        )
