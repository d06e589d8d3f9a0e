"""A query log of any size: executions of few statements, as a scheduled Hex workspace makes it."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import accumulate

import polars as pl

START = datetime(2026, 10, 26, tzinfo=timezone.utc)
END = START + timedelta(days=30)
ROWS_PER_FRAME = 100_000

_PROJECTS, _CELLS_PER_PROJECT, _USERS = 200, 10, 50
_CONTEXTS = ("SCHEDULED_RUN", "SCHEDULED_RUN", "APP_VIEW", "LOGIC")


@dataclass(frozen=True)
class LogSize:
    """What a generated log is like.

    Attributes:
        executions: rows of the log.
        statements: distinct statements that Hex runs; the most popular tenth makes most of the
            executions (Zipf with exponent 1).
        hex_share: share of the executions that Hex sent; the rest is of the same length, without
            a comment.
    """

    executions: int
    statements: int = 2_000
    hex_share: float = 1.0


def generate(size: LogSize, seed: int = 7) -> Iterator[pl.DataFrame]:
    """Frames with the columns of ``warehouse.query_log.COLUMNS``, in the order of time."""
    chance = random.Random(seed)
    statements = [_statement(number) for number in range(size.statements)]
    comments = [_comment(number) for number in range(size.statements)]
    popularity = list(accumulate(1 / rank for rank in range(1, size.statements + 1)))
    step = (END - START) / size.executions
    for first in range(0, size.executions, ROWS_PER_FRAME):
        count = min(ROWS_PER_FRAME, size.executions - first)
        chosen = chance.choices(range(size.statements), cum_weights=popularity, k=count)
        texts = [
            statements[number]
            + comments[number].format(
                context=chance.choice(_CONTEXTS),
                trace=f"{chance.getrandbits(128):032x}",
                user=chance.randrange(_USERS),
            )
            if chance.random() < size.hex_share
            else statements[number]
            for number in chosen
        ]
        yield pl.DataFrame(
            {
                "query_text": texts,
                "start_time": [START + step * (first + place) for place in range(count)],
                "database_name": ["ANALYTICS"] * count,
                "schema_name": ["CORE"] * count,
                "user_name": ["HEX"] * count,
                "query_id": [f"q{first + place:010}" for place in range(count)],
                "execution_status": ["SUCCESS"] * count,
            },
            schema_overrides={"start_time": pl.Datetime("us", "UTC")},
        )


def _statement(number: int) -> str:
    columns = ",\n  ".join(f"SUM(o.amount_{place}) AS total_{place}" for place in range(8))
    return (
        f"SELECT\n  c.region, DATE_TRUNC('week', o.ordered_at) AS week,\n  {columns}\n"
        f"FROM core.orders_{number % 97} AS o\n"
        f"JOIN core.customers_{number % 89} AS c ON c.id = o.customer_id\n"
        f"WHERE o.status = 'paid' AND o.shop_id = {number}\nGROUP BY 1, 2\nORDER BY 2\n"
    )


def _comment(number: int) -> str:
    project = uuid.uuid5(uuid.NAMESPACE_OID, f"project {number % _PROJECTS}")
    cell = uuid.uuid5(uuid.NAMESPACE_OID, f"cell {number % (_PROJECTS * _CELLS_PER_PROJECT)}")
    url = f"https://app.hex.tech/larkfield/hex/{project}/draft/logic?selectedCellId={cell}"
    fields = {
        "categories": ["Finance"],
        "cell_type": "SQL",
        "connection": "Warehouse",
        "context": "CONTEXT",
        "project_id": str(project),
        "project_name": f"Project {number % _PROJECTS}",
        "project_url": url,
        "status": "Production",
        "trace_id": "TRACE",
        "user_email": "USER",
    }
    text = json.dumps(fields, sort_keys=True).replace("{", "{{").replace("}", "}}")
    text = text.replace("CONTEXT", "{context}").replace("TRACE", "{trace}")
    return f"-- Hex query metadata: {text.replace('USER', 'user{user}@larkfield.example')}"
