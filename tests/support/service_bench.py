"""One service plane, and a mesh around it that a test can see and touch."""

from __future__ import annotations

from typing import Any

import msgspec

from mreza.balancing.endpoint import NodeLoad
from mreza.config.mesh import MeshConfig
from mreza.ids import NodeId
from mreza.planes.effects import (
    CallProgress,
    CancelHandler,
    CancelRequest,
    InboundRequests,
    InboundResponses,
    Resolve,
    RunHandler,
    WorkLost,
)
from mreza.planes.service import SendRequest, SendResponse, ServicePlane
from mreza.processes.handlers import ProcessSpec
from mreza.wire.packet import FAILURE, Failure, Request, Response, Status

ME, A, B, C = (NodeId(letter * 16) for letter in (b"m", b"a", b"b", b"c"))
NAME = {ME: "me", A: "a", B: "b", C: "c"}


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(value))


class Bench:
    """One service plane, with the mesh around it in plain dictionaries."""

    def __init__(self, **config: Any) -> None:
        self.now = 100.0
        self.offers: dict[NodeId, list[str]] = {A: ["p"], B: ["p"], C: ["p"]}
        self.unreachable: list[NodeId] = []
        self.roles: dict[NodeId, str] = {}
        self.effects: list[Any] = []
        self.transmits = True
        "False: the data plane has taken requests, and has sent none so far."
        self.plane = ServicePlane(
            me=ME,
            instance=1,
            offering=self._offering,
            path_to=lambda node: () if node in self.unreachable else (ME, node),
            config=MeshConfig(**config),
            stream_epoch=77,
            role_of=lambda node: self.roles.get(node, ""),
        )

    def _offering(self, process: str) -> tuple[NodeId, ...]:
        return tuple(
            node
            for node, names in sorted(self.offers.items())
            if process in names and node not in self.unreachable
        )

    # What the mesh does.

    def call(self, process: str = "p", payload: Any = 1, **options: Any) -> int:
        return self.plane.call(process, raw(payload), now=self.now, **options)

    def message(self, node: NodeId, payload: Any = 1, **options: Any) -> int:
        return self.call("", payload, node=node, target_is_handler=True, **options)

    def load(self, node: NodeId, **figures: Any) -> None:
        """A node tells how busy it is."""
        self.plane.balancer.update(NodeLoad(node, **figures), now=self.now)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.plane.advance(now=self.now)

    def answer(
        self, sent: SendRequest, status: Status = Status.OK, value: Any = None, **failure: Any
    ) -> None:
        payload = raw(value)
        if status != Status.OK:
            told = {"type_name": "T", "message": "m", **failure}
            payload = msgspec.Raw(FAILURE.encode(Failure(**told)))
        self.responses(sent.destination, Response(sent.request.id, status, payload))

    def responses(self, source: NodeId, *responses: Response) -> None:
        self.plane.receive_responses(InboundResponses(source, list(responses)), now=self.now)

    def requests(
        self, *requests: Request, source: NodeId = A, epoch: int = 5, priority: int = 1
    ) -> None:
        batch = InboundRequests(source, epoch, priority, 9, list(requests))
        self.plane.receive_requests(batch, now=self.now)

    def finish(
        self, run: RunHandler, value: Any = None, *, status: Status = Status.OK, error: str = ""
    ) -> None:
        self.plane.finished(
            run.run_id,
            result=msgspec.msgpack.encode(value) if status == Status.OK else None,
            failure=Failure(type_name=error, message="m") if error else None,
            status=status,
            now=self.now,
        )

    def register(self, name: str = "mine", **options: Any) -> None:
        async def handler(payload: Any) -> Any:
            raise NotImplementedError(payload)

        self.plane.registry.register(ProcessSpec(name, handler, **options))
        self.changed()

    def changed(self) -> None:
        self.plane.offers_changed(now=self.now)

    def lost(self, node: NodeId) -> None:
        self.unreachable.append(node)
        self.plane.node_lost(node, cause="reset", now=self.now)

    def restarted(self, node: NodeId) -> None:
        self.unreachable = [other for other in self.unreachable if other != node]
        self.plane.peer_restarted(node, same_process=False, now=self.now)

    # What came out.

    def _take(self, kind: type) -> list[Any]:
        self.effects += self.plane.drain()
        taken = [effect for effect in self.effects if isinstance(effect, kind)]
        self.effects = [effect for effect in self.effects if not isinstance(effect, kind)]
        return taken

    def sent(self) -> list[SendRequest]:
        sent: list[SendRequest] = self._take(SendRequest)
        for one in sent if self.transmits else ():
            self.plane.numbered(one.request.id, (77, one.priority, one.request.id, 0))
        return sent

    def one_sent(self) -> SendRequest:
        (sent,) = self.sent()
        return sent

    def resolved(self) -> list[Resolve]:
        return self._take(Resolve)

    def outcome(self) -> Resolve:
        (resolve,) = self.resolved()
        return resolve

    def error(self) -> Exception:
        error = self.outcome().error
        assert error is not None
        return error

    def losses(self) -> list[WorkLost]:
        return self._take(WorkLost)

    def runs(self) -> list[RunHandler]:
        return self._take(RunHandler)

    def withdrawn(self) -> list[CancelRequest]:
        return self._take(CancelRequest)

    def told(self) -> list[CallProgress]:
        return self._take(CallProgress)

    def cancelled(self) -> list[int]:
        return [effect.run_id for effect in self._take(CancelHandler)]

    def answers(self) -> list[SendResponse]:
        return self._take(SendResponse)

    def statuses(self) -> list[Status]:
        return [Status(effect.response.status) for effect in self.answers()]


def request(number: int, target: str = "mine", **options: Any) -> Request:
    given = {"payload": raw(number), "timeout_ms": 10_000, **options}
    return Request(id=number, target=target, **given)
