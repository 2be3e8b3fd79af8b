"""A run is taken down, and repeated from what was taken down."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mreza.errors import ConfigError
from mreza.sim.recorder import Happening
from mreza.sim.recording import Recording, divergence, read, record, replay, save
from mreza.sim.scenario import Scenario
from tests.unit.sim.runs import FAULTS, needs_three_and_seven

DAY = Scenario(name="day", config={"link": {"probe_interval_s": 0.2}})


def taken(seed: int = 1) -> Recording:
    return record(DAY, seed, needs_three_and_seven)[1]


def test_a_recording_holds_what_was_run_what_happened_and_how_it_ended() -> None:
    recording = taken()
    assert (recording.head.scenario, recording.head.seed) == (DAY, 1)
    assert recording.head.schedule == FAULTS
    assert recording.happenings[3] == Happening(3.0, "n1", "cut", "→ n2")
    assert recording.foot.digest == "digest-1"
    assert recording.foot.failure == "order: at 9 s n1 handled 2 before 1"


def test_a_recording_is_stored_and_read(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    save(taken(), file)
    assert read(file) == taken()
    assert len(file.read_text(encoding="utf-8").splitlines()) == len(FAULTS) + 2


def test_a_replay_does_the_same() -> None:
    outcome, differs = replay(taken(), needs_three_and_seven)
    assert differs is None
    assert outcome.failure == taken().foot.failure


def with_happenings(*happenings: Happening) -> Recording:
    return msgspec.structs.replace(taken(), happenings=happenings)


ONE, TWO, THREE = (Happening(float(at), "n1", "cut", "") for at in (1, 2, 3))


def test_the_first_difference_is_shown_with_what_was_before() -> None:
    found = divergence(with_happenings(ONE, TWO, THREE), with_happenings(ONE, THREE))
    assert found is not None
    assert (found.number, found.recorded, found.replayed) == (2, TWO, THREE)
    assert found.before == (ONE,)


@pytest.mark.parametrize(("ours", "theirs"), [((ONE, TWO), (ONE,)), ((ONE,), (ONE, TWO))])
def test_one_that_ends_early_differs(
    ours: tuple[Happening, ...], theirs: tuple[Happening, ...]
) -> None:
    found = divergence(with_happenings(*ours), with_happenings(*theirs))
    assert found is not None
    assert found.number == 2
    assert {found.recorded, found.replayed} == {TWO, None}


def test_a_happening_is_a_line_for_a_person() -> None:
    assert str(Happening(1.5, "n1", "link up", "n2")) == "   1.500000 s  n1       link up        n2"


@pytest.mark.parametrize("text", ["", "{}\n", "nonsense\n[]\n"])
def test_what_is_no_recording_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "run.jsonl"
    with pytest.raises(ConfigError, match="cannot read"):
        read(file)
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"run\.jsonl is not a recording of mreza sim"):
        read(file)


def test_another_format_is_named(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    other = msgspec.structs.replace(taken(), head=msgspec.structs.replace(taken().head, format=9))
    save(other, file)
    with pytest.raises(ConfigError, match="has format 9; this version reads 1"):
        read(file)
