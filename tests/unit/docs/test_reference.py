"""docs/reference/ says what the code says."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

import mreza
from mreza.config.mesh import MeshConfig
from mreza.errors import MeshError
from tests.support.reference_pages import (
    FOLDER,
    PAGES,
    REMAKE,
    attribute_docs,
    summary,
)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    # `==` outside of assert: pytest would print a difference of hundreds of lines.
    is_current = (FOLDER / name).read_text(encoding="utf-8") == PAGES[name]()
    assert is_current, f"docs/reference/{name} is out of date: run `{REMAKE}`"


def test_every_exported_name_says_what_it_is() -> None:
    names = [name for name in mreza.__all__ if not name.startswith("__")]
    assert [name for name in names if not summary(getattr(mreza, name))] == []


def test_every_error_is_exported() -> None:
    def tree(kind: type[MeshError]) -> set[str]:
        below = [tree(one) for one in kind.__subclasses__() if one.__module__ == "mreza.errors"]
        return {kind.__name__}.union(*below)

    assert tree(MeshError) <= set(mreza.__all__)


SECTIONS = [field.annotation for field in MeshConfig.model_fields.values()]
MODELS = [kind for kind in SECTIONS if isinstance(kind, type) and issubclass(kind, BaseModel)]


@pytest.mark.parametrize("model", [MeshConfig, *MODELS])
def test_every_setting_says_what_it_means(model: type[BaseModel]) -> None:
    assert set(model.model_fields) - set(attribute_docs(model)) == set()
