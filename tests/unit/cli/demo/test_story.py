"""The demo's accidents: when they come, what is noted of them, and when they count as survived."""

from __future__ import annotations

import asyncio

import pytest

from mreza.cli.demo import story as stories
from mreza.cli.demo.story import FILES_MIN, Story
from tests.support.demo import DETOUR, FAR, RELAY, StillMesh
from tests.support.eventually import eventually_async


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def mesh() -> StillMesh:
    return StillMesh()


@pytest.fixture
def story(mesh: StillMesh, told: list[str]) -> Story:
    def tell(_: float, text: str) -> None:
        told.append(text)

    return Story(mesh, 100, tell=tell)  # type: ignore[arg-type]


def failed(label: str) -> dict[str, object]:
    return {"event": "member_changed", "label": label, "new": "failed", "cause": "gone"}


def returned(label: str) -> dict[str, object]:
    return {"event": "member_changed", "label": label, "new": "alive", "cause": "returned"}


def moved(label: str, count: int, *, lost: int = 0) -> dict[str, object]:
    return {"event": "work_moved", "label": label, "moved": count, "failed": lost, "cause": "gone"}


async def test_a_worker_is_killed_and_back_before_the_relay_is_killed(
    story: Story, mesh: StillMesh, told: list[str]
) -> None:
    sending = asyncio.create_task(_send(story, 100))
    running = asyncio.create_task(story.run())
    await eventually_async(lambda: mesh.far.killed, "the worker is killed")
    assert story.down == ["node-3"]
    story.heard(moved("node-3", 17))
    story.heard(failed("node-3"))
    await eventually_async(lambda: not story.down, "it is started again")
    assert not sending.done(), "the relay's share of the files waits"
    assert not mesh.relay.killed
    story.heard(returned("node-3"))
    await eventually_async(lambda: mesh.relay.killed, "the relay is killed")
    story.heard(failed("node-2"))
    await eventually_async(lambda: not story.down, "it is started again")
    assert story.to_json()["survived"] is False
    story.heard(returned("node-2"))
    await running
    await sending
    assert story.survived
    worker, relay = story.losses
    assert (worker.node, worker.part, worker.pid, worker.moved) == ("node-3", "worker", 103, 17)
    assert (relay.node, relay.part, relay.pid, relay.moved) == ("node-2", "relay", 102, 0)
    assert told[:2] == [
        "node-3 killed with kill -9, a worker (pid 103)",
        "17 tasks of node-3 moved to other nodes",
    ]
    assert "node-3 started again (pid 203)" in told
    json = story.to_json()
    assert (json["survived"], json["moved"], len(json["killed"])) == (True, 17, 2)
    assert [event["text"] for event in json["events"]] == told


async def test_a_loss_that_nobody_notices_is_no_success(
    story: Story, mesh: StillMesh, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    monkeypatch.setattr(stories, "NOTICED_WITHIN_S", 0.01)
    sending = asyncio.create_task(_send(story, 100))
    await story.run()
    await sending
    assert (mesh.far.killed, mesh.relay.killed) == (1, 1)
    assert not story.survived
    assert "nobody has noticed it in 0.01 s" in told


@pytest.mark.parametrize("total", [1, FILES_MIN - 1])
async def test_too_few_files_are_measured_in_peace(mesh: StillMesh, total: int) -> None:
    story = Story(mesh, total, tell=lambda _, __: None)  # type: ignore[arg-type]
    await asyncio.gather(_send(story, total), story.run())
    assert story.calm
    assert story.survived
    assert not mesh.far.killed


async def test_ways_that_change_are_told_once(story: Story, told: list[str]) -> None:
    story.routed({FAR: RELAY, RELAY: RELAY})
    story.routed({RELAY: RELAY})
    story.routed({FAR: DETOUR, RELAY: RELAY})
    story.routed({FAR: DETOUR, RELAY: RELAY})
    assert told == ["node-3 now via node-5"]
    (change,) = story.reroutings
    story.down.append("node-2")
    story.routed({FAR: DETOUR, RELAY: DETOUR})
    assert len(told) == 1, "who is down is not reached any way"
    story.down.clear()
    story.routed({FAR: DETOUR, RELAY: DETOUR})
    story.routed({FAR: DETOUR, RELAY: RELAY})
    assert told[1:] == ["node-2 now via node-5", "node-2 now direct"]
    assert (change.node, change.before, change.after) == ("node-3", "node-2", "node-5")


async def test_lost_tasks_and_other_events_are_not_hidden_and_not_invented(
    story: Story, told: list[str]
) -> None:
    story.heard(moved("node-4", 1, lost=2))
    story.heard({"event": "link_down", "label": "node-4", "cause": "reset"})
    story.heard({"event": "member_changed", "label": "node-4", "new": "suspect", "cause": "x"})
    assert told == ["1 task of node-4 moved to other nodes", "2 tasks of node-4 lost"]


async def _send(story: Story, count: int) -> None:
    for _ in range(count):
        await story.admit()
        await asyncio.sleep(0)
