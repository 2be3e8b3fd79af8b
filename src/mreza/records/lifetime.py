"""How long a record counts, by its kind."""

from __future__ import annotations

from mreza.config.records import RecordsConfig
from mreza.wire.records import RecordKind

EVIDENCE_AGE_MAX_S = 30 * 86400.0
NEVER_DROPPED = (RecordKind.REVOCATION, RecordKind.CLAIM, RecordKind.VOTE)
"Superseded by newer ones only."
OFFERED_FROM_AFAR = (*NEVER_DROPPED, RecordKind.EVIDENCE, RecordKind.FAREWELL)
"Offered to neighbors although their origin cannot be reached."
ONE_PER_ORIGIN = (RecordKind.INTRODUCTION, RecordKind.LINKS, RecordKind.FAREWELL)
"Their key is empty. All other kinds together share the budget of small control facts."


def lifetime_s(kind: int, *, config: RecordsConfig) -> float | None:
    """Age at which holders drop a record; None: never. Unknown kinds live as long as links do."""
    if kind in NEVER_DROPPED:
        return None
    return EVIDENCE_AGE_MAX_S if kind == RecordKind.EVIDENCE else config.max_age_s
