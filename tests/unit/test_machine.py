"""The earliest of several deadlines."""

from __future__ import annotations

import pytest

from mreza.machine import earliest


@pytest.mark.parametrize(
    ("deadlines", "first"),
    [((), None), ((None,), None), ((None, None), None), ((2.0, None, 1.0), 1.0), ((0.0,), 0.0)],
)
def test_none_stands_for_never(deadlines: tuple[float | None, ...], first: float | None) -> None:
    assert earliest(*deadlines) == first
