"""The benchmarks run; how fast they find us is not a test's matter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT, child_environment


def test_every_case_is_measured_beside_raw_tls(tmp_path: Path, state_dir: Path) -> None:
    file = tmp_path / "bench.json"
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--short", "--json", str(file)],
        cwd=ROOT,
        env=child_environment(state_dir),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    results = json.loads(file.read_text())["results"]
    by_case: dict[str, list[dict[str, object]]] = {}
    for result in results:
        by_case.setdefault(str(result["case"]), []).append(result)
    assert len(by_case) == 9
    for name, rows in by_case.items():
        assert str(rows[0]["system"]).startswith("mreza"), name
        assert len(rows) >= 2
        assert all(isinstance(row["ratio"], float) for row in rows[1:])
