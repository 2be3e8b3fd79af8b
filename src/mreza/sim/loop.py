"""An event loop in virtual time: whoever sleeps an hour has slept it when nothing else is to do.

Timers are those of asyncio, and so is every callback; only waiting takes no time. While work runs
beside the loop (threads), time stands still and the loop waits for it in real time. Callbacks know
the process that they belong to by a context variable: those of a frozen process wait until it
thaws, those of a dead one never run.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from mreza.io.host import Deliver, Host
from mreza.sim.stuck import Deadlock, OutOfTime, StuckOutside, waiting_tasks

T = TypeVar("T")
PATIENCE_S = 30.0
"Real seconds that work beside the loop may take while all else waits for it."
THREADS = 8
"For `asyncio.to_thread` and the like."


class Process(Protocol):
    """Whose callbacks may have to wait."""

    runs: bool

    def park(self, handle: asyncio.Handle) -> None:
        """Keep for later what cannot run now, or forget it."""
        ...

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """A task of this process begins."""
        ...

    @property
    def host(self) -> Host:
        """What its nodes take for their machine."""
        ...


PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("mreza_sim_process")
"The simulated process that runs now."


class _Handle(asyncio.Handle):
    """A callback that runs only while its process does."""

    __slots__ = ()

    def _run(self) -> None:
        process = self._context.get(PROCESS)  # type: ignore[attr-defined]
        if process is None or process.runs:
            super()._run()
        elif not self._cancelled:
            process.park(self)


class _Timer(asyncio.TimerHandle):
    """The same at a time; of two at the same time the one made first comes first."""

    __slots__ = ("_order",)

    def __init__(self, order: int, when: float, *rest: Any) -> None:
        super().__init__(when, *rest)
        self._order = order

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, _Timer):
            return NotImplemented
        return (self._when, self._order) < (other._when, other._order)  # type: ignore[attr-defined]

    def _run(self) -> None:
        process = self._context.get(PROCESS)  # type: ignore[attr-defined]
        if process is None or process.runs:
            super()._run()
        elif not self._cancelled:
            process.park(self)


class _Errand:
    """Work beside the loop, and what is to be called when it is done."""

    __slots__ = ("context", "home", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self.context = contextvars.copy_context()
        self.home: tuple[Callable[..., object], tuple[Any, ...]] | None = None


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs callbacks in the order of their times, and the clock jumps from one to the next."""

    def __init__(self, *, start_s: float = 0.0, patience_s: float = PATIENCE_S) -> None:
        self._start_s = self._now = start_s
        self._timers_made = 0
        self._patience_s = patience_s
        self._errands: deque[_Errand] = deque()
        self.limit_s: float | None = None
        "Time of the loop at which it gives up with OutOfTime."
        self._real = _Selector(self)
        super().__init__(self._real)
        self.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="mreza-sim"))

    # Time.

    def time(self) -> float:
        return self._now

    def _call_soon(
        self,
        callback: Callable[..., object],
        args: Any,
        context: contextvars.Context | None,
    ) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        self._check_closed()  # type: ignore[attr-defined]
        self._timers_made += 1
        timer = _Timer(self._timers_made, when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        context: contextvars.Context | None = None,
        **given: Any,
    ) -> asyncio.Task[T]:
        if context is not None:
            given["context"] = context
        task: asyncio.Task[T] = super().create_task(coro, **given)
        process = PROCESS.get(None) if context is None else context.get(PROCESS)
        if process is not None:
            process.adopt(task)
        return task

    def resume(self, handles: list[asyncio.Handle]) -> None:
        """Run what had to wait, in the order in which it should have run."""
        self._ready.extend(handles)  # type: ignore[attr-defined]

    @property
    def host(self) -> Host | None:
        """The machine of the process that runs now (see `mreza.io.host`)."""
        process = PROCESS.get(None)
        return None if process is None else process.host

    # Work beside the loop.

    def work_outside(self, what: str = "a thread") -> Deliver:
        """Work begins in a thread: until its end is delivered, time stands still.

        Ends are taken in the order of the beginnings, one whenever nothing else is to do, so that
        equal runs stay equal however fast the threads are.
        """
        errand = _Errand(what)
        self._errands.append(errand)

        def deliver(callback: Callable[..., object], *args: Any) -> None:
            errand.home = (callback, args)
            self._write_to_self()  # type: ignore[attr-defined]

        return deliver

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        self._check_closed()  # type: ignore[attr-defined]
        future: asyncio.Future[T] = self.create_future()
        deliver = self.work_outside(getattr(func, "__qualname__", repr(func)))
        chosen: Executor = self._default_executor if executor is None else executor  # type: ignore[attr-defined]
        work = chosen.submit(func, *args)
        work.add_done_callback(lambda _: deliver(_copy, work, future))
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's signature
        """Wait for its threads, in real time."""
        del timeout
        self._default_executor.shutdown(wait=True)  # type: ignore[attr-defined]

    def close(self) -> None:
        if not self.is_closed():
            self._default_executor.shutdown(wait=True)  # type: ignore[attr-defined]
        super().close()

    # What the selector asks.

    @property
    def has_descriptors(self) -> bool:
        """True if something real may be ready: a thread's news, a pipe of the program's own."""
        return bool(self._errands) or len(self._real.get_map()) > 1

    def wait(self, timeout: float | None) -> None:
        """Nothing is ready: wait for work beside the loop, or let time pass to the next timer."""
        if self._errands:
            self._wait_outside()
        elif timeout is None:
            # Something real, a child process perhaps, may still have news.
            if not self.has_descriptors or not self._real.poll(self._patience_s):
                raise Deadlock(self._now - self._start_s, waiting_tasks(self))
        else:
            when: float = self._scheduled[0].when()  # type: ignore[attr-defined]
            if self.limit_s is not None and when > self.limit_s:
                raise OutOfTime(self.limit_s - self._start_s, waiting_tasks(self))
            self._now = max(self._now, when)

    def _wait_outside(self) -> None:
        """Take the end of the work that began first; of other work, if that one waits for it."""
        errand = self._errands[0]
        if errand.home is None and not self._real.poll(min(1.0, self._patience_s)):
            ended = [one for one in self._errands if one.home is not None]
            if ended:
                errand = ended[0]
            elif not self._real.poll(self._patience_s):
                raise StuckOutside(errand.what, self._patience_s)
        if errand.home is None or self._ready:  # type: ignore[attr-defined]
            return  # there is other news, which comes first
        self._errands.remove(errand)
        callback, args = errand.home
        self.call_soon(callback, *args, context=errand.context)


def _copy(work: Future[T], future: asyncio.Future[T]) -> None:
    if future.cancelled():
        return
    if work.cancelled():
        future.cancel()
    elif (error := work.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(work.result())


class _Selector(selectors.BaseSelector):
    """Never blocks for time; real descriptors (of threads, pipes) are looked at all the same."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._selector = selectors.DefaultSelector()
        self._news: list[tuple[selectors.SelectorKey, int]] = []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._selector.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._selector.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._selector.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._selector.get_map()

    def close(self) -> None:
        self._selector.close()

    def poll(self, seconds: float) -> bool:
        """Wait in real time until a descriptor is ready, so long at most; True if one was."""
        self._news += self._selector.select(seconds)
        return bool(self._news)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self._loop.wait(timeout)
        if self._loop.has_descriptors:
            self.poll(0)
        news, self._news = self._news, []
        return news
