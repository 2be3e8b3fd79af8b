"""What a test and its keeper say to each other: one JSON object a line, each with an answer."""

from __future__ import annotations

from typing import Literal

import msgspec

from tests.support.netns.channel import Counted

Mode = Literal["open", "silent", "refuse"]


class End(msgspec.Struct, frozen=True):
    """Where one end of a wire is."""

    namespace: str
    interface: str


class MakeWire(msgspec.Struct, frozen=True, tag="make"):
    """Put a wire between two namespaces."""

    wire: int
    ends: tuple[End, End]
    delay_s: float
    seed: int


class SetWire(msgspec.Struct, frozen=True, tag="set", kw_only=True):
    """Change what a wire does; None leaves as it is."""

    wire: int
    ways: tuple[int, ...] = (0, 1)
    "0: from the first end to the second; 1: back."
    mode: Mode | None = None
    delay_s: float | None = None
    loss: float | None = None


class CountWires(msgspec.Struct, frozen=True, tag="count"):
    """What went through each wire so far."""


Command = MakeWire | SetWire | CountWires


class Reply(msgspec.Struct, frozen=True):
    """Done, or why not."""

    at: float
    "When, on the machine's monotonic clock, which all its processes share."
    error: str = ""
    counted: dict[int, tuple[Counted, Counted]] = {}
    "By wire; an answer to CountWires."


COMMAND = msgspec.json.Decoder(Command)
REPLY = msgspec.json.Decoder(Reply)
