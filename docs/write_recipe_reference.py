"""Write docs/recipe.md, the reference of the recipe, from the models that validate it.

uv run python docs/write_recipe_reference.py
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from hex_assets.recipe import Recipe
from hex_assets.section import Section
from hex_assets.warehouse.registry import warehouse_types

PAGE = Path(__file__).parent / "recipe.md"

_INTRODUCTION = """\
# The recipe, key by key

Made from the models by `uv run python docs/write_recipe_reference.py`; do not edit.
[recipes/hex.yaml](../recipes/hex.yaml) is an annotated example to start from, and
`hex-assets check -c recipe.yaml` tells every mistake with the key it is in.

A recipe is the YAML of `metadata ingest -c` for Hex. Unknown keys are errors. A key without a
value counts as absent. `${NAME}` is taken from the environment, and has to be set there.
"""

_NO_EFFECT = "No effect here"


def recipe_reference() -> str:
    """The page in Markdown: a section per mapping of the YAML, a table row per key."""
    parts = [_INTRODUCTION, *_sections(Recipe, "")]
    parts.append("## Warehouses\n\nEntries of `hexAssets.warehouses`, by their `type`.\n")
    for name, warehouse in warehouse_types().items():
        parts += _sections(warehouse, name, level=3)
    return "\n".join(parts)


def _sections(section: type[Section], path: str, level: int = 2) -> Iterator[str]:
    inner: list[tuple[str, type[Section]]] = []
    rows: list[str] = []
    ignored: list[str] = []
    for field in section.model_fields.values():
        key = str(field.alias)
        if (field.description or "").startswith(_NO_EFFECT):
            ignored.append(f"`{key}`")
            continue
        rows.append(
            f"| `{key}` | {_type(field.annotation)} | {_default(field)} | {_meaning(field)} |"
        )
        inner += [
            (f"{path}.{key}".lstrip("."), child)
            for child in _nested(field.annotation)
            if child not in warehouse_types().values()
        ]
    heading = f"`{path}`" if path else "The whole"
    lines = [f"{'#' * level} {heading}", "", _first_paragraph(section), ""]
    if rows:
        lines += ["| key | type | default | meaning |", "|---|---|---|---|", *rows, ""]
    if ignored:
        lines += [f"Accepted, without effect here: {', '.join(ignored)}.", ""]
    yield "\n".join(lines)
    for where, child in inner:
        yield from _sections(child, where, min(level + 1, 4) if level > 2 else level)


def _first_paragraph(section: type[Section]) -> str:
    text = (section.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(text.split())


def _nested(annotation: Any) -> list[type[Section]]:
    """The models within an annotation, in order."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    found: list[type[Section]] = []
    for argument in get_args(annotation):
        found += [one for one in _nested(argument) if one not in found]
    return found


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        kinds = [_type(one) for one in arguments if one is not type(None)]
        return " or ".join(dict.fromkeys(kinds))
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"mapping of {_type(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, SecretStr):
        return "secret"
    if annotation is type(None):
        return "absent"
    names = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    return names.get(annotation, "any value")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or isinstance(default, Section) or default in ([], {}):
        return ""
    return f"`{json.dumps(default) if not isinstance(default, str) else default}`"


def _meaning(field: FieldInfo) -> str:
    text = " ".join((field.description or "").split()).replace("|", "\\|").replace("<", "&lt;")
    bounds = {type(one).__name__: one for one in field.metadata}
    low, high = bounds.get("Ge"), bounds.get("Le")
    if low is not None and high is not None:
        text += f" From {low.ge} to {high.le}."
    elif low is not None:
        text += f" At least {low.ge}."
    return text


if __name__ == "__main__":
    PAGE.write_text(recipe_reference(), encoding="utf-8")
