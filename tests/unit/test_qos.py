"""Priorities are ordered and fit two bits; deliveries and types have stable names."""

from __future__ import annotations

from mreza.qos import Delivery, MessageType, Priority


def test_priorities_rise_from_low_to_critical() -> None:
    assert [int(priority) for priority in Priority] == [0, 1, 2, 3]
    assert Priority.LOW < Priority.NORMAL < Priority.HIGH < Priority.CRITICAL


def test_names_are_stable() -> None:
    assert {delivery.value for delivery in Delivery} == {
        "at_most_once",
        "at_least_once",
        "ordered",
    }
    assert {kind.value for kind in MessageType} == {"process", "data"}
