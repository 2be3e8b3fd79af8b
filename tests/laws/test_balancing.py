"""What holds for the balancer whatever happens, in whatever order."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, strategies as st

from mreza.balancing.balancer import Balancer
from mreza.balancing.endpoint import NodeLoad
from mreza.balancing.hash_ring import ConsistentHash
from mreza.balancing.lease import Lease
from mreza.config.load_balancer import Strategy
from mreza.errors import (
    NoSuchProcess,
    Overloaded,
    PayloadError,
    RemoteError,
    UnknownNode,
    WorkerLost,
)
from mreza.qos import Priority
from tests.support.balancing import endpoint, lots

NODES = tuple("abcdefg")
ERRORS = [
    RemoteError("broken"),
    Overloaded("full", retry_after_s=1.0),
    PayloadError("wrong"),
    NoSuchProcess("none"),
    WorkerLost("gone", may_have_run=True),
]

nodes = st.sampled_from(NODES)
steps = st.one_of(
    st.tuples(
        st.just("acquire"),
        st.lists(nodes, max_size=6, unique=True),
        st.lists(nodes, max_size=3),
        st.sampled_from(Strategy),
        st.sampled_from(Priority),
        st.one_of(st.none(), st.text(max_size=3)),
    ),
    st.tuples(st.just("succeed"), st.integers(0, 50), st.floats(0, 30)),
    st.tuples(st.just("fail"), st.integers(0, 50), st.sampled_from(ERRORS)),
    st.tuples(st.just("release"), st.integers(0, 50)),
    st.tuples(st.just("report"), nodes, st.integers(0, 40), st.integers(1, 40)),
    st.tuples(st.just("remove"), nodes),
    st.tuples(st.just("doubt"), nodes),
    st.tuples(st.just("trust"), nodes),
    st.tuples(st.just("wait"), st.floats(0, 60)),
    st.tuples(st.just("optimize"), st.booleans()),
)


@given(st.lists(steps, max_size=80), st.integers(0, 3))
def test_work_goes_to_those_that_may_have_it_and_is_counted_until_it_ends(
    history: list[tuple[Any, ...]], seed: int
) -> None:
    balancer, out = Balancer(rng=lots(seed)), list[Lease]()
    ours: Counter[str] = Counter()
    now = 0.0
    for step in history:
        match step:
            case ("acquire", among, exclude, strategy, priority, key):
                allowed = [node for node in among if node not in exclude]
                try:
                    lease = balancer.acquire(
                        key,
                        exclude,
                        among=among,
                        strategy=strategy,
                        priority=priority,
                        now=now,
                    )
                except UnknownNode:
                    assert not allowed
                except Overloaded:
                    assert allowed
                else:
                    assert lease.node in allowed
                    assert balancer.why(lease).startswith("work went to")
                    out.append(lease)
                    ours[str(lease.node)] += 1
            case ("succeed" | "fail" | "release" as how, place, *what) if out:
                lease = out.pop(place % len(out))
                ours[str(lease.node)] -= 1
                match how:
                    case "succeed":
                        lease.succeeded(what[0], now=now)
                    case "fail":
                        lease.failed(what[0], now=now)
                    case "release":
                        lease.released()
            case ("report", node, in_flight, capacity):
                balancer.update(NodeLoad(node, in_flight=in_flight, capacity=capacity), now=now)
            case ("remove", node):
                balancer.remove(node)
                # What was there is no longer counted, should the node come back.
                out = [lease for lease in out if lease.node != node]
                ours[node] = 0
            case ("doubt", node):
                balancer.doubt(node, "ill")
            case ("trust", node):
                balancer.trust(node)
            case ("wait", seconds):
                now += seconds
            case ("optimize", dry_run):
                balancer.optimize(dry_run=dry_run, now=now)
        for node in NODES:
            assert balancer.why(node, now=now)
            assert balancer.load_of(node, now=now).in_flight >= ours[node]
    now += 1000.0
    for lease in out:
        lease.released()
    for node in NODES:
        assert balancer.load_of(node, now=now).in_flight == 0


@given(
    st.lists(st.text(min_size=1, max_size=4), min_size=2, max_size=8, unique=True),
    st.lists(st.text(max_size=4), max_size=30),
)
def test_when_a_node_goes_only_its_keys_move(names: list[str], keys: list[str]) -> None:
    here, picker = [endpoint(name) for name in sorted(names)], ConsistentHash()
    gone = names[0]
    left = [node for node in here if node.node != gone]
    for key in keys:
        before = picker.pick(here, key=key, now=0.0).node
        after = picker.pick(left, key=key, now=0.0).node
        assert before in (after, gone)
        assert picker.pick(here, key=key, now=0.0).node == before
