"""A small query log, as rows of Snowflake's QUERY_HISTORY."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from hex_assets.warehouse.reader import Window
from hex_assets_tests.warehouse.comments import OTHER_PROJECT, PROJECT, comment, trace_id

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
WINDOW = Window(NOON - timedelta(days=1), NOON + timedelta(days=1))
ORDERS = "SELECT id FROM db.orders WHERE region = '{}'"
SECOND_CELL = "67c38da0-e631-4005-9750-000000000002"


def entry(run: int, text: str, **columns: Any) -> dict[str, Any]:
    """One execution, the given number of minutes after noon."""
    known = {
        "query_id": f"q{run:03}",
        "query_text": text,
        "database_name": "ANALYTICS",
        "schema_name": "CORE",
        "user_name": "HEX_SERVICE",
        "start_time": NOON + timedelta(minutes=run, microseconds=run),
        "execution_status": "SUCCESS",
    }
    return known | columns


def query_log() -> list[dict[str, Any]]:
    """Executions that differ in each respect that matters for grouping."""

    def ran(run: int, sql: str, *args: Any, **fields: Any) -> str:
        return f"{sql};\n{comment(*args, trace_id=trace_id(run), **fields)}"

    return [
        entry(1, ran(1, ORDERS.format("EU"))),
        entry(2, ran(2, ORDERS.format("EU"))),
        entry(3, ran(3, ORDERS.format("US"))),
        entry(4, ran(4, ORDERS.format("EU"), user_email="Bob@mail.com", context="APP_VIEW")),
        entry(5, ran(5, ORDERS.format("EU"), user_email=None), user_name="CAROL"),
        entry(6, ran(6, ORDERS.format("EU"), user_email=None), user_name="carol"),
        entry(7, ran(7, ORDERS.format("EU"), PROJECT, SECOND_CELL)),
        entry(8, ran(8, ORDERS.format("EU"), PROJECT, None)),
        entry(9, ran(9, ORDERS.format("EU")), schema_name=None, database_name=None),
        entry(10, ran(10, "SELECT 1 FROM db.customers")),
        entry(11, ran(11, ORDERS.format("EU")).replace("Hex query", "HEX QUERY")),
        entry(12, ran(12, ORDERS.format("EU"), project_name='"trace_id": "} -- it\'s')),
        entry(13, f"{comment(trace_id=trace_id(13))}\n{ORDERS.format('EU')}"),
        entry(14, ran(14, ORDERS.format("EU")) + "\n FORMAT Native"),
        entry(20, ran(20, "SELECT 2 FROM db.foreign_table", OTHER_PROJECT)),
        entry(21, ran(21, ORDERS.format("EU"), project_id=None, project_url=None)),
        entry(22, "SELECT * FROM history WHERE text LIKE '%Hex query metadata:%'"),
        entry(23, ran(23, ORDERS.format("EU")), execution_status="FAIL"),
        entry(24, "SELECT 'nothing of Hex'"),
        entry(25, ran(25, ORDERS.format("early")), start_time=WINDOW.start - timedelta(seconds=1)),
        entry(26, ran(26, ORDERS.format("late")), start_time=WINDOW.end),
        entry(27, ran(27, ORDERS.format("first")), start_time=WINDOW.start),
    ]
