"""`mreza up`: options as settings, and a node run with signals, without a mesh around it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from mreza.address import Address
from mreza.cli.logs import set_up_logs
from mreza.cli.problems import CommandFailed, UsageProblem
from mreza.cli.up import UpOptions, configuration, run_node
from mreza.errors import ConfigError, DuplicateIdentity


def test_options_win_over_the_environment_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mreza.toml"
    file.write_text('name = "from-file"\nlisten = "127.0.0.1:1"\n[topology]\nonly_peers = true\n')
    monkeypatch.setenv("MREZA_LISTEN", "127.0.0.1:2")
    options = UpOptions(state=tmp_path, config=file, listen="127.0.0.1:3", peers=("10.0.0.1",))
    config = configuration(options)
    assert (config.name, config.listen) == ("from-file", "127.0.0.1:3")
    assert config.topology.only_peers
    assert config.discovery.peers == ("10.0.0.1",)
    assert config.security.state == tmp_path
    assert configuration(UpOptions(state=tmp_path, config=file)).listen == "127.0.0.1:2"
    assert not configuration(UpOptions(state=tmp_path, no_lan=True)).discovery.lan
    assert not configuration(UpOptions(state=tmp_path, no_mdns=True)).discovery.mdns
    assert configuration(UpOptions(state=tmp_path, dns=("a", "b:1"))).discovery.dns == ("a", "b:1")
    assert configuration(UpOptions(state=tmp_path, only_peers=True)).topology.only_peers


def test_a_setting_that_is_not_allowed_is_a_usage_problem(tmp_path: Path) -> None:
    for options in (
        UpOptions(state=tmp_path, listen="a b"),
        UpOptions(state=tmp_path, name="-"),
        UpOptions(state=tmp_path, profile="moon"),
        UpOptions(state=tmp_path, config=tmp_path / "nothing.toml"),
    ):
        with pytest.raises(ConfigError):
            configuration(options)


class Node:
    """As much of a MeshNetwork as `up` needs."""

    node_id = "the-id"
    listen_addresses = (Address("127.0.0.1", 1), Address("::1", 2))

    def __init__(self) -> None:
        self.starts = asyncio.Event()
        self.starts.set()
        self.ended = asyncio.Event()
        self.start_error: Exception | None = None
        self.closed_error: Exception | None = None
        self.closes = 0

    async def initialize(self) -> None:
        await self.starts.wait()
        if self.start_error is not None:
            raise self.start_error

    async def close(self, timeout_s: float) -> None:
        assert timeout_s <= 1.0
        self.closes += 1
        self.ended.set()

    async def wait_closed(self) -> None:
        await self.ended.wait()


async def run(node: Node) -> int:
    return await run_node(cast("Any", node))


async def test_ready_is_said_once_and_a_signal_ends_the_node(
    capsys: pytest.CaptureFixture[str],
) -> None:
    node = Node()
    running = asyncio.create_task(run(node))
    said = ""
    while not said:
        await asyncio.sleep(0)
        said = capsys.readouterr().out
    assert said == "ready node=the-id listen=127.0.0.1:1,[::1]:2\n"
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert node.closes == 1


async def test_a_signal_while_starting_ends_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    node = Node()
    node.starts.clear()
    running = asyncio.create_task(run(node))
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGINT)
    assert await running == 0
    assert node.closes == 1
    assert "ready" not in capsys.readouterr().out


async def test_a_node_that_left_ends_well() -> None:
    node = Node()
    node.ended.set()
    assert await run(node) == 0


async def test_a_duplicate_identity_is_named() -> None:
    node = Node()
    node.ended.set()
    node.closed_error = DuplicateIdentity("another process has this key")
    with pytest.raises(CommandFailed, match="DUPLICATE_IDENTITY: another process"):
        await run(node)


async def test_a_node_that_stopped_for_another_reason_says_which() -> None:
    node = Node()
    node.ended.set()
    node.closed_error = OSError("disk full")
    with pytest.raises(CommandFailed, match="the node stopped: OSError: disk full"):
        await run(node)


async def test_a_node_that_does_not_start_is_closed() -> None:
    node = Node()
    node.start_error = ConfigError("no")
    with pytest.raises(ConfigError):
        await run(node)
    assert node.closes == 1


@pytest.fixture
def logs() -> Iterator[None]:
    """Puts both ways of logging back as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("logs")
def test_logs_are_json_lines_where_nobody_sits() -> None:
    out = io.StringIO()
    set_up_logs(None, "info", out=out)
    structlog.get_logger("mreza").info("link_up", peer=Path("x"))
    structlog.get_logger("mreza").debug("too much")
    logging.getLogger("asyncio").warning("slow")
    logging.getLogger("asyncio").info("too much")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert (first["event"], first["peer"], first["level"]) == ("link_up", "x", "info")
    assert (second["event"], second["logger"]) == ("slow", "asyncio")


@pytest.mark.usefixtures("logs")
def test_logs_are_for_people_if_asked() -> None:
    out = io.StringIO()
    set_up_logs("human", "debug", out=out)
    structlog.get_logger("mreza").debug("link_up", peer="x")
    assert "link_up" in out.getvalue()
    assert "peer=x" in out.getvalue()


def test_formats_and_levels_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UsageProblem, match="human or json"):
        set_up_logs("xml", "info")
    with pytest.raises(UsageProblem, match="debug, info, warning, error"):
        set_up_logs("json", "loud")
