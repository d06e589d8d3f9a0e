"""Executions as a Hex workspace makes them: chained cells as common table expressions."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import accumulate

import polars as pl

from benchmarks.lineage.corpus import Statement
from hex_assets.frames import CATALOG_TABLES, Frame
from hex_assets.openmetadata import fqn
from hex_assets.warehouse.comment import split_comments
from hex_assets.warehouse.reader import EXECUTIONS, HistoryBatch, Window

SERVICE, DIALECT = "warehouse", "snowflake"
WINDOW = Window(
    datetime(2026, 10, 26, tzinfo=timezone.utc), datetime(2026, 11, 25, tzinfo=timezone.utc)
)

_PER_BATCH = 50_000
_FRESH = 0.7
"""Share of the executions whose literals are rendered anew."""

_PROJECTS, _TABLES, _COLUMNS = 200, 300, 24


class Log:
    """A log in memory, read as that of a warehouse that cannot group.

    Args:
        executions: how many.
        shapes: distinct statements; how often each ran follows Zipf's law.
    """

    service = SERVICE
    sql_dialect = DIALECT
    latency = timedelta()

    def __init__(self, executions: int, shapes: int, seed: int = 7) -> None:
        chance = random.Random(seed)
        statements = [_statement(number) for number in range(shapes)]
        usual = [_literals(chance) for _ in statements]
        comments = [_comment(number) for number in range(shapes)]
        popularity = list(accumulate(1 / rank for rank in range(1, shapes + 1)))
        step = (WINDOW.end - WINDOW.start) / executions
        chosen = chance.choices(range(shapes), cum_weights=popularity, k=executions)
        # Each shape runs at least once.
        chosen[:shapes] = range(shapes)
        chance.shuffle(chosen)
        self.frames = []
        self.characters = 0
        for first in range(0, executions, _PER_BATCH):
            rows = []
            for place, number in enumerate(chosen[first : first + _PER_BATCH], start=first):
                values = _literals(chance) if chance.random() < _FRESH else usual[number]
                trace, user = f"{chance.getrandbits(128):032x}", f"user{chance.randrange(50)}"
                comment = comments[number].replace("TRACE", trace).replace("USER", user)
                text = statements[number].format(**values) + comment
                self.characters += len(text)
                rows.append((text, "DB", "CORE", "HEX", WINDOW.start + step * place, f"q{place}"))
            columns = list(EXECUTIONS)[:6]
            types = {name: EXECUTIONS[name] for name in columns}
            frame = pl.DataFrame(rows, schema=types, orient="row")
            resolved = pl.lit(None, EXECUTIONS["resolved"]).alias("resolved")
            self.frames.append(frame.with_columns(resolved))

    def read(self, window: Window) -> Iterator[HistoryBatch]:
        for frame in self.frames:
            yield HistoryBatch(frame)

    def check(self) -> str:
        return "in memory"


def logged_statements(count: int, shapes: int) -> list[Statement]:
    """Single executions of the log without their comments, for engines that parse each of them.

    They have no truth: it is their time that is compared.
    """
    tables = {
        ".".join(fqn.split(row["table_fqn"])[1:]): tuple(row["columns"])
        for row in catalog().rows.iter_rows(named=True)
    }
    texts = pl.concat(Log(count, min(shapes, count)).frames)["query_text"]
    return [
        Statement(
            str(number), DIALECT, statement, "DB", "CORE", tables, {}, frozenset(), (), {}, ()
        )
        for number, statement in enumerate(split_comments(texts)["statement"])
    ]


def catalog() -> Frame:
    """The tables of the log, with their columns."""
    return CATALOG_TABLES.frame(
        [
            {
                "service": SERVICE,
                "database": "DB",
                "schema": "CORE",
                "table": f"FACT_{number}",
                "table_fqn": f"{SERVICE}.DB.CORE.FACT_{number}",
                "table_id": f"table {number}",
                "columns": ["ID", "REGION", "DAY", *(f"AMOUNT_{n}" for n in range(_COLUMNS))],
            }
            for number in range(_TABLES)
        ]
    )


def _statement(number: int) -> str:
    """About 1,700 characters: two cells over tables, a third over both, and what runs."""
    facts = [f"core.fact_{(number * step + step) % _TABLES}" for step in (1, 7, 13)]
    sums = ",\n    ".join(
        f"SUM(CASE WHEN f.amount_{n} > {{low}} THEN f.amount_{n} ELSE 0 END) AS total_{n}"
        for n in range(number % 5, number % 5 + 6)
    )
    averages = ",\n    ".join(f"AVG(g.amount_{n}) AS mean_{n}" for n in range(6))
    return (
        f"WITH sales_{number} AS (\n  SELECT\n    f.region, DATE_TRUNC('week', f.day) AS week,\n"
        f"    {sums}\n  FROM {facts[0]} AS f\n  WHERE f.day >= '{{day}}' AND f.region IN "
        "({regions})\n  GROUP BY 1, 2\n),\n"
        f"means AS (\n  SELECT\n    g.region,\n    {averages}\n  FROM {facts[1]} AS g\n"
        f"  LEFT JOIN {facts[2]} AS h ON h.id = g.id AND h.amount_1 <> {{low}}\n"
        "  WHERE g.day >= '{day}'\n  GROUP BY g.region\n),\n"
        f"both_cells AS (\n  SELECT s.*, m.mean_0, m.mean_1, m.mean_2\n  FROM sales_{number} AS s\n"
        "  JOIN means AS m ON m.region = s.region\n)\n"
        "SELECT region, week, MAX(mean_0) AS top, COUNT(*) AS weeks\nFROM both_cells\n"
        "WHERE week < '{day}' OR mean_1 > {low}\nGROUP BY region, week\nORDER BY week\nLIMIT 1000\n"
    )


def _literals(chance: random.Random) -> dict[str, str]:
    regions = (f"'region {chance.randrange(1000)}'" for _ in range(chance.randrange(1, 6)))
    return {
        "low": str(chance.randrange(1_000_000)),
        "day": f"2026-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}",
        "regions": ", ".join(regions),
    }


def _comment(number: int) -> str:
    project = uuid.uuid5(uuid.NAMESPACE_OID, f"project {number % _PROJECTS}")
    cell = uuid.uuid5(uuid.NAMESPACE_OID, f"cell {number}")
    url = f"https://app.hex.tech/larkfield/hex/{project}/draft/logic?selectedCellId={cell}"
    fields = {
        "categories": ["Finance"],
        "cell_type": "SQL",
        "connection": "Warehouse",
        "context": "SCHEDULED_RUN",
        "project_id": str(project),
        "project_name": f"Project {number % _PROJECTS}",
        "project_url": url,
        "status": "Production",
        "trace_id": "TRACE",
        "user_email": "USER@larkfield.example",
    }
    return f"-- Hex query metadata: {json.dumps(fields, sort_keys=True)}"
