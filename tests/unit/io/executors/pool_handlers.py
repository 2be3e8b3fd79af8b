"""Functions for pool processes of the tests. Each is at the top level, so that they can find it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mreza.processes.handlers import CallContext


def double(payload: int) -> int:
    return 2 * payload


def size(payload: bytes) -> int:
    return len(payload)


def repeat(payload: int) -> bytes:
    return bytes(payload)


def pid(_: Any) -> int:
    return os.getpid()


def fails(payload: str) -> None:
    raise KeyError(payload)


def leaves(payload: int) -> None:
    sys.exit(payload)


def unsayable(_: Any) -> object:
    return object()


def dies(payload: str) -> None:
    if payload == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)


def waits(payload: str) -> None:
    """Leave its process id in a file, then work for ever."""
    Path(payload).write_text(str(os.getpid()))
    time.sleep(3600)


def prints(payload: str) -> str:
    print(payload)
    subprocess.run([sys.executable, "-c", "print(input())"], check=False, stderr=subprocess.DEVNULL)
    return payload


def tells(payload: int, context: CallContext) -> list[Any]:
    for number in range(payload):
        context.progress(number)
    return [context.attempt, context.headers, str(context.message_id), context.deadline]
