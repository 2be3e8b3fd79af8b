from __future__ import annotations

import math
from random import Random

import pytest

from mreza.address import Address
from mreza.config.discovery import DiscoveryConfig
from mreza.discovery import candidates as module
from mreza.discovery.candidates import (
    ADDRESSES_PER_NODE_MAX,
    GONE_WITHIN_S,
    LOST_FIRST_S,
    LOST_FOR_S,
    NODES_MAX,
    OURSELF_PAUSE_S,
    STABLE_S,
    Candidates,
    Dial,
    Outcome,
    Source,
    backoff_s,
)
from mreza.ids import NodeId

ME, A, B = NodeId(b"m" * 16), NodeId(b"a" * 16), NodeId(b"b" * 16)
ONE, TWO = Address("192.0.2.1", 7467), Address("192.0.2.2", 7467)


def candidates(
    *peers: str, only_peers: bool = False, now: float = 0.0, side: int = 1
) -> Candidates:
    return Candidates(
        me=ME,
        config=DiscoveryConfig(peers=peers),
        only_peers=only_peers,
        rng=Random(7),  # noqa: S311 - jitter
        now=now,
        side=lambda: side,
    )


def test_all_addresses_of_a_node_are_dialed_together_and_once() -> None:
    c = candidates()
    assert c.next_deadline() is None
    assert c.add(Source.RECORD, ONE, A, now=1.0)
    assert c.add(Source.BEACON, TWO, A, now=1.0)
    assert not c.add(Source.BEACON, TWO, A, now=1.0)
    assert c.next_deadline() == 1.0
    assert c.due(now=1.0) == [Dial(ONE, A), Dial(TWO, A)]
    assert c.due(now=100.0) == []
    assert c.next_deadline() is None


def test_a_linked_node_is_not_dialed_until_it_is_lost() -> None:
    c = candidates()
    c.add(Source.RECORD, ONE, A, now=0.0)
    c.linked(A, now=0.0)
    assert c.due(now=10.0) == []
    assert c.next_deadline() is None
    c.lost(A, cause="closed", remote_host="", now=20.0)
    assert c.next_deadline() == 20.0 + LOST_FIRST_S
    assert c.due(now=20.1) == [Dial(ONE, A)]


def test_between_rounds_a_node_waits_up_to_a_bound_that_doubles() -> None:
    c = candidates()
    c.add(Source.ADDRESS_BOOK, ONE, A, now=0.0)
    now, waits = 0.0, []
    for _ in range(200):
        (dial,) = c.due(now=now)
        c.result(dial, Outcome.FAILED, now=now)
        deadline = c.next_deadline()
        assert deadline is not None
        waits.append(deadline - now)
        now = deadline
    assert waits[0] <= 0.5
    assert waits[1] <= 1.0
    assert waits[2] <= 2.0
    assert 12 < sum(waits[20:]) / 180 < 18
    assert max(waits) <= 30.0


def test_a_round_ends_when_its_last_dial_has_ended() -> None:
    c = candidates()
    c.add(Source.RECORD, ONE, A, now=0.0)
    c.add(Source.RECORD, TWO, A, now=0.0)
    first, second = c.due(now=0.0)
    c.result(first, Outcome.NOBODY, now=0.1)
    assert c.next_deadline() is None
    c.result(second, Outcome.FAILED, now=5.0)
    deadline = c.next_deadline()
    assert deadline is not None
    assert deadline > 5.0


def test_a_neighbor_just_lost_is_dialed_at_once_and_then_every_half_to_one_second() -> None:
    c = candidates()
    c.add(Source.RECORD, ONE, A, now=0.0)
    c.linked(A, ONE, now=0.0)
    c.lost(A, cause="reset", remote_host="192.0.2.1", now=100.0)
    now = 100.0 + LOST_FIRST_S
    while now < 100.0 + LOST_FOR_S:
        (dial,) = c.due(now=now)
        c.result(dial, Outcome.FAILED, now=now)
        deadline = c.next_deadline()
        assert deadline is not None
        assert 0.5 <= deadline - now <= 1.0
        now = deadline


def lost_long_ago(c: Candidates, count: int) -> float:
    """So many neighbors were lost, and dialed in vain for five minutes; the time after that."""
    for number in range(count):
        node = NodeId(bytes([number + 1]) * 16)
        c.add(Source.RECORD, Address(f"192.0.2.{number + 1}", 7467), node, now=0.0)
        c.linked(node, now=0.0)
        c.lost(node, cause="silent", remote_host="", now=100.0)
    now = 100.0 + LOST_FOR_S
    for dial in c.due(now=now):
        c.result(dial, Outcome.FAILED, now=now)
    return now


@pytest.mark.parametrize("side", [1, 4, 50])
def test_a_side_together_dials_about_one_a_second_of_those_lost_long_ago(side: int) -> None:
    c = candidates(side=side)
    begin = now = lost_long_ago(c, 20)
    dialed = []
    for _ in range(2000):
        deadline = c.next_deadline()
        assert deadline is not None
        now = deadline
        (dial,) = c.due(now=now)
        dialed.append(dial.expected)
        c.result(dial, Outcome.FAILED, now=now)
    assert 2000 * side * 0.9 < now - begin < 2000 * side * 1.1
    assert len(set(dialed)) == 20
    assert max(dialed.count(node) for node in set(dialed)) < 2 * 2000 / 20


def test_a_dial_to_one_lost_long_ago_that_hangs_holds_up_no_other() -> None:
    c = candidates()
    now = lost_long_ago(c, 2)
    first = second = None
    while first is None or second is None:
        deadline = c.next_deadline()
        assert deadline is not None
        now = deadline
        for dial in c.due(now=now):
            first, second = (dial, second) if first is None else (first, dial)
    assert first.expected != second.expected
    assert c.due(now=now + 1000.0) == []
    assert c.next_deadline() is None


def test_one_lost_long_ago_that_is_heard_of_is_dialed_soon_and_one_that_is_back_no_more() -> None:
    c = candidates(side=1000)
    now = lost_long_ago(c, 1)
    node = NodeId(b"\x01" * 16)
    c.add(Source.BEACON, ONE, node, now=now)
    assert c.due(now=now + 0.5) == [Dial(ONE, node)]
    c.linked(node, ONE, now=now + 0.5)
    c.result(Dial(ONE, node), Outcome.UP, node, now=now + 0.5)
    assert c.next_deadline() is None
    assert c.due(now=now + 1e6) == []
    c.lost(node, cause="reset", remote_host="", now=now + 2e6)
    assert c.due(now=now + 2e6 + LOST_FIRST_S) == [Dial(ONE, node)]


def test_links_that_end_as_soon_as_they_come_up_are_dialed_ever_more_rarely() -> None:
    c = candidates()
    c.add(Source.RECORD, ONE, A, now=0.0)
    now, waits = 0.0, []
    for turn in range(12):
        (dial,) = c.due(now=now)
        c.linked(A, ONE, now=now)
        c.result(dial, Outcome.UP, A, now=now)
        c.lost(A, cause="closed", remote_host="192.0.2.1", now=now + 0.01)
        deadline = c.next_deadline()
        assert deadline is not None
        waits.append(deadline - now)
        now = deadline
        if turn == 1:
            # A dial that fails between two such links does not bring the quick pace back.
            (dial,) = c.due(now=now)
            c.result(dial, Outcome.FAILED, now=now)
            deadline = c.next_deadline()
            assert deadline is not None
            now = deadline
    assert waits[0] < 0.1
    assert sum(waits[6:]) > 20.0


def test_a_neighbor_that_is_killed_again_and_again_is_dialed_at_the_pace_of_the_lost() -> None:
    c = candidates()
    c.add(Source.RECORD, ONE, A, now=0.0)
    now, waits = 0.0, []
    for _ in range(12):
        (dial,) = c.due(now=now)
        c.linked(A, ONE, now=now)
        c.result(dial, Outcome.UP, A, now=now)
        c.lost(A, cause="reset", remote_host="192.0.2.1", now=now + 0.01)
        for _ in range(3):
            # It is down for a while: nobody listens.
            deadline = c.next_deadline()
            assert deadline is not None
            waits.append(deadline - now)
            now = deadline
            (dial,) = c.due(now=now)
            c.result(dial, Outcome.NOBODY, now=now)
        deadline = c.next_deadline()
        assert deadline is not None
        now = deadline
    assert waits[0] < 0.1
    assert max(waits) < 1.1
    assert min(waits[3:]) >= 0.5, "never a storm of dials"


def test_a_refused_link_is_no_reason_to_hurry() -> None:
    c = candidates()
    c.add(Source.RECORD, ONE, A, now=0.0)
    c.linked(A, ONE, now=0.0)
    c.lost(A, cause="revoked", remote_host="", now=STABLE_S + 1)
    deadline = c.next_deadline()
    assert deadline is not None
    assert deadline > STABLE_S + 1 + LOST_FIRST_S


def test_a_refused_redial_after_a_reset_proves_that_the_process_is_gone() -> None:
    c = candidates()
    c.add(Source.RECORD, ONE, A, now=0.0)
    c.add(Source.RECORD, TWO, A, now=0.0)
    c.linked(A, now=0.0)
    c.lost(A, cause="reset", remote_host=ONE.host, now=50.0)
    one, two = c.due(now=50.1)
    # Nobody ever met it at TWO: a refusal there says nothing.
    assert c.result(two, Outcome.NOBODY, now=50.2) is None
    assert c.result(one, Outcome.NOBODY, now=50.2) == A
    (one, two) = c.due(now=52.0)
    assert c.result(one, Outcome.NOBODY, now=52.0) is None


@pytest.mark.parametrize(
    ("cause", "outcome", "after_s"),
    [
        ("closed", Outcome.NOBODY, 0.1),
        ("silent", Outcome.NOBODY, 0.1),
        ("reset", Outcome.FAILED, 0.1),
        ("reset", Outcome.UP, 0.1),
        ("reset", Outcome.NOBODY, GONE_WITHIN_S + 1),
    ],
)
def test_other_losses_prove_nothing(cause: str, outcome: Outcome, after_s: float) -> None:
    c = candidates()
    c.add(Source.RECORD, ONE, A, now=0.0)
    c.linked(A, ONE, now=0.0)
    c.lost(A, cause=cause, remote_host=ONE.host, now=50.0)
    (dial,) = c.due(now=50.0 + after_s)
    assert c.result(dial, outcome, A, now=50.0 + after_s) is None


def test_an_address_given_by_the_user_is_dialed_for_ever_whoever_is_there() -> None:
    c = candidates("192.0.2.1")
    (dial,) = c.due(now=0.0)
    assert dial == Dial(ONE, None)
    c.linked(A, ONE, now=0.0)
    c.result(dial, Outcome.UP, A, now=0.0)
    assert c.next_deadline() is None
    assert c.addresses_of(A) == (ONE,)
    c.lost(A, cause="reset", remote_host="192.0.2.1", now=60.0)
    (dial,) = c.due(now=60.1)
    assert dial.expected is None
    assert c.result(dial, Outcome.NOBODY, now=60.1) == A
    now = 1e6
    (dial,) = c.due(now=now)
    c.result(dial, Outcome.UP, B, now=now)
    assert c.addresses_of(B) == (ONE,)


def test_an_address_from_dns_is_dialed_whoever_is_there_and_may_be_forgotten() -> None:
    c = candidates()
    assert c.add(Source.DNS, ONE, None, now=0.0)
    (dial,) = c.due(now=0.0)
    assert dial == Dial(ONE, None)
    c.linked(A, ONE, now=0.0)
    c.result(dial, Outcome.UP, A, now=0.0)
    assert c.next_deadline() is None
    assert c.addresses_of(A) == (ONE,)
    assert not candidates(only_peers=True).add(Source.DNS, ONE, None, now=0.0)


def test_a_node_of_multicast_dns_is_a_hint_like_one_of_a_beacon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "HINTED_MAX", 1)
    c = candidates()
    assert c.add(Source.MDNS, ONE, A, now=0.0)
    assert c.add(Source.MDNS, TWO, B, now=1.0)
    assert c.due(now=1.0) == [Dial(TWO, B)]


def test_with_only_peers_nothing_else_is_dialed() -> None:
    c = candidates("192.0.2.1", only_peers=True)
    assert not c.add(Source.RECORD, TWO, A, now=0.0)
    assert [dial.address for dial in c.due(now=0.0)] == [ONE]
    c.lost(A, cause="reset", remote_host="", now=1.0)
    assert c.due(now=100.0) == []


def test_what_cannot_be_dialed_is_no_candidate() -> None:
    c = candidates()
    assert not c.add(Source.RECORD, ONE, ME, now=0.0)
    assert not c.add(Source.BEACON, Address.parse("::"), A, now=0.0)
    assert not c.add(Source.BEACON, Address("192.0.2.9", 0), A, now=0.0)
    assert not c.add(Source.BEACON, ONE, None, now=0.0)
    assert c.next_deadline() is None


def test_our_own_address_is_left_alone_for_long() -> None:
    c = candidates("192.0.2.1")
    (dial,) = c.due(now=0.0)
    c.result(dial, Outcome.OURSELF, ME, now=0.0)
    assert c.next_deadline() == OURSELF_PAUSE_S


def test_a_beacon_of_a_known_node_has_it_dialed_at_once_but_not_every_time() -> None:
    c = candidates()
    c.add(Source.ADDRESS_BOOK, ONE, A, now=0.0)
    now = 0.0
    for _ in range(12):
        (dial,) = c.due(now=now)
        c.result(dial, Outcome.FAILED, now=now)
        deadline = c.next_deadline()
        assert deadline is not None
        now = deadline
    (dial,) = c.due(now=now)
    c.result(dial, Outcome.FAILED, now=now)
    assert not c.add(Source.RECORD, ONE, A, now=now)
    deadline = c.next_deadline()
    assert deadline is not None
    assert deadline > now
    assert c.add(Source.BEACON, ONE, A, now=now)
    assert c.next_deadline() == now
    (dial,) = c.due(now=now)
    c.result(dial, Outcome.FAILED, now=now)
    assert not c.add(Source.BEACON, ONE, A, now=now + 1.0)
    deadline = c.next_deadline()
    assert deadline is not None
    assert now < deadline <= now + 1.5


def test_a_beacon_of_a_linked_node_changes_nothing() -> None:
    c = candidates()
    c.add(Source.BEACON, ONE, A, now=0.0)
    c.linked(A, ONE, now=0.0)
    assert not c.add(Source.BEACON, ONE, A, now=10.0)
    assert c.due(now=10.0) == []
    assert c.next_deadline() is None


def test_a_node_that_comes_back_soon_after_its_link_was_lost_is_dialed_at_its_first_beacon() -> (
    None
):
    c = candidates()
    c.add(Source.BEACON, ONE, A, now=0.0)
    c.linked(A, ONE, now=0.0)
    c.lost(A, cause="closed", remote_host="", now=3.0)
    for dial in c.due(now=3.5):
        c.result(dial, Outcome.NOBODY, now=3.5)
    assert c.add(Source.BEACON, ONE, A, now=3.51)
    assert [dial.address for dial in c.due(now=3.51)] == [ONE]


def test_one_that_ends_each_link_at_once_is_not_dialed_at_each_beacon() -> None:
    c = candidates()
    c.add(Source.BEACON, ONE, A, now=0.0)
    at_once = 0
    for number in range(10):
        now = float(number)
        c.linked(A, ONE, now=now)
        c.lost(A, cause="closed", remote_host="", now=now + 0.1)
        at_once += c.add(Source.BEACON, ONE, A, now=now + 0.2)
    assert at_once <= 3


def test_addresses_of_one_node_are_bounded_and_good_ones_stay() -> None:
    c = candidates()
    c.add(Source.RECORD, ONE, A, now=0.0)
    c.linked(A, ONE, now=0.0)
    for number in range(ADDRESSES_PER_NODE_MAX + 5):
        c.add(Source.RECORD, Address("198.51.100.1", 1000 + number), A, now=1.0)
    known = c.addresses_of(A)
    assert len(known) == ADDRESSES_PER_NODE_MAX
    assert known[0] == ONE
    assert known[-1] == Address("198.51.100.1", 1000 + ADDRESSES_PER_NODE_MAX + 4)
    c.lost(A, cause="silent", remote_host="", now=60.0)
    assert len(c.due(now=61.0)) == ADDRESSES_PER_NODE_MAX
    assert not c.add(Source.RECORD, TWO, A, now=61.0)


def test_the_best_address_is_dialed_first() -> None:
    c = candidates()
    c.add(Source.RECORD, ONE, A, now=0.0)
    c.add(Source.RECORD, TWO, A, now=0.0)
    c.linked(A, TWO, now=1.0)
    c.lost(A, cause="silent", remote_host="", now=60.0)
    assert [dial.address for dial in c.due(now=61.0)] == [TWO, ONE]


def test_nodes_are_bounded_and_those_that_never_answered_give_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert NODES_MAX >= 1024
    monkeypatch.setattr(module, "NODES_MAX", 3)
    c = candidates("192.0.2.1")
    c.add(Source.RECORD, TWO, A, now=1.0)
    c.linked(A, TWO, now=1.0)
    c.add(Source.RECORD, TWO, B, now=2.0)
    new = NodeId(b"c" * 16)
    c.add(Source.RECORD, TWO, new, now=3.0)
    assert c.addresses_of(B) == ()
    assert c.addresses_of(A) == (TWO,)
    assert c.addresses_of(new) == (TWO,)
    only_static = candidates("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")
    assert len(only_static.due(now=0.0)) == 4


def test_a_result_of_a_forgotten_address_changes_nothing() -> None:
    c = candidates()
    assert c.result(Dial(ONE, A), Outcome.UP, A, now=0.0) is None
    c.add(Source.RECORD, ONE, A, now=0.0)
    assert c.result(Dial(TWO, A), Outcome.UP, A, now=0.0) is None


def test_full_jitter_never_spins() -> None:
    rng = Random(1)  # noqa: S311 - jitter
    waits = [backoff_s(n, first_s=0.5, max_s=30.0, rng=rng) for n in range(2000)]
    assert min(waits) >= module.PAUSE_MIN_S
    assert max(waits) <= 30.0


def made_up(number: int) -> NodeId:
    return NodeId(number.to_bytes(16))


def test_nodes_that_only_beacons_name_are_dialed_with_little_patience() -> None:
    c = candidates()
    for number in range(100):
        for port in range(1, 5):
            c.add(Source.BEACON, Address("192.0.2.9", port), made_up(number), now=0.0)
    c.add(Source.RECORD, ONE, A, now=0.0)
    first = c.due(now=0.0)
    assert Dial(ONE, A) in first, "members do not wait for strangers"
    assert len(first) == 1 + module.HINTED_DIALS_MAX
    assert c.next_deadline() == math.inf
    dialed, now = len(first), 0.0
    pending = first
    while now < 2.0:
        now += 0.01
        for dial in pending:
            c.result(dial, Outcome.NOBODY, now=now)
        pending = c.due(now=now)
        dialed += sum(dial.expected != A for dial in pending)
    assert dialed <= 1 + (2 + now) * module.HINTED_DIALS_PER_S


def test_a_hinted_node_that_is_heard_of_otherwise_is_a_member_like_others() -> None:
    c = candidates()
    for number in range(100):
        c.add(Source.BEACON, Address("192.0.2.9", 1), made_up(number), now=0.0)
    c.due(now=0.0)
    c.add(Source.RECORD, Address("192.0.2.9", 1), made_up(99), now=0.0)
    assert [dial.expected for dial in c.due(now=0.0)] == [made_up(99)]


def test_made_up_nodes_push_out_each_other_and_no_member() -> None:
    c = candidates()
    c.add(Source.RECORD, ONE, A, now=0.0)
    for number in range(2 * module.HINTED_MAX):
        c.add(Source.BEACON, TWO, made_up(number), now=float(number))
    assert c.addresses_of(A) == (ONE,)
    assert c.addresses_of(made_up(0)) == ()
    assert c.addresses_of(made_up(2 * module.HINTED_MAX - 1)) == (TWO,)
    assert len(c._targets) == module.HINTED_MAX + 1


def test_when_all_places_are_taken_what_was_made_up_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "NODES_MAX", 3)
    c = candidates()
    c.add(Source.RECORD, ONE, A, now=0.0)
    c.add(Source.RECORD, ONE, B, now=1.0)
    c.add(Source.BEACON, TWO, made_up(1), now=2.0)
    c.add(Source.RECORD, TWO, made_up(2), now=3.0)
    assert list(c._targets) == [A, B, made_up(2)]


def test_a_node_that_moves_all_the_time_is_followed_only_so_often() -> None:
    c = candidates()
    dialed = 0
    for tenth in range(200):
        now = tenth / 10
        for port in range(1, 17):
            c.add(Source.RECORD, Address("192.0.2.9", 100 * (tenth + 1) + port), A, now=now)
        for dial in c.due(now=now):
            dialed += 1
            c.result(dial, Outcome.NOBODY, now=now)
    rounds = dialed / ADDRESSES_PER_NODE_MAX
    assert rounds <= 20 / module.HASTENED_EVERY_S + 12, "its rounds, and one for each news in time"
