"""What a reader has to make of executions: the frame of the same ones, grouped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from hex_assets.warehouse.reader import EXECUTIONS
from hex_assets_tests.warehouse.grouping import Executions, grouped
from hex_assets_tests.warehouse.logs import WINDOW
from hex_assets_tests.warehouse.reads import QueryHistory, read_query_history


def expected_history(
    service: str,
    dialect: str,
    log: Iterable[Mapping[str, Any]],
    *,
    database: bool = True,
    schema: bool = True,
) -> QueryHistory:
    """The history of those rows of ``logs.query_log`` that a reader has to find.

    Args:
        service: name of the reader's service.
        dialect: the reader's dialect.
        log: rows, those to be left out included; ``resolved`` may be among their columns.
        database: the warehouse logs the session's database.
        schema: the warehouse logs the session's schema.
    """
    found = [
        {
            "query_text": row["query_text"],
            "database": row["database_name"] if database else None,
            "schema": row["schema_name"] if schema else None,
            "user": row["user_name"],
            "started_at": row["start_time"],
            "query_id": row["query_id"],
            "resolved": row.get("resolved"),
        }
        for row in log
        if row["execution_status"] == "SUCCESS"
        and WINDOW.start <= row["start_time"] < WINDOW.end
        and "hex query metadata" in row["query_text"].lower()
    ]
    table = pl.DataFrame(found, schema=EXECUTIONS, orient="row")
    return read_query_history([Executions(service, dialect, grouped(table))], WINDOW)
