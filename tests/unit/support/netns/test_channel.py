"""One direction of a wire, without a wire."""

from __future__ import annotations

from tests.support.netns.channel import FRAMES_MAX, Channel, Counted


def test_a_frame_comes_out_when_its_delay_is_over() -> None:
    channel = Channel(delay_s=0.5)
    channel.offer(b"one", now=10.0)
    channel.offer(b"two", now=10.2)
    assert channel.next_deadline() == 10.5
    assert channel.due(now=10.4) == []
    assert channel.due(now=10.5) == [b"one"]
    assert channel.due(now=11.0) == [b"two"]
    assert channel.next_deadline() is None
    assert channel.counted == Counted(frames=2, bytes=6, lost=0)


def test_a_shorter_delay_lets_no_frame_overtake() -> None:
    channel = Channel(delay_s=1.0)
    channel.offer(b"one", now=0.0)
    channel.delay_s = 0.1
    channel.offer(b"two", now=0.5)
    assert channel.due(now=0.9) == []
    assert channel.due(now=1.0) == [b"one", b"two"]


def test_a_cut_swallows_what_is_under_way_and_what_comes() -> None:
    channel = Channel(delay_s=1.0)
    channel.offer(b"one", now=0.0)
    channel.cut()
    channel.offer(b"two", now=0.1)
    assert channel.due(now=9.0) == []
    assert channel.counted.lost == 2
    channel.mend()
    channel.offer(b"three", now=9.0)
    assert channel.due(now=10.0) == [b"three"]


def test_loss_takes_its_share_and_the_same_frames_for_the_same_seed() -> None:
    def kept(seed: int) -> list[bytes]:
        channel = Channel(loss=0.2, seed=seed)
        for number in range(1000):
            channel.offer(number.to_bytes(2, "big"), now=0.0)
        return channel.due(now=0.0)

    assert 700 < len(kept(1)) < 900
    assert kept(1) == kept(1)
    assert kept(1) != kept(2)


def test_too_much_under_way_is_lost() -> None:
    channel = Channel(delay_s=1.0)
    for _ in range(FRAMES_MAX + 1):
        channel.offer(b".", now=0.0)
    assert channel.counted.lost == 1
