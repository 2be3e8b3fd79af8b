"""When routes are computed again, to the microsecond, and how rarely they swing."""

from __future__ import annotations

from functools import partial

import pytest

from mreza.config.routing import RoutingConfig
from mreza.errors import OutboxFull
from mreza.sim.world import World

TICK_S = 1e-6
DELAY_S = 0.005
RTT_S = (0.025, 0.042, 0.060, 0.080, 0.100, 0.120)
"Each so much longer than the one before that it is worth telling, and all rising: told at once."


def test_routes_are_computed_when_rfc_8405_says_so() -> None:
    """At once, then 50 ms, 200 ms and, when changes go on for 500 ms, 5 s after a change.

    Ten quiet seconds after the last change, the next is computed at once again.
    """
    timing = RoutingConfig()
    world = World(seed=1)
    a, b, c = world.line("a", "b", "c", delay_s=DELAY_S)
    world.run_until(world.agree, within_s=5)
    world.run(seconds=timing.spf_long_s + timing.spf_hold_down_s + 1)
    computed: list[float] = []
    begin = world.now
    heard = begin + DELAY_S
    "When the first change is heard of; the others as much later as they are made."
    said = (0.0, 0.02, 0.1, 0.4, 0.7, 0.7 + timing.spf_hold_down_s + 0.1)

    def say(rtt_s: float) -> None:
        b.core.control.link_measured(c.id, rtt_s=rtt_s, now=world.now)
        b.wake()

    for at, rtt_s in zip(said, RTT_S, strict=True):
        world.after(at, partial(say, rtt_s))
    seen = a.core.control.computation.computed
    while world.step(until=begin + 30):
        now = a.core.control.computation.computed
        computed += [world.now] * (now - seen)
        seen = now
    expected = [
        heard,
        heard + said[1] + timing.spf_initial_s,
        heard + said[2] + timing.spf_short_s,
        heard + said[3] + timing.spf_short_s,
        heard + said[4] + timing.spf_long_s,
        heard + said[5],
    ]
    assert computed == pytest.approx(expected, rel=0, abs=TICK_S / 2)


@pytest.mark.parametrize(("load", "burst"), [(0.5, 40), (0.9, 10), (1.1, 10)])
def test_loaded_ways_change_at_most_once_a_minute(load: float, burst: int) -> None:
    """Two ways as good as each other: whichever carries the traffic looks worse than the other."""
    bytes_per_s, size = 1_000_000.0, 7_900
    world = World(seed=1)
    a, _, d = world.line("a", "b", "d")
    world.add("c")
    for end in ("a", "d"):
        world.link(end, "c")
    for link in world.links.values():
        for way in link.ways:
            way.bytes_per_s = bytes_per_s
        world.network.watch(link)
    world.run_until(world.agree, within_s=10)

    def send() -> None:
        try:
            for _ in range(burst):
                a.send("d", bytes(size))
        except OutboxFull:
            pass
        d.handled.clear()
        world.after(burst * size / (load * bytes_per_s), send)

    send()
    world.run(seconds=60)  # the ways are new, and their costs unknown
    switches, slowest_s = 0, 0.0
    until = world.now + 600
    before = a.core.control.routes[d.id].next_hop
    while world.step(until=until):
        next_hop = a.core.control.routes[d.id].next_hop
        switches += next_hop != before
        before = next_hop
        slowest_s = max(slowest_s, *(each.rtt.smoothed_s or 0.0 for each in a.outgoing.values()))
    assert switches <= 10
    assert slowest_s > 0.03, "the load made no difference"
