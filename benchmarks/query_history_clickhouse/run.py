"""How much of a ClickHouse log of generated executions crosses the wire, and what it costs us.

The engine is the tests' (chdb), the client the real one. Arguments: executions, distinct
statements, `grouped` (the reader's own statement) or `ungrouped` (every execution sent to us).
"""

from __future__ import annotations

import resource
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from hex_assets.warehouse.clickhouse import Clickhouse
from hex_assets.warehouse.history import read_query_history
from hex_assets.warehouse.reader import Window
from hex_assets_tests.warehouse.comments import comment
from hex_assets_tests.warehouse.environments import python_of, running
from hex_assets_tests.warehouse.test_clickhouse import ENGINE

SERVER = Path(__file__).parents[2] / "hex_assets_tests" / "warehouse" / "fake_clickhouse.py"
WINDOW = Window(
    datetime(2026, 11, 1, tzinfo=timezone.utc), datetime(2026, 12, 1, tzinfo=timezone.utc)
)
LOG = """
CREATE TABLE audit.log ENGINE = MergeTree ORDER BY event_date AS
SELECT concat('SELECT c', toString(intDiv(s * s, {distinct})), ' FROM sales.orders o JOIN ',
              'sales.customers c USING (id) WHERE region = ''EU''\n',
              replaceOne(replaceOne('{comment}', 'TRACE', lower(hex(MD5(toString(number))))),
                         'USER', concat('u', toString(number % 50), '@mail.com'))) AS query,
       toString(number) AS query_id, 'sales' AS current_database, 'hex' AS user,
       toDateTime64('2026-11-10 00:00:00', 6, 'UTC') + number / 10
         AS query_start_time_microseconds,
       toDate(query_start_time_microseconds) AS event_date,
       'QueryFinish' AS type, 1 AS is_initial_query,
       ['sales.orders', 'sales.customers'] AS tables, ['sales.orders.id'] AS columns
FROM (SELECT number, cityHash64(number) % {distinct} AS s FROM numbers({executions}))
"""
UNGROUPED = """
SELECT query AS query_text, query_start_time_microseconds AS start_time,
       current_database AS schema_name, user AS user_name, query_id
FROM audit.log
WHERE start_time >= {start:DateTime64(6, 'UTC')} AND start_time < {end:DateTime64(6, 'UTC')}
"""


def main(executions: int, distinct: int, way: str) -> None:
    """Generate, read once, print one row of the table."""
    python = python_of("chdb-4.4.0", ENGINE, dependencies=False)
    statement = UNGROUPED if way == "ungrouped" else None
    with running(python, SERVER) as port:
        reader = Clickhouse(
            type="Clickhouse",
            host_port=f"127.0.0.1:{port}",
            query_log_table="audit.log",
            history_statement=statement,
        ).of("events")
        with reader._client() as client:
            client.command("CREATE DATABASE audit")
            client.command(
                LOG.format(
                    distinct=distinct,
                    executions=executions,
                    comment=comment(trace_id="TRACE", user_email="USER").replace("'", "''"),
                )
            )
        before, own = time.perf_counter(), time.process_time()
        history = read_query_history([reader], WINDOW)
        seconds, cpu = time.perf_counter() - before, time.process_time() - own
    rows = executions if statement else history.figures.texts
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    assert history.figures.executions == executions
    sys.stdout.write(
        f"| {executions:,} | {way} | {rows:,} | {seconds:.1f} | {cpu:.1f} | {peak} |\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
