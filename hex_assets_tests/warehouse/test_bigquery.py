"""The BigQuery reader through the real client, against an emulator.

The emulator has no INFORMATION_SCHEMA.JOBS, so the statements run on tables of its columns.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.warehouse.bigquery import _CHECK, _HISTORY, BigQuery
from hex_assets_tests.warehouse.comments import PROJECT, comment, trace_id
from hex_assets_tests.warehouse.environments import absent, python_of, running
from hex_assets_tests.warehouse.expected import expected_history
from hex_assets_tests.warehouse.logs import WINDOW, entry, query_log
from hex_assets_tests.warehouse.reads import read_query_history

emulated = pytest.mark.bigquery_emulator

EMULATOR = (
    "bqemulator==1.4.0",
    "duckdb==1.5.5",
    "duckdb-extensions==1.5.5",
    "duckdb-extension-icu==1.5.5",
    "duckdb-extension-spatial==1.5.5",
    "numpy",
)
Make = Callable[..., BigQuery]
Fill = Callable[[str, list[dict[str, Any]]], None]


@pytest.fixture(scope="session")
def bigquery_port() -> Iterator[int]:
    """Port of a BigQuery on 127.0.0.1, which lives as long as the session."""
    try:
        python = python_of("bqemulator-1.4.0", EMULATOR)
    except (OSError, subprocess.SubprocessError) as error:
        absent(f"bqemulator cannot be installed: {error}")
    with running(python, Path(__file__).with_name("fake_bigquery.py")) as port:
        yield port


@pytest.fixture(scope="session")
def key() -> str:
    """Private key of a service account."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@contextmanager
def answering(status: int, answer: dict[str, Any]) -> Iterator[str]:
    """Address of a server that gives every request the same answer."""

    class Answer(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            """Nothing is logged."""

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


TOKEN = {"access_token": "s3cr3t-token", "expires_in": 3600, "token_type": "Bearer"}


@pytest.fixture(scope="session")
def tokens() -> Iterator[str]:
    """Address of a server that gives tokens to service accounts."""
    with answering(200, TOKEN) as address:
        yield address


@pytest.fixture
def connection(key: str, tokens: str) -> dict[str, Any]:
    """A service account's connection, by values."""
    return {
        "type": "BigQuery",
        "credentials": {
            "gcpConfig": {
                "type": "service_account",
                "projectId": "analytics",
                "privateKeyId": "1",
                "privateKey": key.replace("\n", "\\n"),
                "clientEmail": "hex-assets@analytics.iam.gserviceaccount.com",
                "clientId": "1",
                "tokenUri": tokens,
            }
        },
    }


@pytest.fixture
def make(connection: dict[str, Any], bigquery_port: int) -> Make:
    """A reader of the local BigQuery; its settings may be overridden."""

    def made(**settings: Any) -> BigQuery:
        host = {"hostPort": f"http://127.0.0.1:{bigquery_port}"}
        return BigQuery.model_validate(connection | host | settings).of("bigquery_prod")

    return made


@pytest.fixture
def fill(make: Make) -> Fill:
    """Makes a table of jobs of such rows, in the dataset ``audit``."""

    def filled(table: str, rows: list[dict[str, Any]]) -> None:
        from google.cloud import bigquery

        columns = (
            "job_id parent_job_id query project_id user_email job_type state statement_type"
        ).split()
        schema = [
            *(bigquery.SchemaField(name, "STRING") for name in columns),
            bigquery.SchemaField("creation_time", "TIMESTAMP"),
            bigquery.SchemaField("cache_hit", "BOOL"),
            bigquery.SchemaField(
                "error_result", "RECORD", fields=[bigquery.SchemaField("reason", "STRING")]
            ),
            bigquery.SchemaField(
                "referenced_tables",
                "RECORD",
                mode="REPEATED",
                fields=[
                    bigquery.SchemaField(name, "STRING")
                    for name in ("project_id", "dataset_id", "table_id")
                ],
            ),
        ]
        values = [
            {
                "job_id": row["query_id"],
                "parent_job_id": row.get("parent"),
                "query": row["query_text"],
                "project_id": row["database_name"],
                "user_email": row["user_name"],
                "job_type": "QUERY",
                "state": "DONE",
                "statement_type": row.get("statement_type", "SELECT"),
                "creation_time": row["start_time"].isoformat(),
                "cache_hit": row.get("cache_hit"),
                "error_result": None
                if row["execution_status"] == "SUCCESS"
                else {"reason": "invalidQuery"},
                "referenced_tables": [
                    dict(zip(("project_id", "dataset_id", "table_id"), name, strict=True))
                    for name in row.get("tables", [])
                ],
            }
            for row in rows
        ]
        with make()._client("us") as client:
            client.create_dataset("audit", exists_ok=True)
            client.create_table(bigquery.Table(f"analytics.audit.{table}", schema))
            if values:
                assert client.insert_rows_json(f"analytics.audit.{table}", values) == []

    return filled


@emulated
def test_bigquery_groups_as_we_do(make: Make, fill: Fill) -> None:
    fill("same", query_log())
    history = read_query_history([make(jobsTable="analytics.audit.same")], WINDOW)
    expected = expected_history("bigquery_prod", "bigquery", query_log(), schema=False)
    assert history.frame.rows.rows(named=True) == expected.frame.rows.rows(named=True)
    assert history.figures == expected.figures
    assert history.figures.executions == 16


@emulated
def test_equal_executions_are_one_row(make: Make, fill: Fill) -> None:
    fill("one", [entry(run, f"SELECT 1 {comment(trace_id=trace_id(run))}") for run in range(200)])
    (batch,) = make(jobsTable="analytics.audit.one").read(WINDOW)
    assert batch.rows["executions"].to_list() == [200]
    assert batch.rows["users"].to_list() == [["alice@mail.com"]]


@emulated
def test_bigquery_says_what_a_statement_read(make: Make, fill: Fill) -> None:
    text = f"SELECT id FROM shop.orders {comment()}"
    rows = [
        entry(1, text, tables=[("analytics", "shop", "old")]),
        entry(2, text, tables=[("raw", "shop", "orders"), ("analytics", "_abc", "anon1")]),
        entry(3, text, cache_hit=True),
        entry(4, f"SELECT 2 {comment()}", tables=[("analytics", "_abc", "anon2")]),
    ]
    fill("resolved", rows)
    history = read_query_history([make(jobsTable="analytics.audit.resolved")], WINDOW)
    found = history.frame.rows.sort("first_seen").rows(named=True)
    # A cached result reads nothing, and is no job to look at.
    assert [(row["executions"], row["sample_query_id"], row["resolved"]) for row in found] == [
        (
            3,
            "q002",
            [{"database": "raw", "schema": "shop", "table": "orders", "columns": []}],
        ),
        (1, "q004", None),
    ]


@emulated
def test_a_script_counts_once(make: Make, fill: Fill) -> None:
    script = f"CREATE TEMP TABLE a AS SELECT 1; SELECT * FROM a {comment()}"
    last = f"SELECT * FROM a {comment()}"
    alone = f"SELECT 1; SELECT 2; {comment()}"
    rows = [
        entry(1, script, statement_type="SCRIPT"),
        entry(2, "CREATE TEMP TABLE a AS SELECT 1", parent="q001"),
        entry(3, last, parent="q001"),
        entry(4, alone, statement_type="SCRIPT"),
        entry(5, "SELECT 1", parent="q004"),
    ]
    fill("scripts", rows)
    history = read_query_history([make(jobsTable="analytics.audit.scripts")], WINDOW)
    assert sorted(history.frame.rows["sample_query_id"]) == ["q003", "q004"]


@emulated
def test_all_projects_and_locations(make: Make, fill: Fill) -> None:
    fill("empty", [])
    reader = make(projects=["analytics", "example.com:raw"], locations=["us", "europe-west1"])
    assert [jobs for jobs, _ in reader._sources] == [
        "`analytics`.`region-us`.INFORMATION_SCHEMA.JOBS",
        "`analytics`.`region-europe-west1`.INFORMATION_SCHEMA.JOBS",
        "`example.com:raw`.`region-us`.INFORMATION_SCHEMA.JOBS",
        "`example.com:raw`.`region-europe-west1`.INFORMATION_SCHEMA.JOBS",
    ]
    copy = make(jobsTable="analytics.audit.empty")
    assert read_query_history([copy], WINDOW).frame.rows.is_empty()
    assert copy.check() == "readable, 0 statements in the last 24 hours in 1 project(s)"


@emulated
def test_more_rows_than_the_limit_are_a_gap(make: Make, fill: Fill) -> None:
    fill("many", [entry(run, f"SELECT c{run} FROM t {comment()}") for run in range(7)])
    whole = make(jobsTable="analytics.audit.many", rowLimit=7)
    assert read_query_history([whole], WINDOW).frame.complete
    limited = read_query_history([make(jobsTable="analytics.audit.many", rowLimit=6)], WINDOW)
    assert limited.figures.executions == 6
    assert "more than 6 rows" in limited.frame.gaps[0]


@emulated
def test_results_come_in_pages(make: Make, fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hex_assets.warehouse.bigquery._ROWS_PER_PAGE", 10)
    fill("pages", [entry(run, f"SELECT c{run} FROM t {comment()}") for run in range(25)])
    batches = list(make(jobsTable="analytics.audit.pages").read(WINDOW))
    assert [batch.rows.height for batch in batches] == [10, 10, 5]


@emulated
def test_a_statement_of_the_users_own(make: Make, fill: Fill) -> None:
    fill("own", query_log())
    own = (
        "SELECT query AS query_text, creation_time AS start_time, project_id AS database_name, "
        "user_email AS user_name, job_id AS query_id FROM analytics.audit.own "
        "WHERE creation_time >= @start AND creation_time < @end AND error_result IS NULL "
        "AND LOWER(query) LIKE '%hex query metadata%'"
    )
    theirs, ours = (
        read_query_history([reader], WINDOW).frame.rows
        for reader in (make(historyStatement=own), make(jobsTable="analytics.audit.own"))
    )
    assert theirs.rows(named=True) == ours.rows(named=True)


@emulated
def test_a_table_that_is_not_there(make: Make) -> None:
    with pytest.raises(
        WarehouseError, match=r"audit\.nowhere of analytics does not exist"
    ) as raised:
        list(make(jobsTable="analytics.audit.nowhere").read(WINDOW))
    assert "jobsTable" in raised.value.hint


@emulated
def test_key_files_log_in(make: Make, fill: Fill, connection: Any, tmp_path: Path) -> None:
    fill("file", [entry(1, f"SELECT 1 {comment()}")])
    values = connection["credentials"]["gcpConfig"]
    file = tmp_path / "key.json"
    file.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "analytics",
                "private_key_id": "1",
                "private_key": values["privateKey"].replace("\\n", "\n"),
                "client_email": values["clientEmail"],
                "token_uri": values["tokenUri"],
            }
        )
    )
    config = {"type": "gcp_credential_path", "path": str(file), "projectId": ["analytics"]}
    reader = make(credentials={"gcpConfig": config}, jobsTable="analytics.audit.file")
    assert read_query_history([reader], WINDOW).figures.executions == 1


@emulated
def test_nothing_leaks(
    make: Make,
    fill: Fill,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    fill("secret", [entry(1, f"SELECT 'Ann' {comment()}")])
    caplog.set_level(logging.DEBUG)
    reader = make(jobsTable="analytics.audit.secret")
    list(reader.read(WINDOW))
    captured = capfd.readouterr()
    said = caplog.text + captured.out + captured.err + repr(reader)
    for secret in ("s3cr3t", "PRIVATE KEY", "Ann", "alice@mail.com", PROJECT):
        assert secret not in said


def refusal(code: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    error = {"code": code, "message": message, "errors": [{"reason": reason, "message": message}]}
    return code, {"error": error}


@pytest.mark.parametrize(
    ("answer", "problem", "hint"),
    [
        (
            refusal(403, "accessDenied", "Access Denied: User does not have bigquery.jobs.create"),
            "may not be run in project analytics",
            "roles/bigquery.jobUser",
        ),
        (
            refusal(403, "accessDenied", "Access Denied: User needs bigquery.jobs.listAll"),
            "INFORMATION_SCHEMA.JOBS of analytics in us cannot be read",
            "roles/bigquery.resourceViewer",
        ),
        (
            refusal(400, "bytesBilledLimitExceeded", "Query exceeded limit for bytes billed"),
            "more than 200000000000 bytes",
            "maximumBytesBilled",
        ),
        (
            refusal(404, "notFound", "Not found: Table analytics:region-xx was not found"),
            "does not exist in us",
            "usageLocation",
        ),
        (refusal(401, "authError", "Invalid Credentials"), "rejected the login", "credentials"),
        (refusal(400, "invalid", "odd s3cr3t-argument"), "BigQuery refused", "BigQuery Studio"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_errors_say_what_mends_them(
    connection: dict[str, Any], answer: tuple[int, dict[str, Any]], problem: str, hint: str
) -> None:
    with answering(*answer) as address, pytest.raises(WarehouseError) as raised:
        settings = {"hostPort": address}
        list(BigQuery.model_validate(connection | settings).of("bigquery_prod").read(WINDOW))
    assert problem in raised.value.problem
    assert hint in raised.value.hint
    assert not raised.value.transient
    assert raised.value.__cause__ is None


def test_a_key_that_is_rejected(connection: dict[str, Any]) -> None:
    refused = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
    with answering(400, refused) as address, pytest.raises(WarehouseError) as raised:
        connection["credentials"]["gcpConfig"]["tokenUri"] = address
        BigQuery.model_validate(connection | {"hostPort": address}).of("bigquery_prod").check()
    assert "rejected the login" in raised.value.problem
    assert "PRIVATE" not in str(raised.value)


def test_a_key_that_is_none(connection: dict[str, Any]) -> None:
    connection["credentials"]["gcpConfig"]["privateKey"] = "s3cr3t-no-key"
    with pytest.raises(WarehouseError, match="key of the credentials cannot be read") as raised:
        BigQuery.model_validate(connection).of("bigquery_prod").check()
    assert "s3cr3t" not in str(raised.value)


def test_an_argument_that_the_client_does_not_know(connection: dict[str, Any]) -> None:
    reader = BigQuery.model_validate(connection | {"connectionArguments": {"colour": "s3cr3t"}})
    with pytest.raises(WarehouseError, match="do not fit the client library") as raised:
        reader.of("bigquery_prod").check()
    assert "colour" in str(raised.value)
    assert "s3cr3t" not in str(raised.value)


def test_another_account_is_acted_as(connection: dict[str, Any]) -> None:
    account = "reader@analytics.iam.gserviceaccount.com"
    connection["credentials"]["gcpImpersonateServiceAccount"] = {
        "impersonateServiceAccount": account,
        "lifetime": 600,
    }
    login = BigQuery.model_validate(connection).of("bigquery_prod")._login()
    assert login.service_account_email == account


def test_credentials_around_us(
    connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    for config in ({"type": "gcp_adc", "projectId": "analytics"}, {"projectId": "analytics"}):
        settings = {"type": "BigQuery", "credentials": {"gcpConfig": config}}
        with pytest.raises(WarehouseError, match="rejected the login, or there is none"):
            BigQuery.model_validate(settings).of("bigquery_prod").check()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"projects": ["a`; DROP"]}, "letters, digits"),
        ({"jobsTable": "a.b.c WHERE 1"}, "letters, digits"),
        ({"usageLocation": "us`"}, "letters, digits"),
        ({"credentials": {"gcpConfig": {"type": "gcp_adc"}}}, "names no project"),
    ],
)
def test_settings_that_cannot_be_used(
    connection: dict[str, Any], settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        BigQuery.model_validate(connection | settings)


def test_the_statements_are_bigquerys() -> None:
    jobs = "`analytics`.`region-us`.INFORMATION_SCHEMA.JOBS"
    for statement in (_HISTORY, _CHECK):
        tree = sqlglot.parse_one(statement.replace("JOBS", jobs), read="bigquery")
        assert "metadata: {" not in tree.sql(dialect="bigquery")


def test_without_the_client(connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.bigquery", None)
    monkeypatch.delattr("google.cloud.bigquery", raising=False)
    with pytest.raises(MissingExtra, match=r"hex-assets\[bigquery\]"):
        BigQuery.model_validate(connection).of("bigquery_prod").check()
