from __future__ import annotations

from mreza.security.prekeys import Prekeys


def ids(prekeys: Prekeys) -> list[int]:
    return [prekey.id for prekey in prekeys.public()]


def test_a_prekey_lives_two_lifetimes_and_two_are_kept() -> None:
    prekeys = Prekeys(lifetime_s=10, now=100)
    assert ids(prekeys) == [1]
    assert prekeys.next_deadline() == 110
    assert prekeys.advance(now=109) == 1
    assert prekeys.advance(now=110) == 1
    assert ids(prekeys) == [2, 1]
    assert prekeys.private(1) is not None
    assert prekeys.advance(now=120) == 2
    assert ids(prekeys) == [3, 2]
    assert prekeys.private(1) is None


def test_after_a_long_sleep_no_old_prekey_is_left() -> None:
    prekeys = Prekeys(lifetime_s=10, now=0)
    assert prekeys.advance(now=20) == 2
    assert ids(prekeys) == [2]


def test_replacing_all_leaves_one_new_one() -> None:
    prekeys = Prekeys(lifetime_s=10, now=0)
    prekeys.advance(now=10)
    before = prekeys.public()
    prekeys.replace_all(now=12)
    assert ids(prekeys) == [3]
    assert prekeys.next_deadline() == 22
    assert not {prekey.public for prekey in before} & {p.public for p in prekeys.public()}


def test_the_private_half_fits_the_public_one() -> None:
    prekeys = Prekeys(lifetime_s=10, now=0)
    (prekey,) = prekeys.public()
    private = prekeys.private(prekey.id)
    assert private is not None
    assert private.public_key().public_bytes_raw() == prekey.public
