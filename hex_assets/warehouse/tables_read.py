"""Tables that a warehouse recorded as JSON, in the spellings of the several warehouses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "database": ("database", "catalog", "catalogName", "databaseName"),
    "schema": ("schema", "schemaName"),
    "table": ("table", "tableName"),
}


def tables_read(value: Any) -> list[dict[str, Any]] | None:
    """Tables and columns (``frames.TABLES_READ``) from JSON text or what it stands for.

    A list of objects with catalog or database, schema, table and columns, each column a name or
    an object with ``name``: so Trino's event listener writes them (``QueryInputMetadata``).

    Returns:
        None where there is none, or it is of another shape.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (json.JSONDecodeError, RecursionError):
            return None
    if not isinstance(value, list):
        return None
    tables = [_table(one) for one in value if isinstance(one, Mapping)]
    return [table for table in tables if table["table"]] or None


def _table(found: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        part: next((str(found[key]) for key in keys if found.get(key)), None)
        for part, keys in _SPELLINGS.items()
    }
    columns = found.get("columns")
    listed = columns if isinstance(columns, list) else []
    named = [one.get("name") if isinstance(one, Mapping) else one for one in listed]
    return {**names, "columns": [one for one in named if isinstance(one, str)]}
