"""openlineage-sql, statement by statement as its integrations call it."""

from __future__ import annotations

from typing import Any

import openlineage_sql
from speaking import Found, speak

_DIALECTS = {"athena": "generic", "presto": "generic", "trino": "generic", "duckdb": "duckdb"}
"""Dialects that it does not know are read as its generic one."""


def read(case: dict[str, Any]) -> Found:
    dialect = _DIALECTS.get(case["dialect"], case["dialect"])
    found = openlineage_sql.parse([case["sql"]], dialect=dialect, default_schema=case["schema"])
    if found is None or found.errors:
        raise ValueError(found.errors if found else "not parsed")
    columns = {
        (origin.origin.qualified_name, origin.name)
        for column in found.column_lineage
        for origin in column.lineage
        if origin.origin is not None
    }
    return [table.qualified_name for table in found.in_tables], sorted(columns)


if __name__ == "__main__":
    speak(read, tells_columns=True)
