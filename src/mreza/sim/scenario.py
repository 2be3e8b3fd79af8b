"""A scenario: one bad day as a value, read from TOML.

An unknown key or a value that is not allowed is a `ConfigError` that names the nearest right one,
as in the settings of a node.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from mreza.config.base import nearest
from mreza.config.mesh import MeshConfig
from mreza.errors import ConfigError
from mreza.sim.checkers import KNOWN as CHECKERS
from mreza.sim.faults import Fault
from mreza.sim.plan import KINDS, FaultPlan, NetworkPlan, Topology, TrafficPlan

Span = Annotated[float, Meta(gt=0)]


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mesh, what goes wrong with it, what its programs do meanwhile, and what must hold.

    A run has three parts: the mesh forms; phase 1, faults on, in which safety is checked at every
    step; phase 2, faults off, at whose end everything must have come right.
    """

    name: str = "scenario"
    "How it is called: letters, digits, '-' and '_'. Where a file does not say: as the file."
    description: str = ""
    "One sentence: what this day is about."
    nodes: Annotated[int, Meta(ge=1)] = 8
    "How many nodes the mesh has. They are called n0, n1, …"
    topology: Topology = "random"
    "Which nodes are linked."
    degree: Annotated[int, Meta(ge=1)] = 3
    "Links of each new node to earlier ones in the topology random."
    network: NetworkPlan = NetworkPlan()
    "How the links are."
    faults: FaultPlan = FaultPlan()
    "What goes wrong, drawn from the seed."
    schedule: tuple[Fault, ...] = ()
    "Faults at fixed times, beside those that are drawn."
    traffic: TrafficPlan = TrafficPlan()
    "What the programs do."
    form_s: Span = 30.0
    "By then all nodes see all."
    faults_s: Annotated[float, Meta(ge=0)] = 20.0
    "How long faults come."
    heal_s: Span = 10.0
    "How long after the last fault all nodes may take to see each other and to know the same."
    quiet_s: Span = 30.0
    "How long after the last fault everything may take to come right."
    checks: tuple[str, ...] = ()
    "Names of the checkers. Default: all that fit."
    config: dict[str, Any] = {}
    "Settings of the nodes, as in a node's TOML file."

    def mesh_config(self) -> MeshConfig:
        """The settings of every node."""
        return MeshConfig(**self.config)


def load(source: Path | str) -> Scenario:
    """Read a scenario from a file, or from the text of one if it has several lines.

    Raises:
        ConfigError: the file cannot be read, or says what is not understood.
    """
    if isinstance(source, str) and "\n" in source:
        return from_toml(source)
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    try:
        return from_toml(text, name=path.stem)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def from_toml(text: str, *, name: str = "scenario") -> Scenario:
    """The scenario that the text describes; `name` unless it says another."""
    try:
        said = tomllib.loads(text)
    except ValueError as error:
        raise ConfigError(f"not TOML: {error}") from error
    return from_dict({"name": name, **said})


def from_dict(said: Mapping[str, Any]) -> Scenario:
    """The scenario that plain values describe, checked."""
    for where, kind, key in _unknown_keys(said, Scenario):
        right = nearest(key, kind.__struct_fields__)
        raise ConfigError(f"unknown key {'.'.join((*where, key))!r}: {right}")
    try:
        scenario = msgspec.convert(said, Scenario)
    except msgspec.ValidationError as error:
        raise ConfigError(_in_words(str(error), said)) from None
    _check(scenario)
    return scenario


def standard() -> dict[str, Scenario]:
    """The scenarios of the package, by name, in order."""
    found = {}
    for file in sorted(_standard_folder().iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            name = file.name.removesuffix(".toml")
            found[name] = from_toml(file.read_text(encoding="utf-8"), name=name)
    return found


def find(word: str) -> Scenario:
    """The scenario of a file, or the standard one of this name.

    Raises:
        ConfigError: there is neither; the text names the nearest standard scenario.
    """
    if word.endswith(".toml") or os.sep in word or Path(word).is_file():
        return load(Path(word))
    known = standard()
    if word not in known:
        raise ConfigError(f"no scenario {word!r}: {nearest(word, known)}; or give a file NAME.toml")
    return known[word]


def _standard_folder() -> Any:
    return resources.files("mreza.sim") / "standard"


# Checks.

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


def _check(scenario: Scenario) -> None:
    """What no type says."""
    if not _NAME.fullmatch(scenario.name):
        raise ConfigError(f"name is {scenario.name!r}: use letters, digits, '-' and '_'")
    faults = scenario.faults
    for table, keys in (("kinds", faults.kinds), ("amounts", faults.amounts)):
        for key in keys:
            if key not in KINDS:
                raise ConfigError(f"unknown fault 'faults.{table}.{key}': {nearest(key, KINDS)}")
    for key, amounts in faults.amounts.items():
        if KINDS[key].amount is None:
            raise ConfigError(f"faults.amounts.{key}: this fault has no amount")
        for amount in amounts:
            _check_amount(f"faults.amounts.{key}", key, amount)
    for place, fault in enumerate(scenario.schedule):
        _check_fault(f"schedule[{place}]", fault, scenario)
    for check in scenario.checks:
        if check not in CHECKERS:
            raise ConfigError(f"unknown check {check!r} in checks: {nearest(check, CHECKERS)}")
    for where, (low, high) in _ranges(scenario):
        if low > high:
            raise ConfigError(f"{where} is [{low:g}, {high:g}]: the smaller one comes first")
    try:
        scenario.mesh_config()
    except ConfigError as error:
        raise ConfigError(f"config: {error}") from None


def _check_fault(where: str, fault: Fault, scenario: Scenario) -> None:
    if fault.kind not in KINDS:
        raise ConfigError(
            f"unknown fault '{where}.kind' {fault.kind!r}: {nearest(fault.kind, KINDS)}"
        )
    for target in fault.targets:
        if target not in {f"n{number}" for number in range(scenario.nodes)}:
            raise ConfigError(f"{where}.targets: no node {target!r}; n0 to n{scenario.nodes - 1}")
    wanted, words = _TARGETS[KINDS[fault.kind].targets]
    if not wanted(len(fault.targets), scenario.nodes):
        raise ConfigError(f"{where}.targets: {fault.kind} needs {words}")
    if not 0 <= fault.at_s <= scenario.faults_s:
        until = f"{scenario.faults_s:g} (faults_s)"
        raise ConfigError(f"{where}.at_s is {fault.at_s:g}: faults come from 0 to {until}")
    if fault.for_s < 0:
        raise ConfigError(f"{where}.for_s is {fault.for_s:g}: must be a number of at least 0")
    _check_amount(f"{where}.amount", fault.kind, fault.amount)


def _check_amount(where: str, kind: str, amount: float) -> None:
    if KINDS[kind].unit == "share" and not 0 <= amount <= 1:
        raise ConfigError(f"{where} is {amount:g}: a share is from 0 to 1")


_TARGETS: dict[str, tuple[Callable[[int, int], bool], str]] = {
    "node": (lambda count, _nodes: count == 1, "one node"),
    "link": (lambda count, _nodes: count == 2, "the two ends of a link"),
    "side": (lambda count, nodes: 1 <= count < nodes, "some nodes, not all"),
}


def _ranges(scenario: Scenario) -> Iterator[tuple[str, tuple[float, float]]]:
    yield "network.delay_s", scenario.network.delay_s
    yield "faults.for_s", scenario.faults.for_s
    for kind, amount in scenario.faults.amounts.items():
        yield f"faults.amounts.{kind}", amount
    yield "traffic.size_bytes", scenario.traffic.size_bytes
    yield "traffic.consume_s", scenario.traffic.consume_s
    yield "traffic.handler_s", scenario.traffic.handler_s


def _unknown_keys(
    said: Any, kind: Any, where: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Keys that a table of this kind does not have, with the place of the table."""
    if not isinstance(said, Mapping):
        return
    hints = get_type_hints(kind)
    for key, value in said.items():
        if key not in hints:
            yield where, kind, key
        elif (inside := _table_kind(hints[key])) is not None:
            for one in value if isinstance(value, list) else (value,):
                yield from _unknown_keys(one, inside, (*where, key))


def _table_kind(kind: Any) -> type[msgspec.Struct] | None:
    """The kind of table that a key holds, or holds a list of."""
    kind = next(iter(get_args(kind)), None) if get_origin(kind) is tuple else kind
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


_PLACE = re.compile(r" - at `(\$?[^`]*)`$")


def _in_words(text: str, said: Mapping[str, Any]) -> str:
    """The complaint of msgspec as a user would put it: the key, what came, what is allowed."""
    match = _PLACE.search(text)
    rule = _PLACE.sub("", text)
    if match is None:
        return rule
    path = re.findall(r"[^.$\[\]]+", match[1])
    value: Any = said
    shown = ""
    kind: Any = Scenario
    for part in path:
        if part.isdigit():
            value, shown = value[int(part)], f"{shown}[{part}]"
        else:
            shown = f"{shown}.{part}" if shown else part
            value = value.get(part) if isinstance(value, Mapping) else value
        kind = _kind_of(kind, part)
    expected = re.sub(r"^Expected ", "must be ", rule.partition(", got")[0])
    if expected.startswith("Invalid enum value"):
        expected = nearest(str(value), map(str, get_args(kind)))
    elif "`array`" in expected and len(get_args(kind)) == 2 and get_args(kind)[1] is not Ellipsis:
        expected = "must be two numbers in brackets"
    elif match[1].endswith("[...]"):
        expected = expected.replace("must be", "each must be")
    for ours, theirs in _WORDS.items():
        expected = expected.replace(ours, theirs)
    return f"{shown} is {value!r}: {expected}"


_WORDS = {
    "`int`": "a whole number",
    "`float`": "a number",
    "`str`": "text",
    "`object`": "a table",
    "`array`": "a list",
    " >= ": " of at least ",
    " <= ": " of at most ",
    " > ": " above ",
}


def _kind_of(kind: Any, key: str) -> Any:
    """The type of one key of a table, or of one element of a list."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return get_type_hints(kind).get(key)
    inside = get_args(kind)
    return inside[-1] if get_origin(kind) in (dict, tuple) and inside else None
