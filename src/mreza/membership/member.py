"""A node as the mesh knows it."""

from __future__ import annotations

import msgspec

from mreza.events import MemberState
from mreza.ids import NodeId


class Member(msgspec.Struct, frozen=True):
    """What the newest introduction of a node says, and how the mesh sees it."""

    id: NodeId
    name: str
    state: MemberState
    cause: str
    "Why it is in this state; one of `mreza.membership.roster.CAUSES`, or the reason of a farewell."
    since: float
    "Monotonic time at which it took this state."
    epoch: int
    instance: int
    "Drawn when its process started."
    addresses: tuple[str, ...]
    offers: tuple[str, ...]
    version: str
    authorities: tuple[bytes, ...]
    "Ids of the authorities whose key it holds."

    @property
    def label(self) -> str:
        """Its name, or where it has none the beginning of its id."""
        return self.name or self.id.short
