"""The work of the demo: measure one Python file. The same function runs on the mesh and without it.

As a program (`python -m mreza.cli.demo.measure`) it is the part without the mesh: files come in on
standard input, each a u32 length and its bytes; measurements go out, one JSON line each, until the
input ends.
"""

from __future__ import annotations

import ast
import hashlib
import json
import struct
import sys
import warnings
from typing import BinaryIO, TypedDict

LENGTH = struct.Struct(">I")


class Measurement(TypedDict):
    """What a file amounts to. Equal bytes give equal measurements, wherever they are taken."""

    sha256: str
    bytes: int
    lines: int
    functions: int
    longest: str
    "Name of the function with the most lines; the first of equals; empty without functions."
    longest_lines: int
    error: str
    "Why it is not Python; empty when it is."


def measure(source: bytes) -> Measurement:
    """Count lines and functions of a source file; what is not Python gets an `error` instead."""
    found = Measurement(
        sha256=hashlib.sha256(source).hexdigest(),
        bytes=len(source),
        lines=source.count(b"\n") + (source[-1:] not in {b"", b"\n"}),
        functions=0,
        longest="",
        longest_lines=0,
        error="",
    )
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        found["error"] = type(error).__name__
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found["functions"] += 1
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > found["longest_lines"]:
                found["longest"], found["longest_lines"] = node.name, length
    return found


def expect_odd_files() -> None:
    """Other people's files hold invalid escapes and the like; nobody wants to read of it here."""
    warnings.simplefilter("ignore")


def serve(files: BinaryIO, measurements: BinaryIO) -> None:
    """Measure what comes until there is no more."""
    while len(header := files.read(LENGTH.size)) == LENGTH.size:
        (length,) = LENGTH.unpack(header)
        measurements.write(json.dumps(measure(files.read(length))).encode() + b"\n")
        measurements.flush()


if __name__ == "__main__":
    expect_odd_files()
    serve(sys.stdin.buffer, sys.stdout.buffer)
