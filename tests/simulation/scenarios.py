"""Bad days in virtual time, each with what must hold at its end, or AssertionError."""

from __future__ import annotations

import itertools
from collections import Counter

from mreza.events import MemberState, Partitioned, PartitionHealed
from mreza.sim.lies import claim_link, force_next_hop
from mreza.sim.node import SimNode
from mreza.sim.world import World
from mreza.wire.envelope import HOP_LIMIT, decode_envelope
from mreza.wire.frame import FrameType
from mreza.wire.records import RECORDS, AgedRecord, RecordsBody


def handled_once(node: SimNode, expected: int) -> None:
    """Every message arrived, and none twice."""
    ids = Counter(entry[:5] for entry in node.handled)
    assert len(ids) == expected, f"{len(ids)} of {expected} messages were handled"
    twice = [message for message, times in ids.items() if times > 1]
    assert not twice, f"handled twice: {twice[:3]}"


def relay_dies_and_returns(seed: int) -> None:
    """Nothing acknowledged is lost and nothing doubled when the only relay dies under traffic."""
    world = World(seed=seed)
    a, _, c = world.line("a", "b", "c")
    world.run_until(world.agree, within_s=30)
    for round_ in range(20):
        for number in range(10):
            a.send("c", f"{round_}-{number}")
        world.run(seconds=0.02)
        if round_ == 7:
            world.crash("b")
        if round_ == 12:
            world.run(seconds=2.0)
            world.restart("b")
    world.run_until(lambda: len(c.handled) >= 200, within_s=60)
    world.run(seconds=20)
    handled_once(c, 200)


def lossy_line(seed: int) -> None:
    """A fifth of all envelopes is lost on each of three links, and their acknowledgements too."""
    world = World(seed=seed)
    a, _, _, d = world.line("a", "b", "c", "d", loss=0.2)
    world.run_until(world.agree, within_s=30)
    for number in range(100):
        a.send("d", number)
        d.send("a", number)
        world.run(seconds=0.05)
    world.run_until(lambda: len(d.handled) >= 100 and len(a.handled) >= 100, within_s=300)
    world.run(seconds=60)
    handled_once(d, 100)
    handled_once(a, 100)


def halves_become_one(seed: int) -> None:
    """A mesh that was split for a minute is one again, with equal databases."""
    world = World(seed=seed).grow(12)
    world.run_until(world.agree, within_s=30)
    with world.partitioned():
        world.run(seconds=60)
        left = world.nodes["n0"]
        right = world.nodes["n11"]
        assert right.name not in left.view()
        assert left.name not in right.view()
    world.run_until(world.agree, within_s=30)
    world.run(seconds=60)
    assert world.agree()
    databases = [
        sorted((record.slot, rank) for record, rank in node.core.control.database.ranks())
        for node in world.nodes.values()
    ]
    assert all(database == databases[0] for database in databases), "databases differ"


def a_split_is_named_once(seed: int) -> None:
    """Every node of both sides names both sides within 3.5 s of noticing, and the merge later."""
    world = World(seed=seed)
    left, right = {"a", "b", "c", "d"}, {"e", "f", "g", "h"}
    world.add(*sorted(left | right))
    names = sorted(left | right)
    chain = set(itertools.pairwise(names))
    for pair in itertools.combinations(names, 2):
        if pair in chain or world.rng.random() < 0.5:
            world.link(*pair, delay_s=world.rng.uniform(0.001, 0.02))
    world.run_until(world.agree, within_s=30)
    world.run(seconds=15)  # what a mesh says while it forms may not have arrived everywhere
    world.partition(left)
    noticed_s = world.run_until(
        lambda: all(len(node.view()) == 4 for node in world.nodes.values()), within_s=30
    )
    assert noticed_s < 10
    world.run(seconds=3.5)
    for node in world.nodes.values():
        (event,) = [event for event in node.events if isinstance(event, Partitioned)]
        ours, theirs = (left, right) if node.name in left else (right, left)
        assert (set(event.our_labels), set(event.their_labels)) == (ours, theirs), node.name
    world.run(seconds=30)
    world.repair(left)
    world.run_until(world.agree, within_s=30)
    world.run(seconds=4)
    for node in world.nodes.values():
        (healed,) = [event for event in node.events if isinstance(event, PartitionHealed)]
        assert healed.missing == (), node.name
        assert not node.core.control.partitions, node.name


def old_records_come_back(seed: int) -> None:
    """Records captured before a change and played again later change nothing."""
    world = World(seed=seed)
    a, b, c = world.line("a", "b", "c")
    world.link("a", "c")
    world.run_until(world.agree, within_s=30)
    old = list(a.core.control.database)
    world.cut("a", "c")
    world.run(seconds=5)
    assert b.id in a.core.control.path_to(c.id), "the way should lead over b now"
    frame = RECORDS.encode(RecordsBody(tuple(AgedRecord(record, 0.0) for record in old)))
    for node in (a, b, c):
        for peer in (a, b, c):
            if peer is not node and world.link_between(node.name, peer.name):
                node.core.frame(peer.id, FrameType.RECORDS, frame, now=world.now)
                world.wake(node)
    world.run(seconds=0.2)
    assert a.core.control.path_to(c.id) == (a.id, b.id, c.id), "an old record changed a route"


def one_sided_claim(seed: int) -> None:
    """A node that claims a link which the other end does not know attracts nothing."""
    world = World(seed=seed)
    a, _b, liar, d = world.line("a", "b", "liar", "d")
    world.run_until(world.agree, within_s=30)
    claim_link(liar, a)
    world.run(seconds=5)
    path = a.core.control.path_to(d.id)
    assert len(path) == 4, f"a one-sided link was used: {path}"


def hops_are_counted(seed: int) -> None:
    """Nodes whose routes point in a circle pass an envelope on at most HOP_LIMIT times."""
    world = World(seed=seed)
    a, b, c, far = world.line("a", "b", "c", "far")
    world.link("a", "c")
    world.run_until(world.agree, within_s=30)
    envelopes: list[bytes] = []
    world.taps.append(
        lambda _, kind, body: envelopes.append(body) if kind == FrameType.ENVELOPE else None
    )
    # Routes of a moment: b thinks c, c thinks a, a thinks b. No database would say so for long.
    for node, next_hop in ((a, b), (b, c), (c, a)):
        force_next_hop(node, far, next_hop)
    a.send("far", "round and round")
    world.run(seconds=0.9)
    journeys = Counter(
        (envelope.source, envelope.session_id, envelope.counter)
        for body in envelopes
        if (envelope := decode_envelope(body)).destinations[0] == far.id
    )
    assert journeys, "nothing was sent"
    assert max(journeys.values()) <= HOP_LIMIT, "an envelope went round for ever"


def restored_node(seed: int) -> None:
    """A node started from an old copy of its directory is itself again within five seconds."""
    world = World(seed=seed)
    a, b, c = world.line("a", "b", "c")
    world.run_until(world.agree, within_s=30)
    for _ in range(3):
        world.crash("b")
        world.run(seconds=1)
        world.restart("b")
        world.run_until(world.agree, within_s=30)
    epoch = a.core.control.epoch_of(b.id) or 0
    world.crash("b")
    world.run(seconds=3)
    b.boot = 0
    world.restart("b")
    world.run_until(world.agree, within_s=5)
    assert (a.core.control.epoch_of(b.id) or 0) > epoch
    a.send("c", "through b")
    world.run_until(lambda: len(c.handled) == 1, within_s=5)


def clone_beside_original(seed: int) -> None:
    """Of two processes with one key the later one stops; the others lose nothing meanwhile."""
    world = World(seed=seed)
    a, original, c = world.line("a", "b", "c")
    world.link("a", "c")
    world.run_until(world.agree, within_s=30)
    world.run(seconds=20)
    clone = world.clone("b", "clone")
    world.link("a", "clone")
    world.link("c", "clone")
    for number in range(100):
        a.send("c", number)
        world.run(seconds=0.1)
    assert clone.stopped is not None, "the clone still runs after ten seconds"
    assert original.stopped is None
    assert original.alive
    world.run(seconds=5)
    handled_once(c, 100)
    for node in (a, c, original):
        assert any(event.name == "duplicate_identity" for event in node.events), node.name


def member_leaves(seed: int) -> None:
    """A signed farewell is known to all at once and is not undone by old records."""
    world = World(seed=seed).grow(6)
    world.run_until(world.agree, within_s=30)
    leaver = world.nodes["n3"]
    leaver.core.control.farewell("maintenance", now=world.now)
    world.wake(leaver)
    world.run(seconds=0.2)
    world.crash("n3")
    world.run(seconds=60)
    for node in world.nodes.values():
        if node.alive:
            member = node.core.control.roster.members[leaver.id]
            assert (member.state, member.cause) == (MemberState.LEFT, "maintenance"), node.name


SCENARIOS = (
    relay_dies_and_returns,
    lossy_line,
    halves_become_one,
    a_split_is_named_once,
    old_records_come_back,
    one_sided_claim,
    hops_are_counted,
    restored_node,
    clone_beside_original,
    member_leaves,
)
