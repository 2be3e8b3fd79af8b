"""What `--payload` means: JSON text, @FILE, or - for standard input; any bytes with `--bytes`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from mreza.cli.problems import CommandFailed, UsageProblem


class Content(NamedTuple):
    """A payload: a value, or bytes in its place."""

    value: Any
    data: bytes | None


def read_payload(text: str | None, *, raw: bool) -> Content:
    """Read the payload that a person named.

    Raises:
        UsageProblem: it is not JSON, and `--bytes` was not said.
        CommandFailed: the file cannot be read.
    """
    if text is None:
        return Content(None, b"" if raw else None)
    source, content = _content(text)
    if raw:
        return Content(None, content)
    try:
        return Content(msgspec.json.decode(content), None)
    except msgspec.MsgspecError as error:
        raise UsageProblem(
            f"{source} is not JSON ({error}); put text in double quotes inside the shell's, as in "
            "--payload '\"hello\"', or send it as it is with --bytes"
        ) from error


def _content(text: str) -> tuple[str, bytes]:
    if text == "-":
        return "standard input", sys.stdin.buffer.read()
    if not text.startswith("@"):
        return f"the payload {text[:40]!r}", text.encode()
    path = Path(text[1:])
    try:
        return str(path), path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror}") from error
