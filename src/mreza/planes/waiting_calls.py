"""Calls that nobody could take so far."""

from __future__ import annotations

from mreza.errors import OutboxFull
from mreza.planes.call import Call


class WaitingCalls:
    """In the order in which they came, with at most `bytes_max` of payload; one may always wait."""

    def __init__(self, *, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._calls: dict[int, Call] = {}
        self._bytes = 0

    def put(self, call: Call) -> OutboxFull | None:
        """Let it wait, if it does not already; or say why it cannot."""
        if call.call_id in self._calls:
            return None
        size = len(call.payload)
        if self._bytes and self._bytes + size > self._bytes_max:
            return OutboxFull(f"{self._bytes} bytes wait already for nodes that could take them")
        self._calls[call.call_id] = call
        self._bytes += size
        return None

    def remove(self, call: Call) -> None:
        """It need not wait any more, if it did."""
        if self._calls.pop(call.call_id, None) is not None:
            self._bytes -= len(call.payload)

    def all(self) -> list[Call]:
        """Those that wait now, the oldest first."""
        return list(self._calls.values())

    def __contains__(self, call: Call) -> bool:
        return call.call_id in self._calls

    def __len__(self) -> int:
        return len(self._calls)
