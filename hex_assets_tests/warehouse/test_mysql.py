"""The reader of MySQL and MariaDB against a real MariaDB and its logs."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr, ValidationError

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.warehouse.mysql import MariaDB, Mysql
from hex_assets.warehouse.reader import EXECUTIONS, Window
from hex_assets_tests.warehouse.comments import CELL, comment, trace_id
from hex_assets_tests.warehouse.grouping import Executions, grouped
from hex_assets_tests.warehouse.logs import WINDOW, entry, query_log
from hex_assets_tests.warehouse.reads import read_query_history
from hex_assets_tests.warehouse.servers import mariadb

pytestmark = pytest.mark.mariadb


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with mariadb() as port:
        yield port


def reader(port: int, **settings: Any) -> MariaDB:
    known = {"type": "MariaDB", "username": "root", "host_port": f"127.0.0.1:{port}"}
    return MariaDB(**(known | settings)).of("maria_prod")


def run(port: int, *statements: str, database: str | None = None, values: Any = None) -> None:
    """Run statements in a session of their own, as Hex does."""
    import pymysql

    arguments: dict[str, Any] = {"host": "127.0.0.1", "port": port, "user": "root"}
    with closing(pymysql.connect(**arguments, database=database, autocommit=True)) as session:
        with session.cursor() as cursor:
            for statement in statements:
                try:
                    if values is None:
                        cursor.execute(statement)
                    else:
                        cursor.executemany(statement, values)
                except pymysql.ProgrammingError:
                    assert "no_such" in statement


def now() -> datetime:
    return datetime.now(timezone.utc)


def copy_of_log(port: int, log: str, entries: list[dict[str, Any]]) -> None:
    """A copy of a log table, holding executions of a query log."""
    rows = [
        (
            entry["start_time"].replace(tzinfo=None),
            f"{entry['user_name']}[{entry['user_name']}] @ localhost [127.0.0.1]",
            entry["schema_name"] or "",
            entry["query_text"],
        )
        for entry in entries
        if entry["execution_status"] == "SUCCESS"
    ]
    run(
        port,
        "CREATE DATABASE IF NOT EXISTS audit",
        f"DROP TABLE IF EXISTS audit.{log}",
        f"CREATE TABLE audit.{log} LIKE mysql.slow_log",
        f"ALTER TABLE audit.{log} ENGINE=MyISAM",
    )
    run(
        port,
        "SET time_zone = '+00:00'",
        database="audit",
    )
    run(
        port,
        f"INSERT INTO audit.{log} (start_time, user_host, query_time, lock_time, rows_sent, "
        "rows_examined, db, last_insert_id, insert_id, server_id, sql_text, thread_id, "
        "rows_affected) SELECT CONVERT_TZ(%s, '+00:00', @@session.time_zone), "
        "%s, 0, 0, 0, 0, %s, 0, 0, 1, %s, 1, 0",
        values=rows,
    )


def test_grouped_by_the_server_as_by_us(port: int) -> None:
    copy_of_log(port, "grouping", query_log())
    theirs = read_query_history(
        [reader(port, query_history_table="audit.grouping")], WINDOW
    ).frame.rows
    ran = [
        {
            "query_text": one["query_text"],
            "schema": one["schema_name"],
            "user": one["user_name"],
            "started_at": one["start_time"],
        }
        for one in query_log()
        if one["execution_status"] == "SUCCESS"
        and WINDOW.start <= one["start_time"] < WINDOW.end
        and "hex query metadata" in one["query_text"].lower()
    ]
    rows = grouped(pl.DataFrame(ran, schema=EXECUTIONS, orient="row"))
    ours = read_query_history([Executions("maria_prod", "mysql", rows)], WINDOW).frame.rows
    assert theirs.rows(named=True) == ours.rows(named=True)
    assert theirs["executions"].sum() == 16


def test_one_row_per_group_crosses_the_wire(port: int) -> None:
    entries = [
        entry(run, f"SELECT {run % 3} FROM t {comment(trace_id=trace_id(run))}")
        | {"user_name": f"u{run % 7}"}
        for run in range(60)
    ]
    copy_of_log(port, "many", entries)
    (batch,) = reader(port, query_history_table="audit.many").read(WINDOW)
    assert sorted(batch.rows["executions"]) == [20, 20, 20]
    (cut,) = reader(port, query_history_table="audit.many", row_limit=2).read(WINDOW)
    assert cut.rows.height == 2
    assert "Raise rowLimit" in cut.gaps[0]


def test_the_slow_log_that_real_statements_wrote(port: int) -> None:
    start = now()
    ours = "0198c2a0-5e11-7d6c-8c3e-3d7d2b1f9a12"
    run(port, "CREATE DATABASE IF NOT EXISTS shop", "CREATE DATABASE IF NOT EXISTS `odd name`")
    run(port, f"SELECT 'Ann', 1 {comment(ours, trace_id=trace_id(1))}", database="shop")
    run(port, f"SELECT 'Ann', 1 {comment(ours, trace_id=trace_id(2))}", database="shop")
    run(port, "USE `odd name`", f"SELECT 'Ann', 1 {comment(ours)}", database="shop")
    run(port, f"SELECT 1 {comment(ours, user_email=None)}")
    window = Window(start - timedelta(seconds=1), now() + timedelta(seconds=5))
    history = read_query_history([reader(port)], window, [ours])
    rows = history.frame.rows.select("database", "schema", "executions", "sql", "users").rows()
    assert sorted(rows, key=str) == [
        (None, "odd name", 1, "SELECT '?', 0", 1),
        (None, "shop", 2, "SELECT '?', 0", 1),
        (None, None, 1, "SELECT 0", 1),
    ]
    assert set(history.frame.rows["project_id"]) == {ours}
    assert set(history.frame.rows["cell_id"]) == {CELL}
    # Read again, the statements of the reader itself are in the log too.
    assert read_query_history([reader(port)], window, [ours]).frame.rows.equals(history.frame.rows)
    assert "mysql.slow_log readable" in reader(port).check()


def test_the_general_log_gets_its_databases_back(port: int) -> None:
    run(port, "CREATE DATABASE IF NOT EXISTS shop", "CREATE DATABASE IF NOT EXISTS `odd name`")
    start = now()
    tag = comment(project="0198c2a0-5e11-7d6c-8c3e-3d7d2b1f9a11")
    run(
        port,
        f"SELECT 1 {tag}",
        "USE `odd name`",
        f"SELECT 1 {tag}",
        "use shop;",
        f"SELECT 1 {tag}",
        database="shop",
    )
    run(port, f"SELECT 1 {tag}", "PREPARE p FROM 'SELECT 2'", "EXECUTE p")
    window = Window(start - timedelta(seconds=1), now() + timedelta(seconds=5))
    rows = (
        read_query_history(
            [reader(port, use_slow_logs=False)],
            window,
            ["0198c2a0-5e11-7d6c-8c3e-3d7d2b1f9a11"],
        )
        .frame.rows.select("schema", "executions")
        .rows()
    )
    assert sorted(rows, key=str) == [("odd name", 1), ("shop", 2), (None, 1)]
    assert "mysql.general_log readable" in reader(port, use_slow_logs=False).check()


def test_a_database_set_before_the_window_counts(port: int) -> None:
    run(
        port,
        "CREATE DATABASE IF NOT EXISTS audit",
        "DROP TABLE IF EXISTS audit.general",
        "CREATE TABLE audit.general LIKE mysql.general_log",
        "ALTER TABLE audit.general ENGINE=MyISAM",
    )
    events = [
        ("2026-11-01 00:00:00", 1, "Connect", "hex@localhost on shop using TCP/IP"),
        ("2026-11-20 12:00:00", 1, "Query", f"SELECT 1 {comment()}"),
        ("2026-11-20 12:00:01", 1, "Prepare", f"SELECT 1 {comment()}"),
        ("2026-11-20 12:00:02", 1, "Execute", f"SELECT 1 {comment()}"),
        ("2026-11-20 12:00:03", 2, "Query", f"SELECT 1 {comment()}"),
        ("2026-11-20 12:00:04", 3, "Connect", "hex@localhost on  using Socket"),
        ("2026-11-20 12:00:05", 3, "Query", f"SELECT 1 {comment()}"),
        ("2026-11-20 12:00:06", 3, "Query", f"use other; SELECT 1 {comment()}"),
        ("2026-11-20 12:00:07", 3, "Change user", "hex@localhost on third"),
        ("2026-11-20 12:00:08", 3, "Query", f"SELECT 1 {comment()}"),
    ]
    run(
        port,
        "INSERT INTO audit.general SELECT CONVERT_TZ(%s, '+00:00', @@session.time_zone), "
        "'hex[hex] @ localhost []', %s, 1, %s, %s",
        values=events,
    )
    log = reader(port, use_slow_logs=False, query_history_table="audit.general")
    (batch,) = log.read(WINDOW)
    counted = dict(batch.rows.select("schema", "executions").rows())
    assert counted == {"shop": 2, None: 2, "other": 1, "third": 1}


def test_a_log_that_is_off_is_a_gap_and_fails_the_check(port: int) -> None:
    window = Window(now() - timedelta(days=1), now())
    for switch, log in (("slow_query_log", True), ("general_log", False)):
        run(port, f"SET GLOBAL {switch} = 0")
        try:
            gaps = [
                gap for batch in reader(port, use_slow_logs=log).read(window) for gap in batch.gaps
            ]
            assert f"SET GLOBAL {switch} = ON" in gaps[0]
            with pytest.raises(WarehouseError, match=f"SET GLOBAL {switch} = ON"):
                reader(port, use_slow_logs=log).check()
        finally:
            run(port, f"SET GLOBAL {switch} = 1")


def test_a_statement_of_the_users_own(port: int) -> None:
    copy_of_log(port, "own", query_log())
    own = (
        "SELECT sql_text AS query_text, start_time, NULLIF(db, '') AS schema_name, "
        "SUBSTRING_INDEX(user_host, '[', 1) AS user_name FROM audit.own "
        "WHERE start_time >= %(start)s AND start_time < %(end)s "
        "AND sql_text LIKE '%%hex query metadata%%'"
    )
    readers = [reader(port, history_statement=own), reader(port, query_history_table="audit.own")]
    theirs, ours = (read_query_history([one], WINDOW).frame.rows for one in readers)
    assert theirs.rows(named=True) == ours.rows(named=True)


def test_a_read_may_stop_midway(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hex_assets.warehouse.mysql.ROWS_PER_BATCH", 2)
    copy_of_log(port, "midway", query_log())
    log = reader(port, query_history_table="audit.midway")
    for batch in log.read(WINDOW):
        assert batch.rows.height == 2
        break
    gc.collect()
    assert sum(batch.rows["executions"].sum() for batch in log.read(WINDOW)) == 18


def test_errors_say_what_mends_them(port: int) -> None:
    run(
        port,
        "CREATE USER IF NOT EXISTS poor@'%' IDENTIFIED BY 's3cr3t'",
        "CREATE DATABASE IF NOT EXISTS audit",
    )
    secret = SecretStr("s3cr3t")
    cases: list[tuple[dict[str, Any], str, bool]] = [
        ({"username": "poor", "password": SecretStr("s3cr3t-wrong")}, "rejected the login", False),
        ({"username": "poor", "password": secret}, "GRANT SELECT ON mysql.slow_log", False),
        ({"query_history_table": "audit.nowhere"}, "GRANT SELECT ON audit.nowhere", False),
        ({"query_history_table": "a.b; DROP TABLE c"}, "is not a table name", False),
        ({"host_port": "127.0.0.1:1"}, "127.0.0.1:1 did not answer", True),
        ({"history_statement": "SELECT SLEEP(30)", "statement_timeout_seconds": 1}, "stop", False),
    ]
    for settings, text, transient in cases:
        with pytest.raises(WarehouseError) as raised:
            list(reader(port, **settings).read(WINDOW))
        assert text in str(raised.value)
        assert raised.value.transient is transient
        assert raised.value.__cause__ is None
        assert "s3cr3t" not in f"{raised.value}{raised.value!r}{reader(port, **settings)!r}"


def test_fields_are_those_of_openmetadata() -> None:
    pasted = {
        "type": "Mysql",
        "scheme": "mysql+pymysql",
        "username": "u",
        "authType": {"password": "p"},
        "hostPort": "localhost:3306",
        "databaseName": "shop",
        "databaseSchema": "shop",
        "sslConfig": {"caCertificate": "/ca.pem"},
        "schemaFilterPattern": {"excludes": ["^x"]},
        "useSlowLogs": False,
        "queryHistoryTable": "mysql.general_log",
        "supportsDBTExtraction": True,
        "supportsQueryComment": True,
    }
    assert Mysql.model_validate(pasted, by_alias=True, by_name=False).use_slow_logs is False
    azure = {"clientId": "c", "tenantId": "t"}
    with pytest.raises(ValidationError, match="login by Azure"):
        Mysql.model_validate(pasted | {"authType": {"azureConfig": azure}})
    with pytest.raises(ValidationError, match="without a scheme"):
        Mysql.model_validate(pasted | {"hostPort": "http://localhost"})


def test_rds_iam_signs_a_password_for_the_server() -> None:
    aws = {"awsRegion": "eu-west-1", "awsAccessKeyId": "AKIA", "awsSecretAccessKey": "k3y"}
    mysql = Mysql.model_validate(
        {
            "type": "Mysql",
            "username": "reader",
            "hostPort": "db.example.com",
            "authType": {"awsConfig": aws},
        }
    )
    token = mysql._arguments({})["password"]
    assert token.startswith("db.example.com:3306/?Action=connect&DBUser=reader")
    assert "k3y" not in token


def test_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(MissingExtra, match=r"hex-assets\[mysql\]"):
        reader(1).check()
