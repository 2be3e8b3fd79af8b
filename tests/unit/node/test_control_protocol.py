"""Requests and answers survive the line between, and what is none is refused in words."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from mreza.errors import DecodeError, NoRoute, RemoteError, WorkerLost
from mreza.node.control_protocol import (
    Answer,
    AnyRequest,
    Call,
    Events,
    Leave,
    Links,
    Nodes,
    Ping,
    Routes,
    Send,
    Snapshot,
    Status,
    Trace,
    Trouble,
    decode_answer,
    decode_request,
    encode_line,
    trouble,
)


@pytest.mark.parametrize(
    "request_",
    [
        Status(),
        Nodes(),
        Links(),
        Routes(),
        Snapshot(),
        Events(follow=True, last=3),
        Ping(node="b", timeout_s=1.5),
        Trace(node="b"),
        Send(node="b", data=b"\x00\xff\n", priority="high"),
        Call(process="x", payload={"a": [1, None, "ž\n"]}, node="b", key="k", timeout_s=2.0),
        Leave(reason="moved"),
    ],
)
def test_a_request_is_one_line_and_comes_back_as_it_was(request_: AnyRequest) -> None:
    line = encode_line(request_)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_request(line) == request_


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "truncated"),
        (b"not json\n", "malformed"),
        (b"[1]\n", "object"),
        (b"{}\n", "missing required field `command`"),
        (b'{"command": "reboot"}\n', "'reboot'"),
        (b'{"command": "ping"}\n', "missing required field `node`"),
        (b'{"command": "ping", "node": 7}\n', "expected `str`"),
        (b'{"command": "status", "x": 1}\n', "unknown field `x`"),
        (b'{"command": "send", "node": "b", "priority": "huge"}\n', "'huge'"),
        (b'{"command": "call", "process": "x", "data": "%%"}\n', "base64"),
        (b"[" * 100_000, ""),
    ],
)
def test_what_is_no_request_is_refused_with_what_came_and_what_is_allowed(
    line: bytes, words: str
) -> None:
    with pytest.raises(DecodeError) as refused:
        decode_request(line)
    assert words.lower() in str(refused.value).lower()
    assert "status, nodes, links" in str(refused.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_decode_error(line: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode_request(line)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(result=None),
        Answer(result={"a": 1}),
        Answer(event={"event": "x"}),
        Answer(error=Trouble(text="no", type="NoRoute")),
    ],
)
def test_an_answer_comes_back_as_it_was(answer: Answer) -> None:
    assert decode_answer(encode_line(answer)) == answer


def test_an_answer_that_is_none_is_refused() -> None:
    with pytest.raises(DecodeError, match="not understood"):
        decode_answer(b'{"error": 5}\n')


def test_results_that_json_does_not_know_are_written_as_text_or_refused() -> None:
    assert b"AAE=" in encode_line(Answer(result=b"\x00\x01"))
    assert b'{"(1, 2)":"(3+4j)"}' in encode_line(Answer(result={(1, 2): complex(3, 4)}))
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    for value in ("\ud800", nested):
        with pytest.raises(DecodeError, match="cannot be written as JSON"):
            encode_line(Answer(result=value))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NoRoute("no path"), {"text": "no path", "type": "NoRoute"}),
        (
            WorkerLost("gone", may_have_run=False),
            {"text": "gone", "type": "WorkerLost", "may_have_run": False},
        ),
        (
            RemoteError("bad", type_name="ValueError", traceback_text="Trace…", node="b"),
            {
                "text": "ValueError on node b: bad",
                "type": "ValueError",
                "may_have_run": True,
                "traceback": "Trace…",
            },
        ),
        (RemoteError("bad"), {"text": "error: bad", "type": "RemoteError", "may_have_run": True}),
        (ZeroDivisionError("x"), {"text": "ZeroDivisionError: x", "type": "ZeroDivisionError"}),
    ],
)
def test_an_error_says_what_the_asker_needs(error: Exception, expected: dict[str, Any]) -> None:
    assert msgspec.to_builtins(trouble(error)) == expected
