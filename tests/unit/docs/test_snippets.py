"""What the documentation shows exists: code is that of a file which tests run, commands parse.

A block of Python is an excerpt of the file named on the line above it: `<!-- examples/work.py -->`.
"""

from __future__ import annotations

import os
import re
import shlex
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from mreza.cli.main import app
from mreza.config.environment import from_environment
from mreza.config.mesh import MeshConfig
from mreza.sim.scenario import from_toml

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    if "decisions" not in page.parts
)
LANGUAGES = {"python", "console", "toml", "ini", "json", "text", ""}
OTHERS_COMMANDS = {
    "cat",
    "jq",
    "journalctl",
    "loginctl",
    "pip",
    "pytest",
    "sudo",
    "systemctl",
    "ulimit",
}
"Commands of the system that a reader may be told to run."


class Block(NamedTuple):
    """A fenced block, and the line before it."""

    page: str
    line: int
    language: str
    text: str
    source: str
    "The file named above it, if any."

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
        inside: int | None = None
        for number, line in enumerate(lines):
            if not line.startswith("```"):
                continue
            if inside is None:
                inside = number
                continue
            above = re.fullmatch(r"<!-- (\S+) -->", lines[inside - 1])
            source = "" if above is None else above[1]
            text = "\n".join(lines[inside + 1 : number])
            yield Block(page, inside + 1, lines[inside][3:].strip(), text, source)
            inside = None
        assert inside is None, f"{page}:{inside}: a block that does not end"


BLOCKS = list(blocks())


def of(language: str) -> pytest.MarkDecorator:
    chosen = [block for block in BLOCKS if block.language == language]
    return pytest.mark.parametrize("block", chosen, ids=str)


def test_blocks_are_of_languages_that_are_checked() -> None:
    assert {block.language for block in BLOCKS} <= LANGUAGES
    assert len(BLOCKS) > 20


@of("python")
def test_python_is_an_excerpt_of_a_file_that_runs(block: Block) -> None:
    assert block.source, f"{block}: say which file it is from: <!-- examples/NAME.py -->"
    source = (ROOT / block.source).read_text(encoding="utf-8").splitlines()
    shown = textwrap.dedent(block.text).splitlines()
    found = any(
        textwrap.dedent("\n".join(source[at : at + len(shown)])).splitlines() == shown
        for at in range(len(source) - len(shown) + 1)
    )
    assert found, f"{block} is not in {block.source}"


@of("toml")
def test_toml_is_a_configuration(block: Block) -> None:
    if block.source.startswith("examples/scenarios/"):
        from_toml(block.text)
    else:
        MeshConfig(**tomllib.loads(block.text))
    if block.source:
        assert block.text == (ROOT / block.source).read_text(encoding="utf-8").rstrip()


def test_the_example_of_a_configuration_is_one() -> None:
    MeshConfig(**tomllib.loads((ROOT / "examples" / "mesh.toml").read_text(encoding="utf-8")))


def commands(text: str) -> Iterator[list[str]]:
    """The commands behind `$`, of a pipe each; without redirections and remarks."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not line.startswith("$ "):
            continue
        lexer = shlex.shlex(line[2:], posix=True, punctuation_chars="|<>&;")
        lexer.whitespace_split = True
        words: list[str] = []
        skip = False
        for word in lexer:
            if word in {"|", "&&", ";"}:
                yield words
                words = []
            elif word in {"<", ">", "2>", "&"}:
                skip = word != "&"
            elif skip:
                skip = False
            else:
                words.append(word)
        yield words


def check(words: list[str], where: str) -> None:
    """Fail if this could not be typed."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        name, _, value = words.pop(0).partition("=")
        from_environment(MeshConfig, {name: value})
    match [Path(word).name if place == 0 else word for place, word in enumerate(words)]:
        case []:
            pass
        case ["mreza", *arguments]:
            check_mreza(arguments, where)
        case ["make", target, *_]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{where}: no make {target}"
        case ["python", "-m", "venv", *_] | ["python", "-m", "mreza", *_]:
            check_mreza(words[3:], where) if words[2] == "mreza" else None
        case ["python", "-m", module, *_]:
            assert (ROOT / Path(*module.split("."))).with_suffix(".py").exists(), (
                f"{where}: {module}"
            )
        case ["python", script, *_]:
            assert (ROOT / script).exists(), f"{where}: no {script}"
        case [other, *_]:
            assert other in OTHERS_COMMANDS, f"{where}: is {other} a command?"


def check_mreza(arguments: list[str], where: str) -> None:
    if arguments == ["--version"]:
        return
    group = typer.main.get_command(app)
    context = group.make_context("mreza", list(arguments), resilient_parsing=False)
    rest = [*context._protected_args, *context.args]
    assert rest, f"{where}: no command"
    name, command, after = group.resolve_command(context, rest)  # type: ignore[attr-defined]
    command.make_context(name, after, parent=context)


@of("console")
def test_commands_and_options_exist(block: Block) -> None:
    found = list(commands(block.text))
    assert found, f"{block} shows no command; begin it with '$ '"
    for words in found:
        check(words, str(block))


@of("ini")
def test_a_service_starts_what_exists(block: Block) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", block.text, re.MULTILINE)
    program, *arguments = shlex.split(line)
    assert Path(program).name == "mreza"
    check_mreza(arguments, str(block))


@pytest.mark.parametrize("page", PAGES)
def test_variables_are_settings(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for name in set(re.findall(r"\bMREZA_[A-Z0-9_]*[A-Z0-9]\b(?!…|__)", text)):
        if name.startswith("MREZA_SIM_"):
            continue  # of the tests
        from_environment(MeshConfig, {name: "1"})


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.S | re.M)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            there = Path(os.path.normpath((ROOT / page).parent / target))
            assert there.exists(), f"{page}: {target}"


WRAPPED = ("README.md", "docs/guides/", "docs/concepts/")


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith(WRAPPED)])
def test_lines_can_be_read_in_an_editor(page: str) -> None:
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 100 and not line.startswith("|")] == []
