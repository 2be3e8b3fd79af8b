"""Which numbers were seen: a cumulative one and the runs beyond it (as TCP SACK, RFC 2018)."""

from __future__ import annotations

from bisect import bisect_right


class SeenNumbers:
    """A set of sequence numbers that costs nothing while they come in order.

    The caller bounds how far ahead of `cumulative` a number may be, and so the number of runs.
    """

    __slots__ = ("_firsts", "_lasts", "cumulative")

    def __init__(self, cumulative: int = 0) -> None:
        self.cumulative = cumulative
        "Every number up to this one is in the set."
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __contains__(self, number: int) -> bool:
        if number <= self.cumulative:
            return True
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def add(self, number: int) -> bool:
        """Put a number in; False if it was there."""
        if number == self.cumulative + 1:
            self.cumulative = number
            if self._firsts:
                self._absorb()
            return True
        if number in self:
            return False
        at = bisect_right(self._firsts, number)
        joins_left = at > 0 and self._lasts[at - 1] == number - 1
        joins_right = at < len(self._firsts) and self._firsts[at] == number + 1
        if joins_left and joins_right:
            self._lasts[at - 1] = self._lasts[at]
            del self._firsts[at], self._lasts[at]
        elif joins_left:
            self._lasts[at - 1] = number
        elif joins_right:
            self._firsts[at] = number
        else:
            self._firsts.insert(at, number)
            self._lasts.insert(at, number)
        return True

    def raise_to(self, cumulative: int) -> None:
        """Count every number up to this one as seen: nobody will ever send what is missing."""
        if cumulative > self.cumulative:
            self.cumulative = cumulative
            self._absorb()

    def runs(self, limit: int) -> tuple[tuple[int, int], ...]:
        """The first and last of at most `limit` runs beyond `cumulative`, the lowest ones."""
        if not self._firsts:
            return ()
        return tuple(zip(self._firsts[:limit], self._lasts[:limit], strict=True))

    def _absorb(self) -> None:
        """Runs that the cumulative number has reached are part of it."""
        done = 0
        for first, last in zip(self._firsts, self._lasts, strict=True):
            if first > self.cumulative + 1:
                break
            self.cumulative = max(self.cumulative, last)
            done += 1
        del self._firsts[:done], self._lasts[:done]
