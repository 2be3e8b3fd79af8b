"""pytest: the fixture `mesh_sim`, a mesh of whole nodes in virtual time.

    async def test_no_order_is_lost(mesh_sim):
        a, b = await mesh_sim.grow("a", "b", app=shop)
        mesh_sim.crash("b")
        ...

An `async def` test with this fixture runs on the simulation's loop, with pytest-asyncio or without.
A failure prints its seed and the command that repeats it. Tests without the fixture notice nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mreza.sim.mesh import SimMesh

FIXTURE = "mesh_sim"
LIMIT_S = 3600.0
"Virtual seconds that a test may take unless its marker says otherwise."
STORY_LINES = 30
"Of what was done to hosts and network, the last are shown with a failure."
_SIM = pytest.StashKey["SimMesh"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take a seed from the command line."""
    group = parser.getgroup("mreza", "meshes in virtual time (mreza)")
    group.addoption(
        "--mesh-seed",
        metavar="N or N..M",
        help="run every test that uses mesh_sim with this seed, or with each of a range",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "mesh_sim(seed=0, seeds=None, limit_s=3600, latency_s=…, config=None): "
        "how the mesh of the fixture mesh_sim is made; `seeds=20` runs the test with 20 of them",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Once for each seed."""
    if FIXTURE in metafunc.fixturenames:
        seeds = _seeds(metafunc)
        metafunc.parametrize(FIXTURE, seeds, indirect=True, ids=[f"seed{seed}" for seed in seeds])


@pytest.fixture
def mesh_sim(request: pytest.FixtureRequest) -> Iterator[SimMesh]:
    """A `mreza.sim.SimMesh`: start nodes with it, break things, let virtual time pass."""
    from mreza.sim.mesh import SimMesh  # noqa: PLC0415 - only who uses it pays for it

    settings = _settings(request.node)
    settings.setdefault("limit_s", LIMIT_S)
    sim = SimMesh(seed=request.param, **settings)
    request.node.stash[_SIM] = sim
    yield sim
    sim.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Run an asynchronous test of the fixture in virtual time."""
    function = _coroutine_function(pyfuncitem) if FIXTURE in pyfuncitem.fixturenames else None
    if function is None:
        return None
    __tracebackhide__ = True
    names = pyfuncitem._fixtureinfo.argnames
    sim: Any = pyfuncitem.funcargs[FIXTURE]
    sim.run(function(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure how it is had again."""
    report = yield
    sim = item.stash.get(_SIM, None)
    if sim is not None and report.failed:
        report.sections.append(("mesh_sim", _told(item.nodeid, sim)))
    return report


def _told(node_id: str, sim: SimMesh) -> str:
    """What whoever reads of a failure wants to know."""
    lines = [
        f"seed {sim.seed}, after {sim.now:.3f} s of virtual time; again:",
        f"  pytest '{node_id}' --mesh-seed {sim.seed}",
    ]
    if sim.story:
        left_out = len(sim.story) - STORY_LINES
        before = f", after {left_out} more" if left_out > 0 else ""
        lines.append(f"what was done{before}:")
        lines += [f"  {at:10.3f} s  {what}" for at, what in sim.story[-STORY_LINES:]]
    return "\n".join(lines)


def _settings(item: Any) -> dict[str, Any]:
    """What the marker says, the nearest first."""
    settings: dict[str, Any] = {}
    for marker in item.iter_markers(FIXTURE):
        settings = {**marker.kwargs, **settings}
    settings.pop("seed", None)
    settings.pop("seeds", None)
    return settings


def _seeds(metafunc: pytest.Metafunc) -> list[int]:
    given: str | None = metafunc.config.getoption("--mesh-seed")
    if given is not None:
        return parsed_seeds(given)
    for marker in metafunc.definition.iter_markers(FIXTURE):
        if (seeds := marker.kwargs.get("seeds")) is not None:
            return list(range(seeds)) if isinstance(seeds, int) else list(seeds)
        if (seed := marker.kwargs.get("seed")) is not None:
            return [seed]
    return [0]


def parsed_seeds(text: str) -> list[int]:
    """`7` or `0..99`, both ends included.

    Raises:
        pytest.UsageError: it is neither.
    """
    first, dots, last = text.partition("..")
    try:
        return list(range(int(first), int(last) + 1)) if dots else [int(first)]
    except ValueError:
        raise pytest.UsageError(
            f"--mesh-seed {text!r}: give a number or a range such as 0..99"
        ) from None


def _coroutine_function(item: pytest.Function) -> Callable[..., Any] | None:
    """The test itself, if it is an `async def`."""
    function = item.obj
    if not inspect.iscoroutinefunction(function):
        # pytest-asyncio has wrapped it already, for a loop of its own.
        function = getattr(function, "__wrapped__", None)
        if not type(item).__module__.startswith("pytest_asyncio"):
            return None
    return function if inspect.iscoroutinefunction(function) else None
