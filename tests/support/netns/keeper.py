"""The keeper of one run: carries the frames of its wires, and takes everything away at its end.

Runs in a namespace of its own, where its TAP devices begin their life. Told what to do on standard
input; the end of that (the test said so, or died) is the end of all namespaces of the run.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import struct
import sys
import time
from typing import BinaryIO

import msgspec

from tests.support.netns.channel import Channel
from tests.support.netns.commands import IpFailed, ip_batch
from tests.support.netns.keeper_protocol import (
    COMMAND,
    Command,
    CountWires,
    MakeWire,
    Mode,
    Reply,
    SetWire,
)
from tests.support.netns.names import namespaces, remove
from tests.support.netns.neighbours import restore_limits
from tests.support.netns.refusals import flow_of, refusal

FRAME_MAX = 2048
FRAMES_A_TURN = 64
FLOWS_MAX = 256
"Connections remembered in each direction of a wire, so that they can be reset."
IDLE_S = 60.0
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 2, 0x1000


class Way:
    """From one TAP device to another."""

    def __init__(self, source: int, sink: int, channel: Channel) -> None:
        self.source = source
        self._sink = sink
        self.channel = channel
        self._refuses = False
        self._last: dict[bytes, bytes] = {}
        "The last segment of each TCP connection."

    def set(self, mode: Mode) -> None:
        """Let frames through, swallow them, or reset every connection and refuse new ones."""
        self._refuses = mode == "refuse"
        if mode == "open":
            self.channel.mend()
        else:
            self.channel.cut()
        if self._refuses:
            for frame in self._last.values():
                self._refuse(frame)

    def read(self, now: float) -> None:
        """Take in what the device has, up to a bound."""
        for _ in range(FRAMES_A_TURN):
            try:
                frame = os.read(self.source, FRAME_MAX)
            except BlockingIOError:
                return
            except OSError:  # the device is down
                return
            self.channel.offer(frame, now=now)
            if self._refuses:
                self._refuse(frame)
            elif (flow := flow_of(frame)) is not None:
                if flow not in self._last and len(self._last) >= FLOWS_MAX:
                    del self._last[next(iter(self._last))]
                self._last[flow] = frame

    def deliver(self, now: float) -> None:
        for frame in self.channel.due(now=now):
            _write(self._sink, frame)

    def _refuse(self, frame: bytes) -> None:
        if (answer := refusal(frame)) is not None:
            _write(self.source, answer)


class Keeper:
    """All wires of a run."""

    def __init__(self) -> None:
        self._ways: dict[int, tuple[Way, Way]] = {}
        self._by_source: dict[int, Way] = {}

    def serve(self, commands: BinaryIO, replies: BinaryIO) -> None:
        """Until the end of `commands`."""
        heard = b""
        os.set_blocking(commands.fileno(), False)
        while True:
            ready, _, _ = select.select(
                [commands.fileno(), *self._by_source], [], [], self._patience_s()
            )
            now = time.monotonic()
            for source in ready:
                if way := self._by_source.get(source):
                    way.read(now)
            for way in self._by_source.values():
                way.deliver(now)
            if commands.fileno() in ready:
                data = os.read(commands.fileno(), 65536)
                if not data:
                    return
                *lines, heard = (heard + data).split(b"\n")
                for line in lines:
                    replies.write(msgspec.json.encode(self._obey(COMMAND.decode(line))) + b"\n")
                    replies.flush()

    def _patience_s(self) -> float:
        dues = [way.channel.next_deadline() for way in self._by_source.values()]
        soonest = min((due for due in dues if due is not None), default=None)
        return IDLE_S if soonest is None else max(0.0, soonest - time.monotonic())

    def _obey(self, command: Command) -> Reply:
        match command:
            case MakeWire():
                try:
                    self._make(command)
                except (OSError, IpFailed) as error:
                    return Reply(time.monotonic(), str(error))
            case SetWire():
                for number in command.ways:
                    way = self._ways[command.wire][number]
                    if command.delay_s is not None:
                        way.channel.delay_s = command.delay_s
                    if command.loss is not None:
                        way.channel.loss = command.loss
                    if command.mode is not None:
                        way.set(command.mode)
            case CountWires():
                counted = {
                    wire: (one.channel.counted, other.channel.counted)
                    for wire, (one, other) in self._ways.items()
                }
                return Reply(time.monotonic(), counted=counted)
        return Reply(time.monotonic())

    def _make(self, command: MakeWire) -> None:
        devices = []
        for side, end in enumerate(command.ends):
            name = f"w{command.wire}-{side}"
            devices.append(_open_tap(name))
            ip_batch([f"link set dev {name} netns {end.namespace} name {end.interface}"])
        ways = tuple(
            Way(
                devices[number],
                devices[1 - number],
                Channel(delay_s=command.delay_s, seed=2 * command.seed + number),
            )
            for number in (0, 1)
        )
        self._ways[command.wire] = (ways[0], ways[1])
        for way in ways:
            self._by_source[way.source] = way


def _open_tap(name: str) -> int:
    """A TAP device of this namespace; it lives while the descriptor does."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return device


def _write(device: int, frame: bytes) -> None:
    try:
        os.write(device, frame)
    except OSError:  # down, or its queue is full: lost, as on any wire
        return


def main(run: str, home: int) -> None:
    """`home`: a descriptor of the network namespace that the test itself is in."""
    # Whoever stops the tests, perhaps with all their children, does not stop us: we end after them.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        Keeper().serve(sys.stdin.buffer, sys.stdout.buffer)
    finally:
        for name in namespaces(f"{run}."):
            remove(name)
        # Only the first namespace of a machine has the limits.
        if ctypes.CDLL(None).setns(home, 0) == 0:
            restore_limits()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
