"""A digest of all that happened: equal runs have equal ones, on every machine.

It covers who sent how much to whom and when, to the microsecond, and never a ciphertext: keys come
from the system's entropy, lengths and order do not.
"""

from __future__ import annotations

import hashlib
import struct

from mreza.sim.link import Way
from mreza.sim.node import Handled, SimNode
from mreza.sim.world import World

_FRAME = struct.Struct("<cQBI")
_HANDLED = struct.Struct("<cQBQI")


class Digest:
    """Listens to a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._hash = hashlib.blake2b(digest_size=16)
        world.taps.append(self._frame)
        world.hears_handled.append(self._handled)

    def text(self) -> str:
        """Of all so far."""
        return self._hash.hexdigest()

    def _frame(self, way: Way, kind: int, body: bytes) -> None:
        self._hash.update(
            b"%b>%b" % (way.source.name.encode(), way.target.name.encode())
            + _FRAME.pack(b"f", round(self._world.now * 1e6), kind, len(body))
        )

    def _handled(self, node: SimNode, entry: Handled) -> None:
        self._hash.update(
            node.name.encode()
            + entry.source
            + _HANDLED.pack(
                b"h", round(self._world.now * 1e6), entry.priority, entry.sequence, entry.place
            )
        )
