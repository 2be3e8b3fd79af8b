from __future__ import annotations

import pytest

from mreza.ids import NodeId
from mreza.link.table import SIMULTANEOUS_S, LinkFacts, Verdict, decide, judge

SMALL, LARGE = NodeId(b"a" * 16), NodeId(b"b" * 16)


def facts(
    peer: NodeId,
    *,
    dialed: bool,
    epochs: tuple[int, int] = (5, 5),
    since: float = 0.0,
    up_at: float = 0.0,
) -> LinkFacts:
    """`epochs`: ours, the peer's."""
    return LinkFacts(
        peer=peer,
        own_epoch=epochs[0],
        peer_epoch=epochs[1],
        dialed=dialed,
        since=since,
        up_at=up_at,
    )


def test_of_two_links_dialed_at_once_the_one_of_the_smaller_id_stays_at_both_ends() -> None:
    for me, peer in ((SMALL, LARGE), (LARGE, SMALL)):
        smaller_dialed = facts(peer, dialed=me == SMALL)
        larger_dialed = facts(peer, dialed=me == LARGE)
        assert decide(smaller_dialed, larger_dialed, me=me) is Verdict.KEEP
        assert decide(larger_dialed, smaller_dialed, me=me) is Verdict.MERGE


@pytest.mark.parametrize("me", [SMALL, LARGE])
@pytest.mark.parametrize("newer", [(5, 6), (6, 5), (6, 6)])
def test_newer_epochs_win_whoever_dialed(me: NodeId, newer: tuple[int, int]) -> None:
    peer = LARGE if me == SMALL else SMALL
    for dialed in (True, False):
        old, new = facts(peer, dialed=dialed), facts(peer, dialed=not dialed, epochs=newer)
        assert decide(old, new, me=me) is Verdict.REPLACE
        assert decide(new, old, me=me) is Verdict.KEEP


@pytest.mark.parametrize("epochs", [((5, 6), (6, 5)), ((6, 5), (5, 6)), ((5, 5), (5, 6))])
def test_both_ends_keep_the_same_link_whatever_the_epochs(
    epochs: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    """Epochs are (smaller id's, larger id's) of two links that came up in either order."""
    one, two = epochs
    for first, second in ((one, two), (two, one)):
        kept = []
        for me, peer in ((SMALL, LARGE), (LARGE, SMALL)):
            turned = [pair if me == SMALL else (pair[1], pair[0]) for pair in (first, second)]
            old = facts(peer, dialed=me == SMALL, epochs=turned[0])
            new = facts(peer, dialed=me == LARGE, epochs=turned[1])
            kept.append(decide(old, new, me=me) is not Verdict.KEEP)
        assert kept[0] == kept[1]


@pytest.mark.parametrize("me", [SMALL, LARGE])
def test_a_peer_that_dials_again_has_lost_its_end(me: NodeId) -> None:
    peer = LARGE if me == SMALL else SMALL
    again = facts(peer, dialed=False, since=0.1)
    assert decide(facts(peer, dialed=False), again, me=me) is Verdict.REPLACE
    late = facts(peer, dialed=False, since=10.0 + SIMULTANEOUS_S + 0.1)
    assert decide(facts(peer, dialed=True, up_at=10.0), late, me=me) is Verdict.REPLACE


def test_an_epoch_older_than_what_is_known_of_the_peer_is_old() -> None:
    new = facts(LARGE, dialed=True, epochs=(5, 5))
    assert judge(new, None, introduced_epoch=0, me=SMALL) is Verdict.FIRST
    assert judge(new, None, introduced_epoch=5, me=SMALL) is Verdict.FIRST
    assert judge(new, None, introduced_epoch=6, me=SMALL) is Verdict.OLD
    newer = facts(LARGE, dialed=True, epochs=(5, 6))
    assert judge(new, newer, introduced_epoch=0, me=SMALL) is Verdict.OLD
    assert judge(newer, new, introduced_epoch=6, me=SMALL) is Verdict.REPLACE
