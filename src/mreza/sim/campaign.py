"""Many runs: every seed of every scenario, in one process or several."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from mreza.errors import ConfigError
from mreza.sim.run import Outcome, run
from mreza.sim.scenario import Scenario

Job = tuple[str, Scenario, int]
"A word of the asker's, what to run, and the seed."
SEEDS_MAX = 1_000_000
_PART = re.compile(r"(\d+)(?:\.\.(\d+))?")


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds as a person writes them: 7, 0..99, 1,5,20..29; each once, in the order given.

    Raises:
        ConfigError: it has another form, or an end before its beginning.
    """
    seeds: dict[int, None] = {}
    for part in text.replace(" ", "").split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ConfigError(f"seeds {text!r}: write 7, 0..99 or 1,5,20..29")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise ConfigError(f"seeds {part!r}: the smaller one comes first")
        if last - first >= SEEDS_MAX:
            raise ConfigError(f"seeds {part!r}: more than {SEEDS_MAX:,}")
        seeds.update(dict.fromkeys(range(first, last + 1)))
    return tuple(seeds)


def repeat_command(scenario: str, seed: int) -> str:
    """What to type to see one run again."""
    return f"mreza sim {scenario} --seeds {seed}"


def run_all(
    jobs: Iterable[Job], *, processes: int = 1, runner: Callable[[Scenario, int], Outcome] = run
) -> Iterator[tuple[str, Outcome]]:
    """The word and the outcome of each job as it is there; of several processes in any order."""
    if processes == 1:
        for word, scenario, seed in jobs:
            yield word, runner(scenario, seed)
        return
    with pool(processes) as workers:
        pending = {workers.submit(runner, scenario, seed): word for word, scenario, seed in jobs}
        for done in as_completed(pending):
            yield pending[done], done.result()


@contextlib.contextmanager
def pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes for runs; what has not begun when it ends is not begun any more."""
    # Spawned: a fork would take along the threads and locks of whoever asks.
    context = multiprocessing.get_context("spawn")
    workers = ProcessPoolExecutor(processes, mp_context=context, initializer=_ignore_interrupts)
    try:
        yield workers
    finally:
        workers.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ctrl-C is for the process that asked; it ends this one."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
