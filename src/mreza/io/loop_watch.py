"""A thread that watches the event loop, and names what holds it: busy is not dead.

It reads the stack of the loop's thread when the loop has not come round for too long. What holds
the interpreter itself (an extension that never lets go of it) stops this thread, too, and so does
whoever stops the whole process: then nothing is said, because nobody is to blame.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from mreza.io.host import current_host

HELD_S = 0.5
"A loop that has not come round for so long is held: a second late, others would suspect us."
BEATS = 3
"In the time after which a loop counts as held: six wake-ups a second cost next to nothing."
CLOSE_S = 1.0
"How long `close` waits for the thread."
_PACKAGE = str(Path(__file__).resolve().parents[1])
_ASYNCIO = str(Path(asyncio.__file__).resolve().parent)
_LIBRARY = sysconfig.get_paths()["stdlib"]
_OF_THE_LOOP = frozenset(("run", "run_forever", "run_until_complete", "_run_once", "_run"))


class LoopWatch:
    """Watches the loop that runs when it is started, until it is closed."""

    def __init__(
        self,
        *,
        noticed: Callable[[str, float], None],
        over: Callable[[str, float], None],
        held_s: float = HELD_S,
    ) -> None:
        """Both are told who holds the loop, and for how long so far.

        `noticed` is called in the watching thread while it goes on, `over` in the loop afterwards.
        """
        self._noticed = noticed
        self._over = over
        self._held_s = held_s
        self._beat_s = held_s / BEATS
        self._beat_at = 0.0
        self._holder: tuple[str, float] | None = None
        "Who was noticed, and since when the loop was held."
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, if this loop lives in real time (a simulated one may stand still)."""
        self._loop = asyncio.get_running_loop()
        if current_host().is_simulated or abs(self._loop.time() - time.monotonic()) > self._held_s:
            return
        self._watched = threading.get_ident()
        self._beat()
        self._thread = threading.Thread(target=self._watch, name="mreza loop watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more of it."""
        self._stop.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    def _beat(self) -> None:
        now = time.monotonic()
        holder, self._holder = self._holder, None
        self._beat_at = now
        self._timer = self._loop.call_later(self._beat_s, self._beat)
        if holder is not None:
            name, since = holder
            self._over(name, now - since)

    def _watch(self) -> None:
        looked_at = since = time.monotonic()
        while not self._stop.wait(self._beat_s):
            now = time.monotonic()
            if now - looked_at - self._beat_s > self._held_s / 2:
                # We were late ourselves: the process did not run, or nobody could.
                since = now
            looked_at = now
            since = max(since, self._beat_at)
            if self._holder is None and now - since > self._held_s:
                frame = sys._current_frames().get(self._watched)
                if is_idle(frame):
                    # It waits for something to do: it was not late, or the machine was.
                    since = now
                    continue
                name = name_of(frame)
                self._holder = (name, since)
                self._noticed(name, now - since)


def is_idle(frame: FrameType | None) -> bool:
    """Whether a loop with this innermost frame asks its selector for events, and runs nothing."""
    return frame is not None and frame.f_code.co_filename == selectors.__file__


def name_of(frame: FrameType | None) -> str:
    """Which function holds the loop, of the stack whose innermost frame this is.

    The first one below the loop that belongs neither to us nor to the standard library: the
    program's handler, whatever it calls. If there is none, it is what runs now.
    """
    if frame is None:
        return "unknown"
    stack = list(_outermost_first(frame))
    loops = [place for place, each in enumerate(stack) if _is_loop(each)]
    above = stack[loops[-1] + 1 :] if loops else stack
    for each in above:
        file = each.f_code.co_filename
        if not file.startswith((_PACKAGE, _LIBRARY, "<frozen")) or "site-packages" in file:
            return _describe(each)
    return _describe(stack[-1])


def _outermost_first(frame: FrameType) -> Iterator[FrameType]:
    frames = []
    each: FrameType | None = frame
    while each is not None:
        frames.append(each)
        each = each.f_back
    return reversed(frames)


def _is_loop(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_name in _OF_THE_LOOP and code.co_filename.startswith(_ASYNCIO)


def _describe(frame: FrameType) -> str:
    code = frame.f_code
    module = frame.f_globals.get("__name__", "?")
    return f"{module}.{code.co_qualname} ({code.co_filename}:{frame.f_lineno})"
