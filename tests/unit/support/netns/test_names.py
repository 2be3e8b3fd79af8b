"""Names that tell whose namespace it is."""

from __future__ import annotations

import sys

import msgspec
import pytest

from tests.support.netns.names import Owner, owner_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux")


def test_a_name_tells_its_owner_and_whether_that_lives() -> None:
    me = Owner.this_process()
    assert owner_of(f"{me}.1.a") == me
    assert me.is_alive()
    assert not msgspec.structs.replace(me, started=me.started + 1).is_alive()
    assert not msgspec.structs.replace(me, pid=2**22 + 1).is_alive()


@pytest.mark.parametrize("name", ["", "a", "mreza-test", "mreza-test.1.2.3", "mreza-test.x.2.3.a"])
def test_other_names_are_nobodys(name: str) -> None:
    assert owner_of(name) is None
