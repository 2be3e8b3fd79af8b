from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mreza.address import Address
from mreza.discovery.beacon import (
    CHECKS_PER_S,
    HEARD_MAX,
    QUICK,
    QUICK_INTERVAL_S,
    BeaconListener,
    BeaconSpeaker,
    Heard,
    Ignored,
    signed_bytes,
)
from mreza.ids import MeshId, NodeId
from mreza.security.identity import Identity, verify
from mreza.wire.link import BEACON, Beacon

MESH = MeshId(b"M" * 16)
ME = NodeId(b"m" * 16)
THEM = Identity.generate()


def speaker(identity: Identity = THEM, mesh: MeshId = MESH) -> BeaconSpeaker:
    return BeaconSpeaker(
        mesh=mesh,
        public_key=identity.public_key,
        sign=identity.sign,
        interval_s=2.0,
        now=0.0,
    )


def beacon(
    *, wall: float = 100.0, epoch: int = 5, who: BeaconSpeaker | None = None, port: int = 7467
) -> bytes:
    data = (who or speaker()).speak(
        epoch=epoch, port=port, addresses=("192.0.2.1:7000", "192.0.2.2"), now=0.0, wall=wall
    )
    assert data is not None
    return data


def listener(me: NodeId = ME) -> BeaconListener:
    return BeaconListener(me=me, mesh=MESH, verify=verify)


def forged(**changes: object) -> bytes:
    return BEACON.encode(msgspec.structs.replace(BEACON.decode(beacon()), **changes))


def test_a_beacon_says_where_its_node_can_be_dialed() -> None:
    heard = listener().receive(beacon(), now=0.0)
    addresses = (Address("192.0.2.1", 7000), Address("192.0.2.2", 7467))
    assert heard == Heard(node=THEM.node_id, epoch=5, port=7467, addresses=addresses)


def test_five_quick_ones_and_then_one_every_interval() -> None:
    voice, said = speaker(), []
    now = 0.0
    for _ in range(QUICK + 3):
        now = voice.next_deadline()
        assert voice.speak(epoch=1, port=1, addresses=(), now=now - 0.01, wall=0) is None
        assert voice.speak(epoch=1, port=1, addresses=(), now=now, wall=0) is not None
        said.append(now)
    gaps = [round(b - a, 6) for a, b in itertools.pairwise(said)]
    assert gaps == [QUICK_INTERVAL_S] * (QUICK - 1) + [2.0] * 3


def test_stamps_rise_though_the_wall_clock_goes_back() -> None:
    voice, ear = speaker(), listener()
    for now, wall in ((0.0, 100.0), (1.0, 50.0), (2.0, 50.0)):
        data = voice.speak(epoch=5, port=1, addresses=(), now=now, wall=wall)
        assert data is not None
        assert ear.receive(data, now=now) is not None


def test_a_repeated_or_older_beacon_is_no_news() -> None:
    ear = listener()
    assert ear.receive(beacon(wall=100.0), now=0.0)
    for old in (beacon(wall=100.0), beacon(wall=99.0), beacon(wall=200.0, epoch=4)):
        assert ear.receive(old, now=0.0) is None
    assert ear.ignored[Ignored.REPEATED] == 3
    assert ear.receive(beacon(wall=1.0, epoch=6), now=0.0)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", Ignored.MALFORMED),
        (b"x" * 2000, Ignored.MALFORMED),
        (forged(addresses=("a b",)), Ignored.MALFORMED),
        (forged(port=0), Ignored.MALFORMED),
        (beacon(who=speaker(mesh=MeshId(b"O" * 16))), Ignored.OTHER_MESH),
        (forged(node=ME), Ignored.OURSELF),
        (forged(node=NodeId(b"v" * 16)), Ignored.FORGED),
        (forged(port=8000), Ignored.FORGED),
        (forged(signature=bytes(64)), Ignored.FORGED),
    ],
)
def test_what_is_not_true_is_counted_and_ignored(data: bytes, why: Ignored) -> None:
    ear = listener()
    assert ear.receive(data, now=0.0) is None
    assert [reason for reason, count in ear.ignored.items() if count] == [why]


def test_signatures_checked_a_second_are_bounded() -> None:
    ear, bad = listener(), forged(signature=bytes(64))
    for _ in range(int(CHECKS_PER_S) + 5):
        ear.receive(bad, now=0.0)
    assert ear.ignored[Ignored.FORGED] == CHECKS_PER_S
    assert ear.ignored[Ignored.TOO_MANY] == 5
    assert ear.receive(beacon(), now=1.0)


def test_the_node_unheard_for_longest_is_forgotten() -> None:
    ear = BeaconListener(me=ME, mesh=MESH, verify=lambda *_: True)
    ear.receive(beacon(), now=0.0)
    for number in range(HEARD_MAX):
        identity_like = number.to_bytes(32)
        voice = BeaconSpeaker(
            mesh=MESH, public_key=identity_like, sign=lambda _: bytes(64), interval_s=2.0, now=0.0
        )
        ear.receive(beacon(who=voice), now=float(number))
    assert ear.receive(beacon(), now=1e6) is not None


def test_the_signature_covers_everything_but_itself() -> None:
    whole = BEACON.decode(beacon())
    assert isinstance(whole, Beacon)
    for field in whole.__struct_fields__:
        value = getattr(whole, field)
        changes: dict[type, Callable[[Any], Any]] = {
            bytes: lambda v: v + b"x",
            int: lambda v: v + 1,
            tuple: lambda v: (*v, "x"),
        }
        other = changes.get(type(value), lambda v: type(v)(b"z" * 16))(value)
        changed = msgspec.structs.replace(whole, **{field: other})
        assert (signed_bytes(changed) == signed_bytes(whole)) == (field == "signature")
