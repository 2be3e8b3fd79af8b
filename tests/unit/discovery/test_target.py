from __future__ import annotations

from mreza.address import Address
from mreza.discovery.target import Place, Target
from mreza.ids import NodeId

A = NodeId(b"a" * 16)
ONE, TWO = Address("192.0.2.1", 7467), Address("192.0.2.2", 7467)


def test_an_address_that_answered_is_better_than_one_that_never_did() -> None:
    never, once = Place(), Place()
    once.succeeded_at = 0.0
    assert once.rank > never.rank


def test_a_target_counts_its_dials_and_knows_whether_it_ever_answered() -> None:
    target = Target(A, static=False, now=1.0)
    target.places = {ONE: Place(), TWO: Place()}
    assert (target.in_flight, target.in_flight_count, target.succeeded) == (False, 0, False)
    target.places[ONE].in_flight = True
    target.places[TWO].succeeded_at = 2.0
    assert (target.in_flight, target.in_flight_count, target.succeeded) == (True, 1, True)


def test_a_target_waits_for_a_draw_until_it_has_a_time_again() -> None:
    target = Target(A, static=False, now=1.0)
    waited = [target.waits_for_draw]
    target.wait_for_draw()
    waited.append(target.waits_for_draw)
    target.due_at = 5.0
    waited.append(target.waits_for_draw)
    assert waited == [False, True, False]
