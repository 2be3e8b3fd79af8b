"""The coverage gate adds up by package and names what falls short."""

from __future__ import annotations

from tests.support.coverage_gate import package_of, percentages, shortfalls


def _summary(lines: int, of: int, branches: int = 0, of_branches: int = 0) -> dict[str, object]:
    return {
        "summary": {
            "covered_lines": lines,
            "num_statements": of,
            "covered_branches": branches,
            "num_branches": of_branches,
        }
    }


def test_a_file_counts_for_its_package() -> None:
    assert package_of("src/mreza/wire/frame.py") == "mreza.wire"
    assert package_of("src/mreza/ids.py") == "mreza"


def test_lines_and_branches_of_a_package_add_up() -> None:
    files = {"src/mreza/wire/a.py": _summary(5, 10), "src/mreza/wire/b.py": _summary(3, 3, 7, 7)}
    assert percentages(files) == {"mreza.wire": 75.0}


def test_a_package_below_its_threshold_or_without_one_is_named() -> None:
    found = {"mreza.a": 90.0, "mreza.b": 89.9, "mreza.c": 100.0}
    assert shortfalls(found, {"mreza.a": 90, "mreza.b": 90}) == [
        "mreza.b is covered to 89.9 %, wanted 90 %",
        "mreza.c has no threshold in [tool.mreza.coverage]",
    ]
