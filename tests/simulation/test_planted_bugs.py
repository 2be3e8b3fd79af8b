"""The scenarios are worth something only if they find bugs: four are planted here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mreza.ids import NodeId
from mreza.messaging.ranges import SeenNumbers
from mreza.planes import data
from mreza.records.database import Database, Older, Verdict
from mreza.routing.graph import EdgeChange, Graph
from mreza.wire.envelope import Envelope
from mreza.wire.records import Record
from tests.simulation import scenarios

SEEDS = 5


def accept_older_records(patch: pytest.MonkeyPatch) -> None:
    compare = Database.compare

    def lenient(self: Database, record: Record) -> Verdict | None:
        verdict = compare(self, record)
        return None if isinstance(verdict, Older) else verdict

    patch.setattr(Database, "compare", lenient)


def keep_the_hop_limit(patch: pytest.MonkeyPatch) -> None:
    def same(body: bytes, _envelope: Envelope, *, advance_path: bool = False) -> bytearray:
        assert not advance_path
        return bytearray(body)

    patch.setattr(data, "for_next_hop", same)


def skip_the_dedupe(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SeenNumbers, "__contains__", lambda _self, _number: False)


def believe_one_side(patch: pytest.MonkeyPatch) -> None:
    settle = Graph._settle

    def one_sided(self: Graph, a: NodeId, b: NodeId) -> EdgeChange | None:
        ours, theirs = self._claims.get(a, {}).get(b), self._claims.get(b, {}).get(a)
        cost = ours if ours is not None else theirs
        if cost is None:
            return settle(self, a, b)
        claims = self._claims
        self._claims = {
            **claims,
            a: {**claims.get(a, {}), b: cost},
            b: {**claims.get(b, {}), a: cost},
        }
        try:
            return settle(self, a, b)
        finally:
            self._claims = claims

    patch.setattr(Graph, "_settle", one_sided)


PLANTED = (
    (accept_older_records, scenarios.old_records_come_back, "old record"),
    (keep_the_hop_limit, scenarios.hops_are_counted, "for ever"),
    (skip_the_dedupe, scenarios.lossy_line, "handled twice"),
    (believe_one_side, scenarios.one_sided_claim, "one-sided"),
)


@pytest.mark.parametrize(
    ("plant", "scenario", "words"), PLANTED, ids=lambda part: getattr(part, "__name__", "")
)
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    scenario: Callable[[int], None],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)
    found = []
    for seed in range(SEEDS):
        try:
            scenario(seed)
        except AssertionError as failed:
            found.append(str(failed))
    assert any(words in failed for failed in found), f"not found in {SEEDS} seeds: {found}"
