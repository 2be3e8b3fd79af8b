"""What import contracts cannot say: R4, R5, where chance comes from, what an import costs."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mreza

SOURCE = Path(mreza.__file__).parent
MAY_AWAIT = {"io", "node", "sim", "dashboard", "cli", "__main__.py"}
"R3 and R4: packages that may wait, do input and output, and hold a clock."

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def machines() -> Iterator[Path]:
    """Every module that must be sans-IO."""
    for path in sorted(SOURCE.rglob("*.py")):
        if path.relative_to(SOURCE).parts[0] not in MAY_AWAIT:
            yield path


def complaints(path: Path) -> Iterator[str]:
    """What R3 (chance), R4 and R5 forbid in one module, as `path:line: words`."""
    yield from complaints_about(path.read_text(), str(path.relative_to(SOURCE)))


def complaints_about(source: str, name: str) -> Iterator[str]:
    tree = ast.parse(source)
    for line, words in [*_waits(tree), *_set_iterations(tree), *_chance(tree)]:
        yield f"{name}:{line}: {words}"


# R4: no await.


def _waits(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield node.lineno, f"R4: {type(node).__name__} outside {', '.join(sorted(MAY_AWAIT))}"


# R3: `random` for its type only.


def _chance(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "random" and node.attr != "Random":
                yield node.lineno, f"R3: random.{node.attr}; take a random.Random as an argument"
        elif isinstance(node, ast.ImportFrom) and node.module == "random":
            for alias in node.names:
                if alias.name != "Random":
                    yield node.lineno, f"R3: random.{alias.name}; inject a random.Random"
        elif isinstance(node, ast.Call) and _text(node.func) in ("random.Random", "Random"):
            yield node.lineno, "R3: a machine makes no random.Random of its own"


# R5: no iteration over a set, whose order differs from process to process.

_SET_TYPES = {"set", "frozenset", "Set", "AbstractSet", "MutableSet", "collections.abc.Set"}
_SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}
_ORDERLESS = {"sorted", "min", "max", "any", "all", "set", "frozenset"}
"Consumers whose result does not depend on the order, unless a `key` makes some elements equal."
_IN_ORDER = {"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "reversed", "deque"}
"Consumers whose result does."


def _set_iterations(tree: ast.Module) -> Iterator[tuple[int, str]]:
    known = _names_of_sets(tree)
    harmless: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _text(node.func) in _ORDERLESS:
            for argument in node.args:
                if isinstance(argument, ast.GeneratorExp | ast.ListComp | ast.SetComp):
                    harmless.update(id(part) for part in argument.generators)
        elif isinstance(node, ast.SetComp):  # a set from a set has no order to lose
            harmless.update(id(part) for part in node.generators)
    for node in ast.walk(tree):
        if id(node) in harmless:
            continue
        for expression in _iterated(node):
            if _is_set(expression, known):
                yield expression.lineno, f"R5: the order of {_text(expression)} is arbitrary"


def _iterated(node: ast.AST) -> list[ast.expr]:
    """What this node goes through one by one, in an order that shows."""
    match node:
        case ast.For() | ast.comprehension():
            return [node.iter]
        case ast.Starred(value=value) | ast.YieldFrom(value=value):
            return [value]
        case ast.Call(func=ast.Name(id=name), args=args) if name in _IN_ORDER:
            return args
        case ast.Call(func=ast.Name(id=name), args=args, keywords=words) if name in _ORDERLESS:
            return args if any(word.arg == "key" for word in words) else []
        case ast.Call(func=ast.Attribute(attr="join" | "extend" | "fromkeys"), args=args):
            return args
        case ast.Call(func=ast.Attribute(attr="pop", value=owner), args=[], keywords=[]):
            return [owner]
        case _:
            return []


def _names_of_sets(tree: ast.Module) -> set[str]:
    """Names, attributes and parameters (as text) that are annotated or assigned as a set.

    By text and not by scope: a name that is a set in one function of a module is one in all of it.
    Stricter than needed, and a second name costs nothing.
    """
    known: set[str] = set()
    for _ in range(3):  # a = set(); b = a; c = b
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign) and _says_set(node.annotation):
                known.add(_text(node.target))
                if isinstance(node.target, ast.Name):  # a field of a class is an attribute of self
                    known.add(f"self.{node.target.id}")
            elif isinstance(node, ast.Assign) and _is_set(node.value, known):
                known.update(_text(target) for target in node.targets)
            elif isinstance(node, ast.NamedExpr) and _is_set(node.value, known):
                known.add(_text(node.target))
            elif isinstance(node, ast.arg) and _says_set(node.annotation):
                known.add(node.arg)
            elif isinstance(node, FUNCTIONS) and _says_set(node.returns):
                known.update((f"{node.name}()", f"self.{node.name}()"))
                known.update((node.name, f"self.{node.name}") if _is_property(node) else ())
    return known


def _is_property(node: FUNCTIONS) -> bool:
    return any(_text(decorator) == "property" for decorator in node.decorator_list)


def _says_set(annotation: ast.expr | None) -> bool:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.BinOp):  # set[int] | None
        return _says_set(annotation.left) or _says_set(annotation.right)
    if isinstance(annotation, ast.Subscript):
        if _text(annotation.value) in ("Final", "ClassVar"):
            return _says_set(annotation.slice)
        annotation = annotation.value
    return annotation is not None and _text(annotation) in _SET_TYPES


def _is_set(node: ast.expr, known: set[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.Call(func=ast.Attribute(value=owner, attr=method)) if method in _SET_METHODS:
            return _is_set(owner, known)
        case ast.Call(func=ast.Attribute(value=owner, attr="copy"), args=[]):
            return _is_set(owner, known)
        case ast.Call(func=function, args=_) if f"{_text(function)}()" in known:
            return True
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
            sides = (left, node.right)
            return any(_is_view(side) or _is_set(side, known) for side in sides)
        case ast.IfExp(body=one, orelse=other):
            return _is_set(one, known) or _is_set(other, known)
        case ast.BoolOp(values=values):
            return any(_is_set(value, known) for value in values)
        case _:
            return _text(node) in known


def _is_view(node: ast.expr) -> bool:
    """`d.keys()`: ordered itself, but `a.keys() - b.keys()` is a set."""
    return isinstance(node, ast.Call) and _text(node.func).endswith((".keys", ".items"))


def _text(node: ast.AST) -> str:
    return ast.unparse(node)


# The tests.


@pytest.mark.parametrize("path", list(machines()), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_machine_neither_waits_nor_iterates_over_sets_nor_rolls_dice(path: Path) -> None:
    assert not list(complaints(path))


@pytest.mark.parametrize(
    "source",
    [
        "async def f(): pass",
        "import random\nx = random.random()",
        "from random import choice",
        "import random\nr = random.Random(1)",
        "for x in {1, 2}: pass",
        "for x in set(y): pass",
        "def f(a: set[int]):\n    for x in a: pass",
        "def f(a: 'frozenset[int] | None'):\n    return [x for x in a]",
        "class C:\n  def a(self): self._a = set()\n  def b(self):\n    for x in self._a: pass",
        "class C:\n    a: frozenset[int]\n    def f(self):\n        yield from self.a",
        "a = set()\nb = a\nx = list(b)",
        "a = {1}\nx = [*a]",
        "a = {1}\nx = a | other\nfor y in x - z: pass",
        "a = {y for y in z}\nx = ','.join(a)",
        "a = set()\na.pop()",
        "def f() -> set[int]: ...\nfor x in f(): pass",
        "a = {1}\nx = {k: 1 for k in a}",
        "a = {1}\nx = dict.fromkeys(a)",
        "a = {1}\nx = min(a, key=f)",
        "for x in a.keys() - b.keys(): pass",
    ],
)
def test_the_rules_are_noticed_when_broken(source: str) -> None:
    assert list(complaints_about(source, "planted"))


@pytest.mark.parametrize(
    "source",
    [
        "import random\ndef f(rng: random.Random): return rng.random()",
        "from random import Random\ndef f(rng: Random): return rng.choice([1])",
        "a = {1}\nfor x in sorted(a): pass",
        "a = {1}\nx = 1 in a\ny = len(a)",
        "a = {1}\nx = any(y > 1 for y in a)",
        "a = {1}\nb = {y + 1 for y in a}",
        "a = {}\nfor x in a: pass",
        "a = {1: 2}\na.pop(1)",
        "a = {1: 2}\nfor x in a.keys(): pass",
    ],
)
def test_what_is_allowed_is_let_through(source: str) -> None:
    assert not list(complaints_about(source, "allowed"))


def test_nothing_inside_the_package_imports_through_its_front_door() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "mreza":
                names = {alias.name for alias in node.names}
                assert names == {"__version__"}, f"{path}:{node.lineno}: import from its module"


def test_every_public_name_resolves() -> None:
    for name in mreza.__all__:
        assert getattr(mreza, name) is not None


def test_every_error_event_and_setting_is_public() -> None:
    for module in ("errors", "events", "config.mesh"):
        home = importlib.import_module(f"mreza.{module}")
        for name, value in vars(home).items():
            if isinstance(value, type) and value.__module__.startswith("mreza."):
                internal = value.__module__ == "mreza.config.base"
                assert internal or name in mreza.__all__, f"mreza.{module}.{name} is not exported"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Mesh'"):
        mreza.Mesh  # noqa: B018
    assert "MeshNetwork" in dir(mreza)


def test_importing_mreza_is_cheap_and_loads_nothing_heavy() -> None:
    program = (
        "import json, sys\n"
        "from time import process_time as cpu\n"
        "before = cpu()\n"
        "import mreza\n"
        "print(json.dumps([cpu() - before, sorted(sys.modules)]))\n"
    )
    measured = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(SOURCE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    cpu_s, modules = json.loads(measured.stdout)
    assert cpu_s < 0.2
    assert not {"asyncio", "cryptography", "msgspec", "pydantic", "rich", "typer"} & set(modules)
