"""The two search calls that publishers use, in Elasticsearch's answer shape.

Unlike a server's index, what is found here is never stale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hex_assets.sandbox.catalog.answers import reference
from hex_assets.sandbox.catalog.rules import Json, Refused
from hex_assets.sandbox.catalog.store import Entity, Include, Store

INDEXES = {
    "table_search_index": "table",
    "database_schema_search_index": "databaseSchema",
    "database_service_search_index": "databaseService",
    "dashboard_search_index": "dashboard",
    "chart_search_index": "chart",
    "dashboard_data_model_search_index": "dashboardDataModel",
    "user_search_index": "user",
    "team_search_index": "team",
    "tag_search_index": "tag",
    "classification_search_index": "classification",
}

WINDOW = 10_000
"""Hits that an index shows (``index.max_result_window``)."""

_CONDITIONS: dict[str, Callable[[str, str], bool]] = {
    "prefix": str.startswith,
    "term": str.__eq__,
}

_QUERY = re.compile(r"(?P<field>\w+)(?P<keyword>\.keyword)?:(?P<value>.+)", re.DOTALL)


@dataclass(frozen=True)
class Selection:
    """Which of the hits are answered, and what of them.

    Attributes:
        start: how many are left out.
        size: how many are answered at most.
        include: whether deleted entities are hits.
        fields: of the documents; empty for all.
        by_fqn: in the order of their fully qualified names, whatever the case.
    """

    start: int = 0
    size: int = 10
    include: Include = "all"
    fields: Sequence[str] = ()
    by_fqn: bool = False


def search_field(store: Store, index: str, field: str, pattern: str, selection: Selection) -> Json:
    """``/search/fieldQuery``: a wildcard pattern on one field, whatever the case.

    ``*`` stands for any text and ``?`` for one character, also within names.
    """
    parts = ({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    regex = re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
    return _answer(store, index, _matching(field, regex), selection)


def search_query(
    store: Store, index: str, query: str, query_filter: str | None, selection: Selection
) -> Json:
    """``/search/query`` for ``*``, and for ``field:value`` or ``field.keyword:value``.

    A ``keyword`` is compared exactly, another field whatever the case. Other Lucene syntax is
    refused rather than answered wrongly.

    Args:
        query_filter: Elasticsearch's DSL, as far as ``prefix`` and ``term`` of
            ``fullyQualifiedName`` of which one should match.
    """
    passes = _parsed_query(query)
    narrowed = None if query_filter is None else _parsed_filter(query_filter)

    def matches(source: Json) -> bool:
        return passes(source) and (narrowed is None or narrowed(source))

    return _answer(store, index, matches, selection)


def _parsed_query(query: str) -> Callable[[Json], bool]:
    if query == "*":
        return lambda source: True
    match = _QUERY.fullmatch(query)
    if match is None:
        raise Refused(400, f"this catalog searches for field:value only, not for {query}")
    value = re.sub(r'^"(.*)"$', r"\1", match["value"])
    value = re.sub(r"\\(.)", r"\1", value)
    flags = re.DOTALL if match["keyword"] else re.DOTALL | re.IGNORECASE
    return _matching(match["field"], re.compile(re.escape(value), flags))


def _parsed_filter(query_filter: str) -> Callable[[Json], bool]:
    """One of the conditions; names are compared by their lower case, as the index normalizes."""
    try:
        bool_query = json.loads(query_filter)["query"]["bool"]
        conditions = [
            (_CONDITIONS[kind], condition["fullyQualifiedName"].lower())
            for one in bool_query["should"]
            for kind, condition in one.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Refused(400, "this catalog does not know the query_filter") from None
    if bool_query.keys() - {"should", "minimum_should_match"}:
        raise Refused(400, "this catalog does not know the query_filter")
    return lambda source: any(
        holds(source["fullyQualifiedName"].lower(), value) for holds, value in conditions
    )


def _matching(field: str, value: re.Pattern[str]) -> Callable[[Json], bool]:
    def matches(source: Json) -> bool:
        found = source.get(field)
        return isinstance(found, str) and value.fullmatch(found) is not None

    return matches


def _answer(
    store: Store, index: str, matches: Callable[[Json], bool], selection: Selection
) -> Json:
    if index not in INDEXES:
        raise Refused(404, f"no such index {index}")
    start, end = selection.start, selection.start + selection.size
    if start < 0 or selection.size < 0:
        raise Refused(400, "from and size must not be negative")
    if end > WINDOW:
        raise Refused(500, f"Result window is too large, from + size must be up to {WINDOW}")
    with store.read() as rows:
        entities = rows.listed(INDEXES[index], include=selection.include)
    found = [source for source in map(_source, entities) if matches(source)]
    if selection.by_fqn:
        found.sort(key=lambda source: str(source["fullyQualifiedName"]).lower())
    hits = [
        {
            "_index": index,
            "_id": source["id"],
            "_source": {
                name: value
                for name, value in source.items()
                if not selection.fields or name in selection.fields
            },
        }
        for source in found[start:end]
    ]
    return {"hits": {"total": {"value": len(found), "relation": "eq"}, "hits": hits}}


def _source(entity: Entity) -> Json:
    source = {**reference(entity), "entityType": entity.type}
    del source["type"]
    for name in ("email", "updatedAt"):
        if name in entity.document:
            source[name] = entity.document[name]
    return source
