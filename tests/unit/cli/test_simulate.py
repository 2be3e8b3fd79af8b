"""`mreza sim` as it is typed, over stand-ins for runs: what it says and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mreza.cli import simulate
from mreza.cli.main import exit_status
from mreza.cli.simulate import fault_words
from mreza.sim.faults import Fault
from mreza.sim.scenario import from_toml, standard
from tests.unit.sim.runs import needs_three_and_seven


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "run", needs_three_and_seven)


def sim(*words: str) -> int:
    return exit_status(["sim", *words, "--jobs", "1"])


def test_runs_that_hold_end_with_0_and_their_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert sim("quiet", "--seeds", "0,2,4") == 0
    said = capsys.readouterr().out
    assert "formed_s  1    3    5    5    5" in said
    assert said.endswith("3 runs, all held\n")


def test_a_failing_run_says_its_seed_and_what_repeats_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sim("quiet", "--seeds", "0..1") == 1
    said = capsys.readouterr().out
    assert "FAILED quiet seed 1: order: at 9 s n1 handled 2 before 1" in said
    assert "repeat with: mreza sim quiet --seeds 1\n" in said
    assert "make small:  mreza sim quiet --seeds 1 --shrink" in said
    assert said.endswith("2 runs, 1 failed\n")


def test_of_many_failures_a_few_are_shown_and_all_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sim("quiet", "--seeds", "0..99") == 1
    said = capsys.readouterr().out
    assert said.count("repeat with") == simulate.FAILURES_SHOWN
    assert "also with seeds 11, 13" in said
    assert said.endswith("100 runs, 50 failed\n")


def test_scenarios_stand_beside_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert sim("all", "--seeds", "2") == 0
    said = capsys.readouterr().out
    for name in standard():
        assert f"\n{name} " in said


def test_json_has_all_figures_and_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert sim("quiet", "--seeds", "0..3", "--json", "--shrink") == 1
    said = json.loads(capsys.readouterr().out)
    quiet = said["scenarios"]["quiet"]
    assert quiet["runs"] == 4
    assert quiet["figures"]["formed_s"] == {"min": 1, "p50": 1, "p90": 3, "p99": 3, "max": 3}
    assert [one["command"] for one in quiet["failed"]] == [
        "mreza sim quiet --seeds 1",
        "mreza sim quiet --seeds 3",
    ]
    assert [fault["at_s"] for fault in said["small"]["scenario"]["schedule"]] == [3, 7]
    assert said["small"]["seed"] == 1


def test_a_failing_run_is_made_small_and_printed_as_a_scenario(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sim("quiet", "--seeds", "1", "--shrink") == 1
    said = capsys.readouterr().out
    small = from_toml(said.partition("for --seeds 1:\n")[2])
    assert small.name == "quiet-small"
    assert small.nodes == 3
    assert [(fault.at_s, fault.kind) for fault in small.schedule] == [(3, "cut"), (7, "cut")]
    assert small.faults.every_s == 0


def test_a_report_is_stored_and_compared_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = str(tmp_path / "before.json")
    assert sim("quiet", "--seeds", "0,2", "--save-baseline", stored) == 0
    assert sim("quiet", "--seeds", "0,2", "--baseline", stored) == 0
    assert "every median is as in the baseline" in capsys.readouterr().out
    assert sim("quiet", "--seeds", "4,6", "--baseline", stored) == 1, "it takes longer"
    said = capsys.readouterr().out
    assert "baseline: quiet: seeds 4,6, in the baseline 0,2" in said
    assert "quiet     formed_s  1         5    worse" in said
    assert sim("quiet", "--seeds", "4", "--baseline", stored, "--tolerance", "9") == 0


def test_a_run_is_recorded_and_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = str(tmp_path / "run.jsonl")
    assert sim("quiet", "--seeds", "0..5", "--record", taken) == 1
    assert "20 happenings recorded" in capsys.readouterr().err
    assert sim("--replay", taken) == 1
    said = capsys.readouterr().out
    assert said == (
        "the same 20 happenings, digest digest-1\nFAILED order: at 9 s n1 handled 2 before 1\n"
    )
    assert sim("quiet", "--seeds", "0", "--record", taken) == 0
    assert sim("--replay", taken) == 0
    assert capsys.readouterr().out.endswith("everything held\n")


def test_a_replay_that_goes_another_way_shows_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "run.jsonl"
    assert sim("quiet", "--seeds", "2", "--record", str(taken)) == 0
    taken.write_text(taken.read_text().replace("→ n2", "→ n3", 6))
    assert sim("--replay", str(taken)) == 1
    said = capsys.readouterr().out
    assert "another way from happening 1 on" in said
    assert "recorded     0.000000 s  n1       cut            → n3" in said
    assert sim("--replay", str(taken), "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert not answer["same"]
    assert answer["divergence"]["number"] == 1


def test_nothing_is_recorded_of_many_runs_that_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "run.jsonl"
    assert sim("quiet", "--seeds", "0,2", "--record", str(taken)) == 0
    assert "no run failed: nothing recorded" in capsys.readouterr().err
    assert not taken.exists()


def test_the_standard_scenarios_and_checks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert sim("--list") == 0
    said = capsys.readouterr().out
    assert all(one.description in said for one in standard().values())
    assert sim("--list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed["scenarios"]) == set(standard())
    assert "messages" in listed["checks"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ((), "say which scenario: a file, a name of mreza sim --list, or all"),
        (("quite",), "no scenario 'quite': did you mean 'quiet'?"),
        (("nowhere.toml",), "cannot read nowhere.toml"),
        (("quiet", "--seeds", "x"), "seeds 'x': write 7, 0..99 or 1,5,20..29"),
        (("quiet", "--replay", "x"), "--replay FILE says itself which scenario"),
        (("--replay", "x"), "cannot read x"),
        (("quiet", "--baseline", "x"), "cannot read x"),
        (("quiet", "--jobs", "0"), "'--jobs'"),
    ],
)
def test_a_mistake_is_answered_in_one_line_with_status_2(
    typed: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(["sim", *typed]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert not said.out


def test_a_fault_is_a_line_for_a_person() -> None:
    assert fault_words(Fault(12.3, "lose", ("n1", "n4"), 3.0, 0.2)) == (
        "   12.30 s  lose n1 n4 for 3 s (0.2)"
    )
    assert fault_words(Fault(0.5, "crash", ("n1",))) == "    0.50 s  crash n1"
