"""The ClickHouse reader against the real engine, through the real client over HTTP."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.warehouse.clickhouse import Clickhouse
from hex_assets.warehouse.reader import Window
from hex_assets_tests.warehouse.comments import PROJECT, comment, trace_id
from hex_assets_tests.warehouse.environments import absent, python_of, running
from hex_assets_tests.warehouse.expected import expected_history
from hex_assets_tests.warehouse.logs import WINDOW, entry, query_log
from hex_assets_tests.warehouse.reads import read_query_history

pytestmark = pytest.mark.clickhouse_engine

ENGINE = ("chdb==4.4.0", "chdb-core==26.9.0")
"""Without their dependencies, of which the engine alone needs none."""

COLUMNS = (
    "query, query_id, current_database, user, query_start_time_microseconds, event_date, "
    "event_time, type, is_initial_query, tables, columns"
)
Make = Callable[..., Clickhouse]
Fill = Callable[[str, list[dict[str, Any]]], None]


@pytest.fixture(scope="session")
def clickhouse_port() -> Iterator[int]:
    """Port of a ClickHouse on 127.0.0.1, which lives as long as the session."""
    try:
        python = python_of("chdb-4.4.0", ENGINE, dependencies=False)
    except (OSError, subprocess.SubprocessError) as error:
        absent(f"chdb cannot be installed: {error}")
    with running(python, Path(__file__).with_name("fake_clickhouse.py")) as port:
        yield port


@pytest.fixture
def make(clickhouse_port: int) -> Make:
    """A reader of the local ClickHouse; its settings may be overridden."""

    def made(**settings: Any) -> Clickhouse:
        known: dict[str, Any] = {
            "type": "Clickhouse",
            "host_port": f"127.0.0.1:{clickhouse_port}",
            "password": SecretStr("s3cr3t-password"),
        }
        return Clickhouse(**(known | settings)).of("events")

    return made


@pytest.fixture
def run(make: Make) -> Callable[[str], list[Any]]:
    """Runs statements in the engine."""

    def ran(*statements: str) -> list[Any]:
        with make()._client() as client:
            for statement in statements:
                result = client.command(statement)
        return [result]

    return ran


@pytest.fixture
def fill(make: Make) -> Fill:
    """Makes a copy of the query log of such rows."""

    def filled(table: str, rows: list[dict[str, Any]]) -> None:
        values = [
            {
                "query": row["query_text"],
                "query_id": row["query_id"],
                "current_database": row["schema_name"] or "",
                "user": row["user_name"],
                "query_start_time_microseconds": f"{row['start_time']:%Y-%m-%d %H:%M:%S.%f}",
                "event_date": f"{row['start_time']:%Y-%m-%d}",
                "event_time": f"{row['start_time']:%Y-%m-%d %H:%M:%S}",
                "type": "QueryFinish"
                if row["execution_status"] == "SUCCESS"
                else "ExceptionBeforeStart",
                "is_initial_query": row.get("is_initial_query", 1),
                "tables": [],
                "columns": [],
            }
            for row in rows
        ]
        with make()._client() as client:
            client.command("CREATE DATABASE IF NOT EXISTS audit")
            client.command("SELECT 1")
            client.command("SYSTEM FLUSH LOGS")
            client.command(f"DROP TABLE IF EXISTS {table}")
            client.command(
                f"CREATE TABLE {table} ENGINE = Memory AS SELECT {COLUMNS} "
                "FROM system.query_log LIMIT 0"
            )
            lines = "\n".join(json.dumps(row) for row in values)
            client.command(f"INSERT INTO {table} FORMAT JSONEachRow\n{lines}")

    return filled


def test_clickhouse_groups_as_we_do(make: Make, fill: Fill) -> None:
    fill("audit.same", query_log())
    history = read_query_history([make(query_log_table="audit.same")], WINDOW)
    expected = expected_history("events", "clickhouse", query_log(), database=False)
    assert history.frame.rows.rows(named=True) == expected.frame.rows.rows(named=True)
    assert history.figures == expected.figures
    assert history.figures.executions == 16


def test_equal_executions_are_one_row(make: Make, fill: Fill) -> None:
    rows = [entry(run, f"SELECT 1 {comment(trace_id=trace_id(run))}") for run in range(500)]
    fill("audit.one", rows)
    (batch,) = (
        batch for batch in make(query_log_table="audit.one").read(WINDOW) if batch.rows.height
    )
    assert batch.rows["executions"].to_list() == [500]
    assert batch.rows["users"].to_list() == [["alice@mail.com"]]


def test_the_log_that_the_engine_keeps(make: Make, run: Callable[..., list[Any]]) -> None:
    before = datetime.now(timezone.utc)
    run(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders (id UInt64, `we``ird.name` String) ENGINE = Memory",
        "CREATE TABLE shop.`my.t` (id UInt64) ENGINE = Memory",
        "CREATE VIEW shop.recent AS SELECT id FROM shop.orders",
        f"SELECT id, `we``ird.name` FROM shop.orders {comment()}",
        f"SELECT r.id FROM shop.recent r JOIN shop.`my.t` t ON t.id = r.id {comment()}",
        f"SELECT 1 FROM numbers(2) {comment()}",
        "SYSTEM FLUSH LOGS",
    )
    window = Window(before - timedelta(seconds=1), before + timedelta(minutes=10))
    for reader in (make(), make(cluster="replicas")):
        rows = read_query_history([reader], window).frame.rows.sort("first_seen").rows(named=True)
        # What a statement read is named whole, through views, and functions are no tables.
        assert [row["resolved"] for row in rows] == [
            [table("orders", "id", "we`ird.name")],
            [table("my.t", "id"), table("orders", "id"), table("recent", "id")],
            None,
        ]
        assert {row["schema"] for row in rows} == {"default"}
        assert {row["project_id"] for row in rows} == {PROJECT}
    assert make().check().startswith("readable, ")


def table(name: str, *columns: str) -> dict[str, Any]:
    return {"database": None, "schema": "shop", "table": name, "columns": list(columns)}


def test_its_own_statements_are_tagged_and_not_found(
    make: Make, run: Callable[..., list[Any]]
) -> None:
    before = datetime.now(timezone.utc)
    window = Window(before - timedelta(seconds=1), before + timedelta(minutes=10))
    first = read_query_history([make(row_limit=777)], window).figures
    run("SYSTEM FLUSH LOGS")
    assert read_query_history([make(row_limit=777)], window).figures == first
    ((_, ((tagged,),)),) = make().execute(
        "SELECT count() FROM system.query_log WHERE log_comment = 'hex-assets' "
        "AND type = 'QueryFinish' AND query LIKE '%sipHash128%' "
        "AND query_start_time_microseconds >= {start:DateTime64(6, 'UTC')}",
        {"start": before},
    )
    assert tagged >= 1


def test_only_what_a_client_sent_counts(make: Make, fill: Fill) -> None:
    rows = [
        entry(1, f"SELECT 1 {comment()}"),
        entry(2, f"SELECT 2 {comment()}", is_initial_query=0),
    ]
    fill("audit.initial", rows)
    history = read_query_history([make(query_log_table="audit.initial")], WINDOW)
    assert history.figures.executions == 1


def test_texts_cut_at_the_limit_are_counted(make: Make, run: Callable[..., list[Any]]) -> None:
    before = datetime.now(timezone.utc)
    run(f"SELECT '{'x' * 120_000}' {comment()}", "SYSTEM FLUSH LOGS")
    window = Window(before - timedelta(seconds=1), before + timedelta(minutes=10))
    history = read_query_history([make()], window)
    assert history.figures.cut == 1


def test_more_rows_than_the_limit_are_a_gap(make: Make, fill: Fill) -> None:
    rows = [entry(run, f"SELECT {run} {comment()}") for run in range(7)]
    fill("audit.many", rows)
    assert read_query_history(
        [make(query_log_table="audit.many", row_limit=7)], WINDOW
    ).frame.complete
    limited = read_query_history([make(query_log_table="audit.many", row_limit=6)], WINDOW)
    assert limited.figures.executions == 6
    assert "more than 6 rows" in limited.frame.gaps[0]


def test_an_empty_log(make: Make, fill: Fill) -> None:
    fill("audit.`emp.ty`", [entry(1, "SELECT 1")])
    reader = make(query_log_table="audit.`emp.ty`")
    assert read_query_history([reader], WINDOW).frame.rows.is_empty()
    assert reader.check() == "readable, 0 statements in the last 24 hours"


def test_a_statement_of_the_users_own(make: Make, fill: Fill) -> None:
    fill("audit.own", query_log())
    own = (
        "SELECT query AS query_text, query_start_time_microseconds AS start_time, "
        "nullIf(current_database, '') AS schema_name, user AS user_name, query_id "
        "FROM audit.own WHERE start_time >= {start:DateTime64(6, 'UTC')} "
        "AND start_time < {end:DateTime64(6, 'UTC')} AND type = 'QueryFinish' "
        "AND query ILIKE '%hex query metadata%'"
    )
    readers = [make(history_statement=own), make(query_log_table="audit.own")]
    theirs, ours = (read_query_history([reader], WINDOW).frame.rows for reader in readers)
    assert theirs.rows(named=True) == ours.rows(named=True)


@pytest.mark.parametrize(
    ("settings", "problem", "hint"),
    [
        ({"username": "wrong_password"}, "rejected the login of user wrong_password", "password"),
        ({"username": "no_grant"}, "may not read system.query_log", "GRANT SELECT"),
        ({"username": "no_memory"}, "ran out of memory", "max_memory_usage"),
        ({"username": "odd"}, "ClickHouse refused", "clickhouse-client"),
        ({"query_log_table": "audit.nowhere"}, "audit.nowhere does not exist", "queryLogTable"),
        ({"query_log_table": "nowhere.log"}, "nowhere.log does not exist", "queryLogTable"),
        ({"cluster": "it's"}, "knows no cluster it's", "system.clusters"),
        ({"connection_options": {"max_rows_to_read": "1"}}, "ClickHouse refused", ""),
        (
            {"connection_arguments": {"colour": "s3cr3t"}},
            "connectionArguments do not fit the client library",
            "argument that is named",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_errors_say_what_mends_them(
    make: Make,
    run: Callable[..., list[Any]],
    settings: dict[str, Any],
    problem: str,
    hint: str,
) -> None:
    run("SELECT 1", "SYSTEM FLUSH LOGS")
    with pytest.raises(WarehouseError) as raised:
        list(make(**settings).read(WINDOW))
    assert problem in raised.value.problem
    assert hint in raised.value.hint
    assert not raised.value.transient
    assert raised.value.__cause__ is None
    assert "s3cr3t" not in str(raised.value)


def test_a_statement_that_takes_too_long(make: Make) -> None:
    reader = make(statement_timeout_seconds=1, history_statement="SELECT sleep(3), sleep(3)")
    with pytest.raises(WarehouseError, match="after 1 seconds") as raised:
        list(reader.read(WINDOW))
    assert "statementTimeoutSeconds" in raised.value.hint


def test_no_answer_may_be_tried_again(make: Make) -> None:
    with pytest.raises(WarehouseError, match="did not answer") as raised:
        make(host_port="127.0.0.1:1").check()
    assert raised.value.transient


@pytest.mark.parametrize(
    ("settings", "host", "port", "secure"),
    [
        ({"host_port": "ch.example:8123"}, "ch.example", 8123, False),
        ({"host_port": "ch.example"}, "ch.example", 8123, False),
        ({"host_port": "ch.example", "https": True}, "ch.example", 8443, True),
        ({"host_port": "https://ch.example:443/"}, "ch.example", 443, True),
        (
            {"host_port": "ch.example:9440", "secure": True, "scheme": "clickhouse+native"},
            "ch.example",
            8443,
            True,
        ),
        (
            {"host_port": "ch.example:9000", "scheme": "clickhouse+native"},
            "ch.example",
            8123,
            False,
        ),
        ({"host_port": "[::1]:8123"}, "::1", 8123, False),
        (
            {"host_port": "ch.example", "connection_options": {"protocol": "https"}},
            "ch.example",
            8443,
            True,
        ),
    ],
)
def test_where_it_connects(
    make: Make, settings: dict[str, Any], host: str, port: int, secure: bool
) -> None:
    arguments = make(**settings)._arguments()
    assert (arguments["host"], arguments["port"], arguments["secure"]) == (host, port, secure)


def test_the_table_is_a_name(make: Make) -> None:
    for name in ("system.query_log; DROP TABLE t", "a.b.c", "(SELECT 1)"):
        with pytest.raises(ValidationError, match=r"database\.table"):
            make(query_log_table=name)


def test_nothing_leaks(
    make: Make,
    fill: Fill,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    fill("audit.secret", [entry(1, f"SELECT 'Ann' {comment()}")])
    reader = make(query_log_table="audit.secret")
    list(reader.read(WINDOW))
    with pytest.raises(WarehouseError):
        list(make(username="odd").read(WINDOW))
    captured = capfd.readouterr()
    said = caplog.text + captured.out + captured.err + repr(reader)
    for secret in ("s3cr3t", "Ann", "alice@mail.com", PROJECT):
        assert secret not in said


def test_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clickhouse_connect", None)
    reader = Clickhouse(type="Clickhouse", host_port="ch.example").of("events")
    with pytest.raises(MissingExtra, match=r"hex-assets\[clickhouse\]"):
        reader.check()
