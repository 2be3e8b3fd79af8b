"""The control socket on a real socket: whose it is, where it is, and what is left of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from pathlib import Path

import pytest

from mreza.cli.client import Client, open_client
from mreza.cli.problems import CommandFailed, UsageProblem
from mreza.errors import StateError
from mreza.node import control_endpoint, control_socket
from mreza.node.control_endpoint import control_path
from mreza.node.control_protocol import LINE_BYTES_MAX, Call, Events, Leave, Snapshot
from mreza.node.control_socket import ControlSocket
from tests.support.eventually import eventually_async
from tests.support.fake_node import FakeNode, link_up
from tests.support.leaks import no_leaks_async


@pytest.fixture
def folder(state_dir: Path) -> Path:
    """The folder of the node `a`."""
    path = state_dir / "nodes" / "a"
    path.mkdir(parents=True, mode=0o700)
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def opened(node: FakeNode, folder: Path) -> ControlSocket:
    control = ControlSocket(node, control_path(folder))
    await control.open()
    return control


async def test_the_socket_is_its_users_alone_and_gone_when_closed(folder: Path) -> None:
    async with no_leaks_async():
        control = await opened(FakeNode(), folder)
        assert mode_of(control.path) == 0o600
        client = await open_client(folder.parent.parent, None)
        async with client:
            assert await client.ask(Snapshot()) == {"forwarded_envelopes": 3}
        await control.close()
        assert not control.path.exists()


async def test_a_dead_nodes_socket_is_replaced(folder: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(os.fspath(control_path(folder)))
    dead.close()
    with pytest.raises(CommandFailed, match="no node runs"):
        await open_client(folder.parent.parent, None)
    control = await opened(FakeNode(), folder)
    async with await open_client(folder.parent.parent, "a") as client:
        assert await client.ask(Snapshot())
    await control.close()


async def test_a_path_too_long_for_a_socket_is_replaced_by_one_in_the_runtime_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    folder = tmp_path / ("long" * 25) / "nodes" / "a"
    folder.mkdir(parents=True)
    control = await opened(FakeNode(), folder)
    assert control.path.is_relative_to(runtime)
    async with await open_client(folder.parent.parent, None) as client:
        assert await client.ask(Snapshot())
    await control.close()


async def test_a_folder_that_others_can_write_to_is_refused(folder: Path) -> None:
    os.chmod(folder, 0o777)  # noqa: PTH101, S103 - what must be refused
    with pytest.raises(StateError, match="only this user can write to"):
        await opened(FakeNode(), folder)


async def test_of_several_running_nodes_one_must_be_named(folder: Path) -> None:
    beside = folder.parent / "b"
    beside.mkdir()
    state = folder.parent.parent
    one, other = await opened(FakeNode(), folder), await opened(FakeNode(), beside)
    with pytest.raises(UsageProblem, match=r"several nodes run in .*: a, b; say which"):
        await open_client(state, None)
    async with await open_client(state, "b") as client:
        assert client.label == "b"
    await one.close()
    async with await open_client(state, None) as client:
        assert client.label == "b"
    await other.close()


async def test_a_payload_of_many_megabytes_goes_there_and_back(folder: Path) -> None:
    node = FakeNode()
    control = await opened(node, folder)
    payload = os.urandom(20 * 1024 * 1024)
    node.result = payload
    async with await open_client(folder.parent.parent, "a") as client:
        answer = await client.ask(Call(process="x", data=payload))
    assert node.calls[0][2] == payload
    assert len(answer["result"]) == -(-len(payload) // 3) * 4
    await control.close()


async def test_a_request_over_the_limit_is_not_even_sent(folder: Path) -> None:
    control = await opened(FakeNode(), folder)
    async with await open_client(folder.parent.parent, "a") as client:
        with pytest.raises(CommandFailed, match=f"limit {LINE_BYTES_MAX}"):
            await client.ask(Call(process="x", data=bytes(LINE_BYTES_MAX)))
    await control.close()


async def test_a_stranger_that_writes_without_end_is_cut_off(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_socket, "LINE_BYTES_MAX", 1 << 16)
    control = await opened(FakeNode(), folder)
    reader, writer = await asyncio.open_unix_connection(os.fspath(control.path))

    async def write_on() -> None:
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await write_on()
    writer.close()
    del reader
    await control.close()


async def test_a_node_that_stops_in_the_middle_of_an_answer_is_named(folder: Path) -> None:
    node = FakeNode()
    node.hold = asyncio.Event()
    control = await opened(node, folder)
    async with await open_client(folder.parent.parent, "a") as client:
        asking = asyncio.create_task(client.ask(Call(process="x")))
        await eventually_async(lambda: node.calls)
        await control.close()
        with pytest.raises(CommandFailed, match="node a stopped before it answered"):
            await asking


async def test_a_node_that_does_not_answer_is_not_waited_for_for_ever(folder: Path) -> None:
    node = FakeNode()
    node.hold = asyncio.Event()
    control = await opened(node, folder)
    async with await open_client(folder.parent.parent, "a") as client:
        with pytest.raises(CommandFailed, match=r"did not answer within 0\.05 s"):
            await client.ask(Call(process="x"), timeout_s=0.05)
    await control.close()


async def test_events_stream_until_the_client_goes(folder: Path) -> None:
    node = FakeNode()
    async with no_leaks_async():
        control = await opened(node, folder)
        node.hub.emit(link_up("past"))
        async with await open_client(folder.parent.parent, "a") as client:
            labels = []
            async for event in client.events(Events(follow=True)):
                labels.append(event["label"])
                if len(labels) == 3:
                    break
                node.hub.emit(link_up(f"after {len(labels)}"))
        assert labels == ["past", "after 1", "after 2"]
        await control.close()


async def test_who_asks_a_node_to_leave_hears_that_it_has(folder: Path) -> None:
    class Leaving(FakeNode):
        async def leave(self, reason: str) -> None:
            await super().leave(reason)
            await control.close()

    node = Leaving()
    control = await opened(node, folder)
    async with await open_client(folder.parent.parent, "a") as client:
        assert await client.ask(Leave(reason="moved")) is None
    assert node.left == ["moved"]
    await control.close()


async def test_without_unix_sockets_a_token_opens_a_port_of_loopback(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_endpoint, "HAS_UNIX_SOCKETS", False)
    async with no_leaks_async():
        control = await opened(FakeNode(), folder)
        assert mode_of(control.path) == 0o600
        async with await open_client(folder.parent.parent, "a") as client:
            assert await client.ask(Snapshot())

        where = control_endpoint._read_port(control.path)
        for shown in (b"wrong\n", b"\n", b"", b"x" * (1 << 20)):
            reader, writer = await asyncio.open_connection("127.0.0.1", where.port)
            writer.write(shown)
            writer.write_eof()
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()

        control.path.write_text("damaged")
        with pytest.raises(ConnectionRefusedError):
            await Client.open(control.path, label="a")
        await control.close()
