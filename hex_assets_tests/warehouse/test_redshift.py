"""The Redshift reader through Redshift's client, against PostgreSQL with its system tables' shape.

What this cannot show is in docs/warehouses/redshift.md.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import polars as pl
import pytest
import sqlglot
from pydantic import ValidationError

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.warehouse import redshift
from hex_assets.warehouse.reader import EXECUTIONS
from hex_assets.warehouse.redshift import Redshift
from hex_assets_tests.warehouse.comments import comment, trace_id
from hex_assets_tests.warehouse.grouping import Executions, grouped
from hex_assets_tests.warehouse.logs import WINDOW, entry, query_log
from hex_assets_tests.warehouse.reads import read_query_history
from hex_assets_tests.warehouse.redshift_proxy import redshift_proxy
from hex_assets_tests.warehouse.servers import postgres

pytestmark = pytest.mark.postgres

_TABLES = (
    "CREATE SCHEMA redshift",
    "CREATE ROLE poor LOGIN",
    "ALTER DATABASE postgres SET search_path = redshift, pg_catalog, public",
    "CREATE TABLE redshift.sys_query_history (user_id int, query_id bigint, database_name "
    "char(128), status char(10), result_cache_hit bool, start_time timestamp, query_text "
    "varchar(4000))",
    "CREATE TABLE redshift.sys_query_text (query_id bigint, start_time timestamp, sequence int, "
    "text varchar(4000))",
    "CREATE TABLE redshift.sys_query_detail (query_id bigint, step_name varchar, table_name "
    "char(300))",
    "CREATE TABLE redshift.sys_external_query_detail (query_id bigint, table_name varchar)",
    "CREATE TABLE redshift.stl_query (query int, userid int, database char(32), querytxt "
    "char(4000), starttime timestamp, aborted int)",
    "CREATE TABLE redshift.stl_querytext (query int, sequence int, text char(200))",
    "CREATE TABLE redshift.pg_user (usesysid int, usename varchar)",
    "CREATE FUNCTION redshift.sha2(text, int) RETURNS text LANGUAGE sql IMMUTABLE "
    "AS $$ SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex') $$",
    "CREATE FUNCTION redshift.regexp_replace(text, text, text) RETURNS text LANGUAGE sql "
    "IMMUTABLE AS $$ SELECT pg_catalog.regexp_replace($1, $2, $3, 'g') $$",
)


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """Ports of Redshift, and of what is behind it."""
    with postgres() as (behind, _), redshift_proxy(behind) as port:
        write(behind, *_TABLES)
        yield port, behind


@pytest.fixture
def port(ports: tuple[int, int]) -> int:
    return ports[0]


def write(behind: int, *statements: str, rows: Any = None) -> None:
    import psycopg

    address = f"host=127.0.0.1 port={behind} user=postgres dbname=postgres"
    with closing(psycopg.connect(address, autocommit=True)) as session:
        for statement in statements:
            if rows is None:
                session.execute(statement.encode())
            else:
                session.cursor().executemany(statement.encode(), rows)


def reader(port: int, **settings: Any) -> Redshift:
    known = {
        "type": "Redshift",
        "username": "postgres",
        "host_port": f"127.0.0.1:{port}",
        "database": "postgres",
        "ssl_mode": "disable",
    }
    return Redshift(**(known | settings)).of("rs_prod")


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def chunks(text: str, size: int) -> list[str]:
    """The text in parts of at most so many bytes; no character is parted."""
    parts, part = [], ""
    for character in text:
        if len((part + character).encode()) > size:
            parts.append(part)
            part = ""
        part += character
    return [*parts, part]


USERS = {"HEX_SERVICE": 101, "CAROL": 102, "carol": 103}


def fill(behind: int, entries: list[dict[str, Any]]) -> None:
    """The history as Redshift would keep it, in both families of tables."""
    names = "sys_query_history sys_query_text sys_query_detail sys_external_query_detail"
    for name in (*names.split(), "stl_query", "stl_querytext", "pg_user"):
        write(behind, f"TRUNCATE redshift.{name}")
    write(
        behind,
        "INSERT INTO redshift.pg_user VALUES (%s, %s)",
        rows=[(b, a) for a, b in USERS.items()],
    )
    history, text, stl, stl_text = [], [], [], []
    for one in entries:
        query = int(one["query_id"].removeprefix("q"))
        user, database = USERS[one["user_name"]], one["database_name"]
        started = one["start_time"].replace(tzinfo=None)
        ok = one["execution_status"] == "SUCCESS"
        parts = chunks(escaped(one["query_text"]), 3999)
        hit = one.get("cached", False)
        status = "success" if ok else "failed"
        history.append((user, query, database, status, hit, started, parts[0]))
        text += [(query, started, place, part) for place, part in enumerate(parts)] * 2
        whole = escaped(one["query_text"])
        stl.append((query, user, database, chunks(whole, 4000)[0], started, 0 if ok else 1))
        stl_text += [(query, place, part) for place, part in enumerate(chunks(whole, 200))]
    write(behind, f"INSERT INTO redshift.sys_query_history VALUES ({_places(7)})", rows=history)
    write(behind, f"INSERT INTO redshift.sys_query_text VALUES ({_places(4)})", rows=text)
    write(behind, f"INSERT INTO redshift.stl_query VALUES ({_places(6)})", rows=stl)
    write(behind, f"INSERT INTO redshift.stl_querytext VALUES ({_places(3)})", rows=stl_text)


def _places(count: int) -> str:
    return ", ".join(["%s"] * count)


def expected(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ran = [
        {
            "query_text": one["query_text"],
            "database": one["database_name"],
            "user": one["user_name"],
            "started_at": one["start_time"],
            "query_id": one["query_id"].removeprefix("q").lstrip("0"),
        }
        for one in entries
        if one["execution_status"] == "SUCCESS"
        and WINDOW.start <= one["start_time"] < WINDOW.end
        and "hex query metadata" in one["query_text"].lower()
    ]
    rows = grouped(pl.DataFrame(ran, schema=EXECUTIONS, orient="row"))
    history = read_query_history([Executions("rs_prod", "redshift", rows)], WINDOW)
    return history.frame.rows.rows(named=True)


def long_texts() -> list[dict[str, Any]]:
    """Texts of several chunks, of the most that can be joined, and of more."""

    def text(length: int, run: int) -> str:
        columns = ",\n  ".join(f"c{number:06}" for number in range(length // 11))
        path = r"C:\new\\table"
        tag = comment(trace_id=trace_id(run))
        return f"SELECT '{path}' AS p, 'Zoë — 漢字', {columns} FROM t\n{tag}"

    lengths = [3_500, 4_200, 12_000, 50_000, 80_000, 80_000, 300_000]
    return [entry(100 + run, text(length, run)) for run, length in enumerate(lengths)] + [
        entry(120, "SELECT " + "1, " * 40_000 + "2")
    ]


@pytest.mark.parametrize("tables", ["SYS", "STL"])
def test_grouped_by_redshift_as_by_us(ports: tuple[int, int], tables: str) -> None:
    port, behind = ports
    entries = query_log() + long_texts()
    fill(behind, entries)
    history = read_query_history([reader(port, system_tables=tables)], WINDOW)
    assert history.frame.rows.rows(named=True) == expected(entries)
    assert history.figures.executions == 16 + 7
    assert history.frame.gaps == ()


def test_many_groups_come_in_batches_up_to_the_limit(
    ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, behind = ports
    monkeypatch.setattr(redshift, "_ROWS_PER_FETCH", 10)
    fill(behind, [entry(run, f"SELECT c{run} FROM t {comment()}") for run in range(1, 36)])
    heights = [batch.rows.height for batch in reader(port).read(WINDOW)]
    assert heights == [10, 10, 10, 5]
    limited = list(reader(port, row_limit=15).read(WINDOW))
    assert sum(batch.rows.height for batch in limited) == 15
    assert any("Raise rowLimit" in gap for batch in limited for gap in batch.gaps)


def test_the_tables_that_redshift_read_come_along(
    ports: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    port, behind = ports
    fill(
        behind,
        [
            entry(1, f"SELECT 1 FROM v {comment(trace_id=trace_id(1))}"),
            entry(2, f"SELECT 1 FROM v {comment(trace_id=trace_id(2))}") | {"cached": True},
            entry(3, f"SELECT 2 FROM spectrum.s {comment()}"),
            entry(4, f"SELECT 3 FROM odd {comment()}"),
        ],
    )
    detail = [
        (1, "scan", "dev.public.orders"),
        (1, "scan", "dev.public.orders"),
        (1, "scan", "dev.core.users"),
        (1, "scan", "volt_tt_5f3"),
        (1, "scan", "dev.pg_internal.x"),
        (1, "insert", "dev.public.target"),
        (3, "scan", "dev.public.local"),
        (4, "scan", "dev.public.odd.name"),
    ]
    write(behind, f"INSERT INTO redshift.sys_query_detail VALUES ({_places(3)})", rows=detail)
    write(behind, "INSERT INTO redshift.sys_external_query_detail VALUES (3, 's')")
    rows = read_query_history([reader(port)], WINDOW).frame.rows
    read = dict(rows.select("sample_query_id", "resolved").rows())
    assert read == {
        "2": [
            {"database": "dev", "schema": "core", "table": "users", "columns": None},
            {"database": "dev", "schema": "public", "table": "orders", "columns": None},
        ],
        "3": None,
        "4": None,
    }
    write(behind, "ALTER TABLE redshift.sys_query_detail RENAME TO hidden")
    try:
        without = read_query_history([reader(port)], WINDOW).frame.rows
    finally:
        write(behind, "ALTER TABLE redshift.hidden RENAME TO sys_query_detail")
    assert without["executions"].sum() == 4
    assert without["resolved"].null_count() == 3
    assert "SYS_QUERY_DETAIL cannot be read" in caplog.text


def test_check_tells_what_is_there(ports: tuple[int, int]) -> None:
    port, behind = ports
    lately = datetime.now(timezone.utc) - timedelta(hours=1)
    fill(behind, [entry(1, "SELECT 1", start_time=lately)])
    for tables in ("SYS", "STL"):
        found = reader(port, system_tables=tables).check()
        assert found == (f"{tables} history readable, 1 statements of 1 users in the last 24 hours")


def test_a_statement_of_the_users_own(ports: tuple[int, int]) -> None:
    port, behind = ports
    fill(behind, [one for one in query_log() if "\n" not in one["query_text"].strip()])
    own = (
        "SELECT query_text, start_time, TRIM(database_name) AS database_name, query_id "
        "FROM sys_query_history WHERE start_time >= %(start)s AND start_time < %(end)s"
    )
    history = read_query_history([reader(port, history_statement=own)], WINDOW)
    assert history.frame.gaps == ()


# The client does not close the socket of a login that was refused.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_errors_say_what_mends_them(ports: tuple[int, int]) -> None:
    port, behind = ports
    write(
        behind, "GRANT USAGE ON SCHEMA redshift TO poor", "GRANT SELECT ON redshift.pg_user TO poor"
    )
    cases: list[tuple[dict[str, Any], str, bool]] = [
        ({"username": "nobody"}, "rejected the login of user nobody", False),
        ({"username": "poor"}, "GRANT ROLE sys:monitor TO poor", False),
        ({"history_statement": "SELECT a FROM nowhere"}, "Set systemTables to STL", False),
        ({"host_port": "127.0.0.1:1"}, "127.0.0.1:1 did not answer", True),
        (
            {"history_statement": "SELECT pg_sleep(30)", "statement_timeout_seconds": 1},
            "stopped the statement",
            False,
        ),
    ]
    for settings, text, transient in cases:
        login = {"auth_type": {"password": "s3cr3t"}}
        with pytest.raises(WarehouseError) as raised:
            list(reader(port, **login, **settings).read(WINDOW))
        assert text in str(raised.value)
        assert raised.value.transient is transient
        assert raised.value.__cause__ is None
        assert "s3cr3t" not in f"{raised.value}{raised.value!r}{reader(port, **login)!r}"
        del raised
        gc.collect()


@pytest.mark.parametrize("views", [redshift._SYS, redshift._STL], ids=["SYS", "STL"])
@pytest.mark.parametrize("template", [redshift._HISTORY, redshift._LONG_TEXTS])
def test_statements_are_redshifts(template: str, views: redshift._Views) -> None:
    statement = Redshift._statement(template, views)
    for name in ("start", "end", "rows"):
        statement = statement.replace(f"%({name})s", "1")
    sqlglot.parse_one(statement, read="redshift")


def test_fields_are_those_of_openmetadata() -> None:
    pasted = {
        "type": "Redshift",
        "scheme": "redshift+psycopg2",
        "username": "u",
        "authType": {"password": "p"},
        "hostPort": "c.abc.eu-west-1.redshift.amazonaws.com:5439",
        "database": "dev",
        "clusterIdentifier": "c",
        "ingestAllDatabases": True,
        "sslMode": "verify-full",
        "sslConfig": {"caCertificate": "/ca.pem"},
        "tableFilterPattern": {"excludes": [r"^(?:.*\.)?mv_tbl__.*__\d+$"]},
        "supportsSystemProfile": False,
    }
    connection = Redshift.model_validate(pasted, by_alias=True, by_name=False)
    assert connection._arguments()["sslmode"] == "verify-full"
    with pytest.raises(ValidationError, match="give one"):
        Redshift.model_validate(pasted | {"workgroupName": "w"})


class _Aws(BaseHTTPRequestHandler):
    """The two operations that make database credentials, as AWS's own client asks for them."""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if "Action=GetClusterCredentials" in asked and "ClusterIdentifier=gone" in asked:
            code = 404
            answer = "<ErrorResponse><Error><Code>ClusterNotFound</Code></Error></ErrorResponse>"
        elif "Action=GetClusterCredentials" in asked:
            code, answer = (
                200,
                (
                    "<GetClusterCredentialsResponse><GetClusterCredentialsResult><DbUser>postgres"
                    "</DbUser><DbPassword>t3mp</DbPassword></GetClusterCredentialsResult>"
                    "</GetClusterCredentialsResponse>"
                ),
            )
        else:
            assert self.headers["X-Amz-Target"].endswith("GetCredentials")
            code, answer = 200, '{"dbUser": "postgres", "dbPassword": "t3mp"}'
        self.send_response(code)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *args: Any) -> None:
        pass


def test_iam_makes_a_login(ports: tuple[int, int]) -> None:
    port, behind = ports
    fill(behind, query_log())
    with ThreadingHTTPServer(("127.0.0.1", 0), _Aws) as aws:
        thread = threading.Thread(target=aws.serve_forever, daemon=True)
        thread.start()
        identity = {
            "awsRegion": "eu-west-1",
            "awsAccessKeyId": "AKIA",
            "awsSecretAccessKey": "k3y",
            "endPointURL": f"http://127.0.0.1:{aws.server_port}",
        }

        def login(**settings: Any) -> Redshift:
            iam = {"username": "iam", "auth_type": {"awsConfig": identity}}
            return reader(port, **iam, **settings)

        try:
            for place in ({"cluster_identifier": "dwh"}, {"workgroup_name": "dwh"}):
                assert "SYS history readable" in login(**place).check()
            with pytest.raises(WarehouseError, match="ClusterNotFound") as raised:
                login(cluster_identifier="gone").check()
            assert "redshift:GetClusterCredentials" in raised.value.hint
            with pytest.raises(WarehouseError, match="Set clusterIdentifier"):
                login().check()
        finally:
            aws.shutdown()


def test_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redshift_connector", None)
    with pytest.raises(MissingExtra, match=r"hex-assets\[redshift\]"):
        reader(1).check()
