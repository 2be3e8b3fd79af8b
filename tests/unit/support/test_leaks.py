"""The leak checks find what they are for, and eventually gives up with words."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from tests.support.eventually import eventually, eventually_async
from tests.support.leaks import no_leaks, no_leaks_async


def test_a_thread_left_running_is_named() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="left-running")
    with pytest.raises(AssertionError, match=r"1 threads: .*left-running"), no_leaks(timeout_s=0):
        thread.start()
    go.set()
    thread.join()


def test_an_open_descriptor_is_named() -> None:
    left, right = None, None
    with pytest.raises(AssertionError, match="2 descriptors"), no_leaks(timeout_s=0):
        left, right = socket.socketpair()
    assert left is not None
    assert right is not None
    left.close()
    right.close()


async def test_a_task_left_running_is_named() -> None:
    task = None
    with pytest.raises(AssertionError, match=r"1 tasks: .*sleeper"):
        async with no_leaks_async(timeout_s=0):
            task = asyncio.create_task(asyncio.Event().wait(), name="sleeper")
    assert task is not None
    task.cancel()


def test_nothing_left_is_no_complaint(leak_check: None) -> None:
    with no_leaks(timeout_s=0):
        left, right = socket.socketpair()
        left.close()
        right.close()


def test_eventually_returns_what_the_condition_found() -> None:
    found = iter([0, None, "", 7])
    assert eventually(lambda: next(found)) == 7


async def test_eventually_says_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match="the link: still 0 after 0 s"):
        eventually(lambda: 0, "the link", timeout_s=0)
    with pytest.raises(AssertionError, match="still None"):
        await eventually_async(lambda: None, timeout_s=0)
