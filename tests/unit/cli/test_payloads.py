"""`--payload`: what a person may write, and what a mistake is answered with."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mreza.cli.payloads import Content, read_payload
from mreza.cli.problems import CommandFailed, UsageProblem


@pytest.mark.parametrize(
    ("text", "raw", "content"),
    [
        (None, False, Content(None, None)),
        (None, True, Content(None, b"")),
        ('{"a": [1, null]}', False, Content({"a": [1, None]}, None)),
        ('"text"', False, Content("text", None)),
        ("ž {", True, Content(None, "ž {".encode())),
    ],
)
def test_a_payload_is_json_or_bytes(text: str | None, raw: bool, content: Content) -> None:
    assert read_payload(text, raw=raw) == content


def test_a_payload_may_come_from_a_file_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "payload"
    file.write_bytes(b"[1, 2]")
    assert read_payload(f"@{file}", raw=False).value == [1, 2]
    assert read_payload(f"@{file}", raw=True).data == b"[1, 2]"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"7")))
    assert read_payload("-", raw=False).value == 7


def test_text_without_quotes_is_explained() -> None:
    with pytest.raises(UsageProblem, match="double quotes") as refused:
        read_payload("hello", raw=False)
    assert "--bytes" in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="No such file"):
        read_payload(f"@{tmp_path / 'nothing'}", raw=False)
