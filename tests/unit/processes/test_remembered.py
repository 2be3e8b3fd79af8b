"""Results are remembered for a time, and within bounds."""

from __future__ import annotations

from mreza.processes.remembered import ENTRY_BYTES, Remembered


def remembered(*, count_max: int = 3, bytes_max: int = 10**6) -> Remembered[str]:
    return Remembered(count_max=count_max, bytes_max=bytes_max, keep_s=10.0)


def test_a_result_is_there_until_its_time_is_over() -> None:
    results = remembered()
    results.put("a", b"1", now=0.0)
    results.put("b", b"2", now=5.0)
    assert results.get("a", now=9.9) == b"1"
    assert results.get("c", now=9.9) is None
    assert results.get("a", now=10.0) is None
    assert results.get("b", now=10.0) == b"2"
    assert len(results) == 1


def test_the_oldest_gives_way_when_there_are_too_many() -> None:
    results = remembered()
    for name in "abcd":
        results.put(name, b"", now=0.0)
    assert [results.get(name, now=1.0) for name in "abcd"] == [None, b"", b"", b""]


def test_the_oldest_give_way_when_they_are_too_large() -> None:
    results = remembered(bytes_max=2 * ENTRY_BYTES + 100)
    results.put("a", bytes(60), now=0.0)
    results.put("b", bytes(60), now=0.0)
    assert results.get("a", now=1.0) is None
    assert results.get("b", now=1.0) == bytes(60)
    results.put("c", bytes(10**4), now=1.0)
    assert len(results) == 0


def test_a_newer_result_takes_the_place_of_an_older_one() -> None:
    results = remembered()
    results.put("a", b"old", now=0.0)
    results.put("a", b"new", now=5.0)
    assert results.get("a", now=12.0) == b"new"
    assert len(results) == 1
