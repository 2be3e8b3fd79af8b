"""Scenarios are read from TOML; what is wrong is said in the user's words, with the nearest key."""

from __future__ import annotations

from pathlib import Path

import pytest

from mreza.errors import ConfigError
from mreza.sim.plan import KINDS
from mreza.sim.scenario import Scenario, find, from_dict, load, standard

FULL = """
name = "a-day"
description = "Everything is said."
nodes = 12
topology = "two_lans"
checks = ["messages"]

[network]
latency = "pareto"
delay_s = [0.001, 1]
loss = 1

[faults]
every_s = 2
kinds = { crash = 1, cut_oneway = 0.5 }
amounts = { skew = [0.9, 1.1] }

[traffic]
size_bytes = [1, 10]

[config.link]
probe_interval_s = 0.2
"""


def test_everything_that_can_be_said_is_read() -> None:
    day = load(FULL)
    assert (day.name, day.nodes, day.topology) == ("a-day", 12, "two_lans")
    assert day.network.delay_s == (0.001, 1.0)
    assert day.faults.kinds == {"crash": 1.0, "cut_oneway": 0.5}
    assert day.faults.amounts["skew"] == (0.9, 1.1)
    assert day.mesh_config().link.probe_interval_s == 0.2


def test_what_is_not_said_has_a_default() -> None:
    assert from_dict({"name": "scenario"}) == load("\n") == Scenario(name="scenario")


def fault(kind: str, *targets: str, at_s: float = 1) -> str:
    """A fault at a fixed time, in TOML."""
    return f"[[schedule]]\nat_s = {at_s}\nkind = '{kind}'\ntargets = {list(targets)}"


WRONG = (
    ("nodes = 0", "nodes is 0: must be a whole number of at least 1"),
    ("nodes = 'a'", "nodes is 'a': must be a whole number"),
    ("node = 3", "unknown key 'node': did you mean 'nodes'?"),
    ("topology = 'lines'", "topology is 'lines': did you mean 'line'?"),
    ("name = 'a b'", "name is 'a b': use letters, digits, '-' and '_'"),
    ("network = 3", "network is 3: must be a table"),
    ("checks = ['message']", "unknown check 'message' in checks: did you mean 'messages'?"),
    ("checks = [1]", "checks[0] is 1: must be text"),
    ("[network]\nlos = 2", "unknown key 'network.los': did you mean 'loss'?"),
    ("[network]\nloss = 2", "network.loss is 2: must be a number of at most 1.0"),
    ("[network]\ndelay_s = 3", "network.delay_s is 3: must be two numbers in brackets"),
    ("[network]\ndelay_s = [1]", "network.delay_s is [1]: must be two numbers in brackets"),
    ("[network]\ndelay_s = ['a', 1]", "network.delay_s[0] is 'a': must be a number"),
    ("[network]\nlatency = 'normaal'", "network.latency is 'normaal': did you mean 'normal'?"),
    ("[faults]\nfor_s = [3, 1]", "faults.for_s is [3, 1]: the smaller one comes first"),
    ("[faults.kinds]\ncrsh = 1", "unknown fault 'faults.kinds.crsh': did you mean 'crash'?"),
    ("[faults.kinds]\ncut = -1", "faults.kinds is {'cut': -1}: each must be a number of at"),
    ("[faults.amounts]\ncrash = [1, 2]", "faults.amounts.crash: this fault has no amount"),
    ("[faults.amounts]\nskew = [2, 1]", "faults.amounts.skew is [2, 1]: the smaller one comes"),
    ("[config.link]\nprobe_interval = 1", "did you mean 'probe_interval_s'?"),
    ("[[schedule]]\nat = 1", "unknown key 'schedule.at': did you mean 'at_s'?"),
    (fault("crush", "n1"), "'schedule[0].kind' 'crush': did you mean 'crash'?"),
    (fault("crash", "n8"), "schedule[0].targets: no node 'n8'; n0 to n7"),
    (fault("cut", "n1"), "schedule[0].targets: cut needs the two ends of a link"),
    (fault("partition", *(f"n{i}" for i in range(8))), "partition needs some nodes, not all"),
    (fault("crash", "n1", at_s=-1), "schedule[0].at_s is -1: faults come from 0 to 20 (faults_s)"),
    (fault("crash", "n1", at_s=21), "schedule[0].at_s is 21: faults come from 0 to 20 (faults_s)"),
    (fault("crash", "n1") + "\nfor_s = -2", "schedule[0].for_s is -2: must be a number of at"),
    (fault("lose", "n1", "n2") + "\namount = 2", "schedule[0].amount is 2: a share is from 0 to 1"),
    ("[faults.amounts]\nlose = [0, 3]", "faults.amounts.lose is 3: a share is from 0 to 1"),
    ("[traffic]\nconsume_s = [3, 1]", "traffic.consume_s is [3, 1]: the smaller one comes first"),
    ("x", "not TOML: "),
)


@pytest.mark.parametrize(("text", "words"), WRONG, ids=[text for text, _ in WRONG])
def test_what_is_wrong_is_said_in_the_users_words(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(text + "\n")
    assert words in str(raised.value)


def test_a_file_is_named_in_what_is_wrong_with_it(tmp_path: Path) -> None:
    file = tmp_path / "storm.toml"
    with pytest.raises(ConfigError, match=r"cannot read .*storm\.toml"):
        find(str(file))
    file.write_text("nodes = 5\n")
    assert (find(str(file)).name, find(str(file)).nodes) == ("storm", 5)
    file.write_text("node = 5\n")
    with pytest.raises(ConfigError, match=r"storm\.toml: unknown key 'node'"):
        load(file)
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not TOML"):
        load(file)


def test_a_name_is_that_of_a_standard_scenario() -> None:
    for name, scenario in standard().items():
        assert scenario.name == name
        assert scenario.description
        assert find(name) == scenario
    with pytest.raises(ConfigError, match="no scenario 'quite': did you mean 'quiet'"):
        find("quite")


def test_the_standard_scenarios_know_every_kind_of_fault() -> None:
    drawn = {kind for scenario in standard().values() for kind in scenario.faults.kinds}
    assert drawn == set(KINDS)


def test_a_scenario_without_a_name_is_called_as_its_file(tmp_path: Path) -> None:
    file = tmp_path / "my-day.toml"
    file.write_text("nodes = 3\n", encoding="utf-8")
    assert load(file).name == "my-day"
