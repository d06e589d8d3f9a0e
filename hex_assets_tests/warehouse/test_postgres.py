"""The reader of PostgreSQL against a real one and the log that it writes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr, ValidationError

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.warehouse.postgres import Postgres
from hex_assets.warehouse.query_log import LogColumn, QueryLog
from hex_assets.warehouse.reader import EXECUTIONS, Window
from hex_assets_tests.warehouse.comments import comment, trace_id
from hex_assets_tests.warehouse.grouping import Executions, grouped
from hex_assets_tests.warehouse.logs import WINDOW, entry, query_log
from hex_assets_tests.warehouse.reads import read_query_history
from hex_assets_tests.warehouse.servers import postgres, wait_for_text

pytestmark = pytest.mark.postgres

Server = tuple[int, Path]

OURS = "0198c2a0-5e11-7d6c-8c3e-3d7d2b1f9a12"
_LOG_COLUMNS = """
  log_time timestamp(3) with time zone, user_name text, database_name text, process_id integer,
  connection_from text, session_id text, session_line_num bigint, command_tag text,
  session_start_time timestamp with time zone, virtual_transaction_id text, transaction_id bigint,
  error_severity text, sql_state_code text, message text, detail text, hint text,
  internal_query text, internal_query_pos integer, context text, query text, query_pos integer,
  location text, application_name text, backend_type text, leader_pid integer, query_id bigint
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as (port, log):
        run(
            port,
            "CREATE EXTENSION file_fdw",
            "CREATE SERVER log FOREIGN DATA WRAPPER file_fdw",
            f"CREATE FOREIGN TABLE server_log ({_LOG_COLUMNS}) SERVER log "
            f"OPTIONS (filename '{log}', format 'csv')",
        )
        yield port, log


def run(port: int, *statements: str, options: str = "") -> None:
    """Run statements in a session of their own, as Hex does."""
    import psycopg

    address = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
    with closing(psycopg.connect(address, autocommit=True, options=options)) as session:
        for statement in statements:
            try:
                session.execute(statement.encode())
            except psycopg.errors.UndefinedTable:
                assert "no_such" in statement


def reader(port: int, **settings: Any) -> Postgres:
    known = {
        "type": "Postgres",
        "username": "postgres",
        "host_port": f"127.0.0.1:{port}",
        "database": "postgres",
        "query_log_table": "server_log",
    }
    return Postgres(**(known | settings)).of("pg_prod")


def copy_of_log(port: int, name: str, entries: list[dict[str, Any]]) -> None:
    """A table with the columns of the log, holding executions of a query log."""
    import psycopg

    address = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
    with closing(psycopg.connect(address, autocommit=True)) as session:
        session.execute(f"CREATE TABLE {name} ({_LOG_COLUMNS})".encode())
        for line, one in enumerate(entries):
            message = f"duration: 1.5 ms  statement: {one['query_text']}"
            query = None
            severity = "LOG"
            if one["execution_status"] != "SUCCESS":
                message, query, severity = "syntax error", one["query_text"], "ERROR"
            session.execute(
                f"INSERT INTO {name} (log_time, user_name, database_name, session_id, "
                "session_line_num, error_severity, message, query) "
                "VALUES (%s, %s, %s, 's', %s, %s, %s, %s)".encode(),
                (
                    one["start_time"],
                    one["user_name"],
                    one["database_name"],
                    line,
                    severity,
                    message,
                    query,
                ),
            )


def now() -> datetime:
    return datetime.now(timezone.utc)


def recent(start: datetime) -> Window:
    return Window(start - timedelta(seconds=1), now() + timedelta(seconds=5))


def test_grouped_by_postgres_as_by_us(server: Server) -> None:
    port, _ = server
    copy_of_log(port, "grouping", query_log())
    theirs = read_query_history([reader(port, query_log_table="grouping")], WINDOW).frame.rows
    ran = [
        {
            "query_text": one["query_text"],
            "database": one["database_name"],
            "user": one["user_name"],
            "started_at": one["start_time"].replace(
                microsecond=round(one["start_time"].microsecond / 1000) * 1000
            ),
            "query_id": f"s/{line}",
        }
        for line, one in enumerate(query_log())
        if one["execution_status"] == "SUCCESS"
        and WINDOW.start <= one["start_time"] < WINDOW.end
        and "hex query metadata" in one["query_text"].lower()
    ]
    rows = grouped(pl.DataFrame(ran, schema=EXECUTIONS, orient="row"))
    ours = read_query_history([Executions("pg_prod", "postgres", rows)], WINDOW).frame.rows
    assert theirs.rows(named=True) == ours.rows(named=True)
    assert theirs["executions"].sum() == 16


def test_one_row_per_group_crosses_the_wire(server: Server) -> None:
    port, _ = server
    entries = [
        entry(run, f"SELECT {run % 3} FROM t {comment(trace_id=trace_id(run))}")
        | {"user_name": f"u{run % 7}"}
        for run in range(60)
    ]
    copy_of_log(port, "many", entries)
    (batch,) = reader(port, query_log_table="many").read(WINDOW)
    assert sorted(batch.rows["executions"]) == [20, 20, 20]
    (cut,) = reader(port, query_log_table="public.many", row_limit=2).read(WINDOW)
    assert cut.rows.height == 2
    assert "Raise rowLimit" in cut.gaps[0]


def test_the_log_that_real_statements_wrote(server: Server, tmp_path: Path) -> None:
    port, log = server
    start = now()
    for run_number in (1, 2):
        tag = comment(OURS, trace_id=trace_id(run_number))
        run(port, f"SELECT 'Ann',\n  1 {tag}")
    run(port, f"SELECT * FROM no_such_table {comment(OURS)}")
    # Logged at its start, without a duration, so that only the error after it tells of failure.
    at_start = "-c log_statement=all -c log_min_duration_statement=-1"
    run(
        port,
        f"SELECT 2 {comment(OURS)}",
        f"SELECT 3 FROM no_such_table {comment(OURS)}",
        options=at_start,
    )
    _extended(port)
    run(port, f"SELECT 'the last of {start:%H%M%S%f}'")
    for file in (log, log.with_suffix(".json")):
        wait_for_text(file, f"the last of {start:%H%M%S%f}")
    history = read_query_history([reader(port)], recent(start), [OURS])
    rows = history.frame.rows.select("database", "schema", "executions", "sql").rows()
    assert sorted(rows, key=str) == [
        ("postgres", None, 1, "SELECT $1"),
        ("postgres", None, 1, "SELECT 0"),
        ("postgres", None, 2, "SELECT '?',\n  0"),
    ]
    assert read_query_history([reader(port)], recent(start), [OURS]).figures == history.figures
    assert reader(port).check().startswith("server_log readable, ")
    # The same from the files, the CSV one with a header. They cannot tell what failed of the
    # statements that were logged at their start.
    header = ",".join(line.split()[0] for line in _LOG_COLUMNS.replace("\n", "").split(","))
    with_header = tmp_path / "pg.csv"
    with_header.write_text(f"{header}\n{log.read_text()}")
    user: dict[LogColumn, str] = {
        "query_text": "message",
        "start_time": "log_time",
        "user_name": "user_name",
    }
    json: dict[LogColumn, str] = {
        "start_time": "timestamp",
        "database_name": "dbname",
        "user_name": "user",
    }
    for path, columns in ((log.with_suffix(".json"), user | json), (with_header, user)):
        exported = QueryLog(
            type="QueryLog", path=str(path), dialect="postgres", columns=columns
        ).of("pg_prod")
        files = read_query_history([exported], recent(start), [OURS]).frame.rows
        at_end = ~pl.col("sql").str.starts_with("SELECT 0")
        same = ["database", "schema", "executions", "sql", "users", "first_seen", "last_seen"]
        expected = history.frame.rows.filter(at_end).select(same).rows()
        assert files.filter(at_end).select(same).rows() == expected
        assert files.height == history.frame.rows.height + 1


def _extended(port: int) -> None:
    """A statement with a parameter, which is parsed, bound and executed."""
    import psycopg

    address = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
    with closing(psycopg.connect(address)) as session:
        session.execute(f"SELECT %s {comment(OURS)}".encode(), ["x"])


def test_a_statement_of_the_users_own(server: Server) -> None:
    port, _ = server
    copy_of_log(port, "own", query_log())
    own = (
        "SELECT substr(message, 30) AS query_text, log_time AS start_time, user_name, "
        "database_name, session_id || '/' || session_line_num AS query_id FROM own "
        "WHERE log_time >= %(start)s AND log_time < %(end)s AND error_severity = 'LOG' "
        "AND message ILIKE '%%hex query metadata%%'"
    )
    readers = [reader(port, history_statement=own), reader(port, query_log_table="own")]
    theirs, ours = (read_query_history([one], WINDOW).frame.rows for one in readers)
    assert theirs.rows(named=True) == ours.rows(named=True)


def test_errors_say_what_mends_them(server: Server) -> None:
    port, log = server
    run(
        port,
        "CREATE ROLE poor LOGIN PASSWORD 's3cr3t'",
        "CREATE TABLE narrow (log_time timestamptz)",
        f"CREATE FOREIGN TABLE gone ({_LOG_COLUMNS}) SERVER log "
        f"OPTIONS (filename '{log}.gone', format 'csv')",
    )
    cases: list[tuple[dict[str, Any], str, bool]] = [
        ({"username": "nobody"}, "rejected the login of user nobody", False),
        ({"username": "poor", "auth_type": {"password": "s3cr3t"}}, "GRANT SELECT ON", False),
        ({"query_log_table": "nowhere"}, "there is no nowhere", False),
        ({"query_log_table": None}, "keeps no query history of its own", False),
        ({"query_log_table": "a; DROP TABLE b"}, "is not a table name", False),
        ({"query_log_table": "narrow"}, "lacks a column", False),
        ({"query_log_table": "gone"}, "the log file behind gone", False),
        ({"host_port": "127.0.0.1:1"}, "127.0.0.1:1 did not answer", True),
        (
            {"history_statement": "SELECT pg_sleep(30)", "statement_timeout_seconds": 1},
            "stopped the statement",
            False,
        ),
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
        "type": "Postgres",
        "scheme": "postgresql+psycopg2",
        "username": "u",
        "authType": {"password": "p"},
        "hostPort": "localhost:5432",
        "database": "shop",
        "ingestAllDatabases": True,
        "sslMode": "verify-full",
        "sslConfig": {"caCertificate": "/ca.pem"},
        "classificationName": "PostgresPolicyTags",
        "queryStatementSource": "pg_stat_statements",
        "schemaFilterPattern": {"excludes": ["^information_schema$"]},
        "supportsQueryComment": True,
    }
    connection = Postgres.model_validate(pasted, by_alias=True, by_name=False)
    assert connection._arguments({"ca": "/ca.pem"})["sslrootcert"] == "/ca.pem"
    with pytest.raises(ValidationError, match="sslMode"):
        Postgres.model_validate(pasted | {"sslMode": "sometimes"})


def test_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"hex-assets\[postgres\]"):
        reader(1, auth_type={"password": SecretStr("p")}).check()
