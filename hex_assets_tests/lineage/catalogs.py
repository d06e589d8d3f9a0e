"""Small catalogs and query histories to resolve against."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from hex_assets.frames import CATALOG_TABLES, WAREHOUSE_QUERY_HISTORY, Frame

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


def catalog(
    *tables: str, gaps: Sequence[str] = (), columns: Mapping[str, Sequence[str]] | None = None
) -> Frame:
    """Tables named ``service.database.schema.table``; no part may contain a dot."""
    rows = []
    for name in tables:
        service, database, schema, table = name.split(".")
        rows.append(
            {
                "service": service,
                "database": database,
                "schema": schema,
                "table": table,
                "table_fqn": name,
                "table_id": f"id of {name}",
                "columns": list((columns or {}).get(table, ())),
            }
        )
    return CATALOG_TABLES.frame(rows, gaps)


def ran(sql: str, **columns: Any) -> dict[str, Any]:
    """One row of the history: Snowflake, project p, cell c, once, at noon."""
    hour = columns.pop("hour", 0)
    row = {
        "service": "snow",
        "dialect": "snowflake",
        "database": "DB",
        "schema": "SCH",
        "project_id": "p",
        "cell_id": "c",
        "sql": sql,
        "sql_key": hashlib.sha256(sql.encode()).hexdigest(),
        "executions": 1,
        "first_seen": NOON,
        "last_seen": NOON + timedelta(hours=hour),
        "contexts": ["SCHEDULED_RUN"],
        "users": 1,
        "sample_query_id": None,
        "resolved": None,
    }
    return {**row, **columns}


def history(*rows: dict[str, Any], gaps: Sequence[str] = ()) -> Frame:
    return WAREHOUSE_QUERY_HISTORY.frame(rows, gaps)
