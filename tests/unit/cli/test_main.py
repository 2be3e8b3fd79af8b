"""The command line as it is typed: help, mistakes, exit statuses. No node runs here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mreza.cli import act, depart, look, setup
from mreza.cli.main import NOT_YET, Commands, app, exit_status
from mreza.cli.problems import one_line

COMMANDS = [
    *("init", "invite", "join", "up", "status", "nodes", "links", "routes", "events"),
    *("ping", "trace", "send", "call", "map", "drain", "leave", "demo", "sim"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert "Examples:" in said
    assert f"mreza {command}" in said


def test_help_lists_every_command_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f" {command} " in said for command in COMMANDS)
    assert not any(f"│ {command} " in said for command in NOT_YET)


def test_without_a_command_help_is_shown_and_the_status_is_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_status([]) == 2
    assert "Usage: mreza" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mreza 0.")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["statsu"], "no command 'statsu'; did you mean status?"),
        (["xyzzy"], "available: init, invite, join, up, status"),
        (["dashboard"], "dashboard is not available in this version; available: init"),
        (["up", "--liste", "x"], "no option --liste; did you mean --listen"),
        (["up", "--log-level", "loud"], "--log-level 'loud' does not exist; use one of debug"),
        (["up", "--log-format", "xml"], "--log-format 'xml' does not exist; use human or json"),
        (["ping"], "missing argument 'NODE'; for help: mreza ping --help"),
        (["ping", "b", "-c", "0"], "-c"),
        (["ping", "b", "-c", "many"], "'-c' / '--count'"),
        (["--nonsense"], "no option --nonsense; did you mean --node? for help: mreza --help"),
        (["send", "b", "--node", "a"], "--via says which local node to go through"),
        (["call", "x", "--payload", "hello"], "the payload 'hello' is not JSON"),
        (["send", "x", "--priority", "huge"], "'huge'"),
        (["invite", "--ttl", "soon"], "--ttl 'soon' is not a time; write 90s, 30m, 1h or 7d"),
        (["demo", "/no/such/file"], "no file /no/such/file"),
        (["demo", "--load", "--calm"], "--load measures no files"),
        (["demo", "--seconds", "3"], "--seconds is for --load"),
    ],
)
def test_a_mistake_is_answered_in_one_line_with_status_2(
    typed: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(typed) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("mreza: ")
    assert said.err.count("\n") == 1
    assert words in said.err


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["status"], "no node runs in"),
        (["ping", "b"], "start it with: mreza up --state"),
        (["invite"], "no mesh in"),
        (["join", "mreza-aaaa"], "the join token is damaged or incomplete"),
        (["join", "hello"], "a join token begins with 'mreza-'"),
        (["call", "x", "--payload", "@/no/such/file"], "cannot read /no/such/file"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_with_status_1(
    typed: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status(typed) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert words in said.err


def test_a_local_node_that_does_not_exist_is_answered_with_the_nearest(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (state_dir / "nodes" / "pump-1").mkdir(parents=True)
    assert exit_status(["status", "--node", "pump1"]) == 2
    assert "did you mean 'pump-1'" in capsys.readouterr().err
    assert exit_status(["--node", "pump-1", "status"]) == 1
    assert "node 'pump-1' does not run" in capsys.readouterr().err


def test_the_state_directory_may_stand_before_or_after_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for typed in (
        ["--state", str(tmp_path / "x"), "status"],
        ["status", "--state", str(tmp_path / "x")],
        ["--state", str(tmp_path / "y"), "status", "--state", str(tmp_path / "x")],
    ):
        assert exit_status(typed) == 1
        assert f"in {tmp_path / 'x'};" in capsys.readouterr().err


def test_commands_that_are_not_there_yet_are_not_there() -> None:
    assert not NOT_YET & set(COMMANDS)
    assert [command.name or command.callback.__name__ for command in app.registered_commands] == (  # type: ignore[union-attr]
        COMMANDS
    )
    assert Commands.__doc__
    assert act.call.__doc__
    assert depart.drain.__doc__
    assert look.ping.__doc__
    assert setup.up.__doc__


def test_help_loads_neither_the_mesh_nor_the_event_loop() -> None:
    program = (
        "import sys; from mreza.cli.main import exit_status; exit_status(['--help']);"
        "heavy = {'cryptography', 'psutil', 'structlog', 'uvloop'} & sys.modules.keys();"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_completion_knows_commands_and_options() -> None:
    for words, expected in (("mreza lin", "links"), ("mreza up --lis", "--listen")):
        ended = subprocess.run(
            [sys.executable, "-m", "mreza"],
            env={
                "_MREZA_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split()) - 1),
                "PYTHONPATH": ":".join(sys.path),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert expected in ended.stdout.split(), ended


def test_text_of_others_stays_on_one_line_and_sends_no_escapes() -> None:
    assert one_line(" a\n b\t\x1b[31mc\u202e ") == "a b [31mc"
