"""Every seed of every scenario, in one process or several."""

from __future__ import annotations

import pytest

from mreza.errors import ConfigError
from mreza.sim.campaign import parse_seeds, repeat_command, run_all
from mreza.sim.scenario import Scenario
from tests.unit.sim.runs import needs_three_and_seven


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", (7,)),
        ("0..3", (0, 1, 2, 3)),
        ("5..5", (5,)),
        ("1, 5,20..22", (1, 5, 20, 21, 22)),
        ("3,1..4", (3, 1, 2, 4)),
    ],
)
def test_seeds_are_read_as_people_write_them(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "write 7, 0..99 or 1,5,20..29"),
        ("-1", "write 7"),
        ("1..", "write 7"),
        ("1...5", "write 7"),
        ("a", "write 7"),
        ("5..1", "the smaller one comes first"),
        ("0..9999999", "more than 1,000,000"),
    ],
)
def test_other_seeds_are_refused_with_an_example(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_seeds(text)


def test_every_run_is_done_once_and_known_by_its_word() -> None:
    jobs = [(f"{number}.toml", Scenario(name="day"), number) for number in range(5)]
    found = list(run_all(jobs, runner=needs_three_and_seven))
    assert [(word, outcome.seed) for word, outcome in found] == [(j[0], j[2]) for j in jobs]


def test_the_command_that_repeats_a_run_names_scenario_and_seed() -> None:
    assert repeat_command("days/wet.toml", 4) == "mreza sim days/wet.toml --seeds 4"
