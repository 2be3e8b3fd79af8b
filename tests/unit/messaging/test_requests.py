from __future__ import annotations

import msgspec

from mreza.messaging.requests import aged, corrected, latest_s, request_bytes
from mreza.wire.packet import REQUESTS, Request

RAW = msgspec.Raw(b"\xc0")


def request(number: int, timeout_ms: int) -> Request:
    return Request(number, "work", RAW, timeout_ms)


def test_requests_age_while_they_wait_and_those_too_late_go() -> None:
    left = aged([request(1, 1000), request(2, 200), request(3, 500)], waited_s=0.5)
    assert [(r.id, r.timeout_ms) for r in left] == [(1, 500)]


def test_a_moment_changes_nothing() -> None:
    given = [request(1, 1000)]
    assert aged(given, waited_s=0.0004) == given


def test_the_last_of_a_batch_decides_how_long_it_is_worth_sending() -> None:
    assert latest_s([request(1, 1000), request(2, 3000)], now=10.0) == 13.0
    assert latest_s([], now=10.0) == 10.0


def test_the_head_of_a_batch_sent_again_corrects_its_items() -> None:
    given = [request(1, 3000), request(2, 5000)]
    assert [r.timeout_ms for r in corrected(given, deadline_ms=4000)] == [2000, 4000]
    assert corrected(given, deadline_ms=0) == given
    assert corrected(given, deadline_ms=6000) == given
    assert corrected([], deadline_ms=1) == []


def test_the_estimate_is_never_too_small() -> None:
    large = Request(
        1 << 60,
        "ж" * 60,
        msgspec.Raw(b"\xc4\x05hello"),
        1 << 60,
        headers={"ключ": "ж" * 50},
        key="ж",
    )
    assert len(REQUESTS.encode([large])) <= request_bytes(large)
