"""Hold each package to its threshold of coverage: `python -m tests.support.coverage_gate REPORT`.

The thresholds are in pyproject.toml, [tool.mreza.coverage]; the report is coverage's JSON.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def package_of(file: str) -> str:
    """The package that a source file counts for: `mreza.wire`; `mreza` for the top level."""
    inside = Path(file).parts[Path(file).parts.index("mreza") + 1 :]
    return f"mreza.{inside[0]}" if len(inside) > 1 else "mreza"


def percentages(files: Mapping[str, Any]) -> dict[str, float]:
    """Lines and branches covered, in per cent, for each package of a coverage report."""
    covered: dict[str, int] = defaultdict(int)
    all_of_it: dict[str, int] = defaultdict(int)
    for file, report in files.items():
        package, summary = package_of(file), report["summary"]
        covered[package] += summary["covered_lines"] + summary["covered_branches"]
        all_of_it[package] += summary["num_statements"] + summary["num_branches"]
    return {package: 100 * covered[package] / (all_of_it[package] or 1) for package in all_of_it}


def shortfalls(found: Mapping[str, float], wanted: Mapping[str, float]) -> list[str]:
    """A sentence for each package that is below its threshold, or has none."""
    sentences = []
    for package, per_cent in sorted(found.items()):
        if package not in wanted:
            sentences.append(f"{package} has no threshold in [tool.mreza.coverage]")
        elif per_cent < wanted[package]:
            sentences.append(
                f"{package} is covered to {per_cent:.1f} %, wanted {wanted[package]} %"
            )
    return sentences


def main(report: str) -> int:
    """Print a table and the shortfalls; 1 if there are any."""
    wanted = tomllib.loads(PYPROJECT.read_text())["tool"]["mreza"]["coverage"]
    found = percentages(json.loads(Path(report).read_text())["files"])
    for package, per_cent in sorted(found.items()):
        print(f"{package:20} {per_cent:6.1f} %  wanted {wanted.get(package, '?')} %")
    problems = shortfalls(found, wanted)
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
