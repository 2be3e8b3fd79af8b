"""Requests on their way: time left shrinks while they wait; one that is too late is not sent.

Their ids are given by the service plane; here they only say what to hand back when a destination
is lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mreza.wire.packet import Request

REQUEST_OVERHEAD_BYTES = 48
"Numbers, flags and length marks of a request, at most, beside target, key, headers and payload."


def request_bytes(request: Request) -> int:
    """What a request will take in its batch, rather too much than too little."""
    headers = request.headers or {}
    text = (
        len(request.target)
        + len(request.key)
        + len(request.idempotency_key)
        + sum(len(k) + len(v) + 10 for k, v in headers.items())
    )
    return REQUEST_OVERHEAD_BYTES + 4 * text + len(request.payload)


def aged(requests: Sequence[Request], *, waited_s: float) -> list[Request]:
    """The requests that still have time after waiting, each with the time it has left."""
    waited_ms = int(waited_s * 1000)
    if waited_ms <= 0:
        return list(requests)
    return [
        msgspec.structs.replace(request, timeout_ms=request.timeout_ms - waited_ms)
        for request in requests
        if request.timeout_ms > waited_ms
    ]


def latest_s(requests: Sequence[Request], *, now: float) -> float:
    """When the last of them is no longer worth sending."""
    return now + max((request.timeout_ms for request in requests), default=0) / 1000


def corrected(requests: list[Request], *, deadline_ms: int) -> list[Request]:
    """What a batch that was sent again has left: its head knows, its items are as first encoded."""
    if not deadline_ms or not requests:
        return requests
    late_s = (max(request.timeout_ms for request in requests) - deadline_ms) / 1000
    return aged(requests, waited_s=late_s) if late_s > 0 else requests
