"""One job in a pool process: found, done, told."""

from __future__ import annotations

import io
import sys
from typing import Any

import msgspec
import pytest

from mreza.io.executors.pool_child import REPORT_INTERVAL_S, Reports, Specs, do
from mreza.io.executors.pool_frames import TELL_FAILURE, JobHead, Kind, read_frame
from mreza.wire.packet import Status
from tests.unit.io.executors import pool_handlers


def job(function: str, payload: Any, *, module: str = pool_handlers.__name__) -> Any:
    head = JobHead(
        module, function, "p", b"n" * 16, 9.0, 1, (1, 1, 1, 0), {}, "", "", progress=True
    )
    return head, msgspec.msgpack.encode(payload)


def done(*arguments: Any, **options: Any) -> list[tuple[int, bytes]]:
    out = io.BytesIO()
    do(job(*arguments, **options), Specs(), out)
    size = out.tell()
    out.seek(0)
    frames = []
    while out.tell() < size:
        frames.append(read_frame(out))
    return frames


def test_a_result_is_the_last_frame() -> None:
    assert done("double", 4) == [(Kind.RESULT, b"\x08")]
    frames = done("tells", 3)
    assert frames[-1][0] == Kind.RESULT
    assert frames[-2] == (Kind.PROGRESS, b"\x02")


@pytest.mark.parametrize(
    ("arguments", "status", "kind"),
    [
        (("fails", "k"), Status.FAILED, "KeyError"),
        (("leaves", 1), Status.FAILED, "SystemExit"),
        (("double", "x"), Status.BAD_PAYLOAD, "Unfit"),
        (("nothing", 1), Status.FAILED, "NotFound"),
        (("__name__", 1), Status.FAILED, "NotFound"),
    ],
)
def test_a_failure_is_told(arguments: Any, status: Status, kind: str) -> None:
    ((frame, body),) = done(*arguments)
    told = TELL_FAILURE.decode(body)
    assert (frame, told.status, told.failure.type_name) == (Kind.FAILURE, status, kind)


def test_a_program_without_a_file_cannot_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "__mp_main__", raising=False)
    ((_, body),) = done("double", 1, module="__main__")
    assert "the program has no file" in TELL_FAILURE.decode(body).failure.message


def test_a_handler_is_looked_up_once() -> None:
    specs = Specs()
    head, _ = job("double", 1)
    assert specs.spec(head) is specs.spec(head)


def test_reports_are_written_now_and_then_and_the_last_one_always(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("mreza.io.executors.pool_child.time.monotonic", lambda: now)
    written: list[bytes] = []
    reports = Reports(written.append)
    for value in (b"1", b"2", b"3"):
        reports.report(value)
    assert written == [b"1"]
    now += REPORT_INTERVAL_S
    reports.report(b"4")
    reports.report(b"5")
    reports.flush()
    reports.flush()
    assert written == [b"1", b"4", b"5"]
