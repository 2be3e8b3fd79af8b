"""What `mreza sim` does: runs, compares, shrinks, records and replays, and says so."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mreza import __version__
from mreza.cli.output import say, show_json, show_table
from mreza.cli.problems import DONE, FAILED
from mreza.cli.tables import counted
from mreza.sim import recording, report
from mreza.sim.campaign import parse_seeds, repeat_command, run_all
from mreza.sim.checkers import KNOWN as CHECKERS
from mreza.sim.faults import Fault, Schedule
from mreza.sim.report import Change, Report, ScenarioReport, Spread
from mreza.sim.run import Outcome, run
from mreza.sim.scenario import Scenario, find, standard
from mreza.sim.shrink import Shrunk, shrink
from mreza.sim.toml import to_toml

FAILURES_SHOWN = 5


@dataclass(frozen=True)
class SimOptions:
    """What was said on the command line."""

    scenarios: tuple[str, ...]
    seeds: str = "0..9"
    jobs: int | None = None
    baseline: Path | None = None
    save_baseline: Path | None = None
    tolerance: float = report.TOLERANCE
    shrink: bool = False
    record: Path | None = None
    as_json: bool = False


def list_scenarios(*, as_json: bool) -> int:
    """Show the standard scenarios, and what is checked."""
    found = standard()
    checks = {name: inspect.getdoc(check) or "" for name, check in CHECKERS.items()}
    checks = {name: text.partition("\n\n")[0] for name, text in checks.items()}
    if as_json:
        scenarios = {name: msgspec.to_builtins(scenario) for name, scenario in found.items()}
        show_json({"scenarios": scenarios, "checks": checks})
    else:
        rows = [(name, str(one.nodes), one.description) for name, one in found.items()]
        show_table(("scenario", "nodes", "what happens"), rows, empty="none")
        say("")
        show_table(("check", "what must hold"), list(checks.items()), empty="none")
    return DONE


def run_scenarios(options: SimOptions) -> int:
    """Run every seed of every scenario; 1 if something did not hold or became worse."""
    seeds = parse_seeds(options.seeds)
    chosen = _chosen(options.scenarios)
    # Read before the work: a wrong name should not cost minutes.
    before = None if options.baseline is None else report.read(options.baseline)
    outcomes = _run(chosen, seeds, processes=options.jobs or os.cpu_count() or 1)
    found = Report(
        version=__version__,
        scenarios={name: report.summarize(outcomes[name], seeds=options.seeds) for name in chosen},
    )
    changes = () if before is None else report.compare(found, before, tolerance=options.tolerance)
    failed = _first_failure(chosen, outcomes)
    small = None if failed is None or not options.shrink else _shrink(*failed)
    if options.as_json:
        show_json(_as_json(found, changes, small))
    else:
        _say_report(found, options)
        if before is not None:
            _say_changes(found, before, changes)
        if small is not None:
            _say_small(small)
    if options.save_baseline is not None:
        report.save(found, options.save_baseline)
        _aside(f"report stored in {options.save_baseline}")
    if options.record is not None:
        _record(options.record, chosen, outcomes, failed, small)
    return FAILED if found.failed or any(change.worse for change in changes) else DONE


def replay_recording(path: Path, *, as_json: bool) -> int:
    """Repeat a recorded run; 1 if it fails again, or goes another way."""
    recorded = recording.read(path)
    outcome, differs = recording.replay(recorded, run)
    if as_json:
        show_json(
            {
                "scenario": outcome.scenario,
                "seed": outcome.seed,
                "failure": outcome.failure,
                "digest": outcome.digest,
                "same": differs is None,
                "divergence": msgspec.to_builtins(differs),
            }
        )
    else:
        _say_replay(recorded, outcome, differs)
    return DONE if differs is None and outcome.failure is None else FAILED


# Work.


def _chosen(words: tuple[str, ...]) -> dict[str, Scenario]:
    """By the word that names it on the command line, which repeats it, too."""
    known = standard()
    chosen: dict[str, Scenario] = {}
    for word in words:
        chosen.update(known if word == "all" else {word: find(word)})
    return chosen


def _run(
    chosen: dict[str, Scenario], seeds: tuple[int, ...], *, processes: int
) -> dict[str, list[Outcome]]:
    jobs = [(word, scenario, seed) for word, scenario in chosen.items() for seed in seeds]
    outcomes: dict[str, list[Outcome]] = {word: [] for word in chosen}
    with _progress(len(jobs)) as tell:
        for word, outcome in run_all(jobs, processes=min(processes, len(jobs)), runner=run):
            outcomes[word].append(outcome)
            tell(word, outcome)
    return outcomes


def _first_failure(
    chosen: dict[str, Scenario], outcomes: dict[str, list[Outcome]]
) -> tuple[str, Scenario, Outcome] | None:
    for word, scenario in chosen.items():
        failed = [one for one in outcomes[word] if one.failure is not None]
        if failed:
            return word, scenario, min(failed, key=lambda one: one.seed)
    return None


def _shrink(word: str, scenario: Scenario, failed: Outcome) -> Shrunk:
    """Make it small, with a line of progress on a terminal."""

    def again(smaller: Scenario, schedule: Schedule) -> Outcome:
        return run(smaller, failed.seed, schedule=schedule)

    _aside(f"making {word} seed {failed.seed} small ({_extent(scenario, failed)}) …")
    live = sys.stderr.isatty()

    def told(smaller: Scenario, outcome: Outcome) -> None:
        if live:
            print(f"\r\x1b[K  {_extent(smaller, outcome)}", end="", file=sys.stderr, flush=True)

    small = shrink(scenario, failed, again, told=told)
    if live:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return small


def _record(
    path: Path,
    chosen: dict[str, Scenario],
    outcomes: dict[str, list[Outcome]],
    failed: tuple[str, Scenario, Outcome] | None,
    small: Shrunk | None,
) -> None:
    """Take down the run that is of interest: made small, failed, or the only one."""
    if small is not None:
        scenario, outcome = small.scenario, small.outcome
    elif failed is not None:
        _, scenario, outcome = failed
    else:
        runs = [(chosen[word], one) for word, all_ in outcomes.items() for one in all_]
        if len(runs) > 1:
            _aside("no run failed: nothing recorded; give one scenario and one seed")
            return
        scenario, outcome = runs[0]
    _, taken = recording.record(scenario, outcome.seed, run, schedule=outcome.schedule)
    recording.save(taken, path)
    _aside(
        f"{counted(len(taken.happenings), 'happening')} recorded; "
        f"repeat with: mreza sim --replay {path}"
    )


# Words.


def _say_report(found: Report, options: SimOptions) -> None:
    if len(found.scenarios) == 1:
        ((_, only),) = found.scenarios.items()
        rows = list(_figure_rows(only))
        show_table(("figure", *Spread.__struct_fields__), rows, empty="no run came to its end")
    else:
        rows = [_summary_row(word, one) for word, one in found.scenarios.items()]
        show_table(("scenario", "runs", "failed", *SUMMARY), rows, empty="no scenario")
    runs = sum(one.runs for one in found.scenarios.values())
    failed = sum(len(one.failed) for one in found.scenarios.values())
    for word, one in found.scenarios.items():
        for failure in one.failed[:FAILURES_SHOWN]:
            say(f"FAILED {word} seed {failure.seed}: {failure.failure}")
            say(f"  repeat with: {repeat_command(word, failure.seed)}")
            if not options.shrink:
                say(f"  make small:  {repeat_command(word, failure.seed)} --shrink")
        if len(one.failed) > FAILURES_SHOWN:
            rest = ", ".join(str(failure.seed) for failure in one.failed[FAILURES_SHOWN:])
            say(f"FAILED {word} also with seeds {rest}")
    say(
        f"{counted(runs, 'run')}, {failed} failed"
        if failed
        else f"{counted(runs, 'run')}, all held"
    )


SUMMARY = (
    "formed_s",
    "healed_s",
    "messages",
    "losses",
    "bytes",
    "hops_p99",
    "latency_s_p50",
    "latency_s_p99",
)
"Figures of a line in which a scenario stands beside others; their medians."


def _figure_rows(one: ScenarioReport) -> Iterator[tuple[str, ...]]:
    for figure, spread in one.figures.items():
        yield (figure, *map(_number, msgspec.structs.astuple(spread)))


def _summary_row(word: str, one: ScenarioReport) -> tuple[str, ...]:
    figures = (one.figures.get(figure) for figure in SUMMARY)
    shown = ("-" if spread is None else _number(spread.p50) for spread in figures)
    return (word, str(one.runs), str(len(one.failed)), *shown)


def _number(value: float) -> str:
    """Three digits that matter; large ones whole."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _say_changes(found: Report, before: Report, changes: tuple[Change, ...]) -> None:
    for sentence in report.not_comparable(found, before):
        say(f"baseline: {sentence}")
    rows = [
        (
            change.scenario,
            change.figure,
            _number(change.before),
            _number(change.after),
            "worse" if change.worse else "better",
        )
        for change in changes
    ]
    columns = ("scenario", "figure", "baseline", "now", "median is")
    show_table(columns, rows, empty="every median is as in the baseline")


def _say_small(small: Shrunk) -> None:
    outcome = small.outcome
    say(f"after {counted(small.runs, 'run')}: {_extent(small.scenario, outcome)}")
    say(f"  {outcome.failure}")
    for fault in outcome.schedule:
        say(f"  {fault_words(fault)}")
    say(f"as a scenario of its own, for --seeds {outcome.seed}:")
    say("")
    say(to_toml(small_scenario(small)).rstrip())


def small_scenario(small: Shrunk) -> Scenario:
    """The scenario in which only the needed faults happen."""
    none = msgspec.structs.replace(small.scenario.faults, every_s=0.0, kinds={}, amounts={})
    return msgspec.structs.replace(
        small.scenario,
        name=f"{small.scenario.name}-small",
        faults=none,
        schedule=small.outcome.schedule,
    )


def fault_words(fault: Fault) -> str:
    """One fault in a line: 12.30 s cut n1 n4 for 3 s (0.2)."""
    amount = f" ({fault.amount:g})" if fault.amount else ""
    lasting = f" for {fault.for_s:g} s" if fault.for_s else ""
    return f"{fault.at_s:8.2f} s  {fault.kind} {' '.join(fault.targets)}{lasting}{amount}"


def _extent(scenario: Scenario, outcome: Outcome) -> str:
    return (
        f"{counted(scenario.nodes, 'node')}, {counted(len(outcome.schedule), 'fault')}, "
        f"{scenario.faults_s + scenario.quiet_s:g} s"
    )


def _say_replay(
    recorded: recording.Recording,
    outcome: Outcome,
    differs: recording.Divergence | None,
) -> None:
    if recorded.head.version != __version__:
        say(f"recorded by version {recorded.head.version}, this is {__version__}")
    if differs is None:
        say(f"the same {counted(len(recorded.happenings), 'happening')}, digest {outcome.digest}")
    else:
        say(f"another way from happening {differs.number} on:")
        for happening in differs.before:
            say(f"  both      {happening}")
        say(f"  recorded  {differs.recorded or 'ends here'}")
        say(f"  replayed  {differs.replayed or 'ends here'}")
    say(f"FAILED {outcome.failure}" if outcome.failure else "everything held")


def _as_json(found: Report, changes: tuple[Change, ...], small: Shrunk | None) -> dict[str, Any]:
    answer = report.to_json(found)
    answer["changes"] = msgspec.to_builtins(changes)
    for word, one in answer["scenarios"].items():
        for failure in one["failed"]:
            failure["command"] = repeat_command(word, failure["seed"])
    if small is not None:
        answer["small"] = {
            "scenario": msgspec.to_builtins(small_scenario(small)),
            "seed": small.outcome.seed,
            "failure": small.outcome.failure,
            "runs": small.runs,
        }
    return answer


def _aside(text: str) -> None:
    """For a person who watches; never among the results."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[str, Outcome], None]]:
    """A bar on a terminal's standard error; elsewhere failures are said as they come."""
    failures = 0
    if not sys.stderr.isatty():
        yield lambda _word, _outcome: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("runs", total=total)

        def tell(word: str, outcome: Outcome) -> None:
            nonlocal failures
            failures += outcome.failure is not None
            said = f"{failures} failed" if failures else word
            progress.update(task, advance=1, description=said)

        yield tell
