"""The fixture, as a user's own test suite has it: in a pytest of its own, with any other plugin."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ("-p", "mreza.sim.pytest_plugin")
ALONE = ("-p", "no:asyncio")
SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")
STRICT = ("-o", "asyncio_mode=strict", *SCOPE)
AUTO = ("-o", "asyncio_mode=auto", *SCOPE)

SUITE = """
    import asyncio
    import time

    import pytest

    async def test_an_hour(mesh_sim):
        a, b = await mesh_sim.grow("a", "b")
        began, real = mesh_sim.now, time.monotonic()
        await asyncio.sleep(600)
        assert mesh_sim.now - began == 600
        assert time.monotonic() - real < 300

    class TestInAClass:
        async def test_has_it_too(self, mesh_sim, tmp_path):
            assert (await mesh_sim.start("a")).name == "a"
            assert tmp_path.exists()

    def test_a_plain_function_runs_coroutines_itself(mesh_sim):
        node = mesh_sim.run(mesh_sim.start("a"))
        mesh_sim.step(10)
        assert node.name == "a"
        assert mesh_sim.now >= 10

    @pytest.fixture
    def pair(mesh_sim):
        return mesh_sim.run(mesh_sim.grow("a", "b"))

    async def test_a_fixture_may_use_it(pair):
        assert [node.name for node in pair] == ["a", "b"]

    def test_without_it_nothing_is_different():
        assert True
"""


@pytest.fixture(autouse=True)
def _source(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))


@pytest.mark.parametrize("others", [ALONE, STRICT, AUTO], ids=["alone", "strict", "auto"])
def test_tests_run_in_virtual_time_beside_any_plugin(
    pytester: pytest.Pytester, others: tuple[str, ...]
) -> None:
    pytester.makepyfile(SUITE)
    done = pytester.runpytest_subprocess(*PLUGIN, *others, "-W", "error")
    done.assert_outcomes(passed=5)


def test_other_asynchronous_tests_stay_with_their_plugin(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio

        async def test_real_time():
            assert "Virtual" not in type(asyncio.get_running_loop()).__mro__[1].__name__
        """
    )
    pytester.runpytest_subprocess(*PLUGIN, *AUTO).assert_outcomes(passed=1)


def test_nothing_is_imported_until_somebody_asks_for_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_of_somebody_else():
            assert "mreza.sim.pytest_plugin" in sys.modules
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert not loaded & {"cryptography", "pydantic", "uvloop", "structlog", "psutil"}
            assert not [name for name in sys.modules if name.startswith("mreza.node")]
        """
    )
    pytester.runpytest_subprocess(*PLUGIN, *ALONE).assert_outcomes(passed=1)


def test_a_failure_names_its_seed_and_the_command_that_repeats_it(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("word", ["one"])
        @pytest.mark.mesh_sim(seeds=3)
        async def test_fails_for_some(mesh_sim, word):
            await mesh_sim.grow("a", "b")
            mesh_sim.partition("a")
            await mesh_sim.sleep(5)
            assert mesh_sim.seed != 2
        """
    )
    done = pytester.runpytest_subprocess(*PLUGIN, *ALONE)
    done.assert_outcomes(passed=2, failed=1)
    text = done.stdout.str()
    assert re.search(r"seed 2, after 5\.\d+ s of virtual time; again:", text)
    assert re.search(r"0\.\d+ s  partition a", text)
    (again,) = re.findall(r"^  pytest (.*)$", text, re.MULTILINE)
    repeated = pytester.runpytest_subprocess(*PLUGIN, *ALONE, *shlex.split(again))
    repeated.assert_outcomes(failed=1)


def test_seeds_come_from_the_command_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_says_its_seed(mesh_sim):
            print("seed is", mesh_sim.seed)
        """
    )
    done = pytester.runpytest_subprocess(*PLUGIN, *ALONE, "-s", "--mesh-seed", "7..9")
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(["*seed is 7*", "*seed is 8*", "*seed is 9*"])
    wrong = pytester.runpytest_subprocess(*PLUGIN, *ALONE, "--mesh-seed", "many")
    assert wrong.ret != 0
    assert "give a number or a range such as 0..99" in wrong.stdout.str() + wrong.stderr.str()


def test_the_marker_says_how_long_and_how_far(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio

        import pytest

        @pytest.mark.mesh_sim(limit_s=50, seed=4)
        async def test_waits_for_ever(mesh_sim):
            assert mesh_sim.seed == 4
            await mesh_sim.grow("a", "b")
            await asyncio.Event().wait()
        """
    )
    done = pytester.runpytest_subprocess(*PLUGIN, *ALONE, "--strict-markers")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*OutOfTime: not over after 50 s of virtual time*", "*main at *"])


def test_an_installed_mreza_brings_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {
        "mreza.sim.pytest_plugin": "mreza.sim.pytest_plugin"
    }
    assert "mreza.sim.pytest_plugin" in sys.modules
