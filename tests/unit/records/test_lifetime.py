from __future__ import annotations

import pytest

from mreza.config.records import RecordsConfig
from mreza.records.lifetime import lifetime_s
from mreza.wire.records import RecordKind


@pytest.mark.parametrize(
    ("kind", "lives_s"),
    [
        (RecordKind.INTRODUCTION, 900.0),
        (RecordKind.LINKS, 900.0),
        (RecordKind.FAREWELL, 900.0),
        (RecordKind.EVIDENCE, 30 * 86400.0),
        (RecordKind.REVOCATION, None),
        (RecordKind.CLAIM, None),
        (RecordKind.VOTE, None),
        (99, 900.0),
    ],
)
def test_each_kind_has_its_lifetime(kind: int, lives_s: float | None) -> None:
    assert lifetime_s(kind, config=RecordsConfig()) == lives_s
