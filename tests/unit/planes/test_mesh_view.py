from __future__ import annotations

import pytest

from mreza.errors import AmbiguousName, UnknownNode
from mreza.ids import NodeId
from tests.support.control_world import ControlWorld, WorldNode

STRANGER = NodeId(bytes(16))


@pytest.fixture
def world() -> ControlWorld:
    world = ControlWorld()
    world.line("ada", "bob", "eve")
    return world


@pytest.fixture
def ada(world: ControlWorld) -> WorldNode:
    return world.nodes["ada"]


def test_a_node_is_found_by_name_id_or_the_text_of_its_id(
    world: ControlWorld, ada: WorldNode
) -> None:
    eve = world.nodes["eve"].id
    assert ada.plane.find("eve") == ada.plane.find(eve) == ada.plane.find(str(eve)) == eve
    assert ada.plane.find("ada") == ada.id


def test_an_unknown_name_names_the_nearest(ada: WorldNode) -> None:
    with pytest.raises(UnknownNode, match="did you mean 'bob'"):
        ada.plane.find("bobb")
    with pytest.raises(UnknownNode, match="known are ada, bob, eve"):
        ada.plane.find("zzzzzzzz")


@pytest.mark.parametrize("name", [STRANGER, str(STRANGER), "1" * 26])
def test_an_unknown_id_is_unknown(ada: WorldNode, name: str | NodeId) -> None:
    with pytest.raises(UnknownNode):
        ada.plane.find(name)


def test_two_living_members_of_one_name_are_ambiguous(world: ControlWorld, ada: WorldNode) -> None:
    double, twin = world.node("double", label="same"), world.node("twin", label="same")
    world.link("ada", "double")
    world.link("ada", "twin")
    world.run(6.0)
    with pytest.raises(AmbiguousName, match=str(twin.id)):
        ada.plane.find("same")
    world.crash("twin")
    world.run(20.0)
    assert ada.plane.find("same") == double.id, "who is gone does not count while another lives"
    world.crash("double")
    world.run(20.0)
    with pytest.raises(AmbiguousName):
        ada.plane.find("same")


def test_only_the_living_offer_work(world: ControlWorld, ada: WorldNode) -> None:
    for name in ("ada", "eve"):
        world.do(name, lambda plane: plane.introduce(offers=("parse",), now=world.now))
    world.run(0.1)
    both = tuple(sorted((ada.id, world.nodes["eve"].id)))
    assert ada.plane.offering("parse") == both
    assert ada.plane.offering("parse") is ada.plane.offering("parse"), "not searched anew"
    world.cut("bob", "eve")
    world.run(11.0)
    assert ada.plane.offering("parse") == (ada.id,)
    assert ada.plane.offering("nothing") == ()


def test_names_asked_for_are_not_remembered_without_bound(
    ada: WorldNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mreza.planes.mesh_view._CACHED_MAX", 3)
    for number in range(10):
        assert ada.plane.offering(str(number)) == ()
    assert len(ada.plane._offering) <= 3


def test_what_is_known_of_a_node(world: ControlWorld, ada: WorldNode) -> None:
    eve = world.nodes["eve"]
    assert ada.plane.epoch_of(eve.id) == eve.plane.epoch
    prekey = ada.plane.prekey_of(eve.id)
    assert prekey is not None
    assert prekey.id == 1
    assert ada.plane.public_key_of(eve.id) == eve.key.public
    assert ada.plane.label_of(eve.id) == "eve"
    assert ada.plane.path_to(ada.id) == (ada.id,)
    introduction = ada.plane.introduction_of(eve.id)
    assert introduction is not None
    assert introduction.name == "eve"
    aged = ada.plane.newest_introduction(eve.id, now=11.0)
    assert aged is not None
    assert 10.9 < aged.age_s <= 11.0


def test_of_a_stranger_nothing_is_known(ada: WorldNode) -> None:
    assert ada.plane.epoch_of(STRANGER) is None
    assert ada.plane.prekey_of(STRANGER) is None
    assert ada.plane.public_key_of(STRANGER) is None
    assert ada.plane.introduction_of(STRANGER) is None
    assert ada.plane.newest_introduction(STRANGER) is None
    assert ada.plane.path_to(STRANGER) == ()
    assert ada.plane.label_of(STRANGER) == STRANGER.short


def test_a_node_without_prekeys_cannot_be_sealed_for(world: ControlWorld, ada: WorldNode) -> None:
    world.do("bob", lambda plane: plane.introduce(prekeys=(), now=world.now))
    world.run(0.1)
    assert ada.plane.prekey_of(world.nodes["bob"].id) is None
