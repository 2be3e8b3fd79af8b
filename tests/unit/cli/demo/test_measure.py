"""What the demo measures of a file, and the child process that measures without the mesh."""

from __future__ import annotations

import hashlib
import io
import json

import pytest

from mreza.cli.demo.measure import LENGTH, measure, serve

SOURCE = b"""
def short():
    return 1

class Thing:
    async def longer(self):
        def inner(): pass
        return inner
"""


def test_lines_functions_the_longest_and_the_hash_are_measured() -> None:
    assert measure(SOURCE) == {
        "sha256": hashlib.sha256(SOURCE).hexdigest(),
        "bytes": len(SOURCE),
        "lines": 8,
        "functions": 3,
        "longest": "longer",
        "longest_lines": 3,
        "error": "",
    }


@pytest.mark.parametrize(
    ("source", "lines", "error"),
    [
        (b"", 0, ""),
        (b"\n", 1, ""),
        (b"x = 1", 1, ""),
        (b"x = 1\ny = 2\n", 2, ""),
        (b"def broken(:\n", 1, "SyntaxError"),
        (b"\xff\xfe\x00\x01", 1, "SyntaxError"),
        (b"# coding: nonsense\n", 1, "SyntaxError"),
    ],
)
def test_what_is_not_python_is_measured_all_the_same(source: bytes, lines: int, error: str) -> None:
    found = measure(source)
    assert (found["lines"], found["error"], found["functions"]) == (lines, error, 0)


def test_a_zero_byte_is_an_error_and_no_exception() -> None:
    # ValueError until Python 3.11.3, SyntaxError since.
    assert measure(b"x\x00y")["error"] in {"ValueError", "SyntaxError"}


def test_the_first_of_equally_long_functions_is_named() -> None:
    assert measure(b"def one(): pass\ndef two(): pass\n")["longest"] == "one"


def test_the_child_process_answers_in_order_until_its_input_ends() -> None:
    files = [SOURCE, b"", b"broken("]
    asked = io.BytesIO(b"".join(LENGTH.pack(len(file)) + file for file in files))
    answered = io.BytesIO()
    serve(asked, answered)
    lines = answered.getvalue().splitlines()
    assert [json.loads(line) for line in lines] == [measure(file) for file in files]
