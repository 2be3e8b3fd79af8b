"""What one node has read and checked, no other node of its world reads and checks again."""

from __future__ import annotations

import msgspec
import pytest

from mreza.errors import DecodeError
from mreza.planes.reading import RecordReader
from mreza.sim.shared_reader import KEPT_PER_SLOT, SharedReader
from mreza.sim.world import World
from mreza.wire.records import RECORDS, AgedRecord, Introduction, Record, RecordKind, RecordsBody


def records() -> list[Record]:
    world = World(seed=1)
    world.add("a")
    world.run(seconds=1)
    return list(world.nodes["a"].core.control.database)


def frame(*said: Record, age_s: float = 0.0) -> bytes:
    return RECORDS.encode(RecordsBody(tuple(AgedRecord(record, age_s) for record in said)))


def test_a_record_is_one_object_for_all_and_its_age_everybodys_own() -> None:
    reader, (first, *_) = SharedReader(), records()
    (one,), (other,) = reader.frame(frame(first)), reader.frame(frame(first, age_s=5.0))
    assert one.record is other.record
    assert (one.age_s, other.age_s) == (0.0, 5.0)
    assert one.record == first


def test_a_body_is_decoded_once_and_as_a_node_alone_would_do_it() -> None:
    reader = SharedReader()
    introduction = next(r for r in records() if r.kind == RecordKind.INTRODUCTION)
    body = reader.body(introduction)
    assert isinstance(body, Introduction)
    assert reader.body(introduction) is body
    assert body == RecordReader().body(introduction)


def test_nonsense_is_nonsense_for_everybody() -> None:
    reader = SharedReader()
    nonsense = msgspec.structs.replace(records()[0], body=b"\xc1")
    for _ in range(2):
        with pytest.raises(DecodeError):
            reader.body(nonsense)
        with pytest.raises(DecodeError):
            reader.frame(b"\xff")


def test_only_the_very_same_signature_of_the_very_same_bytes_is_believed() -> None:
    world = World(seed=1)
    identity = world.trust.identity()
    reader = SharedReader()
    data = b"said"
    signature = identity.sign(data)
    assert reader.verify(identity.public_key, signature, data)
    assert reader.verify(identity.public_key, signature, data)
    assert reader.checked == 1
    assert not reader.verify(identity.public_key, signature, b"other")
    assert not reader.verify(world.trust.identity().public_key, signature, data)
    assert not reader.verify(identity.public_key, bytes(64), data)
    assert reader.checked == 4


def test_old_versions_make_room() -> None:
    reader, first = SharedReader(), records()[0]
    versions = [
        msgspec.structs.replace(first, sequence=number) for number in range(KEPT_PER_SLOT + 2)
    ]
    kept = [reader.frame(frame(version))[0].record for version in versions]
    assert reader.frame(frame(versions[-1]))[0].record is kept[-1]
    assert reader.frame(frame(versions[0]))[0].record is not kept[0]


def test_a_world_checks_each_signature_once() -> None:
    world = World(seed=2).grow(10)
    world.run_until(world.agree, within_s=10)
    world.run(seconds=5)
    kinds = {node.id: node.core.control.database for node in world.living()}
    held = sum(len(list(database)) for database in kinds.values())
    assert world.reader.checked < held
