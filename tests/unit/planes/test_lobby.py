"""Runs wait in lines; who may not wait hears when there will be room."""

from __future__ import annotations

from typing import Any

from mreza.config.mesh import MeshConfig
from mreza.config.messaging import MessagingConfig
from mreza.config.processes import ProcessesConfig
from mreza.ids import NodeId
from mreza.planes.lobby import HANDLER, HANDLER_CONCURRENCY, Lobby
from mreza.planes.runs import Run, Waiter
from mreza.processes.handlers import ProcessSpec, Registry
from tests.support.service_bench import A, B, C, raw, request


async def handler(payload: Any) -> Any:
    raise NotImplementedError(payload)


class Entrance:
    """A lobby, and runs numbered as they come."""

    def __init__(self, *, inbox: int = 100, payload_bytes: int = 10**6, at_a_time: int = 1) -> None:
        self.registry = Registry()
        for name in ("p", "q"):
            self.registry.register(ProcessSpec(name, handler, concurrency=at_a_time))
        config = MeshConfig(
            processes=ProcessesConfig(inbox_requests=inbox),
            messaging=MessagingConfig(reassembly_bytes=payload_bytes),
        )
        self.lobby = Lobby(registry=self.registry, config=config)
        self.count = 0

    def run(
        self, source: NodeId = A, target: str = "p", *, priority: int = 1, size: int = 10
    ) -> Run:
        self.count += 1
        asked = request(self.count, target, payload=raw(b"x" * size))
        waiter = Waiter(source, (5, priority, 9, 0), self.count, progress=False)
        return Run(self.count, waiter, asked, deadline=1000.0, key=None)

    def enter(self, *args: Any, **options: Any) -> Run:
        run = self.run(*args, **options)
        assert self.lobby.enter(run) == (True, None)
        return run


def test_at_most_so_many_are_taken_before_one_has_ended() -> None:
    at = Entrance(at_a_time=2)
    runs = [at.enter() for _ in range(4)]
    for expected in runs[:2]:
        assert at.lobby.take("p") is expected
        at.lobby.began("p")
    assert at.lobby.take("p") is None
    assert (at.lobby.running, at.lobby.waiting) == (2, 2)
    at.lobby.ended("p", 0.5)
    assert at.lobby.take("p") is runs[2]


def test_processes_do_not_wait_for_each_other() -> None:
    at = Entrance()
    at.enter(target="p")
    other = at.enter(target="q")
    at.lobby.take("p")
    at.lobby.began("p")
    assert at.lobby.take("q") is other
    assert at.lobby.targets == ("p", "q")
    assert at.lobby.take("never asked for") is None


def test_messages_that_wait_for_a_receipt_are_handled_beside_each_other() -> None:
    at = Entrance()
    for _ in range(HANDLER_CONCURRENCY + 1):
        at.enter(target=HANDLER)
    taken = 0
    while at.lobby.take(HANDLER) is not None:
        at.lobby.began(HANDLER)
        taken += 1
    assert taken == HANDLER_CONCURRENCY


def test_one_requester_cannot_keep_another_out_of_a_full_line() -> None:
    at = Entrance(inbox=4)
    of_a = [at.enter(A) for _ in range(4)]
    assert at.lobby.enter(at.run(A)) == (False, None)
    assert "4 requests wait" in at.lobby.crowded("p", 1).message
    assert at.lobby.enter(at.run(B)) == (True, of_a[3])
    assert at.lobby.enter(at.run(B)) == (True, of_a[2])
    assert at.lobby.enter(at.run(B)) == (False, None), "both have two now"
    assert at.lobby.waiting == 4


def test_what_is_urgent_takes_the_place_of_what_is_not() -> None:
    at = Entrance(inbox=2)
    low = [at.enter(A, priority=0) for _ in range(2)]
    urgent = at.run(A, priority=3)
    assert at.lobby.enter(urgent) == (True, low[1])
    assert at.lobby.take("p") is urgent


def test_one_requester_cannot_fill_the_memory_for_payloads() -> None:
    at = Entrance(payload_bytes=10_000)
    while at.lobby.enter(at.run(A, size=900))[0]:
        pass
    assert at.lobby.waiting == 5
    assert at.lobby.enter(at.run(B, size=900))[0]
    assert at.lobby.enter(at.run(C, size=900))[0]


def test_whoever_leaves_leaves_room() -> None:
    at = Entrance(inbox=3, payload_bytes=1000)
    runs = [at.enter(source, size=150) for source in (A, B, C)]
    at.lobby.leave(runs[1])
    assert at.lobby.clear("p") == [runs[0], runs[2]]
    assert at.lobby.clear("p") == at.lobby.clear("never asked for") == []
    at.enter(A, size=400)


def test_room_follows_how_long_work_takes() -> None:
    at = Entrance(inbox=1000)
    at.enter()
    assert at.lobby.capacity == 1000
    at.lobby.take("p")
    at.lobby.began("p")
    at.lobby.ended("p", 0.5)
    assert at.lobby.capacity == 1 + 20, "so many are served within 10 s"
    assert at.lobby.running == 0


def test_low_work_is_refused_when_it_would_wait_too_long_and_nothing_else_is() -> None:
    at = Entrance(inbox=1000)
    at.enter()
    at.lobby.take("p")
    at.lobby.began("p")
    at.lobby.ended("p", 1.0)
    for _ in range(11):
        at.enter(priority=0)
    assert at.lobby.enter(at.run(priority=0)) == (False, None)
    assert at.lobby.crowded("p", 0).retry_after_ms == 5500
    for _ in range(20):
        at.enter(priority=1)
