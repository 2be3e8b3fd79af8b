"""Settings complain in the user's words and never change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from mreza.config.base import Config, TextList, merge, nearest, plain, split_commas
from mreza.config.link import LinkConfig
from mreza.config.mesh import MeshConfig
from mreza.errors import ConfigError

Tree = dict[str, Any]
values = st.dictionaries(st.sampled_from("abc"), st.integers())
"A key is a section in every layer or in none, as in any schema: only then is there a law."
trees = st.builds(
    lambda own, sections: own | sections, values, st.dictionaries(st.sampled_from("xyz"), values)
)


class Inner(Config):
    """A section."""

    size: int = 3
    names: TextList = ()


class Outer(Config):
    """Settings with a section."""

    inner: Inner = Inner()
    word: str = "w"


def make(kind: type[Config], **values: Any) -> Any:
    return kind(**values)


def test_an_unknown_key_names_the_nearest_right_one() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown setting 'sise' of Inner: did you mean 'size'\?"
    ):
        make(Inner, sise=4)


def test_an_unknown_key_like_no_other_lists_all() -> None:
    with pytest.raises(ConfigError, match="known are size, names"):
        make(Inner, qqqqqq=4)


def test_an_unknown_key_of_a_section_says_which_section() -> None:
    with pytest.raises(ConfigError, match=r"inner: unknown setting 'sise'.*'size'"):
        make(Outer, inner={"sise": 4})


def test_a_wrong_value_is_shown_with_its_place_and_the_rule() -> None:
    with pytest.raises(ConfigError, match=r"size is 'x': must be a valid integer"):
        make(Inner, size="x")


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"size is 'x'.*word is 5"):
        make(Outer, inner={"size": "x"}, word=5)


def test_a_rule_between_two_settings_is_told_with_their_section() -> None:
    with pytest.raises(ConfigError, match=r"^LinkConfig: silent_after_s must be at least missed"):
        LinkConfig(silent_after_s=0.2)
    with pytest.raises(ConfigError, match=r"^link: LinkConfig: silent_after_s must be"):
        MeshConfig(link={"silent_after_s": 0.2})


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Inner().size = 5


def test_given_holds_what_was_set_and_nothing_else() -> None:
    assert Outer(inner=Inner(size=3)).given() == {"inner": {"size": 3}}
    assert Outer().given() == {}


def test_changes_are_checked_and_leave_the_rest() -> None:
    changed = Outer(word="a", inner=Inner(names=("n",))).with_changes(inner=Inner(size=9))
    assert changed == Outer(word="a", inner=Inner(size=9, names=("n",)))
    with pytest.raises(ConfigError):
        Outer().with_changes(wrod="b")


def test_commas_make_a_list_of_text_only() -> None:
    assert split_commas(" a, b,,c ") == ("a", "b", "c")
    assert split_commas(["a,b"]) == ["a,b"]
    assert make(Inner, names="x,y").names == ("x", "y")


def test_plain_opens_sections_at_any_depth() -> None:
    assert plain({"a": Outer(word="x"), "b": {"c": Inner(size=1)}, "d": 2}) == {
        "a": {"word": "x"},
        "b": {"c": {"size": 1}},
        "d": 2,
    }


@given(trees, trees, trees)
def test_merging_layers_does_not_depend_on_grouping(a: Tree, b: Tree, c: Tree) -> None:
    assert merge(a, merge(b, c)) == merge(merge(a, b), c) == merge(a, b, c)


@given(trees)
def test_merging_a_layer_with_itself_or_nothing_changes_nothing(a: Tree) -> None:
    assert merge(a, a) == merge({}, a) == merge(a, {}) == a


def test_nearest_ignores_case() -> None:
    assert nearest("SISE", ["size", "word"]) == "did you mean 'size'?"
