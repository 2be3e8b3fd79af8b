"""`mreza map` says for each file what became of it."""

from __future__ import annotations

import pytest

from mreza.cli import mapping
from mreza.cli.main import exit_status
from mreza.errors import NoRoute
from mreza.ids import NodeId
from mreza.node.mapping import MapResult

NODE = NodeId(b"n" * 16)


def test_an_item_as_json_and_as_a_row() -> None:
    good = MapResult(0, "a.json", value={"x": 1}, node=NODE, attempts=2)
    assert mapping._as_json(good) == {
        "input": "a.json",
        "result": {"x": 1},
        "node": str(NODE),
        "attempts": 2,
    }
    assert mapping._as_row(good) == ("a.json", NODE.short, "2", '{"x": 1}')
    bad = MapResult(1, "b.json", error=NoRoute("no way"))
    assert mapping._as_json(bad) == {
        "input": "b.json",
        "error": "no way",
        "node": None,
        "attempts": 0,
    }
    assert mapping._as_row(bad) == ("b.json", "-", "0", "failed: no way")


def test_a_map_needs_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["map", "echo"]) == 2
    assert "FILE" in capsys.readouterr().err
