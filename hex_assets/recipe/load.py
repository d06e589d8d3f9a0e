"""From recipe files to recipes, with every problem named at once."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from hex_assets.errors import RecipeError
from hex_assets.recipe.document import Document, Place, Problem
from hex_assets.recipe.workflow import Recipe, ServiceName
from hex_assets.warehouse.registry import warehouse_types

_SUFFIXES = (".yaml", ".yml", ".json")
_SERVICE_NAME = ("source", "serviceName")

_ADVICE_WHEN_MISSING = {
    ("source", "serviceConnection"): "OpenMetadata may keep the Hex token on its server, but it "
    "is not read from there; put serviceConnection into the recipe, with token: ${HEX_TOKEN}",
    ("workflowConfig", "openMetadataServerConfig", "securityConfig"): "Give "
    "securityConfig.jwtToken, the token of a bot or the path of a file that holds it",
}

_WANTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "date_type": "a date",
    "dict_type": "a mapping of keys to values",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "string_type": "text; put a number or date in quotes",
    "string_unicode": "text",
    "uuid_parsing": "a UUID",
    "uuid_type": "a UUID",
}


def load_recipe(path: Path, environ: Mapping[str, str] = os.environ) -> Recipe:
    """Read one recipe file (``.yaml``, ``.yml`` or ``.json``).

    Raises:
        RecipeError: the file cannot be read or has mistakes; the text names them all.
    """
    return parse_recipe(_text_of(path), origin=str(path), environ=environ)


def load_recipes(path: Path, environ: Mapping[str, str] = os.environ) -> dict[str, Recipe]:
    """Read a recipe file, or every recipe of a folder, by service name in sorted order.

    Raises:
        RecipeError: there is no recipe, a file cannot be read or has mistakes, or two recipes
            have the same service name; the text names all problems of all files.
    """
    documents = {file: _document(_text_of(file), str(file), environ) for file in _files(path)}
    problems: dict[str, list[Problem]] = {}
    recipes: dict[str, Recipe] = {}
    for file, document in documents.items():
        recipe, problems[str(file)] = _validated(document)
        if recipe is not None:
            recipes[recipe.service_name] = recipe
    _raise_for(problems, _name_clashes(documents))
    return dict(sorted(recipes.items()))


def service_names(path: Path, environ: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """The file of each service name, without looking at the rest of the recipes.

    Variables elsewhere in the files need not be set, so a process without secrets can tell which
    workspaces there are.

    Raises:
        RecipeError: there is no recipe, a file is not YAML, or a service name is missing, cannot
            be used or occurs twice.
    """
    documents = {file: _document(_text_of(file), str(file), environ) for file in _files(path)}
    problems: dict[str, list[Problem]] = {}
    names: dict[str, Path] = {}
    for file, document in documents.items():
        name, problems[str(file)] = _service_name(document)
        if name is not None:
            names[name] = file
    _raise_for(problems, _name_clashes(documents))
    return dict(sorted(names.items()))


def parse_recipe(
    text: str, origin: str = "recipe.yaml", environ: Mapping[str, str] = os.environ
) -> Recipe:
    """Read a recipe from YAML text, or from JSON text if ``origin`` ends in ``.json``.

    Raises:
        RecipeError: the text has mistakes; it names them all, each after ``origin``.
    """
    recipe, problems = _validated(_document(text, origin, environ))
    if recipe is None:
        raise _error([(origin, problem) for problem in problems])
    return recipe


def _files(path: Path) -> list[Path]:
    """The recipe files meant by a path: itself, or those in the folder."""
    if not path.is_dir():
        return [path]
    files = sorted(
        file
        for file in path.iterdir()
        if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    if not files:
        text = f"holds no recipe ({', '.join(_SUFFIXES)}). Copy recipes/hex.yaml into it."
        raise _error([(str(path), Problem(0, "", text))])
    return files


def _text_of(path: Path) -> str:
    if path.suffix.lower() not in _SUFFIXES:
        text = f"is not a recipe by its name. Name it *{', *'.join(_SUFFIXES)}."
    else:
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            text = f"is not UTF-8 text (see byte {error.start + 1}). Save it as UTF-8."
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a file name"
            text = f"cannot be read ({reason}). Give the path of a recipe or a folder of them."
    raise _error([(str(path), Problem(0, "", text))])


def _document(text: str, origin: str, environ: Mapping[str, str]) -> Document:
    return Document(text, origin.lower().endswith(".json"), environ)


def _error(problems: Sequence[tuple[str, Problem]]) -> RecipeError:
    lines = [f"{origin}: {problem}" for origin, problem in problems]
    return RecipeError("\n".join(lines))


def _raise_for(*groups: Mapping[str, Sequence[Problem]]) -> None:
    """Raise one error for all problems of all files, if there are any."""
    problems = [
        (origin, problem)
        for group in groups
        for origin, found in group.items()
        for problem in found
    ]
    if problems:
        raise _error(problems)


def _name_clashes(documents: Mapping[Path, Document]) -> dict[str, list[Problem]]:
    """Recipes whose service name an earlier file has, in whatever case.

    Case counts in OpenMetadata, yet frames are stored under the name, and some file systems take
    both for the same.
    """
    first: dict[str, Path] = {}
    clashes: dict[str, list[Problem]] = {}
    for file, document in documents.items():
        name = _service_name(document)[0]
        if name is None:
            continue
        owner = first.setdefault(name.casefold(), file)
        if owner != file:
            text = f"is the same as in {owner}. Give each Hex workspace a name of its own."
            place = document.place(_SERVICE_NAME)
            clashes[str(file)] = [Problem(place.line, place.key, text)]
    return clashes


def _service_name(document: Document) -> tuple[str | None, list[Problem]]:
    """The service name, or what keeps it from being known."""
    if document.data is None:
        return None, document.problems
    place = document.place(_SERVICE_NAME)
    if place.unset:
        return None, [p for p in document.problems if p.key == place.key]
    try:
        named = _OnlyServiceName.model_validate(document.data)
    except ValidationError as error:
        return None, _problems(document, error)
    return named.source.service_name, []


class _OnlySource(BaseModel):
    service_name: ServiceName = Field(alias="serviceName")


class _OnlyServiceName(BaseModel):
    source: _OnlySource


def _validated(document: Document) -> tuple[Recipe | None, list[Problem]]:
    """The recipe, or what is wrong with it."""
    problems = list(document.problems)
    recipe = None
    if document.data is not None:
        try:
            recipe = Recipe.model_validate(document.data, by_alias=True, by_name=False)
        except ValidationError as error:
            problems += _problems(document, error)
    problems.sort(key=lambda problem: problem.line)
    return (None if problems else recipe), problems


def _problems(document: Document, error: ValidationError) -> list[Problem]:
    """The problems pydantic found, but for values whose variables are known to be unset."""
    details = error.errors(include_url=False, include_input=False)
    # What concerns two parts of a recipe is found at its root, and says itself where it belongs.
    paths = [detail.get("ctx", {}).get("path", detail["loc"]) for detail in details]
    placed = zip(details, map(document.place, paths), strict=True)
    return [_problem(detail, place) for detail, place in placed if not place.unset]


def _problem(detail: ErrorDetails, place: Place) -> Problem:
    kind, path = detail["type"], detail["loc"]
    if kind == "missing":
        key = f"{place.key}.{path[-1]}".lstrip(".")
        advice = _ADVICE_WHEN_MISSING.get(tuple(map(str, path)), "Add it")
        return Problem(place.line, key, f"is required. {advice}.")
    text = "has no value. Give one" if place.is_null else _what_is_wrong(detail)
    if place.variables:
        names = " and ".join(place.variables)
        text += f" (its text comes from the environment variable {names})"
    return Problem(place.line, place.key, text if text.endswith("?") else f"{text}.")


def _what_is_wrong(detail: ErrorDetails) -> str:
    """Words for a pydantic error that quote nothing from the file but the names of keys."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in ("extra_forbidden", "invalid_key"):
        return _unknown_key(detail["loc"])
    if kind == "value_error":
        return str(context["error"])
    if kind == "warehouse_of_no_prefix":
        return detail["msg"]
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind.startswith("union_tag"):
        return f"must have a type out of {', '.join(warehouse_types())}"
    if kind == "string_too_short":
        return "must not be empty"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = context.get("ge", context.get("le"))
        return f"must be {'at least' if 'ge' in context else 'at most'} {bound:g}"
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}"
    return f"cannot be used here ({kind.replace('_', ' ')})"


def _unknown_key(path: tuple[int | str, ...]) -> str:
    known = _known_keys(path[:-1])
    alike = {_plain(key): key for key in known}
    nearest = difflib.get_close_matches(_plain(str(path[-1])), alike, n=1)
    if nearest:
        return f"is not a known key. Did you mean {alike[nearest[0]]}?"
    return f"is not a known key. Known here are {', '.join(known)}"


def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def _known_keys(path: Sequence[int | str]) -> list[str]:
    """The keys of the section at a path as pydantic gives it, in the order of the model."""
    sections: list[type[BaseModel]] = [Recipe]
    for step in path:
        below = [
            section
            for parent in sections
            for name, field in parent.model_fields.items()
            if step in (name, field.alias)
            for section in _sections_in(field.annotation)
        ]
        tagged = [section for section in sections if step in _tags(section)]
        # A step that is neither is a name in a mapping of sections, or an index.
        sections = below or tagged or sections
    return [field.alias or name for s in sections for name, field in s.model_fields.items()]


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections_in(argument)


def _tags(section: type[BaseModel]) -> tuple[Any, ...]:
    """The values of ``type`` by which a section is told from others in a union."""
    return (
        get_args(section.model_fields["type"].annotation) if "type" in section.model_fields else ()
    )
