"""The Athena reader through boto3 against moto's server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.warehouse.athena import Athena
from hex_assets.warehouse.aws import AwsCredentials
from hex_assets.warehouse.reader import Window
from hex_assets_tests.warehouse.comments import comment, trace_id
from hex_assets_tests.warehouse.environments import python_of
from hex_assets_tests.warehouse.logs import NOON, WINDOW, entry, query_log
from hex_assets_tests.warehouse.reads import read_query_history
from hex_assets_tests.warehouse.test_query_log import reader as file_reader
from hex_assets_tests.warehouse.test_query_log import write

pytestmark = pytest.mark.athena_fake


@pytest.fixture(scope="module")
def athena_url() -> Iterator[str]:
    try:
        python = python_of("moto-5.2.5", ["moto[athena,sts,iam,server]==5.2.5"])
    except (OSError, subprocess.SubprocessError) as error:
        reason = f"moto cannot be installed: {error}"
        if os.environ.get("HEX_ASSETS_REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with subprocess.Popen(
        [str(python), str(Path(__file__).with_name("fake_athena.py"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


def make(url: str, **settings: Any) -> Athena:
    aws: dict[str, Any] = {
        "aws_region": "us-east-1",
        "aws_access_key_id": "AKIA",
        "aws_secret_access_key": SecretStr("s3cr3t-key"),
        "end_point_url": url,
    } | settings.pop("aws", {})
    known: dict[str, Any] = {
        "aws_config": AwsCredentials(**aws),
        "s3_staging_dir": "s3://bucket/results",
    }
    return Athena(**({"type": "Athena"} | known | settings)).of("athena_prod")


def fill(url: str, rows: list[dict[str, Any]], prefix: str = "group") -> str:
    """A new work group in which the statements ran, in order; its name."""
    group = f"{prefix}-{uuid.uuid4().hex}"
    with make(url)._client() as client:
        client.create_work_group(Name=group)
        for row in rows:
            state = {"SUCCESS": "SUCCEEDED", "FAIL": "FAILED"}[row["execution_status"]]
            status = {"State": state, "SubmissionDateTime": row["start_time"].timestamp()}
            schema = {"Database": row["schema_name"]} if row["schema_name"] else {}
            client.start_query_execution(
                QueryString=row["query_text"],
                WorkGroup=group,
                QueryExecutionContext={**schema, "Catalog": json.dumps(status)},
                ResultConfiguration={"OutputLocation": "s3://bucket/results"},
            )
    return group


def requests(url: str) -> list[str]:
    """What was asked since this was asked last."""
    with urllib.request.urlopen(f"{url}/requests") as answer:
        told: list[str] = json.load(answer)
    return told


@pytest.mark.parametrize("prefix", ["oldest", "newest"])
def test_grouped_while_streaming_as_from_a_file(
    athena_url: str, tmp_path: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hex_assets.warehouse.athena._ROWS_PER_BATCH", 5)
    log = sorted(query_log(), key=lambda row: row["start_time"])
    group = fill(athena_url, log, prefix)
    # Athena tells neither catalog nor user.
    known = [{**row, "database_name": None, "user_name": None} for row in log]
    exported = file_reader(write(tmp_path / "log.parquet", known), dialect="athena").of(
        "athena_prod"
    )
    ours, theirs = (
        read_query_history([reader], WINDOW)
        for reader in (make(athena_url, workgroup=group), exported)
    )
    assert ours.figures.executions == theirs.figures.executions == 16
    assert ours.figures.unreadable == 2
    drop = "sample_query_id"  # moto gives its own
    assert ours.frame.rows.drop(drop).rows(named=True) == theirs.frame.rows.drop(drop).rows(
        named=True
    )


def hourly(hours: int) -> list[dict[str, Any]]:
    """One execution an hour up to noon, the oldest first."""
    return [
        entry(hour, f"SELECT {hour} {comment()}", start_time=NOON - timedelta(hours=hour))
        for hour in reversed(range(hours))
    ]


def test_a_listing_from_new_to_old_ends_at_the_first_old_page(athena_url: str) -> None:
    group = fill(athena_url, hourly(400), "newest")
    requests(athena_url)
    window = Window(NOON - timedelta(hours=60), NOON)
    rows = read_query_history([make(athena_url, workgroup=group)], window).frame.rows
    assert rows["executions"].sum() == 60
    # 50 a page: two pages of the window, the second with old ones too, and one of old ones.
    assert requests(athena_url).count("ListQueryExecutions") == 3


@pytest.mark.parametrize("burst", [False, True], ids=["hourly", "in one second"])
def test_another_order_is_read_to_its_end(athena_url: str, burst: bool) -> None:
    old = hourly(200)[:120]
    if burst:
        old = [row | {"start_time": NOON - timedelta(days=9)} for row in old]
    group = fill(athena_url, old + hourly(3), "oldest")
    window = Window(NOON - timedelta(hours=60), NOON + timedelta(hours=1))
    rows = read_query_history([make(athena_url, workgroup=group)], window).frame.rows
    assert rows["executions"].sum() == 3


def test_the_row_limit_is_a_gap(athena_url: str) -> None:
    group = fill(athena_url, hourly(120), "newest")
    history = read_query_history([make(athena_url, workgroup=group, row_limit=60)], WINDOW)
    assert history.frame.gaps[0].startswith(
        "athena_prod: stopped at rowLimit after 100 executions; give Hex a work group of its own"
    )


def test_several_work_groups(athena_url: str) -> None:
    first, second = (
        fill(athena_url, [entry(run, f"SELECT {run} {comment(trace_id=trace_id(run))}")])
        for run in (1, 2)
    )
    both = make(athena_url, history_workgroups=[first, second])
    assert sum(batch.rows.height for batch in both.read(WINDOW)) == 2
    assert both.check() == f"readable, work group {first}, {second}; Athena names no users"
    every = make(athena_url, history_workgroups=["*"])
    assert {"primary", first, second} <= set(
        every.check().removeprefix("readable, work group ").partition(";")[0].split(", ")
    )


def test_a_statement_of_the_users_own(athena_url: str) -> None:
    columns = [("query_text", "varchar"), ("start_time", "timestamp")]
    data = [f"SELECT 1 {comment()}", "2026-11-20 12:00:00.000"]
    results = {
        "results": [
            {
                "rows": [
                    {"Data": [{"VarCharValue": name} for name, _ in columns]},
                    {"Data": [{"VarCharValue": text} for text in data]},
                ],
                "column_info": [
                    {"CatalogName": "", "SchemaName": "", "TableName": "", "Name": name,
                     "Label": name, "Type": kind, "Precision": 0, "Scale": 0,
                     "Nullable": "UNKNOWN", "CaseSensitive": True}
                    for name, kind in columns
                ],
            }
        ],
        "region": "us-east-1",
    }  # fmt: skip
    request = urllib.request.Request(
        f"{athena_url}/moto-api/static/athena/query-results",
        json.dumps(results).encode(),
        {"Content-Type": "application/json"},
        method="POST",
    )
    urllib.request.urlopen(request).close()
    own = "SELECT query_text, start_time FROM log WHERE start_time >= ? AND start_time < ?"
    history = read_query_history([make(athena_url, history_statement=own)], WINDOW)
    assert history.frame.rows["first_seen"].to_list() == [NOON]
    with make(athena_url)._client() as client:
        listed = client.list_query_executions(WorkGroup="primary")["QueryExecutionIds"]
        ran = client.get_query_execution(QueryExecutionId=listed[-1])["QueryExecution"]
    assert ran["Query"] == own


def test_a_role_is_assumed(athena_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", athena_url)
    group = fill(athena_url, [entry(1, f"SELECT 1 {comment()}")])
    role = {"assume_role_arn": "arn:aws:iam::123456789012:role/reader"}
    reader = make(athena_url, aws=role, workgroup=group)
    assert reader.aws_config.session("glue").get_credentials().access_key != "AKIA"
    (batch,) = reader.read(WINDOW)
    assert batch.rows.height == 1


@pytest.mark.parametrize(
    ("settings", "problem", "hint"),
    [
        ({"aws": {"aws_access_key_id": "DENIED"}}, "may not read", "athena:BatchGetQueryExecution"),
        ({"aws": {"profile_name": "nobody"}}, "profile nobody is not in", "profileName"),
    ],
)
def test_errors_say_what_mends_them(
    athena_url: str, settings: dict[str, Any], problem: str, hint: str
) -> None:
    with pytest.raises(WarehouseError, match=problem) as raised:
        list(make(athena_url, **settings).read(WINDOW))
    assert hint in raised.value.hint
    assert raised.value.__cause__ is None
    assert "s3cr3t" not in f"{raised.value}{raised.value!r}"


def test_without_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.config", None)
    with pytest.raises(MissingExtra, match=r"hex-assets\[athena\]"):
        make("http://127.0.0.1:1").check()
