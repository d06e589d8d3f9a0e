"""The two search calls that publishers use, in Elasticsearch's answer shape.

Unlike a server's index, what is found here is never stale.
"""

from __future__ import annotations

import re

from hex_assets.sandbox.catalog.answers import reference
from hex_assets.sandbox.catalog.rules import Json, Refused
from hex_assets.sandbox.catalog.store import Entity, Include, Store

INDEXES = {
    "table_search_index": "table",
    "database_service_search_index": "databaseService",
    "dashboard_search_index": "dashboard",
    "chart_search_index": "chart",
    "dashboard_data_model_search_index": "dashboardDataModel",
    "user_search_index": "user",
    "team_search_index": "team",
    "tag_search_index": "tag",
    "classification_search_index": "classification",
}

_QUERY = re.compile(r"(?P<field>\w+)(?P<keyword>\.keyword)?:(?P<value>.+)", re.DOTALL)


def search_field(
    store: Store, index: str, field: str, pattern: str, include: Include, start: int, size: int
) -> Json:
    """``/search/fieldQuery``: a wildcard pattern on one field, whatever the case.

    ``*`` stands for any text and ``?`` for one character, also within names.
    """
    parts = ({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    regex = re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
    return _answer(store, index, field, regex, include, start, size)


def search_query(store: Store, index: str, query: str, start: int, size: int) -> Json:
    """``/search/query`` for queries of the form ``field:value`` or ``field.keyword:value``.

    A ``keyword`` is compared exactly, another field whatever the case. Other Lucene syntax is
    refused rather than answered wrongly.
    """
    match = _QUERY.fullmatch(query)
    if match is None:
        raise Refused(400, f"this catalog searches for field:value only, not for {query}")
    value = re.sub(r'^"(.*)"$', r"\1", match["value"])
    value = re.sub(r"\\(.)", r"\1", value)
    flags = re.DOTALL if match["keyword"] else re.DOTALL | re.IGNORECASE
    regex = re.compile(re.escape(value), flags)
    return _answer(store, index, match["field"], regex, "all", start, size)


def _answer(
    store: Store,
    index: str,
    field: str,
    value: re.Pattern[str],
    include: Include,
    start: int,
    size: int,
) -> Json:
    if index not in INDEXES:
        raise Refused(404, f"no such index {index}")
    if start < 0 or size < 0:
        raise Refused(400, "from and size must not be negative")
    with store.read() as rows:
        found = [
            source
            for source in map(_source, rows.listed(INDEXES[index], include=include))
            if isinstance(source.get(field), str) and value.fullmatch(source[field])
        ]
    hits = [
        {"_index": index, "_id": source["id"], "_source": source}
        for source in found[start : start + size]
    ]
    return {"hits": {"total": {"value": len(found), "relation": "eq"}, "hits": hits}}


def _source(entity: Entity) -> Json:
    source = {**reference(entity), "entityType": entity.type}
    del source["type"]
    if "email" in entity.document:
        source["email"] = entity.document["email"]
    return source
