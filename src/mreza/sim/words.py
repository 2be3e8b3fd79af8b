"""What goes wrong between simulated hosts, in the words of turmoil."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from mreza.errors import MeshError
from mreza.sim.agenda import START_S
from mreza.sim.latency import latency
from mreza.sim.memory_net import LAN_JITTER, LAN_LATENCY_S, MemoryNet
from mreza.sim.paths import Path

Side = str | Iterable[str]
"A host's name, or several."


class NetworkWords:
    """Cuts, holds and slows what lies between hosts, and keeps a story of it."""

    def __init__(self, net: MemoryNet, *, rng: Random) -> None:
        self.net = net
        self.story: list[tuple[float, str]] = []
        "What was done to hosts and network, and when."
        self._rng = rng

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return self.net.loop.time() - START_S

    def partition(self, side: Side, rest: Side | None = None) -> None:
        """Lose everything between two sides (default: all others); nobody is told."""
        self._tell(_words("partition", side, rest))
        for path in self._between(side, rest):
            path.cut = True

    def partition_oneway(self, side: Side, rest: Side | None = None) -> None:
        """Lose what goes from a side to the rest; what comes back arrives."""
        self._tell(_words("partition_oneway", side, rest))
        for path in self._between(side, rest, both_ways=False):
            path.cut = True

    def hold(self, side: Side, rest: Side | None = None) -> None:
        """Keep everything between two sides on its way; nothing is lost."""
        self._tell(_words("hold", side, rest))
        for path in self._between(side, rest):
            path.held = True

    def release(self, side: Side, rest: Side | None = None) -> None:
        """Deliver what is held."""
        self._tell(_words("release", side, rest))
        for path in self._between(side, rest):
            if not path.cut:
                path.open()

    def repair(self, side: Side | None = None, rest: Side | None = None) -> None:
        """Carry everything again between two sides; without a side, between all."""
        self._tell(_words("repair", side or "all", rest))
        everybody = list(self.net.machines)
        paths = self._between(everybody, everybody) if side is None else self._between(side, rest)
        for path in paths:
            path.open()

    def link(
        self,
        side: Side,
        rest: Side | None = None,
        *,
        latency_s: float = LAN_LATENCY_S,
        jitter: float = LAN_JITTER,
        distribution: str = "uniform",
        bandwidth: float | None = None,
        loss: float = 0.0,
        both_ways: bool = True,
    ) -> None:
        """Say what lies between two sides: how long a segment takes, how many bytes a second go.

        `jitter` is a share of the latency; `distribution` one of `mreza.sim.latency`. What is lost
        TCP sends again, later; a datagram is gone.
        """
        for path in self._between(side, rest, both_ways=both_ways):
            path.draw = latency(distribution, median_s=latency_s, jitter=jitter, rng=self._rng)
            path.bandwidth = bandwidth
            path.loss = loss

    # Inside.

    def _between(self, side: Side, rest: Side | None, *, both_ways: bool = True) -> Iterable[Path]:
        here = [side] if isinstance(side, str) else list(side)
        if rest is None:
            there = [name for name in self.net.machines if name not in here]
        else:
            there = [rest] if isinstance(rest, str) else list(rest)
        for name in [*here, *there]:
            if name not in self.net.machines:
                raise MeshError(f"there is no simulated host {name!r}")
        found: dict[Path, None] = {}
        for a in here:
            for b in there:
                if a != b:
                    found[self.net.path(a, b)] = None
                    if both_ways:
                        found[self.net.path(b, a)] = None
        return found

    def _tell(self, what: str) -> None:
        self.story.append((self.now, what))


def _words(word: str, side: Side, rest: Side | None) -> str:
    sides = [side] if rest is None else [side, rest]
    return " ".join(
        [word, " | ".join(one if isinstance(one, str) else " ".join(one) for one in sides)]
    )
