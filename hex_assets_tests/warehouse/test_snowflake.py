"""The Snowflake reader against a local Snowflake, through the real connector."""

from __future__ import annotations

import json
import logging
import os
import pickle
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlglot
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from pydantic import SecretStr

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.warehouse.reader import Window
from hex_assets.warehouse.snowflake import Snowflake
from hex_assets_tests.warehouse.comments import PROJECT, comment, trace_id
from hex_assets_tests.warehouse.conftest import MakeReader
from hex_assets_tests.warehouse.logs import NOON, WINDOW, entry, query_log
from hex_assets_tests.warehouse.reads import read_query_history

pytestmark = pytest.mark.snowflake_fake

Fill = Callable[[str, list[dict[str, Any]]], None]


def pem(passphrase: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode())
    ).decode()


def test_statements_are_grouped_in_snowflake(make_reader: MakeReader, fill: Fill) -> None:
    fill("SNOWFLAKE.ACCOUNT_USAGE", query_log())
    (batch,) = make_reader().read(WINDOW)
    seen = batch.rows.sort("first_seen").select("executions", "sample_query_id").rows()
    # Runs 1 and 2 differ in their trace id only; 11 in the letter case of the marker.
    assert (2, "q002") in seen
    assert sum(executions for executions, _ in seen) == 18
    assert len(seen) == 16
    assert batch.cut == 0


def test_texts_cut_at_the_limit_are_counted(make_reader: MakeReader, fill: Fill) -> None:
    long = "SELECT '" + "x" * 99_992
    rows = [
        entry(1, long),
        entry(2, long, user_name="OTHER"),
        entry(3, long[:-1]),
        entry(4, f"SELECT 1 {comment()}"),
    ]
    fill("AUDIT.CUT", rows)
    history = read_query_history([make_reader(account_usage_schema="audit.cut")], WINDOW)
    assert history.figures.cut == 2
    assert history.figures.executions == 1


def test_many_groups_come_in_batches(
    make_reader: MakeReader, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hex_assets.warehouse.snowflake._ROWS_PER_BATCH", 10)
    rows = [entry(run, f"SELECT c{run} FROM t {comment()}") for run in range(35)]
    fill("AUDIT.MANY", rows)
    reader = make_reader(account_usage_schema='"AUDIT"."MANY"')
    assert [batch.rows.height for batch in reader.read(WINDOW)] == [10, 10, 10, 5]
    assert read_query_history([reader], WINDOW).frame.rows.height == 35


def test_an_empty_history(make_reader: MakeReader, fill: Fill) -> None:
    fill("AUDIT.EMPTY", [entry(1, "SELECT 1")])
    reader = make_reader(account_usage_schema="AUDIT.EMPTY", use_access_history=False)
    history = read_query_history([reader], WINDOW)
    assert history.frame.rows.is_empty()
    assert reader.check() == "readable, 0 statements in the last 24 hours"


def test_a_statement_of_the_users_own(make_reader: MakeReader, fill: Fill) -> None:
    fill("AUDIT.OWN", query_log())
    own = (
        "SELECT query_text, start_time, database_name, schema_name, user_name, query_id "
        "FROM AUDIT.OWN.QUERY_HISTORY "
        "WHERE start_time >= %(start)s AND start_time < %(end)s AND execution_status = 'SUCCESS' "
        "AND query_text ILIKE '%%hex query metadata%%'"
    )
    readers = [make_reader(history_statement=own), make_reader(account_usage_schema="AUDIT.OWN")]
    theirs, ours = (read_query_history([reader], WINDOW).frame.rows for reader in readers)
    assert theirs.rows(named=True) == ours.rows(named=True)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ("'SELECT 1' AS query_text", "returns no start_time"),
        ("'SELECT 1' AS query_text, 'noon' AS start_time", "returns str as start_time"),
    ],
)
def test_a_statement_of_the_users_own_that_returns_too_little(
    make_reader: MakeReader, columns: str, problem: str
) -> None:
    with pytest.raises(WarehouseError, match=problem):
        list(make_reader(history_statement=f"SELECT {columns}").read(WINDOW))


ACCESSED = [
    {
        "objectName": "ANALYTICS.CORE.V_ORDERS",
        "objectDomain": "View",
        "columns": [
            {"columnId": 1, "columnName": "AMOUNT"},
        ],
    },
    {"objectName": 'ANALYTICS."my.schema"."say ""hi"""', "objectDomain": "External table"},
    {"objectName": "ANALYTICS.CORE.LANDING", "objectDomain": "Stage"},
]
BEHIND = [
    {
        "objectName": "ANALYTICS.CORE.ORDERS",
        "objectDomain": "Table",
        "columns": [
            {"columnId": 3, "columnName": "TAX"},
            {"columnId": 2, "columnName": "NET"},
        ],
    },
]


def test_what_snowflake_resolved_comes_along(make_reader: MakeReader, fill: Fill) -> None:
    fill(
        "AUDIT.ACCESS",
        [
            entry(1, f"SELECT amount FROM v_orders {comment(trace_id=trace_id(1))}"),
            entry(2, f"SELECT amount FROM v_orders {comment(trace_id=trace_id(2))}"),
            entry(3, f"SELECT 1 {comment(trace_id=trace_id(3))}"),
        ],
    )
    with make_reader()._cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE TABLE AUDIT.ACCESS.ACCESS_HISTORY (query_id VARCHAR, "
            "query_start_time TIMESTAMP_LTZ, direct_objects_accessed VARIANT, "
            "base_objects_accessed VARIANT)"
        )
        cursor.execute(
            "INSERT INTO AUDIT.ACCESS.ACCESS_HISTORY "
            "SELECT 'q001', %s, PARSE_JSON(%s), PARSE_JSON(%s)",
            (NOON, json.dumps(ACCESSED), json.dumps(BEHIND)),
        )
    rows = read_query_history([make_reader(account_usage_schema="AUDIT.ACCESS")], WINDOW).frame.rows
    resolved = dict(rows.select("sample_query_id", "resolved").iter_rows())
    # The last execution is not in ACCESS_HISTORY yet; the one before it is.
    assert resolved == {
        "q002": [
            {
                "database": "ANALYTICS",
                "schema": "CORE",
                "table": "ORDERS",
                "columns": ["NET", "TAX"],
            },
            {"database": "ANALYTICS", "schema": "CORE", "table": "V_ORDERS", "columns": ["AMOUNT"]},
            {"database": "ANALYTICS", "schema": "my.schema", "table": 'say "hi"', "columns": []},
        ],
        "q003": None,
    }
    reader = make_reader(account_usage_schema="AUDIT.ACCESS", use_access_history=False)
    assert read_query_history([reader], WINDOW).frame.rows["resolved"].to_list() == [None, None]


def test_the_latest_hours_from_the_information_schema(
    make_reader: MakeReader, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(timezone.utc)
    early, late = now - timedelta(minutes=50), now - timedelta(minutes=5)
    there = entry(1, f"SELECT 1 {comment()}", start_time=early)
    fill("AUDIT.TOPPED", [there])
    fill("AUDIT.RECENT", [there, entry(2, f"SELECT 1 {comment()}", start_time=late)])
    monkeypatch.setattr("hex_assets.warehouse.snowflake._RECENT", "AUDIT.RECENT.QUERY_HISTORY")
    window = Window(now - timedelta(hours=1), now)
    settings = {"account_usage_schema": "AUDIT.TOPPED", "database": "AUDIT"}
    for recent, executions in ((False, 1), (True, 2)):
        reader = make_reader(recent_from_information_schema=recent, **settings)
        rows = read_query_history([reader], window).frame.rows
        assert rows["executions"].to_list() == [executions]


@pytest.mark.parametrize("access", [False, True])
@pytest.mark.parametrize("recent", [False, True])
def test_what_the_local_snowflake_cannot_run_is_at_least_snowflake_sql(
    make_reader: MakeReader, access: bool, recent: bool
) -> None:
    statement = make_reader()._history(access=access, recent=recent)
    for name in ("start", "end", "limit"):
        statement = statement.replace(f"%({name})s", f":{name}")
    assert not isinstance(sqlglot.parse_one(statement, dialect="snowflake"), sqlglot.exp.Command)


def test_rows_beyond_the_limit_are_a_gap(make_reader: MakeReader, fill: Fill) -> None:
    fill("AUDIT.MANY", [entry(run, f"SELECT {run} FROM t{run} {comment()}") for run in range(5)])
    settings = {"account_usage_schema": "AUDIT.MANY"}
    exact = read_query_history([make_reader(row_limit=5, **settings)], WINDOW).frame
    assert (exact.rows.height, exact.complete) == (5, True)
    short = read_query_history([make_reader(row_limit=4, **settings)], WINDOW).frame
    assert short.rows.height == 4
    assert "more than 4 rows of history" in short.gaps[0]


def test_check_tells_what_is_there(make_reader: MakeReader, fill: Fill) -> None:
    lately = datetime.now(timezone.utc) - timedelta(hours=1)
    fill("AUDIT.LATELY", [entry(1, "SELECT 1", start_time=lately)])
    reader = make_reader(account_usage_schema="AUDIT.LATELY")
    assert reader.check().startswith(
        "readable, 1 statements in the last 24 hours; ACCESS_HISTORY is"
    )
    reader = make_reader(account_usage_schema="AUDIT.LATELY", use_access_history=False)
    assert reader.check() == "readable, 1 statements in the last 24 hours"


def test_key_pair_and_oauth_log_in(make_reader: MakeReader, fill: Fill) -> None:
    fill("AUDIT.LOGIN", [entry(1, f"SELECT 1 {comment(trace_id=trace_id(1))}")])
    key = pem("pa55phrase").replace("\n", "\\n")
    for login in (
        {"private_key": SecretStr(key), "snowflake_privatekey_passphrase": SecretStr("pa55phrase")},
        {"oauth_token": SecretStr("oauth-t0ken")},
        {"programmatic_access_token": SecretStr("p4t-t0ken")},
    ):
        reader = make_reader(account_usage_schema="AUDIT.LOGIN", password=None, **login)
        (batch,) = reader.read(WINDOW)
        assert batch.rows["executions"].to_list() == [1]


@pytest.mark.parametrize(
    ("settings", "problem", "hint"),
    [
        ({"username": "wrong_password"}, "rejected the login of user wrong_password", "password"),
        (
            {"username": "wrong_role", "role": "READER"},
            "user wrong_role may not use READER",
            "GRANT ROLE READER TO USER wrong_role",
        ),
        ({"username": "wrong_network"}, "a network policy of account fakesnow", "allowed list"),
        (
            {"username": "no_warehouse"},
            "no warehouse runs the statement",
            "GRANT USAGE ON WAREHOUSE",
        ),
        (
            {"username": "no_grant", "role": "READER"},
            "SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY cannot be read by READER",
            "GRANT DATABASE ROLE SNOWFLAKE.GOVERNANCE_VIEWER",
        ),
        (
            {"account_usage_schema": "NOWHERE.AT_ALL"},
            "NOWHERE.AT_ALL.QUERY_HISTORY cannot be read",
            "accountUsageSchema",
        ),
        ({"username": "slow"}, "stopped the statement", "lookBackDays"),
        ({"username": "odd"}, "Snowflake refused", "worksheet"),
        ({"account_usage_schema": "A.B; DROP TABLE c"}, "is not a schema name", "DATABASE.SCHEMA"),
        ({"private_key": SecretStr("s3cr3t-key")}, "private key cannot be read", "PKCS 8"),
        (
            {
                "private_key": SecretStr(pem("right")),
                "snowflake_privatekey_passphrase": SecretStr("wr0ng"),
            },
            "private key cannot be read",
            "snowflakePrivatekeyPassphrase",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_errors_say_what_mends_them(
    make_reader: MakeReader, settings: dict[str, Any], problem: str, hint: str
) -> None:
    with pytest.raises(WarehouseError) as raised:
        list(make_reader(**settings).read(WINDOW))
    error = raised.value
    assert problem in error.problem
    assert hint in error.hint
    assert not error.transient
    assert error.__cause__ is None
    for secret in ("s3cr3t", "wr0ng", "BEGIN"):
        assert secret not in f"{error}{error!r}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_no_answer_may_be_tried_again(make_reader: MakeReader) -> None:
    arguments = {"host": "127.0.0.1", "port": 1, "protocol": "http", "login_timeout": 1}
    with pytest.raises(WarehouseError, match="fakesnow did not answer") as raised:
        make_reader(connection_arguments=arguments).check()
    assert raised.value.transient


def test_a_broken_stream_is_our_error(make_reader: MakeReader) -> None:
    with pytest.raises(WarehouseError, match="error getting next batch"), make_reader()._cursor():
        raise Exception("[Snowflake Exception] error getting next batch from stream")


def test_nothing_leaks(
    make_reader: MakeReader,
    fill: Fill,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    fill("AUDIT.SECRET", [entry(1, f"SELECT 'Ann' {comment()}")])
    reader = make_reader(
        account_usage_schema="AUDIT.SECRET",
        connection_arguments={**make_reader().connection_arguments, "token": "t0ken-in-arguments"},
    )
    list(reader.read(WINDOW))
    with pytest.raises(WarehouseError):
        list(make_reader(username="wrong_password").read(WINDOW))
    captured = capfd.readouterr()
    said = caplog.text + captured.out + captured.err + repr(reader)
    for secret in ("s3cr3t", "t0ken-in-arguments", "Ann", "alice@mail.com", PROJECT):
        assert secret not in said


def test_the_cloud_around_the_client_is_not_probed(
    make_reader: MakeReader, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill("AUDIT.PROBE", [entry(1, "SELECT 1")])
    switch = "SNOWFLAKE_DISABLE_PLATFORM_DETECTION"
    monkeypatch.setenv(switch, "before")
    make_reader(account_usage_schema="AUDIT.PROBE").check()
    assert os.environ[switch] == "before"
    monkeypatch.delenv(switch)
    make_reader(account_usage_schema="AUDIT.PROBE").check()
    assert os.environ[switch] == "true"


def test_without_the_connector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "snowflake.connector", None)
    reader = Snowflake(
        type="Snowflake", account="a", username="u", password=SecretStr("p"), warehouse="w"
    ).of("snowflake_prod")
    with pytest.raises(MissingExtra, match=r"hex-assets\[snowflake\]"):
        reader.check()
