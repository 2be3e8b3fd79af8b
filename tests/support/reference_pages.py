"""docs/reference/ from the code: `python -m tests.support.reference_pages` writes the pages.

What the code says of itself (docstrings, defaults, options) is said there and nowhere else; a test
compares the pages with what this module makes. `wire.md` is written by hand and has its own test.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import mreza
from mreza import sim
from mreza.cli.main import app
from mreza.config.mesh import MeshConfig
from mreza.config.profiles import PROFILES
from mreza.errors import MeshError
from mreza.events import Event
from mreza.sim.checkers import KNOWN as CHECKERS
from mreza.sim.faults import Fault
from mreza.sim.plan import KINDS, FaultPlan, NetworkPlan, TrafficPlan
from mreza.sim.scenario import Scenario

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
REMAKE = "python -m tests.support.reference_pages"
_MADE = f"<!-- Made from the code by `{REMAKE}`; change the docstrings there. -->"
_WIDTH = 100


# What source code says beside its names.


def attribute_docs(kind: type) -> dict[str, str]:
    """The strings below the attributes of a class and of its bases in mreza."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith("mreza"):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(tree, ast.ClassDef)
        for statement, below in zip(tree.body, [*tree.body[1:], ast.Pass()], strict=True):
            name = _assigned(statement)
            if name is not None and isinstance(below, ast.Expr):
                text = below.value
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    found[name] = _one_line(text.value)
    return found


def _assigned(statement: ast.stmt) -> str | None:
    match statement:
        case ast.AnnAssign(target=ast.Name(name)) | ast.Assign(targets=[ast.Name(name)]):
            return name
    return None


def summary(thing: Any) -> str:
    """The first paragraph of a docstring."""
    text = inspect.cleandoc(thing.__doc__ or "")
    return _one_line(text.partition("\n\n")[0].replace("``", "`"))


def _rest(thing: Any) -> str:
    """A docstring without its first paragraph and without its list of errors."""
    text = inspect.cleandoc(thing.__doc__ or "").partition("\n\n")[2]
    return text.partition("Raises:\n")[0].strip()


def raises(thing: Any) -> str:
    """The list of errors of a docstring, as Markdown."""
    text = inspect.cleandoc(thing.__doc__ or "")
    if found := re.search(r"^Raises as .*$", text, re.MULTILINE):
        return found[0]
    listed = text.partition("Raises:\n")[2]
    if not listed:
        return ""
    lines = _one_line_each(textwrap.dedent(listed))
    return "Raises:\n\n" + "\n".join(_item(_names(line)) for line in lines)


def _item(text: str) -> str:
    return textwrap.fill(f"- {text}", _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _names(line: str) -> str:
    names, colon, text = line.partition(":")
    return re.sub(r"\b([A-Z]\w+)\b", r"`\1`", names) + colon + text


def _one_line_each(text: str) -> list[str]:
    """Indented lines belong to the one before."""
    lines: list[str] = []
    for line in text.rstrip().splitlines():
        if line.startswith(" ") and lines:
            lines[-1] += " " + line.strip()
        elif line.strip():
            lines.append(line.strip())
    return lines


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|") or "–"


def _table(head: tuple[str, ...], rows: Iterable[Iterable[str]]) -> list[str]:
    lines = [" | ".join(head), "|".join("---" for _ in head)]
    lines += [" | ".join(map(_cell, row)) for row in rows]
    return [f"| {lines[0]} |", f"|{lines[1]}|", *(f"| {line} |" for line in lines[2:])]


def _filled(text: str) -> str:
    """Paragraphs of prose in lines of a readable length; lists and code as they are."""
    blocks = text.split("\n\n")
    return "\n\n".join(
        block
        if block.lstrip().startswith(("|", "-", "#", "`" * 3, "    ", "<"))
        else textwrap.fill(_one_line(block), _WIDTH, break_long_words=False, break_on_hyphens=False)
        for block in blocks
    )


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", _MADE, *(part for part in parts if part)]) + "\n"


# Types and defaults, in a user's words.


def type_words(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """A type as a person would say it: `number, above 0`, `text or none`."""
    if isinstance(annotation, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        annotation = annotation.__value__
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_words(arguments[0], [*arguments[1:], *metadata])
    if origin in (types.UnionType, typing.Union):
        return " or ".join(type_words(one) for one in arguments if one is not type(None))
    if origin is typing.Literal:
        return " or ".join(f"`{one}`" for one in arguments)
    if origin is tuple:
        inside = [type_words(one) for one in arguments if one is not Ellipsis]
        if arguments[-1] is Ellipsis:
            return {"text": "list of texts"}.get(inside[0], "list of tables")
        return f"two of: {inside[0]}"
    if origin is dict:
        values = type_words(arguments[1])
        return "table" if values == "anything" else f"table of: {values}"
    if annotation is Any:
        return "anything"
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    words = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}
    words[Path] = "path"
    bounds = list(_bounds(metadata))
    return ", ".join([words.get(annotation, str(annotation)), *bounds])


def _bounds(metadata: Iterable[Any]) -> Iterator[str]:
    names = {
        "gt": "above {}",
        "ge": "from {}",
        "lt": "below {}",
        "le": "at most {}",
        "min_length": "at least {} character",
        "max_length": "at most {} characters",
    }
    for one in metadata:
        held = [one, *getattr(one, "metadata", ())]
        for constraint in held:
            for key, words in names.items():
                value = getattr(constraint, key, None)
                if value is not None:
                    yield words.format(f"{value:,}" if isinstance(value, int) else value)


def _default(field: Any) -> str:
    if field.default_factory is not None:
        made = field.default_factory()
        return "none" if made in ({}, ()) else "see there"
    if field.default is PydanticUndefined:
        return "must be given"
    value = field.default
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, enum.Enum):
        return f"`{value.value}`"
    return f"`{value}`" if isinstance(value, str) else f"{value:,}"


# Pages.


def config_page() -> str:
    """Every setting, with its unit, bound, default and reason."""
    sections = {
        name: field.annotation
        for name, field in MeshConfig.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
    parts = [
        _filled(
            "A setting is given as an argument (`MeshNetwork(name=…, link_config=LinkConfig(…))`), "
            "as an environment variable, or in a TOML file (`mreza up --config FILE`, "
            "`MeshNetwork.from_toml(FILE)`). Where several say it, arguments and options win over "
            "the environment, that over the file, the file over the profile, the profile over the "
            "defaults. A key that does not exist is an error that names the nearest right one.\n\n"
            "The variable of a setting is `MREZA_` and its name in capitals, with two underscores "
            "after the section: `MREZA_LISTEN`, `MREZA_DISCOVERY__LAN`. A list is written with "
            "commas. An empty variable sets nothing. `MREZA_STATE` is short for "
            "`MREZA_SECURITY__STATE`.\n\n"
            "Names that end in `_s` are seconds; in `_bytes` or `_max`, bytes."
        ),
        "## Top level\n\n" + _settings(MeshConfig, but_not=sections),
    ]
    docs = attribute_docs(MeshConfig)
    for name, kind in sections.items():
        head = f"## {name}\n\n{docs.get(name, summary(kind))} In Python `{kind.__name__}`, in TOML"
        text = _filled(f"{head} `[{name}]`, variables `MREZA_{name.upper()}__…`.")
        parts.append(f"{text}\n\n{_settings(kind)}")
    parts.append(
        "## Profiles\n\n"
        + _filled(
            "`profile` presets other settings; whatever you say yourself wins. `lan` is the "
            "defaults above."
        )
        + "\n\n"
        + "\n".join(_table(("setting", "`lan`", "`fast`", "`wan`"), _profile_rows(sections)))
    )
    return _page("Settings", *parts)


def _settings(kind: type[BaseModel], *, but_not: Iterable[str] = ()) -> str:
    docs = attribute_docs(kind)
    rows = [
        (
            f"`{name}`",
            type_words(field.annotation, field.metadata),
            _default(field),
            docs.get(name, "–"),
        )
        for name, field in kind.model_fields.items()
        if name not in but_not
    ]
    return "\n".join(_table(("setting", "value", "default", "meaning"), rows))


def _profile_rows(sections: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    keys = dict.fromkeys(
        (section, key)
        for preset in PROFILES.values()
        for section, settings in preset.items()
        for key in settings
    )
    for section, key in keys:
        default = sections[section].model_fields[key].default
        values = [PROFILES[name].get(section, {}).get(key, default) for name in PROFILES]
        yield (f"`{section}.{key}`", *map(str, values))


def scenario_page() -> str:
    """Every key of a scenario file of `mreza sim`, and every kind of fault."""
    tables = (
        ("network", NetworkPlan),
        ("faults", FaultPlan),
        ("traffic", TrafficPlan),
    )
    parts = [
        _filled(
            "A scenario of `mreza sim` is a TOML file. Every key has a default; one that does not "
            "exist is an error that names the nearest right one. [The guide](../guides/failures.md)"
            " says how to use it.\n\n"
            "Times are virtual seconds, rates are per virtual second, shares are numbers from 0 "
            "to 1."
        ),
        "## Top level\n\n" + _keys(Scenario),
    ]
    for name, kind in tables:
        parts.append(f"## {name}\n\n" + _filled(summary(kind)) + "\n\n" + _keys(kind))
    said = _filled(
        "Kinds of faults, for `faults.kinds` and `faults.amounts`. A fault ends after a time drawn "
        "from `faults.for_s`, or with the phase."
    )
    rows = (
        (
            f"`{name}`",
            {"node": "a node", "link": "a link", "side": "some nodes"}[kind.targets],
            kind.meaning,
            "" if kind.amount is None else f"{kind.amount[0]:g} to {kind.amount[1]:g} {kind.unit}",
        )
        for name, kind in KINDS.items()
    )
    parts.append(
        f"### Kinds of faults\n\n{said}\n\n"
        + "\n".join(_table(("kind", "of what", "meaning", "amount, unless said"), rows))
    )
    said = _filled(
        "`[[schedule]]` tables are faults at fixed times, beside those that are drawn. A link is "
        "named by its two ends, of which the first is where a one-way fault begins; a side by its "
        "nodes."
    )
    parts.append(f"## schedule\n\n{said}\n\n" + _keys(Fault))
    said = _filled(
        "What must hold. `checks` chooses some of these; without it all are made. A failure begins "
        "with the name of its check."
    )
    checks = [(f"`{name}`", summary(checker)) for name, checker in CHECKERS.items()]
    parts.append(f"## checks\n\n{said}\n\n" + "\n".join(_table(("check", "what holds"), checks)))
    return _page("Scenario files", *parts)


def _keys(kind: type[msgspec.Struct]) -> str:
    docs = attribute_docs(kind)
    hints = typing.get_type_hints(kind, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(kind):
        default = _struct_default(field)
        words = type_words(hints[field.name])
        rows.append((f"`{field.name}`", words, default, docs.get(field.name, "–")))
    return "\n".join(_table(("key", "value", "default", "meaning"), rows))


def _struct_default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "must be given"
    made = field.default_factory
    value = field.default if made is msgspec.NODEFAULT else made()
    if isinstance(value, msgspec.Struct):
        return "see there"
    if value in ((), {}, ""):
        return "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(format(one, 'g') for one in value)}]`"
    return f"`{value}`" if isinstance(value, str) else f"{value:,}"


def cli_page() -> str:
    """Every command, argument and option."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="mreza")
    parts = [
        _filled(
            "`mreza COMMAND --help` says the same in a terminal. Exit status: 0 done, 1 failed "
            "(one line on standard error says why), 2 not understood, 130 interrupted. "
            "`init`, `invite`, `join`, `up`, `demo` and `sim` work by themselves; the other "
            "commands ask a node that runs on this machine over its control socket, which only "
            "its user can open."
        ),
        "## mreza\n\n" + _options(group, context),
    ]
    for name, command in group.commands.items():
        parts.append(_command(name, command, typer.Context(command, info_name=name)))
    return _page("Command line", *parts)


def _command(name: str, command: Any, context: Any) -> str:
    words = [_argument(p) for p in command.params if p.param_type_name == "argument"]
    usage = " ".join(["mreza", name, "[OPTIONS]", *words])
    text = inspect.cleandoc(command.help or "")
    prose, _, examples = text.partition("\b\nExamples:\n")
    block = f"```console\n{_prompted(examples)}\n```" if examples else ""
    parts = [
        f"## {name}",
        _filled(prose.strip()),
        f"    {usage}",
        block,
        _options(command, context),
    ]
    return "\n\n".join(part for part in parts if part)


def _prompted(examples: str) -> str:
    lines = []
    for line in examples.strip("\n").splitlines():
        command, gap, remark = line.strip().partition("    ")
        lines.append(f"$ {command}" + (f"    # {remark.strip()}" if gap else ""))
    return "\n".join(lines)


def _argument(parameter: Any) -> str:
    word = (parameter.metavar or parameter.name).upper().rstrip("…")
    word = f"{word}…" if parameter.nargs == -1 else word
    return word if parameter.required else f"[{word}]"


def _options(command: Any, context: Any) -> str:
    kinds = inspect.get_annotations(command.callback.__wrapped__, eval_str=True)
    kinds = {name: _plain(kind) for name, kind in kinds.items()}
    rows = []
    for parameter in command.get_params(context):
        names = list(parameter.opts)
        if "--help" in names:
            continue
        if parameter.param_type_name == "argument":
            shown = f"`{_argument(parameter)}`"
        elif "--install-completion" in names or "--show-completion" in names:
            shown = f"`{names[0]}`"
        else:
            kind = kinds.get(parameter.name)
            value = "" if parameter.is_flag else f" {_metavar(parameter, kind)}"
            shown = ", ".join(f"`{name}{value}`" for name in names)
        rows.append((shown, _shown_default(parameter), _one_line(parameter.help or "")))
    return "\n".join(_table(("option", "default", "meaning"), rows))


def _plain(kind: Any) -> Any:
    """The type of an option, without Annotated."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind


def _metavar(parameter: Any, kind: Any) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "|".join(str(choice.value) for choice in kind)
    return {int: "N", float: "NUMBER"}.get(kind, "TEXT")


def _shown_default(parameter: Any) -> str:
    value = parameter.default
    if parameter.param_type_name == "argument" or not parameter.show_default:
        return ""
    if not value or callable(value):
        return ""
    return f"`{getattr(value, 'value', value)}`"


def errors_page() -> str:
    """The tree of errors."""
    rows = []
    for kind in _tree(MeshError):
        if kind.__name__ not in mreza.__all__:
            continue
        depth = len([base for base in kind.__mro__ if issubclass(base, MeshError)]) - 1
        builtin = [b.__name__ for b in kind.__bases__ if not issubclass(b, MeshError)]
        inits = [vars(base)["__init__"] for base in _ours(kind) if "__init__" in vars(base)]
        fields = (
            [n for n in inspect.signature(inits[0]).parameters if n in _FIELDS] if inits else []
        )
        rows.append(
            (
                "&nbsp;" * 4 * depth + f"`{kind.__name__}`",
                ", ".join(f"`{name}`" for name in builtin if name != "Exception"),
                ", ".join(f"`{name}`" for name in fields),
                _one_line(inspect.cleandoc(kind.__doc__ or "")),
                _ADVICE.get(kind.__name__, ""),
            )
        )
    head = ("error", "is also a", "carries", "means", "what to do")
    return _page(
        "Errors",
        _filled(
            "Every error of mreza is a `MeshError`; each says what happened, to whom, and what to "
            "do. Many are also the builtin error that a Python programmer would expect. An error "
            "that a handler raises on another node arrives as a `RemoteError` that is also of the "
            "builtin type of that name: `except ValueError` catches a remote `ValueError`. The "
            "remote traceback is in `traceback_text` and is printed below the error."
        ),
        "\n".join(_table(head, rows)),
        _filled(
            "`AdmissionError.code` is one of `needs_token`, `expired`, `used`, `unknown_token`, "
            "`bad_token`, `bad_proof`, `bad_request`, `wrong_mesh`, `no_authority`, `unreachable`, "
            "`unavailable`, `malformed`, `refused`, or a "
            "[refusal code of the wire](wire.md#refusal-codes)."
        ),
    )


_FIELDS = ("code", "retry_after_s", "may_have_run", "type_name", "traceback_text", "node")
_ADVICE = {
    "AdmissionError": "by `code`: a new token (`mreza invite`), or the address of a node that runs",
    "AmbiguousName": "use the id; the text lists them",
    "CertificateRejected": "the certificate names another mesh, or has expired: join again",
    "ConfigError": "the text names the nearest right setting",
    "DeadlineExceeded": "allow more time, or find out who is slow; a call may still run",
    "DecodeError": "report it: a member never sends such bytes",
    "DuplicateIdentity": "give one of the two processes a state directory of its own",
    "InvalidAddress": "write HOST or HOST:PORT, IPv6 in brackets",
    "InvalidId": "26 letters, as `mreza nodes` shows them",
    "MeshError": "catch this to catch all",
    "NoRoute": "`mreza routes`, `mreza trace`; the node may be down",
    "NoSuchProcess": "`mreza nodes` shows who offers what",
    "NotRunning": "`await mesh.initialize()` or `async with` first; after a fork make a new node",
    "OutboxFull": "`await mesh.drain()`, then send again",
    "Overloaded": "try again after `retry_after_s`; the work did not run",
    "PayloadError": "send what a payload can be, or what the handler's annotation says",
    "RemoteError": "the handler's own error: `type_name`, `traceback_text`, `node`",
    "StateError": "the text names the directory; each node needs one of its own",
    "UnknownNode": "a name is known once its node has been met: `mreza nodes`",
    "WorkerLost": "run it again if it may run twice, or if `may_have_run` is false",
}


def _ours(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if base.__module__ == "mreza.errors"]


def _tree(kind: type[MeshError]) -> Iterator[type[MeshError]]:
    yield kind
    for below in sorted(kind.__subclasses__(), key=_name):
        if below.__module__ == "mreza.errors":
            yield from _tree(below)


def events_page() -> str:
    """Every event, with its fields."""
    kinds = sorted(Event.__subclasses__(), key=_name)
    parts = [
        _filled(
            "`async for event in mesh.events()` yields what happens from then on; "
            "`mesh.event_history` is the last few hundred. `mreza events --json` prints one object "
            "a line with the same fields and the name under `event`. Fields may be added. A "
            "listener that falls far behind loses the oldest events, never the newest."
        ),
        f"Every event has `at`: {attribute_docs(Event)['at']}",
    ]
    for kind in kinds:
        tag = kind.__struct_config__.tag
        docs = attribute_docs(kind)
        fields = [field for field in msgspec.structs.fields(kind) if field.name != "at"]
        rows = [
            (f"`{field.name}`", _type_cell(_annotation(field.type)), docs.get(field.name, ""))
            for field in fields
        ]
        table = "\n".join(_table(("field", "type", "meaning"), rows))
        said = _filled(f"`{kind.__name__}`: {summary(kind)}")
        parts.append(f"## {tag}\n\n{said}\n\n{table}")
    return _page("Events", *parts)


def api_page() -> str:
    """Every exported name."""
    names = [name for name in mreza.__all__ if not name.startswith("__")]
    kinds = {name: getattr(mreza, name) for name in names}
    parts = [
        _filled(
            f"`from mreza import …` offers {len(names)} names and `__version__`. Settings are "
            "on [a page of their own](config.md), so are [errors](errors.md) and "
            "[events](events.md). A `node` argument is a `NodeId`, its 26 letters, or a name."
        ),
        "## All names\n\n"
        + "\n".join(
            _table(("name", "what it is"), ((f"`{name}`", summary(kinds[name])) for name in names))
        ),
    ]
    main = ("MeshNetwork", "LoadBalancer")
    parts += [_class_with_methods(name, kinds[name]) for name in main]
    parts += [
        _values(name, kind)
        for name, kind in kinds.items()
        if name not in main and not _elsewhere(kind)
    ]
    return _page("Python API", *parts)


def simulation_page() -> str:
    """What `mreza.sim` offers to programs."""
    exported = sim.__all__
    kinds = {name: getattr(sim, name) for name in exported}
    return _page(
        "Simulation API",
        _filled(
            f"`from mreza.sim import …` offers {len(exported)} names. How to use `SimMesh`, and "
            "the pytest fixture `mesh_sim` that is one, is in [a "
            "guide](../guides/test-your-program.md)."
        ),
        "\n".join(
            _table(
                ("name", "what it is"), ((f"`{name}`", summary(kinds[name])) for name in exported)
            )
        ),
        _class_with_methods("SimMesh", kinds["SimMesh"]),
        _class_with_methods("World", kinds["World"]),
    )


def _elsewhere(kind: type) -> bool:
    return issubclass(kind, Exception | Event | BaseModel)


def _members(kind: type) -> dict[str, Any]:
    """What a class defines, and what our own bases of it do."""
    own = [base for base in kind.__mro__ if base.__module__.startswith("mreza.")]
    return {name: value for base in reversed(own) for name, value in vars(base).items()}


def _class_with_methods(name: str, kind: type) -> str:
    made = f"{name}{_signature(kind.__init__)}"  # type: ignore[misc]
    parts = [f"## {name}", _filled(summary(kind)), _filled(_rest(kind)), _code(made)]
    for method, value in _members(kind).items():
        if method.startswith("_"):
            continue
        plain = getattr(value, "__func__", value)
        parts.append(f"### {name}.{method}")
        if isinstance(value, property) and value.fget is not None:
            returns = _annotation(inspect.signature(value.fget).return_annotation)
            parts.append(_filled(f"`{returns}`. {summary(value.fget)}".strip()))
        else:
            coroutine = "await " if inspect.iscoroutinefunction(plain) else ""
            parts += [
                _code(f"{coroutine}{method}{_signature(plain)}"),
                _filled(summary(plain)),
                _filled(_rest(plain).replace(raises(plain), "").strip()),
                raises(plain),
            ]
    return "\n\n".join(part for part in parts if part)


def _code(text: str) -> str:
    return f"```text\n{text}\n```"


def _annotation(annotation: Any) -> str:
    if isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _value(value: Any) -> str:
    """A default as one would write it."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    return _annotation(value) if isinstance(value, type) or value is Any else repr(value)


def _signature(function: Callable[..., Any]) -> str:
    """As one would write it; one argument a line if it is long."""
    signature = inspect.signature(function)
    inside: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.name in {"self", "cls"}:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in inside:
            inside.append("*")
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        text = stars + parameter.name
        if parameter.annotation is not parameter.empty:
            text += f": {_annotation(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            text += f" = {_value(parameter.default)}"
        inside.append(text)
    returns = signature.return_annotation
    arrow = "" if returns in {inspect.Signature.empty, "None"} else f" -> {_annotation(returns)}"
    short = f"({', '.join(inside)}){arrow}"
    if len(short) < 76:
        return short
    lines = "".join(f"    {one},\n" for one in inside)
    return f"(\n{lines}){arrow}"


def _values(name: str, kind: Any) -> str:
    """A class that mostly holds values: its fields and what they mean."""
    docs = attribute_docs(kind)
    types_ = {
        key: _annotation(value)
        for base in reversed(kind.__mro__)
        for key, value in inspect.get_annotations(base).items()
    }
    if issubclass(kind, enum.Enum):
        fields = [one.name for one in kind]
    elif hasattr(kind, "__struct_fields__"):
        fields = [one.name for one in msgspec.structs.fields(kind)]
    elif dataclasses.is_dataclass(kind):
        fields = [one.name for one in dataclasses.fields(kind)]
    else:
        made = vars(kind).get("__init__")
        given = {} if made is None else inspect.signature(made).parameters
        types_ |= {name: _annotation(one.annotation) for name, one in given.items()}
        fields = [one for one in getattr(kind, "__slots__", ()) if one in docs or one in types_]
    rows = [(f"`{one}`", _type_cell(types_.get(one)), docs.get(one, "")) for one in fields]
    for method, value in vars(kind).items():
        if method.startswith("_") or method == "to_json":
            continue
        if isinstance(value, property) and value.fget is not None:
            returns = inspect.signature(value.fget).return_annotation
            rows.append((f"`{method}`", _type_cell(_annotation(returns)), summary(value.fget)))
        elif inspect.isfunction(value) or isinstance(value, staticmethod | classmethod):
            plain: Any = getattr(value, "__func__", value)
            rows.append((f"`{method}{_signature(plain)}`".replace("\n", " "), "", summary(plain)))
    table = "\n".join(_table(("name", "type", "meaning"), rows)) if rows else ""
    parts = (f"## {name}", _filled(summary(kind)), _filled(_rest(kind)), table)
    return "\n\n".join(part for part in parts if part)


def _type_cell(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _name(kind: type) -> str:
    return kind.__name__


PAGES: dict[str, Callable[[], str]] = {
    "api.md": api_page,
    "cli.md": cli_page,
    "config.md": config_page,
    "errors.md": errors_page,
    "events.md": events_page,
    "scenarios.md": scenario_page,
    "simulation.md": simulation_page,
}


def main() -> None:
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
