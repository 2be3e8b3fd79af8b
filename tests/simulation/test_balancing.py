"""Balancing held to theory, in virtual time (EXPERIMENTS.md: E5.6, 5.2, E5.7, E5.8).

`make sim` runs the long ones too.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from mreza.balancing.balancer import Balancer
from mreza.balancing.by_lot import AnyOne, PowerOfTwo
from mreza.balancing.circuit_breaker import OPEN_S
from mreza.balancing.endpoint import Endpoint, NodeLoad
from mreza.balancing.hash_ring import EPSILON, ConsistentHash, Ring
from mreza.balancing.lease import Lease
from mreza.balancing.outliers import FAILURES_IN_A_ROW, ejected_max
from mreza.config.load_balancer import Strategy
from mreza.errors import Overloaded, RemoteError
from mreza.qos import Priority
from mreza.wire.packet import Status
from tests.support.balancing import endpoint, give, lots
from tests.support.farm import Farm, Worker, percentile
from tests.support.service_bench import Bench

LONG = int(os.environ.get("MREZA_SIM_SEEDS", "5")) >= 50
only_in_make_sim = pytest.mark.skipif(not LONG, reason="minutes; make sim runs it")


# E5.6: queues.


def theory_mean_time(d: int, rho: float) -> float:
    """Mean time in an M/M/1 system with d choices (Mitzenmacher 2001), in service times."""
    if d == 1:
        return 1.0 / (1.0 - rho)
    return math.fsum(rho ** ((d**i - d) / (d - 1)) for i in range(1, 12))


def mean_time(d: int, rho: float, *, service_times: float, servers: int = 500) -> float:
    """The same, measured: Poisson arrivals, exponential service, figures that are never old.

    The chain is uniformized: at each of its steps there is an arrival, or one server drawn by lot
    would finish a request if it had one. Its mean over the steps is the mean over time. It begins
    with the queues that theory expects, so that nothing has to warm up.
    """
    rng = lots(round(1000 * rho) + d)
    nodes = [endpoint(f"{number:04}") for number in range(servers)]
    picker = AnyOne(rng) if d == 1 else PowerOfTwo(rng, choices=d)
    work: list[list[Lease]] = [[] for _ in nodes]
    place = {node.node: number for number, node in enumerate(nodes)}
    length = 1
    while (busy := round(servers * tail(d, rho, length))) > 0:
        for number in range(busy):
            work[number].append(give(nodes[number]))
        length += 1
    jobs = sum(map(len, work))
    arrives = rho / (1.0 + rho)
    total, steps = 0, round(service_times * servers * (1.0 + rho))
    draw = rng.random
    for _ in range(steps):
        if draw() < arrives:
            node = picker.pick(nodes, now=0.0)
            work[place[node.node]].append(give(node))
            jobs += 1
        else:
            leases = work[int(draw() * servers)]
            if leases:
                leases.pop().released()
                jobs -= 1
        total += jobs
    return total / steps / (rho * servers)


def tail(d: int, rho: float, length: int) -> float:
    """Share of servers with at least so many requests."""
    return rho**length if d == 1 else rho ** ((d**length - 1) / (d - 1))


@pytest.mark.parametrize(
    ("d", "rho", "expected"),
    [
        *[(1, 0.7, 3.33), (2, 0.7, 1.61), (3, 0.7, 1.36)],
        *[(1, 0.9, 10), (2, 0.9, 2.61), (3, 0.9, 2.03)],
        *[(1, 0.95, 20), (2, 0.95, 3.38), (3, 0.95, 2.54)],
        *[(1, 0.99, 100), (2, 0.99, 5.43), (3, 0.99, 3.86)],
    ],
)
def test_the_formula_gives_the_published_figures(d: int, rho: float, expected: float) -> None:
    assert theory_mean_time(d, rho) == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize(
    ("d", "rho", "service_times"),
    [
        (1, 0.7, 700),
        (2, 0.7, 100),
        (3, 0.7, 100),
        (2, 0.9, 1000),
        (3, 0.9, 700),
        (2, 0.95, 1000),
        (3, 0.95, 700),
        pytest.param(1, 0.9, 10_000, marks=only_in_make_sim),
        pytest.param(1, 0.95, 30_000, marks=only_in_make_sim),
    ],
)
def test_queues_are_as_long_as_theory_says(d: int, rho: float, service_times: float) -> None:
    measured = mean_time(d, rho, service_times=service_times)
    assert measured == pytest.approx(theory_mean_time(d, rho), rel=0.03)


@pytest.mark.parametrize(
    ("d", "bins", "fullest"),
    [(1, 10_000, (6, 8)), (2, 10_000, (3, 4)), (3, 10_000, (3, 3)), (2, 100_000, (3, 4))],
)
def test_balls_in_bins(d: int, bins: int, fullest: tuple[int, int]) -> None:
    rng = lots(d)
    nodes = [endpoint(str(number)) for number in range(bins)]
    picker = AnyOne(rng) if d == 1 else PowerOfTwo(rng, choices=d)
    for _ in range(bins):
        give(picker.pick(nodes, now=0.0))
    assert fullest[0] <= max(node.pending for node in nodes) <= fullest[1]


# 5.2: a ring with bounded loads.


def arcs(ring: Ring) -> Counter[str]:
    """How much of the circle each node owns."""
    owned = Counter[str]()
    places = ring._places
    for (before, _), (place, (_, node)) in zip([places[-1], *places[:-1]], places, strict=True):
        owned[str(node)] += (place - before) % 2**64
    return owned


def test_a_ring_of_a_thousand_nodes_is_no_more_uneven_than_published() -> None:
    ring = Ring()
    ring.add([f"node-{number}" for number in range(1000)])
    assert 1.2 < max(arcs(ring).values()) / 2**64 * 1000 <= 1.38


def placed(names: Sequence[str], keys: int) -> tuple[list[str], list[Endpoint]]:
    nodes, picker = [endpoint(name) for name in sorted(names)], ConsistentHash()
    where = []
    for number in range(keys):
        node = picker.pick(nodes, key=f"key-{number}", now=0.0)
        give(node)
        where.append(str(node.node))
    return where, nodes


def test_a_bounded_ring_is_never_more_than_a_quarter_above_the_mean() -> None:
    names = [f"node-{number}" for number in range(100)]
    for keys in (100, 1000, 4000):
        _, nodes = placed(names, keys)
        limit = math.ceil((1 + EPSILON) * keys / len(names))
        assert max(node.pending for node in nodes) <= limit


def test_when_a_node_goes_few_keys_move_that_did_not_have_to() -> None:
    """The paper allows 1/ε² = 16 times a node's share for each change; most of it stays unused."""
    names, keys = [f"node-{number}" for number in range(50)], 4000
    before, _ = placed(names, keys)
    extra = []
    for gone in names[:3]:
        after, _ = placed([name for name in names if name != gone], keys)
        moved = sum(old != new for old, new in zip(before, after, strict=True))
        extra.append((moved - before.count(gone)) / (keys / len(names)))
    assert max(extra) <= 4.0


# E5.7: a retry storm.


def storm(rng: Random, *, budgeted: bool) -> tuple[int, int, list[tuple[float, bool, int]]]:
    """All workers fail for 60 s; 100 requests a second, three retries each.

    Requests and attempts of these 60 s, then (time, success, attempts) of the requests after.
    """
    balancer = Balancer(strategy=Strategy.POWER_OF_TWO, rng=rng)
    names = tuple(f"w{number}" for number in range(8))
    sent = arrived = 0
    after = []
    for tick in range(-1000, 12_000):
        now = 100.0 + tick / 100
        down = 0 <= tick < 6000
        attempts, done = 0, False
        while not done and attempts <= 3:
            if attempts and budgeted and not balancer.may_retry("p", now=now):
                break
            attempts += 1
            lease = balancer.acquire(among=names, process="p", attempt=attempts, now=now)
            done = not down
            if done:
                lease.succeeded(0.01, now=now)
            else:
                lease.failed(RemoteError("down"), now=now)
        if down:
            arrived, sent = arrived + 1, sent + attempts
        elif tick >= 6000:
            after.append((now - 160.0, done, attempts))
    return arrived, sent, after


def test_a_retry_storm_does_not_feed_itself() -> None:
    arrived, naive, _ = storm(lots(1), budgeted=False)
    assert naive == 4 * arrived
    arrived, sent, after = storm(lots(1), budgeted=True)
    assert sent <= 1.2 * arrived + 10 * 60
    assert sent > 1.1 * arrived, "there are retries"
    assert all(done and attempts == 1 for at, done, attempts in after if at >= 10.0)


def test_calls_do_not_storm_when_all_workers_are_full_for_a_minute() -> None:
    bench = Bench()
    arrived = sent = 0
    for tick in range(7500):
        bench.later(0.01)
        down = tick < 6000
        arrived += down
        bench.call()
        while requests := bench.sent():
            sent += len(requests) if down else 0
            for request in requests:
                if down:
                    bench.answer(request, Status.OVERLOADED, retry_after_ms=50)
                else:
                    bench.answer(request)
        outcomes = [resolve.error for resolve in bench.resolved()]
        if down:
            assert all(isinstance(error, Overloaded) for error in outcomes)
        elif tick >= 7000:
            assert outcomes == [None]
    assert sent <= 1.2 * arrived + 10 * 60


# E5.8: panic, and sinks.


@pytest.mark.parametrize(("unhealthy", "all_serve"), [(49, False), (50, False), (51, True)])
def test_health_counts_until_more_than_half_are_ill(unhealthy: int, all_serve: bool) -> None:
    balancer = Balancer()
    names = [f"n{number:02}" for number in range(100)]
    for name in names:
        balancer.update(NodeLoad(name))
    for name in names[:unhealthy]:
        balancer.doubt(name, "ill")
    served = {balancer.acquire().node for _ in range(300)}
    assert served == set(names if all_serve else names[unhealthy:])


@pytest.mark.parametrize("count", [3, 10, 20, 100])
def test_failures_alone_never_eject_more_than_a_tenth(count: int) -> None:
    balancer = Balancer()
    names = tuple(f"n{number:03}" for number in range(count))
    for _ in range(FAILURES_IN_A_ROW + 5):
        for _ in names:
            balancer.acquire(among=names).failed(RemoteError("broken"))
    served = {balancer.acquire(among=names).node for _ in range(3 * count)}
    assert len(served) == count - ejected_max(count)


@pytest.mark.parametrize("strategy", Strategy)
def test_a_sink_that_fails_at_once_attracts_nothing(strategy: Strategy) -> None:
    """At most 1.2 times its share before it is ejected (mean of many runs), and nothing after."""
    before = Counter[bool]()
    for seed in range(40):
        rng = lots(seed)
        workers = [Worker(f"{seed}-{number}") for number in range(8)]
        sink = workers[seed % 8]
        balancer = Balancer(strategy=strategy, rng=rng)
        farm = Farm(workers, [balancer], rng=rng)
        farm.key_of = lambda rng=rng: str(rng.random())  # type: ignore[misc]
        rate_per_s = 0.7 * 7 / 0.02
        farm.run(seconds=1.0, rate_per_s=rate_per_s)
        sink.fails = True
        start = farm.now
        farm.run(seconds=5.0, rate_per_s=rate_per_s)
        again_at = balancer._pools["p"].endpoints[sink.name].circuit.open_until
        ejected_at = farm.now if again_at is None else again_at - OPEN_S + 1e-9
        assert farm.shares(since=ejected_at)[sink.name] == 0, "nothing after"
        for name, count in farm.shares(since=start, until=ejected_at).items():
            before[name == sink.name] += count
    assert before[True] <= 1.2 / 8 * before.total()


# What it is all for.


def mixed_farm(strategy: Strategy, *, seed: int = 1) -> Farm:
    """Eight workers: one five times slower, one failing at once, one freezing now and then."""
    rng = lots(seed)
    workers = [Worker(f"w{number}", at_a_time=2) for number in range(8)]
    workers[1].mean_s *= 5
    workers[2].fails = True
    farm = Farm(workers, [Balancer(strategy=strategy, rng=rng) for _ in range(2)], rng=rng)
    for when in (5.0, 17.0, 29.0):
        farm.at(when, lambda: farm.freeze(workers[3], seconds=2.0))
    farm.run(seconds=40.0, rate_per_s=0.7 * 2 * 6.2 / 0.02)
    return farm


def p99(farm: Farm) -> float:
    return percentile([done.latency_s for done in farm.done if done.error is None], 0.99)


def test_strategies_that_look_at_load_halve_the_worst_of_round_robin() -> None:
    worst = p99(mixed_farm(Strategy.ROUND_ROBIN))
    for strategy in (Strategy.LEAST_LOADED, Strategy.POWER_OF_TWO, Strategy.PEAK_EWMA):
        assert p99(mixed_farm(strategy)) <= 0.5 * worst


def test_twice_the_work_there_is_room_for_sheds_what_matters_least() -> None:
    rng = lots(3)
    workers = [Worker(f"w{number}", at_a_time=4, holds=64) for number in range(4)]
    balancers = [Balancer(strategy=Strategy.LEAST_LOADED, rng=rng) for _ in range(3)]
    farm = Farm(workers, balancers, rng=rng)
    capacity_per_s = 4 * 4 / 0.02
    mix = [Priority.LOW] * 12 + [Priority.NORMAL] * 4 + [Priority.HIGH] * 3 + [Priority.CRITICAL]
    farm.priority_of = lambda: mix[int(rng.random() * len(mix))]
    farm.run(seconds=10.0, rate_per_s=2 * capacity_per_s)
    by_priority = {
        priority: [done.error is None for done in farm.done if done.priority == priority]
        for priority in Priority
    }
    succeeded = {priority: sum(all_) / len(all_) for priority, all_ in by_priority.items()}
    assert succeeded[Priority.HIGH] >= 0.99
    assert succeeded[Priority.CRITICAL] >= 0.99
    assert succeeded[Priority.LOW] < 0.5
    assert succeeded[Priority.LOW] < succeeded[Priority.NORMAL]
    goodput = sum(done.error is None for done in farm.done) / 10.0
    assert goodput >= 0.9 * capacity_per_s
    errors = [done.error for done in farm.done if done.error is not None]
    assert all(isinstance(error, Overloaded) and error.retry_after_s > 0 for error in errors)
