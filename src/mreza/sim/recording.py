"""Record what happens in a run, and replay it: the same run again, compared line by line.

A recording is JSON lines: what was run, then one line a happening, then how it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from mreza import __version__
from mreza.errors import ConfigError
from mreza.sim.faults import Fault
from mreza.sim.recorder import Happening, Recorder
from mreza.sim.run import Outcome
from mreza.sim.scenario import Scenario

FORMAT = 1
"Of a recording."


class Head(msgspec.Struct, frozen=True):
    """What was run."""

    version: str
    "Of mreza; another one may do other things, and rightly."
    scenario: Scenario
    seed: int
    schedule: tuple[Fault, ...]
    "The faults, as applied."
    format: int = FORMAT


class Foot(msgspec.Struct, frozen=True):
    """How it ended."""

    digest: str
    failure: str | None


class Recording(msgspec.Struct, frozen=True):
    """A run that was taken down."""

    head: Head
    happenings: tuple[Happening, ...]
    foot: Foot


class Divergence(msgspec.Struct, frozen=True):
    """Where a replay first did something else."""

    number: int
    "Of the happening, from 1."
    recorded: Happening | None
    "None: the recording ends here."
    replayed: Happening | None
    "None: the replay ends here."
    before: tuple[Happening, ...]
    "The last that were the same."


CONTEXT = 5
"So many equal happenings are shown before a divergence."


def divergence(recorded: Recording, replayed: Recording) -> Divergence | None:
    """Where two recordings first differ; None: nowhere."""
    ours, theirs = recorded.happenings, replayed.happenings
    for place in range(max(len(ours), len(theirs))):
        one = ours[place] if place < len(ours) else None
        other = theirs[place] if place < len(theirs) else None
        if one != other:
            return Divergence(
                number=place + 1,
                recorded=one,
                replayed=other,
                before=ours[max(0, place - CONTEXT) : place],
            )
    return None


Run = Callable[..., Outcome]
"`mreza.sim.run.run`, or a stand-in."


def record(scenario: Scenario, seed: int, run: Run, **given: object) -> tuple[Outcome, Recording]:
    """Run it and take everything down. `given` goes to `run`: a schedule."""
    happenings: list[Happening] = []
    outcome = run(scenario, seed, recorder=Recorder(happenings.append), **given)
    head = Head(version=__version__, scenario=scenario, seed=seed, schedule=tuple(outcome.schedule))
    foot = Foot(digest=outcome.digest, failure=outcome.failure)
    return outcome, Recording(head=head, happenings=tuple(happenings), foot=foot)


def replay(recording: Recording, run: Run) -> tuple[Outcome, Divergence | None]:
    """Run it again with the same faults; where it first does something else."""
    head = recording.head
    outcome, again = record(head.scenario, head.seed, run, schedule=head.schedule)
    return outcome, divergence(recording, again)


def save(recording: Recording, path: Path) -> None:
    """Store it, one happening a line."""
    encode = msgspec.json.encode
    with path.open("wb") as file:
        file.write(encode(recording.head) + b"\n")
        for happening in recording.happenings:
            file.write(encode(happening) + b"\n")
        file.write(encode(recording.foot) + b"\n")


def read(path: Path) -> Recording:
    """A stored recording.

    Raises:
        ConfigError: the file cannot be read or is not a recording.
    """
    try:
        with path.open("rb") as file:
            return _read(path, file)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError, StopIteration) as error:
        raise ConfigError(f"{path} is not a recording of mreza sim: {error}") from error


def _read(path: Path, file: IO[bytes]) -> Recording:
    head = msgspec.json.decode(next(file), type=Head)
    if head.format != FORMAT:
        raise ConfigError(f"{path} has format {head.format}; this version reads {FORMAT}")
    *happenings, foot = _lines(file)
    return Recording(
        head=head,
        happenings=tuple(msgspec.json.decode(line, type=Happening) for line in happenings),
        foot=msgspec.json.decode(foot, type=Foot),
    )


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    return (line for line in file if line.strip())
