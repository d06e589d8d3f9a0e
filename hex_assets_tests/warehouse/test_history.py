"""From batches of statements to the frame."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from hex_assets.errors import WarehouseError
from hex_assets.frames import WAREHOUSE_QUERY_HISTORY
from hex_assets.warehouse.history import HistoryFigures
from hex_assets.warehouse.query_log import QueryLog
from hex_assets.warehouse.reader import (
    EXECUTIONS,
    HistoryBatch,
    HistoryReader,
    Window,
)
from hex_assets_tests.warehouse.comments import CELL, OTHER_PROJECT, PROJECT, comment
from hex_assets_tests.warehouse.conftest import MakeReader
from hex_assets_tests.warehouse.logs import NOON, ORDERS, SECOND_CELL, WINDOW, entry, query_log
from hex_assets_tests.warehouse.reads import read_query_history

OURS = frozenset({PROJECT})
MASKED = "SELECT id FROM db.orders WHERE region = '?'"


@dataclass(frozen=True)
class Listed:
    """A reader of listed executions, so many to a batch."""

    rows: list[dict[str, Any]]
    service: str = "snowflake_prod"
    sql_dialect: str = "snowflake"
    rows_per_batch: int = 1_000
    breaks: bool = False
    latency: timedelta = timedelta(hours=1)

    def read(self, window: Window) -> Iterator[HistoryBatch]:
        for start in range(0, len(self.rows), self.rows_per_batch):
            rows = [
                {
                    "query_text": row["query_text"],
                    "database": row["database_name"],
                    "schema": row["schema_name"],
                    "user": row["user_name"],
                    "started_at": row["start_time"],
                    "query_id": row["query_id"],
                    "resolved": None,
                }
                for row in self.rows[start : start + self.rows_per_batch]
            ]
            yield HistoryBatch(pl.DataFrame(rows, schema=EXECUTIONS, orient="row"))
        if self.breaks:
            raise WarehouseError(self.service, "the connection broke")

    def check(self) -> str:
        return "listed"


def of_the_window() -> list[dict[str, Any]]:
    return [
        row
        for row in query_log()
        if row["execution_status"] == "SUCCESS"
        and WINDOW.start <= row["start_time"] < WINDOW.end
        and "metadata" in row["query_text"].lower()
    ]


def rows_of(reader: HistoryReader, **settings: Any) -> list[dict[str, Any]]:
    frame = read_query_history([reader], WINDOW, OURS, **settings).frame
    assert frame.complete
    WAREHOUSE_QUERY_HISTORY.check(frame.rows)
    return frame.rows.rows(named=True)


def test_the_frame() -> None:
    rows = rows_of(Listed(of_the_window()))
    key = ("database", "schema", "cell_id", "sql")
    main = ("ANALYTICS", "CORE", CELL, MASKED)
    assert {tuple(row[name] for name in key): row["executions"] for row in rows} == {
        main: 11,
        (None, None, CELL, MASKED): 1,
        ("ANALYTICS", "CORE", SECOND_CELL, MASKED): 1,
        ("ANALYTICS", "CORE", None, MASKED): 1,
        ("ANALYTICS", "CORE", CELL, "SELECT 0 FROM db.customers"): 1,
    }
    (row,) = [row for row in rows if tuple(row[name] for name in key) == main]
    assert row == {
        "service": "snowflake_prod",
        "dialect": "snowflake",
        "database": "ANALYTICS",
        "schema": "CORE",
        "project_id": PROJECT,
        "cell_id": CELL,
        "sql": MASKED,
        "sql_key": hashlib.sha256(MASKED.encode()).hexdigest(),
        "executions": 11,
        "first_seen": WINDOW.start,
        "last_seen": NOON + timedelta(minutes=14, microseconds=14),
        "contexts": ["APP_VIEW", "SCHEDULED_RUN"],
        "users": 3,
        "sample_query_id": "q014",
        "resolved": None,
    }


def test_figures() -> None:
    history = read_query_history([Listed(of_the_window())], WINDOW, OURS)
    assert history.figures == HistoryFigures(
        rows=18, executions=15, foreign=1, unreadable=2, texts=10
    )


def test_all_projects_without_a_filter() -> None:
    projects = read_query_history([Listed(of_the_window())], WINDOW).frame.rows["project_id"]
    assert set(projects) == {PROJECT, OTHER_PROJECT}


@pytest.mark.parametrize("rows_per_batch", [1, 2, 7])
def test_batches_make_no_difference(rows_per_batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rows_of(Listed(of_the_window()))
    monkeypatch.setattr("hex_assets.warehouse.history._COMPACT_ABOVE", 2)
    assert rows_of(Listed(of_the_window(), rows_per_batch=rows_per_batch)) == whole
    assert rows_of(Listed(of_the_window()[::-1], rows_per_batch=rows_per_batch)) == whole


def test_services_stay_apart() -> None:
    readers = [Listed(of_the_window()), Listed(of_the_window(), "postgres_shop", "postgres")]
    rows = read_query_history(readers, WINDOW, OURS).frame.rows
    assert rows.group_by("service", "dialect").agg(pl.col("executions").sum()).sort(
        "service"
    ).rows() == [("postgres_shop", "postgres", 15), ("snowflake_prod", "snowflake", 15)]


@pytest.mark.parametrize(
    ("store_sql", "sql"),
    [
        ("masked", MASKED),
        ("full", "SELECT id FROM db.orders WHERE region = 'US'"),
        ("none", None),
    ],
)
def test_what_is_stored_of_the_sql(
    store_sql: Literal["full", "masked", "none"], sql: str | None
) -> None:
    texts = [(1, "EU"), (3, "US"), (2, "EU")]
    listed = [entry(run, f"{ORDERS.format(region)} {comment()}") for run, region in texts]
    (row,) = rows_of(Listed(listed), store_sql=store_sql)
    assert row["sql"] == sql
    assert row["sql_key"] == hashlib.sha256(MASKED.encode()).hexdigest()


def test_no_user_is_no_user() -> None:
    text = f"SELECT 1 {comment(user_email=None)}"
    (row,) = rows_of(Listed([entry(1, text, user_name=None, query_id=None)]))
    assert (row["users"], row["sample_query_id"]) == (0, None)


def test_nothing_personal_is_stored() -> None:
    frame = read_query_history([Listed(of_the_window())], WINDOW).frame
    stored = frame.rows.write_json()
    for personal in ("alice", "Bob", "carol", "HEX_SERVICE", "EU", "Hex query"):
        assert personal not in stored


def test_an_interrupted_read_gives_no_frame() -> None:
    with pytest.raises(WarehouseError, match="the connection broke"):
        read_query_history([Listed(of_the_window(), breaks=True)], WINDOW)


def test_no_readers() -> None:
    history = read_query_history([], WINDOW)
    assert history.frame.rows.is_empty()
    assert history.figures == HistoryFigures()


def test_windows_are_aware_and_not_empty() -> None:
    tokyo = timezone(timedelta(hours=9))
    window = Window(NOON.astimezone(tokyo), NOON + timedelta(hours=1))
    assert window.start.tzinfo is timezone.utc
    assert window.start == NOON
    with pytest.raises(ValueError, match="aware"):
        Window(datetime(2026, 1, 1), NOON)
    with pytest.raises(ValueError, match="empty"):
        Window(NOON, NOON)


@pytest.mark.snowflake_fake
def test_snowflake_and_its_exported_log_give_the_same_frame(
    make_reader: MakeReader,
    fill: Callable[[str, list[dict[str, Any]]], None],
    tmp_path: Path,
) -> None:
    fill("AUDIT.SAME", query_log())
    pl.DataFrame(query_log()).write_parquet(tmp_path / "log.parquet")
    grouped = read_query_history([make_reader(account_usage_schema="AUDIT.SAME")], WINDOW, OURS)
    exported = QueryLog(
        type="QueryLog", path=str(tmp_path / "log.parquet"), dialect="snowflake"
    ).of("snowflake_prod")
    single = read_query_history([exported], WINDOW, OURS)
    assert grouped.frame.rows.rows(named=True) == single.frame.rows.rows(named=True)
    assert (grouped.figures.rows, single.figures.rows) == (16, 18)
    assert replace(grouped.figures, rows=18) == single.figures
    assert grouped.figures.executions == 15
