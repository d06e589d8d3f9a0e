"""Query log files of each format, local and remote, whole and damaged."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError
from upath import UPath

from hex_assets.errors import WarehouseError
from hex_assets.warehouse.query_log import QueryLog
from hex_assets.warehouse.reader import Window
from hex_assets_tests.warehouse.comments import PROJECT, comment, trace_id
from hex_assets_tests.warehouse.grouping import statements
from hex_assets_tests.warehouse.logs import NOON, WINDOW, entry, query_log
from hex_assets_tests.warehouse.reads import read_query_history

Rows = list[dict[str, Any]]


def reader(path: Path | str, **settings: Any) -> QueryLog:
    known: dict[str, Any] = {"type": "QueryLog", "path": str(path), "dialect": "snowflake"}
    return QueryLog(**(known | settings)).of("warehouse")


def read(log: QueryLog, window: Window = WINDOW) -> pl.DataFrame:
    return pl.concat([statements(batch) for batch in log.read(window)])


def write(path: Path, rows: Rows) -> Path:
    """The rows in the format of the suffix; times as ISO 8601 where it has no type for them."""
    plain = [
        {
            key: value.isoformat() if isinstance(value, datetime) else value
            for key, value in row.items()
        }
        for row in rows
    ]
    opened = gzip.open if path.suffix == ".gz" else open
    if ".parquet" in path.name:
        pl.DataFrame(rows).write_parquet(path)
    elif ".csv" in path.name:
        with opened(path, "wt", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(plain[0]))
            table.writeheader()
            table.writerows(plain)
    else:
        with opened(path, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in plain)
    return path


NAMES = ["log.parquet", "log.csv", "log.csv.gz", "log.jsonl", "log.jsonl.gz", "log.ndjson"]


@pytest.mark.parametrize("name", NAMES)
def test_formats(tmp_path: Path, name: str) -> None:
    log = reader(write(tmp_path / name, query_log()))
    found = read(log).select("sample_query_id", "executions").sort("sample_query_id").rows()
    # Run 1 is a group with 2, and 5 with 6: only trace id and user are others.
    twice = {2, 6}
    wanted = [2, 3, 4, *range(6, 15), 20, 21, 22, 27]
    assert found == [(f"q{run:03}", 2 if run in twice else 1) for run in wanted]
    assert log.check() == "1 file found, columns are there"


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_of_a_megabyte(tmp_path: Path, name: str) -> None:
    items = ", ".join(f"'{number:06}'" for number in range(105_000))
    text = f"SELECT a FROM t WHERE b IN ({items})\n{comment()}"
    assert len(text) > 1_000_000
    log = reader(write(tmp_path / name, [entry(1, text)]))
    rows = read_query_history([log], WINDOW).frame.rows
    assert rows["sql"].to_list() == ["SELECT a FROM t WHERE b IN ('?')"]


def test_globs_and_other_suffixes(tmp_path: Path) -> None:
    (tmp_path / "day=1").mkdir()
    (tmp_path / "day=2").mkdir()
    write(tmp_path / "day=1" / "a.jsonl", [entry(1, f"SELECT 1 {comment()}")])
    write(tmp_path / "day=2" / "b.jsonl", [entry(2, f"SELECT 1 {comment()}")])
    (tmp_path / "day=2" / "c.jsonl").write_text("")
    log = reader(tmp_path / "*" / "*.jsonl")
    assert read(log)["sample_query_id"].to_list() == ["q001", "q002"]
    assert log.check() == "3 files found, columns are there"
    odd = (tmp_path / "day=1" / "a.jsonl").rename(tmp_path / "log[1].txt")
    assert read(reader(odd, format="jsonl")).height == 1
    with pytest.raises(WarehouseError, match="Set `format`"):
        read(reader(odd))


def test_a_remote_file_system(tmp_path: Path) -> None:
    local = write(tmp_path / "log.parquet", query_log())
    remote = UPath("memory://logs/one.parquet")
    remote.parent.mkdir(exist_ok=True)
    remote.write_bytes(local.read_bytes())
    try:
        assert read(reader("memory://logs/one.parquet"))["executions"].sum() == 18
        assert read(reader("memory://logs/*.parquet"))["executions"].sum() == 18
    finally:
        remote.unlink()


def test_other_column_names(tmp_path: Path) -> None:
    rows = [{"SQL": f"SELECT 1 {comment()}", "START_TIME": NOON, "job": 7, "other": 1.5}]
    log = reader(write(tmp_path / "a.parquet", rows), columns={"query_text": "SQL"})
    found = read(log).row(0, named=True)
    assert (found["sample_query_id"], found["first_seen"]) == (None, NOON)
    assert found["users"] == ["alice@mail.com"]
    log = reader(tmp_path / "a.parquet", columns={"query_text": "SQL", "query_id": "job"})
    assert read(log)["sample_query_id"].to_list() == ["7"]


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", "log.jsonl"])
def test_missing_columns_are_named(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / name, [{"sql": "SELECT 'Ann'", "at": "2026-11-20", "database_name": "d"}]
    )
    with pytest.raises(WarehouseError) as raised:
        read(reader(path))
    assert f"{name} has no column query_text, start_time; it has sql, at" in str(raised.value)
    assert "columns: {query_text: ..., start_time: ...}" in raised.value.hint
    columns = {"query_text": "sql", "start_time": "at", "user_name": "who"}
    with pytest.raises(WarehouseError, match="has no column who"):
        read(reader(path, columns=columns))
    with pytest.raises(ValidationError):
        reader(path, columns={"sql": "sql"})


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-20T12:00:00Z",
        "2026-11-20 12:00:00",
        "2026-11-20 12:00:00.000000 UTC",
        "2026-11-20 13:00:00.000 +0100",
        "2026-11-20T06:30:00.000-05:30",
        "2026-11-20 14:00:00+02",
        "1795176000",
        "1795176000000",
        "1795176000000000",
        "1795176000000000000",
    ],
)
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet"])
def test_times_are_read_to_utc(tmp_path: Path, name: str, time: str) -> None:
    rows = [{"query_text": f"SELECT 1 {comment()}", "start_time": time}]
    if time.isdigit() and name != "log.csv":
        rows[0]["start_time"] = int(time)  # type: ignore[assignment]
    assert read(reader(write(tmp_path / name, rows)))["first_seen"].to_list() == [NOON]


def test_typed_times_are_read_to_utc(tmp_path: Path) -> None:
    for number, times in enumerate(
        [
            pl.Series([datetime(2026, 11, 20, 12)], dtype=pl.Datetime("ms")),
            pl.Series([datetime(2026, 11, 20, 12)], dtype=pl.Datetime("ns")),
            pl.Series([NOON]).dt.convert_time_zone("Asia/Tokyo"),
        ]
    ):
        path = tmp_path / f"{number}.parquet"
        pl.DataFrame({"query_text": [f"SELECT 1 {comment()}"], "start_time": times}).write_parquet(
            path
        )
        assert read(reader(path))["first_seen"].to_list() == [NOON]


def test_unreadable_times_are_a_gap(tmp_path: Path) -> None:
    rows: Rows = [
        {"query_text": f"SELECT {run} {comment()}", "start_time": time}
        for run, time in enumerate(["2026-11-20 12:00:00", "yesterday", "2026-11-20 12:00 PST", ""])
    ]
    history = read_query_history([reader(write(tmp_path / "log.csv", rows))], WINDOW)
    assert history.figures.executions == 1
    assert history.frame.gaps == ("warehouse: 3 executions in log.csv have no readable start_time",)
    assert not history.frame.complete


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        *((status, True) for status in ["SUCCESS", "DONE", "FINISHED", "QueryFinish", "ok", None]),
        *((status, False) for status in ["FAIL", "Failed", "canceled", "ERROR", "QueryStart"]),
        *((status, False) for status in ["ExceptionWhileProcessing", "RUNNING", "INCIDENT"]),
    ],
)
def test_statuses(tmp_path: Path, status: str | None, counts: bool) -> None:
    row = entry(1, f"SELECT 1 {comment()}", execution_status=status)
    history = read_query_history([reader(write(tmp_path / "log.jsonl", [row]))], WINDOW)
    assert history.figures.executions == int(counts)


@pytest.mark.parametrize("name", ["log.parquet", "log.csv.gz", "log.jsonl", "log.jsonl.gz"])
def test_a_file_cut_short_is_an_error(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, query_log() * 50)
    path.write_bytes(path.read_bytes()[:-25])
    with pytest.raises(WarehouseError, match="cut short") as raised:
        read(reader(path))
    assert "orders" not in f"{raised.value!r}"
    assert raised.value.__cause__ is None


DAMAGED = ["a,b\n'Ann',2,3\n", '{"query_text": "Ann", "start_time": \n', "Ann\n" * 3]


@pytest.mark.parametrize(
    ("name", "content"),
    [(name, text) for name in ("log.csv", "log.parquet", "log.jsonl") for text in DAMAGED]
    + [("log.csv", ""), ("log.parquet", "")],
)
def test_damaged_files_are_errors(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(WarehouseError) as raised:
        read(reader(path))
    assert "log" in raised.value.problem
    if name != "log.csv":
        assert "Ann" not in str(raised.value)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("nowhere/*.parquet", "there is no query log file"),
        ("nowhere/log.parquet", "there is no query log file"),
        (".", "there is no query log file"),
        ("klingon://logs/a.parquet?sig=s3cr3t", "cannot be reached"),
    ],
)
def test_no_file(path: str, problem: str) -> None:
    with pytest.raises(WarehouseError, match=problem) as raised:
        reader(path).check()
    assert "s3cr3t" not in str(raised.value)


def test_types_that_change_after_the_first_lines(tmp_path: Path) -> None:
    rows = [entry(run % 60, f"SELECT {run} {comment()}", query_id=run) for run in range(2_000)]
    rows.append({**entry(1, f"SELECT 'x' {comment()}", query_id="job_x"), "new": [1]})
    found = read(reader(write(tmp_path / "log.jsonl", rows)))
    assert found.height == 2_001
    assert "job_x" in found["sample_query_id"]


def test_large_logs_come_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hex_assets.warehouse.query_log._ROWS_PER_BATCH", 100)
    rows = [entry(0, f"SELECT 1 {comment(trace_id=trace_id(run))}") for run in range(1_000)]
    log = reader(write(tmp_path / "log.parquet", rows))
    executions = [statements(batch)["executions"].sum() for batch in log.read(WINDOW)]
    assert sum(executions) == 1_000
    assert max(executions) <= 100
    (row,) = read_query_history([log], WINDOW).frame.rows.rows(named=True)
    assert (row["executions"], row["project_id"]) == (1_000, PROJECT)


def test_the_window_is_half_open(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", [entry(0, f"SELECT 1 {comment()}")])
    later = datetime(2026, 11, 20, 13, tzinfo=timezone.utc)
    earlier = datetime(2026, 11, 20, 11, tzinfo=timezone.utc)
    assert read(reader(path), Window(NOON, later)).height == 1
    assert list(reader(path).read(Window(earlier, NOON))) == []


def csvlog_line(number: int, message: str, severity: str = "LOG") -> list[str]:
    """A line of PostgreSQL 15's csvlog, which has 26 columns."""
    at = f"2026-11-20 12:00:{number:02}.123 UTC"
    return [
        at, "hex", "sales", "77", "10.0.0.1:5", f"s{number}", "1", "SELECT", at, "3/1", "0",
        severity, "00000", message, *[""] * 8, "hex", "client backend", "", "0",
    ]  # fmt: skip


def postgres_messages() -> list[tuple[str, str]]:
    text = f"SELECT 'Ann', a\nFROM t\n{comment()}"
    return [
        (f"duration: 1.250 ms  statement: {text}", "LOG"),
        (f"statement: {text}", "LOG"),
        (f"duration: 0.1 ms  execute <unnamed>: {text}", "LOG"),
        (f"duration: 0.1 ms  parse <unnamed>: {text}", "LOG"),
        (f"duration: 0.1 ms  bind <unnamed>: {text}", "LOG"),
        (f"duration: 0.1 ms  execute fetch from c1: {text}", "LOG"),
        (f"duration: 1.0 ms  plan:\nQuery Text: {text}\nSeq Scan on t", "LOG"),
        (f"AUDIT: SESSION,1,1,READ,SELECT,,,{text}", "LOG"),
        (f"syntax error in {text}", "ERROR"),
        (f"gone: {text}", "FATAL"),
    ]


@pytest.mark.parametrize("kind", ["csvlog", "jsonlog"])
def test_postgres_logs(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"postgresql.{kind}"
    lines = [csvlog_line(at, *line) for at, line in enumerate(postgres_messages())]
    with path.open("w", newline="") as file:
        if kind == "csvlog":
            csv.writer(file).writerows(lines)
        else:
            for line in lines:
                keys = {
                    "timestamp": line[0], "user": line[1], "dbname": line[2],
                    "session_id": line[5], "error_severity": line[11], "message": line[13],
                }  # fmt: skip
                file.write(json.dumps(keys) + "\n")
    log = reader(path, dialect="postgres", preset=f"postgres-{kind}")
    (row,) = read_query_history([log], WINDOW).frame.rows.rows(named=True)
    assert (row["sql"], row["executions"]) == ("SELECT '?', a\nFROM t", 3)
    assert (row["database"], row["sample_query_id"]) == ("sales", "s2")
    assert log.check() == "1 file found, columns are there"


def test_a_prefix_by_a_setting(tmp_path: Path) -> None:
    rows = [
        {"line": f"ran: SELECT 1 FROM t {comment()}", "at": NOON},
        {"line": f"seen SELECT 1 FROM t {comment()}", "at": NOON},
    ]
    columns = {"query_text": "line", "start_time": "at"}
    log = reader(write(tmp_path / "a.parquet", rows), columns=columns, text_prefix=r"\Aran: ")
    frame = read_query_history([log], WINDOW).frame.rows
    assert frame.select("sql", "executions").rows() == [("SELECT 0 FROM t", 1)]
    with pytest.raises(ValidationError, match="look-around"):
        reader(tmp_path, text_prefix="(?=a)")


def test_a_csv_without_header(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerow(["2026-11-20 12:00:00", f"SELECT 1 {comment()}", "x"])
    log = reader(path, csv_columns=["start_time", "query_text"])
    assert read(log)["first_seen"].to_list() == [NOON]


@pytest.mark.parametrize("name", ["log.jsonl", "log.parquet"])
def test_nested_exports(tmp_path: Path, name: str) -> None:
    """As Trino's HTTP event listener, Athena's and cloud logging's exports are."""
    inputs = [
        {"catalogName": "hive", "schema": "core", "table": "orders", "columns": ["id", "region"]}
    ]
    rows = [
        {
            "createTime": "2026-11-20T12:00:00Z",
            "metadata": {"query": {"text": f"SELECT 1 {comment()}"}, "queryState": "FINISHED"},
            "ioMetadata": {"inputs": inputs},
        }
    ]
    columns = {
        "query_text": "metadata.query.text",
        "start_time": "createTime",
        "execution_status": "metadata.queryState",
        "resolved": "ioMetadata.inputs",
    }
    log = reader(write(tmp_path / name, rows), dialect="trino", columns=columns)
    (row,) = read(log).rows(named=True)
    assert (row["first_seen"], row["resolved"]) == (
        NOON,
        [{"database": "hive", "schema": "core", "table": "orders", "columns": ["id", "region"]}],
    )


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet"])
def test_grouped_exports(tmp_path: Path, name: str) -> None:
    later = datetime(2026, 11, 20, 18, tzinfo=timezone.utc)
    rows = [
        entry(0, f"SELECT 1 {comment()}", executions=40, last_seen=later),
        entry(1, f"SELECT 1 {comment()}", executions=None, last_seen=None),
    ]
    log = reader(write(tmp_path / name, rows))
    (row,) = read_query_history([log], WINDOW).frame.rows.rows(named=True)
    assert (row["executions"], row["first_seen"], row["last_seen"]) == (41, NOON, later)
