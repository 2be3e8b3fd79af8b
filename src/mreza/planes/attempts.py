"""What is asked of which node for each call: a number for each request, until its call ends."""

from __future__ import annotations

from mreza.balancing.lease import Lease
from mreza.ids import NodeId
from mreza.planes.call import Attempt, Call
from mreza.wire.packet import Request

_TIMEOUT_MS_MAX = 2**31 - 1


class Attempts:
    """By request id: of every call not resolved, all of its attempts."""

    def __init__(self) -> None:
        self._attempts: dict[int, Attempt] = {}
        self._next = 1

    # Inputs.

    def begin(
        self, call: Call, node: NodeId, lease: Lease | None, *, idempotent: bool, now: float
    ) -> Request:
        """The call is given to this node: it is at work on it now."""
        request_id = self._next
        self._next += 1
        attempt = Attempt(call, request_id, node, lease, now, idempotent=idempotent)
        call.current = attempt
        call.attempts.append(attempt)
        self._attempts[request_id] = attempt
        return Request(
            id=request_id,
            target=call.process,
            payload=call.payload,
            timeout_ms=max(1, min(round((call.deadline - now) * 1000), _TIMEOUT_MS_MAX)),
            idempotent=idempotent,
            attempt=len(call.attempts),
            key=call.key or "",
            headers=call.headers,
            idempotency_key=call.idempotency_key,
            progress=call.progress,
        )

    def forget(self, call: Call) -> None:
        """The call is over, and so is what was asked for it."""
        for attempt in call.attempts:
            del self._attempts[attempt.request_id]
            if attempt.lease is not None:
                attempt.lease.released()
        # They name each other: undone here, nothing is left for the cycle collector.
        call.attempts.clear()
        call.current = call.rival = None

    # Outputs.

    def get(self, request_id: int) -> Attempt | None:
        """The attempt that was made with this request."""
        return self._attempts.get(request_id)

    def at(self, node: NodeId) -> list[Attempt]:
        """Those which this node is at work on, the oldest first."""
        return [
            attempt
            for attempt in self._attempts.values()
            if attempt.node == node and attempt.is_out
        ]
