"""`mreza`: the command line. Modules are imported when their command runs, so help is quick."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mreza.cli import act, depart, look, mapping, setup, sim
from mreza.cli.demo import command as demo
from mreza.cli.options import Given, LocalNode, State, teach
from mreza.cli.problems import FAILED, USAGE, CommandFailed, UsageProblem, one_line

NOT_YET = frozenset(
    [
        *("services", "health", "publish", "subscribe", "expose", "forward"),
        *("revoke", "quarantine", "forgive", "forget", "renew", "authority"),
        *("top", "dashboard", "doctor", "bench", "attack"),
    ]
)
"Commands of the design that this version does not have."
INTERRUPTED = 130
"128 + SIGINT, as shells report it."

# Typer's error for bad usage is BadParameter's grandparent; its name has moved between versions.
_BadCommandLine: type[Exception] = typer.BadParameter.__mro__[2]


class Commands(TyperGroup):
    """The commands; an unknown one is answered with the nearest right one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        word = args[0] if args else ""
        if word in self.commands or word.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        names = ", ".join(self.commands)
        if word in NOT_YET:
            raise UsageProblem(f"{word} is not available in this version; available: {names}")
        close = difflib.get_close_matches(word, self.commands, n=1)
        hint = f"did you mean {close[0]}?" if close else f"available: {names}"
        raise UsageProblem(f"no command {one_line(word)!r}; {hint}")


app = typer.Typer(
    name="mreza",
    cls=Commands,
    help=teach(
        "A secure mesh for Python programs: no broker, no head node.",
        "mreza demo          see it work",
        "mreza up            start a node; the first one makes a mesh",
        "mreza invite        there: print a token for another machine",
        "mreza join TOKEN    on the other machine, once; then: mreza up",
        "mreza nodes         who is there",
    ),
    no_args_is_help=False,
    invoke_without_command=True,
    add_completion=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
setup.add_to(app)
look.add_to(app)
act.add_to(app)
mapping.add_to(app)
depart.add_to(app)
demo.add_to(app)
sim.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        from mreza import __version__

        typer.echo(f"mreza {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    state: State = None,
    node: LocalNode = None,
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    context.obj = Given(state=state, node=node)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 failed, 2 not understood."""
    raise SystemExit(exit_status(arguments))


def exit_status(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the status it ends with."""
    command = typer.main.get_command(app)
    given = None if arguments is None else list(arguments)
    try:
        status = command.main(args=given, prog_name="mreza", standalone_mode=False)
    except CommandFailed as error:
        return _complain(str(error), error.exit_status)
    except _BadCommandLine as error:
        return _complain(_command_line_problem(error), USAGE)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; about what is still buffered nobody need hear either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        # Imported late: most commands end well, and the mesh's errors then need not be loaded.
        from mreza.errors import ConfigError, InvalidAddress, MeshError

        if not isinstance(error, MeshError | OSError):
            raise
        usage = isinstance(error, ConfigError | InvalidAddress)
        return _complain(_words(error), USAGE if usage else FAILED)
    return status if isinstance(status, int) else 0


def _complain(text: str, status: int) -> int:
    print(f"mreza: {one_line(text)}", file=sys.stderr)
    return status


def _words(error: Exception) -> str:
    """The text of an error, without the number that the system gives it."""
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f"{error.filename}: "
        return f"{where}{error.strerror}"
    return str(error)


def _command_line_problem(error: Any) -> str:
    text = str(error.format_message()).rstrip(".")
    text = text.replace(": Value error, ", ": ").replace("Input should be", "must be")
    if getattr(error, "option_name", None) == "--node":
        # Known to most commands. Where the node is another one, this would say two things.
        text = (
            "no option --node: NODE is an argument, and --via says which local node to go through"
        )
    elif possible := getattr(error, "possibilities", None):
        text = f"no option {error.option_name}; did you mean {' or '.join(sorted(possible))}?"
    context = getattr(error, "ctx", None)
    path = "mreza" if context is None else context.command_path
    return (
        f"{text[:1].lower()}{text[1:]}{'' if text.endswith('?') else ';'} for help: {path} --help"
    )


if __name__ == "__main__":
    run()
