"""Results of work that has an idempotency key, so that asking again does not do it again."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

ENTRY_BYTES = 256
"What an entry costs beside its result."


class Remembered(Generic[Key]):
    """Results by key for `keep_s` seconds. When it is full, the oldest is forgotten."""

    def __init__(self, *, count_max: int, bytes_max: int, keep_s: float) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._keep_s = keep_s
        self._results: dict[Key, tuple[bytes, float]] = {}
        "Result, and until when; in the order of their ends."
        self._bytes = 0

    def put(self, key: Key, result: bytes, *, now: float) -> None:
        """Keep the result of work that has been done."""
        self._forget(key)
        self._results[key] = (result, now + self._keep_s)
        self._bytes += len(result) + ENTRY_BYTES
        while self._results and (
            len(self._results) > self._count_max or self._bytes > self._bytes_max
        ):
            self._forget(next(iter(self._results)))

    def get(self, key: Key, *, now: float) -> bytes | None:
        """The result, if the work was done and is remembered."""
        while self._results:
            oldest = next(iter(self._results))
            if self._results[oldest][1] > now:
                break
            self._forget(oldest)
        kept = self._results.get(key)
        return None if kept is None else kept[0]

    def __len__(self) -> int:
        return len(self._results)

    def _forget(self, key: Key) -> None:
        kept = self._results.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept[0]) + ENTRY_BYTES
