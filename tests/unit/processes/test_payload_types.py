"""What no payload can become is refused before anybody sends one."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any, Optional

import msgspec
import pytest

from mreza.errors import ConfigError
from mreza.ids import NodeId
from mreza.processes.payload_types import decoder_of


class Stranger:
    """Nothing that msgspec knows."""


@dataclasses.dataclass
class Tree:
    value: NodeId
    branches: list[Tree]
    parent: Optional[Tree] = None  # noqa: UP045 - both spellings are allowed


@dataclasses.dataclass
class Strange:
    plain: int
    inner: dict[str, tuple[int, Stranger]]


class Chain(msgspec.Struct):
    number: int
    next: Chain | None = None


@pytest.mark.parametrize(
    "kind",
    [Any, int, bytes | None, list[dict[str, float]], Tree, Chain, dt.datetime, NodeId],
)
def test_plain_values_collections_and_records_can_be_made(kind: Any) -> None:
    decoder_of(kind, what="process 'p'")


@pytest.mark.parametrize("kind", [object, Stranger, list[object], Strange, tuple[Stranger, ...]])
def test_what_no_payload_becomes_is_named(kind: Any) -> None:
    with pytest.raises(ConfigError, match=r"process 'p': .*(object|Stranger)"):
        decoder_of(kind, what="process 'p'")


def test_a_type_that_msgspec_refuses_is_refused_in_our_words() -> None:
    with pytest.raises(ConfigError, match="payloads cannot be"):
        decoder_of(int | str | list[int] | list[str], what="process 'p'")


def test_a_node_id_comes_back_as_one() -> None:
    node = NodeId(b"n" * 16)
    tree = msgspec.msgpack.encode({"value": bytes(node), "branches": []})
    assert decoder_of(Tree, what="p").decode(tree) == Tree(node, [])
    with pytest.raises(msgspec.ValidationError):
        decoder_of(NodeId, what="p").decode(msgspec.msgpack.encode("name"))
