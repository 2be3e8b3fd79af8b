"""What takes down the happenings of a run, if somebody wants to look at them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Happening(msgspec.Struct, frozen=True, array_like=True):
    """One thing that happened."""

    at: float
    "Virtual seconds since the beginning."
    node: str
    "Empty: in the world."
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:11.6f} s  {self.node:<8} {self.kind:<14} {self.text}".rstrip()


class Recorder:
    """Passes on what a world tells it. A world without one tells nothing."""

    def __init__(self, hear: Callable[[Happening], None]) -> None:
        self._hear = hear

    def note(self, at: float, node: str, kind: str, text: str = "") -> None:
        """Something happened, on a node or (node is empty) in the world."""
        self._hear(Happening(round(at, 9), node, kind, text))
