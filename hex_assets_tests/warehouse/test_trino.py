"""The readers of Trino and Presto through the real client, and of the event listener's table."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.sandbox.server import serve
from hex_assets.warehouse.trino import EventListener, Presto, Trino, TrinoFamily, TrinoLogin
from hex_assets_tests.warehouse.comments import comment
from hex_assets_tests.warehouse.fake_trino import FakeTrino
from hex_assets_tests.warehouse.logs import NOON, WINDOW, entry, query_log
from hex_assets_tests.warehouse.reads import read_query_history
from hex_assets_tests.warehouse.servers import mariadb
from hex_assets_tests.warehouse.test_query_log import reader as file_reader
from hex_assets_tests.warehouse.test_query_log import write

KINDS: dict[str, type[TrinoFamily]] = {"Trino": Trino, "Presto": Presto}


OVER_LIMIT = (
    "trino_prod: more than {} rows of history: the rest was not read. Raise rowLimit of the "
    "warehouse, or lower hexAssets.lookBackDays"
)


@pytest.fixture(scope="module", params=["Trino", "Presto"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[FakeTrino, str]]:
    fake = FakeTrino(request.param)
    with serve(fake.app()) as url:
        yield fake, url


def make(fake: FakeTrino, url: str, **settings: Any) -> TrinoFamily:
    known = {"type": fake.brand, "username": "reader", "host_port": url}
    return KINDS[fake.brand](**(known | settings)).of("trino_prod")


def same_rows(tmp_path: Path, ours: TrinoFamily, log: list[dict[str, Any]]) -> None:
    """The rows grouped at the source are those grouped here."""
    path = write(tmp_path / "log.parquet", log)
    exported = file_reader(path, dialect=ours.sql_dialect).of("trino_prod")
    mine, theirs = (read_query_history([reader], WINDOW) for reader in (ours, exported))
    assert replace(mine.figures, rows=theirs.figures.rows) == theirs.figures
    assert mine.figures.executions == 16
    assert mine.frame.rows.drop("resolved").rows(named=True) == theirs.frame.rows.drop(
        "resolved"
    ).rows(named=True)


def test_grouped_by_trino(server: tuple[FakeTrino, str], tmp_path: Path) -> None:
    fake, url = server
    log = [{**row, "database_name": None, "schema_name": None} for row in query_log()]
    fake.log(log)
    same_rows(tmp_path, make(fake, url), log)
    (ran,) = [headers for text, headers in fake.seen if "max_by" in text and "EXECUTE" in text] or [
        headers for text, headers in fake.seen if text.startswith("EXECUTE")
    ]
    brand = fake.brand.lower()
    assert ran[f"x-{brand}-source"] == ran[f"x-{brand}-client-tags"] == "hex-assets"
    assert ran[f"x-{brand}-session"] == "query_max_run_time=900s"
    assert ran[f"x-{brand}-time-zone"] == "UTC"
    assert not any("hex query metadata" in text.lower() for text, _ in fake.seen)


def test_check_says_what_is_lost(server: tuple[FakeTrino, str]) -> None:
    fake, url = server
    fake.log(query_log())
    told = make(fake, url).check()
    assert told.startswith("readable, 21 finished queries remembered; system.runtime.queries holds")


def test_the_row_limit_is_a_gap(server: tuple[FakeTrino, str]) -> None:
    fake, url = server
    fake.log([entry(run, f"SELECT c{run} FROM t {comment()}") for run in range(20)])
    history = read_query_history([make(fake, url, row_limit=7)], WINDOW)
    assert history.figures.executions == 7
    assert history.frame.gaps == (OVER_LIMIT.format(7),)


def test_a_statement_of_the_users_own(server: tuple[FakeTrino, str]) -> None:
    fake, url = server
    fake.log(query_log())
    own = (
        "SELECT query_id, query AS query_text, created AS start_time "
        "FROM system.runtime.queries WHERE created >= ? AND created < ? AND state = 'FINISHED'"
    )
    history = read_query_history([make(fake, url, history_statement=own)], WINDOW)
    assert history.figures.executions == 16


@pytest.mark.parametrize(
    ("settings", "problem", "hint"),
    [
        ({"username": "locked"}, "login of user locked was rejected", "authType"),
        ({"username": "blind"}, "user blind may not read", "view"),
        ({"username": "slow"}, "was stopped at a limit", "statementTimeoutSeconds"),
        ({"query_history_table": "system.runtime.absent"}, "is not there", "queryHistoryTable"),
        ({"query_history_table": "a; DROP TABLE b"}, "is not a table name", "catalog.schema.table"),
        ({"host_port": "http://127.0.0.1:1"}, "did not answer", "hostPort"),
    ],
)
def test_errors_say_what_mends_them(
    server: tuple[FakeTrino, str], settings: dict[str, Any], problem: str, hint: str
) -> None:
    with pytest.raises(WarehouseError, match=problem) as raised:
        list(make(*server, **settings).read(WINDOW))
    assert hint in raised.value.hint
    assert raised.value.__cause__ is None


def test_logins_reach_the_client_and_nothing_else() -> None:
    known: dict[str, Any] = {"type": "Trino", "username": "u", "host_port": "t:1"}
    secret = SecretStr("s3cr3t")
    for login in (TrinoLogin(password=secret), TrinoLogin(jwt=secret)):
        reader = Trino(**known, auth_type=login).of("t")
        assert "s3cr3t" not in repr(reader)
        with reader._cursor() as cursor:
            assert cursor._connection.http_scheme == "https"
            assert "s3cr3t" in str(vars(cursor._connection.auth))
    azure = TrinoLogin(azure_config={"clientSecret": "s3cr3t"})
    with pytest.raises(WarehouseError, match="azureConfig is not supported"):
        Trino(**known, auth_type=azure).of("t").check()
    with pytest.raises(WarehouseError, match="needs a browser"):
        Trino(**known, auth_type="OAuth2").of("t").check()


def test_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trino", None)
    with pytest.raises(MissingExtra, match=r"hex-assets\[trino\]"):
        Trino(type="Trino", username="u", host_port="t:1").of("t").check()


FillListener = Callable[[list[dict[str, Any]]], EventListener]


@pytest.fixture(scope="module")
def mariadb_port() -> Iterator[int]:
    with mariadb() as port:
        yield port


@pytest.fixture
def fill_listener(mariadb_port: int) -> Iterator[FillListener]:
    """Makes the listener's table in a database of its own."""
    import pymysql

    server = pymysql.connect(host="127.0.0.1", port=mariadb_port, user="root", autocommit=True)
    database = f"hex_assets_{uuid.uuid4().hex}"
    with server, server.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {database}")
        cursor.execute(f"USE {database}")
        cursor.execute(
            "CREATE TABLE trino_queries (query_id VARCHAR(255) NOT NULL PRIMARY KEY, "
            "query_state VARCHAR(255) NOT NULL, query MEDIUMTEXT NOT NULL, "
            "prepared_query MEDIUMTEXT, `user` VARCHAR(255) NOT NULL, `catalog` VARCHAR(255), "
            "`schema` VARCHAR(255), inputs_json MEDIUMTEXT NOT NULL)"
        )

        def fill(rows: list[dict[str, Any]]) -> EventListener:
            for row in rows:
                state = {"SUCCESS": "FINISHED", "FAIL": "FAILED"}[row["execution_status"]]
                cursor.execute(
                    "INSERT INTO trino_queries VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                    (
                        row["query_id"],
                        state,
                        row["query_text"],
                        row.get("prepared_query"),
                        row["user_name"],
                        row["database_name"],
                        row["schema_name"],
                        json.dumps(row.get("inputs", [])),
                    ),
                )
            return EventListener(
                host_port=f"127.0.0.1:{mariadb_port}", username="root", database=database
            )

        try:
            yield fill
        finally:
            cursor.execute(f"DROP DATABASE {database}")


def as_listened(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The executions with ids as Trino makes them, which know their second only."""
    listened = []
    for number, row in enumerate(rows):
        at = row["start_time"].replace(microsecond=0)
        query_id = f"{at:%Y%m%d_%H%M%S}_{number:05}_abcde"
        listened.append({**row, "start_time": at, "query_id": query_id})
    return listened


def listening(listener: EventListener, **settings: Any) -> Trino:
    known: dict[str, Any] = {"type": "Trino", "username": "reader", "host_port": "127.0.0.1:1"}
    return Trino(**(known | {"event_listener": listener} | settings)).of("trino_prod")


@pytest.mark.mariadb
def test_grouped_by_the_listeners_database(fill_listener: FillListener, tmp_path: Path) -> None:
    log = as_listened(query_log())
    reader = listening(fill_listener(log))
    same_rows(tmp_path, reader, log)
    assert reader.check() == "event listener's table readable, queries from 20261119 to 20261121"


@pytest.mark.mariadb
def test_the_listener_tells_what_was_read(fill_listener: FillListener) -> None:
    inputs = [
        {
            "catalogName": "hive",
            "schema": "core",
            "table": "orders",
            "columns": [{"name": "id", "type": "bigint"}, "region"],
            "connectorInfo": {"partitionIds": []},
        }
    ]
    text = f"SELECT * FROM v {comment()}"
    rows = as_listened(
        [
            entry(1, text, inputs=inputs),
            entry(2, text),
            entry(3, "EXECUTE s USING 'Ann'", prepared_query=f"SELECT ? FROM t {comment()}"),
        ]
    )
    found = read_query_history([listening(fill_listener(rows))], WINDOW).frame.rows
    table = {"database": "hive", "schema": "core", "table": "orders", "columns": ["id", "region"]}
    assert sorted(found.select("sql", "executions", "resolved").rows(), key=str) == [
        ("SELECT * FROM v", 2, [table]),
        ("SELECT ? FROM t", 1, None),
    ]


@pytest.mark.mariadb
def test_limits_and_faults_of_the_listener(fill_listener: FillListener) -> None:
    listener = fill_listener([])
    assert listening(listener).check() == "event listener's table readable, empty"
    rows = [
        entry(run, f"SELECT c{run} {comment()}", start_time=NOON + timedelta(seconds=run))
        for run in range(5)
    ]
    fill_listener(as_listened(rows))
    history = read_query_history([listening(listener, row_limit=3)], WINDOW)
    assert history.figures.executions == 3
    assert history.frame.gaps == (OVER_LIMIT.format(3),)
    for changes, problem in (
        ({"table": "absent"}, "is not there"),
        ({"table": "a`; DROP"}, "is not a table name"),
        ({"username": "nobody", "password": SecretStr("s3cr3t")}, "rejected the login of nobody"),
        ({"host_port": "127.0.0.1:1"}, "did not answer"),
    ):
        with pytest.raises(WarehouseError, match=problem) as raised:
            list(listening(listener.model_copy(update=changes)).read(WINDOW))
        assert raised.value.hint
        assert "s3cr3t" not in f"{raised.value!r}"
