"""The ledger knows what was sent, to the byte."""

from __future__ import annotations

import pytest

from mreza.qos import Delivery
from mreza.sim.ledger import Ledger, Sent, content_of


def ledger() -> Ledger:
    ledger = Ledger()
    ledger.messages[7] = Sent(
        number=7,
        source="n1",
        destination="n2",
        delivery=Delivery.ORDERED,
        priority=1,
        at=1000.0,
        life=1,
        size=100,
    )
    return ledger


def test_contents_differ_by_number_and_have_the_size_asked_for() -> None:
    assert content_of(1, 50) != content_of(2, 50)
    assert len(content_of(1, 100_000)) == 100_000
    assert content_of(1, 0) == b""


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ([7, content_of(7, 100)], None),
        ([7, content_of(7, 99)], "message 7 of n1 with other bytes than were sent"),
        ([7, content_of(8, 100)], "message 7 of n1 with other bytes than were sent"),
        ([8, content_of(8, 100)], "message 8, which nobody sent"),
        ("hello", "something that nobody sent"),
        ([7], "something that nobody sent"),
    ],
)
def test_what_was_not_sent_so_is_told(payload: object, words: str | None) -> None:
    assert ledger().why_not_intact(payload) == words
