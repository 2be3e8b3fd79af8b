"""A wire between two hosts: with a delay, lossy, cut, or closed like a port behind a firewall."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.support.netns.channel import Counted
from tests.support.netns.keeper_protocol import CountWires, Mode, Reply, SetWire

if TYPE_CHECKING:
    from tests.support.netns.hosts import Host
    from tests.support.netns.keeper_protocol import Command


class Wire:
    """What may happen to it. Each returns when that took effect, on the monotonic clock."""

    def __init__(
        self, number: int, first: Host, second: Host, tell: Callable[[Command], Reply]
    ) -> None:
        self.number = number
        self.ends = (first, second)
        self._tell = tell

    def cut(self) -> float:
        """Silent loss: frames vanish, in both directions, and nobody is told."""
        return self._set(mode="silent")

    def cut_one_way(self, source: Host) -> float:
        """Frames that `source` sends vanish; the other direction works."""
        return self._set(ways=(self.ends.index(source),), mode="silent")

    def refuse(self) -> float:
        """Visible loss: connections are reset at both ends, and new ones refused."""
        return self._set(mode="refuse")

    def unplug(self) -> float:
        """Both ends' interfaces are down: the systems know at once."""
        for host, other in (self.ends, self.ends[::-1]):
            host.ip("link", "set", "dev", host.interface(other), "down")
        return self._set(mode="silent")

    def mend(self) -> float:
        """As new, except for loss and delay that were set."""
        for host, other in (self.ends, self.ends[::-1]):
            host.ip("link", "set", "dev", host.interface(other), "up")
        return self._set(mode="open")

    def lose(self, share: float) -> float:
        """This share of the frames vanishes, in each direction."""
        return self._tell(SetWire(wire=self.number, loss=share)).at

    def delay(self, seconds: float) -> float:
        """Frames take so long from end to end."""
        return self._tell(SetWire(wire=self.number, delay_s=seconds)).at

    @property
    def counted(self) -> tuple[Counted, Counted]:
        """What went from the first end to the second, and back."""
        return self._tell(CountWires()).counted[self.number]

    def _set(self, *, ways: tuple[int, ...] = (0, 1), mode: Mode) -> float:
        return self._tell(SetWire(wire=self.number, ways=ways, mode=mode)).at
