"""The Databricks reader through the real connector, against a Thrift server on DuckDB."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.warehouse.databricks import Databricks, UnityCatalog
from hex_assets_tests.warehouse.comments import PROJECT, comment, trace_id
from hex_assets_tests.warehouse.expected import expected_history
from hex_assets_tests.warehouse.fake_databricks import CATALOG, FakeDatabricks, running_databricks
from hex_assets_tests.warehouse.logs import WINDOW, entry, query_log
from hex_assets_tests.warehouse.reads import read_query_history

Make = Callable[..., Databricks]
Fill = Callable[[list[dict[str, Any]]], None]


@pytest.fixture
def fake() -> Iterator[FakeDatabricks]:
    with running_databricks() as running:
        yield running


@pytest.fixture
def make(fake: FakeDatabricks) -> Make:
    """A reader of the local warehouse; its settings may be overridden."""

    def made(**settings: Any) -> Databricks:
        return Databricks(**({"type": "Databricks"} | connection(fake) | settings)).of("lakehouse")

    return made


def connection(fake: FakeDatabricks, token: str = "s3cr3t-token") -> dict[str, Any]:
    path = "/sql/1.0/warehouses/abc"
    return {
        "host_port": f"http://127.0.0.1:{fake.port}",
        "http_path": path,
        "auth_type": {"token": token},
        "connection_arguments": {
            "_connection_uri": f"http://127.0.0.1:{fake.port}{path}",
            "_retry_stop_after_attempts_count": 1,
        },
    }


@pytest.fixture
def fill(fake: FakeDatabricks) -> Fill:
    """Makes the query history of such rows."""

    def filled(rows: list[dict[str, Any]]) -> None:
        fake.database.execute(f"CREATE SCHEMA {CATALOG}.query")
        fake.database.execute(
            f"CREATE TABLE {CATALOG}.query.history (statement_id VARCHAR, statement_text VARCHAR, "
            "executed_by VARCHAR, start_time TIMESTAMP, execution_status VARCHAR)"
        )
        for row in rows:
            status = "FINISHED" if row["execution_status"] == "SUCCESS" else "FAILED"
            started = row["start_time"].replace(tzinfo=None)
            values = [row["query_id"], row["query_text"], row["user_name"], started, status]
            fake.database.execute(f"INSERT INTO {CATALOG}.query.history VALUES (?,?,?,?,?)", values)

    return filled


def lineage(
    fake: FakeDatabricks,
    tables: list[tuple[str, str | None]],
    columns: list[tuple[str, str, str]] | None,
) -> None:
    """Makes the tables of lineage; without columns, that of columns is not granted."""
    fake.database.execute(f"CREATE SCHEMA {CATALOG}.access")
    day = WINDOW.start.date()
    both = "statement_id VARCHAR, source_table_full_name VARCHAR, event_date DATE"
    fake.database.execute(f"CREATE TABLE {CATALOG}.access.table_lineage ({both})")
    for one in tables:
        fake.database.execute(
            f"INSERT INTO {CATALOG}.access.table_lineage VALUES (?, ?, ?)", [*one, day]
        )
    if columns is None:
        return
    fake.database.execute(
        f"CREATE TABLE {CATALOG}.access.column_lineage ({both}, source_column_name VARCHAR)"
    )
    for statement, table, column in columns:
        fake.database.execute(
            f"INSERT INTO {CATALOG}.access.column_lineage VALUES (?, ?, ?, ?)",
            [statement, table, day, column],
        )


def test_databricks_groups_as_we_do(make: Make, fill: Fill) -> None:
    fill(query_log())
    history = read_query_history([make()], WINDOW)
    expected = expected_history(
        "lakehouse", "databricks", query_log(), database=False, schema=False
    )
    assert history.frame.rows.rows(named=True) == expected.frame.rows.rows(named=True)
    assert history.figures == expected.figures
    assert history.figures.executions == 16


def test_equal_executions_are_one_row(make: Make, fill: Fill) -> None:
    fill([entry(run, f"SELECT 1 {comment(trace_id=trace_id(run))}") for run in range(200)])
    (batch,) = make().read(WINDOW)
    assert batch.rows["executions"].to_list() == [200]
    assert batch.rows["users"].to_list() == [["alice@mail.com"]]


def test_unity_catalog_says_what_a_statement_read(
    make: Make, fill: Fill, fake: FakeDatabricks
) -> None:
    text = f"SELECT id FROM orders {comment()}"
    fill([*(entry(run, text) for run in (1, 2, 3)), entry(4, f"SELECT 2 {comment()}")])
    lineage(
        fake,
        [
            ("q001", "main.shop.old"),
            ("q002", "main.shop.orders"),
            ("q002", "main.shop.customers"),
            ("q002", None),
            ("q009", "main.shop.of_others"),
        ],
        [
            ("q002", "main.shop.orders", "id"),
            ("q002", "main.shop.orders", "ship.to"),
            ("q002", "main.shop.orders", "id"),
        ],
    )
    rows = read_query_history([make()], WINDOW).frame.rows.sort("first_seen").rows(named=True)
    # Of the last execution that left lineage, not of the last one.
    assert [row["resolved"] for row in rows] == [
        [
            {"database": "main", "schema": "shop", "table": "customers", "columns": []},
            {"database": "main", "schema": "shop", "table": "orders", "columns": ["id", "ship.to"]},
        ],
        None,
    ]
    assert [row["executions"] for row in rows] == [3, 1]
    assert "without" not in make().check()


def test_columns_are_optional_too(make: Make, fill: Fill, fake: FakeDatabricks) -> None:
    fill([entry(1, f"SELECT id FROM orders {comment()}")])
    lineage(fake, [("q001", "main.shop.orders")], None)
    (row,) = read_query_history([make()], WINDOW).frame.rows.rows(named=True)
    assert row["resolved"] == [
        {"database": "main", "schema": "shop", "table": "orders", "columns": []}
    ]
    assert "without system.access.column_lineage" in make().check()


def test_check_tells_what_is_there(make: Make, fill: Fill) -> None:
    lately = datetime.now(timezone.utc) - timedelta(hours=1)
    rows = [entry(1, "SELECT 1", start_time=lately), entry(2, "<REDACTED>", start_time=lately)]
    fill(rows)
    assert make().check() == (
        "readable, 2 statements in the last 24 hours, 1 of them with their text hidden by the "
        "account; without system.access.table_lineage and system.access.column_lineage "
        "(USE SCHEMA and SELECT are optional)"
    )


def test_hidden_texts_are_counted(make: Make, fill: Fill) -> None:
    fill([entry(1, "<REDACTED>"), entry(2, ""), entry(3, f"SELECT 1 {comment()}")])
    figures = read_query_history([make()], WINDOW).figures
    assert (figures.cut, figures.executions) == (2, 1)


def test_many_groups_come_in_batches(
    make: Make, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hex_assets.warehouse.databricks._ROWS_PER_BATCH", 10)
    fill([entry(run, f"SELECT c{run} FROM t {comment()}") for run in range(35)])
    assert [batch.rows.height for batch in make().read(WINDOW)] == [10, 10, 10, 5]
    limited = read_query_history([make(row_limit=34)], WINDOW)
    assert limited.figures.executions == 34
    assert "more than 34 rows" in limited.frame.gaps[0]
    assert read_query_history([make(row_limit=35)], WINDOW).frame.complete


def test_an_empty_history(make: Make, fill: Fill) -> None:
    fill([entry(1, "SELECT 1")])
    assert read_query_history([make()], WINDOW).frame.rows.is_empty()


def test_the_session_is_tagged_and_limited(make: Make, fill: Fill, fake: FakeDatabricks) -> None:
    fill([])
    list(make(statement_timeout_seconds=77, connection_options={"ansi_mode": "true"}).read(WINDOW))
    assert all(
        session.items()
        >= {
            "QUERY_TAGS": "application:hex-assets",
            "STATEMENT_TIMEOUT": "77",
            "TIMEZONE": "UTC",
            "ansi_mode": "true",
        }.items()
        for session in fake.sessions
    )
    # The reader's statements do not look like Hex's.
    assert not any("hex query metadata" in text.lower() for text in fake.statements)


def test_a_statement_of_the_users_own(make: Make, fill: Fill) -> None:
    fill(query_log())
    own = (
        "SELECT statement_text AS query_text, start_time, executed_by AS user_name, "
        "statement_id AS query_id FROM system.query.history WHERE start_time >= :start "
        "AND start_time < :end AND execution_status = 'FINISHED' "
        "AND statement_text ILIKE '%hex query metadata%'"
    )
    theirs, ours = (
        read_query_history([reader], WINDOW).frame.rows
        for reader in (make(history_statement=own), make())
    )
    assert theirs.rows(named=True) == ours.rows(named=True)


def test_a_service_principal_logs_in(make: Make, fill: Fill, fake: FakeDatabricks) -> None:
    fill([entry(1, f"SELECT 1 {comment()}")])
    login = {"client_id": "app", "client_secret": "s3cr3t-of-principal"}
    reader = make(auth_type=login)
    assert read_query_history([reader], WINDOW).figures.executions == 1
    assert fake.tokens
    assert "s3cr3t" not in repr(reader)


def test_a_service_principal_with_a_wrong_secret(make: Make) -> None:
    login = {"client_id": "app", "client_secret": "s3cr3t-but-wrong"}
    with pytest.raises(WarehouseError, match="rejected the login") as raised:
        make(auth_type=login).check()
    assert "s3cr3t" not in str(raised.value)


def test_a_service_principal_of_azure_is_the_connectors(make: Make) -> None:
    login = {"azure_client_id": "a", "azure_client_secret": "s3cr3t", "azure_tenant_id": "t"}
    arguments = make(auth_type=login)._arguments()
    assert arguments["auth_type"] == "azure-sp-m2m"
    assert arguments["azure_client_secret"] == "s3cr3t"
    assert arguments["azure_tenant_id"] == "t"


def test_unity_catalog_is_the_same(fake: FakeDatabricks, fill: Fill) -> None:
    fill([entry(1, f"SELECT 1 {comment()}")])
    reader = UnityCatalog(**({"type": "UnityCatalog"} | connection(fake))).of("unity")
    assert read_query_history([reader], WINDOW).frame.rows["service"].to_list() == ["unity"]


@pytest.mark.parametrize(
    ("settings", "problem", "hint"),
    [
        ({"auth_type": {"token": "wrong"}}, "rejected the login at http://127.0.0.1", "authType"),
        ({"auth_type": {"token": "no-warehouse"}}, "no SQL warehouse at /sql/1.0", "httpPath"),
        ({"auth_type": {"token": "no-grant"}}, "system.query.history cannot be read", "USE SCHEMA"),
        (
            {"query_history_table": "audit.query.copy"},
            "audit.query.copy cannot be read",
            "queryHistoryTable",
        ),
        ({"auth_type": {"token": "slow"}}, "after 900 seconds", "statementTimeoutSeconds"),
        ({"auth_type": {"token": "s3cr3t-odd"}}, "Databricks refused", "SQL editor"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_errors_say_what_mends_them(
    make: Make, fill: Fill, settings: dict[str, Any], problem: str, hint: str
) -> None:
    fill([])
    with pytest.raises(WarehouseError) as raised:
        list(make(**settings).read(WINDOW))
    assert problem in raised.value.problem
    assert hint in raised.value.hint
    assert not raised.value.transient
    assert raised.value.__cause__ is None
    assert "s3cr3t" not in str(raised.value)


def test_no_answer_may_be_tried_again(make: Make) -> None:
    arguments = {
        "_connection_uri": "http://127.0.0.1:1/sql",
        "_retry_stop_after_attempts_count": 1,
    }
    with pytest.raises(WarehouseError, match="did not answer") as raised:
        make(connection_arguments=arguments).check()
    assert raised.value.transient


def test_the_table_is_a_name(make: Make) -> None:
    for name in ("system.query.history; DROP TABLE t", "a.b.c.d", "(SELECT 1)"):
        with pytest.raises(ValidationError, match=r"catalog\.schema\.table"):
            make(query_history_table=name)


def test_nothing_leaks(
    make: Make,
    fill: Fill,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    fill([entry(1, f"SELECT 'Ann' {comment()}")])
    reader = make(auth_type={"token": SecretStr("s3cr3t-token")})
    list(reader.read(WINDOW))
    captured = capfd.readouterr()
    said = caplog.text + captured.out + captured.err + repr(reader)
    for secret in ("s3cr3t", "Ann", "alice@mail.com", PROJECT):
        assert secret not in said


def test_without_the_connector(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "databricks", None)
    with pytest.raises(MissingExtra, match=r"hex-assets\[databricks\]"):
        make().check()
