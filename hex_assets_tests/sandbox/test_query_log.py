"""The query log agrees with the cells of the world and surrounds them with real noise."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlglot
from sqlglot import exp

from hex_assets.sandbox.query_log import (
    FOREIGN_PROJECT_IDS,
    HEX_COMMENT_MARKER,
    LOG_DAYS,
    QUERY_LOG_SCHEMA,
    QueryLogRow,
    query_log,
    write_query_log,
)
from hex_assets.sandbox.world import WORLD_INSTANT, WireObject, World, build_world


@pytest.fixture(scope="module")
def world() -> World:
    return build_world()


@pytest.fixture(scope="module")
def rows(world: World) -> list[QueryLogRow]:
    return query_log(world, WORLD_INSTANT)


def commented(rows: list[QueryLogRow]) -> list[tuple[QueryLogRow, str, str]]:
    """Rows whose last line is a Hex comment: the row, its SQL and the comment's JSON."""
    found = []
    for row in rows:
        sql, _, comment = row["query_text"].rpartition("\n")
        if comment.startswith(HEX_COMMENT_MARKER):
            found.append((row, sql, comment.removeprefix(HEX_COMMENT_MARKER)))
    return found


def payloads(rows: list[QueryLogRow]) -> list[tuple[QueryLogRow, str, dict[str, Any]]]:
    """The same with the JSON read; the one that was cut is left out."""
    return [(row, sql, json.loads(text)) for row, sql, text in commented(rows) if text[-1] == "}"]


def projects_by_id(world: World) -> dict[str, WireObject]:
    return {
        project["id"]: project for workspace in world.workspaces for project in workspace.projects
    }


def sql_cells(world: World, project_id: str) -> dict[str, WireObject]:
    for workspace in world.workspaces:
        if project_id in workspace.cells:
            return {cell["staticId"]: cell for cell in workspace.cells[project_id]}
    raise KeyError(project_id)


def test_the_log_is_reproducible_and_of_modest_size(world: World, rows: list[QueryLogRow]) -> None:
    assert query_log(world, WORLD_INSTANT) == rows
    assert query_log(world, WORLD_INSTANT, seed=8) != rows
    assert 1500 < len(rows) < 6000
    assert len({row["query_id"] for row in rows}) == len(rows)


def test_executions_lie_in_the_window_oldest_first(rows: list[QueryLogRow]) -> None:
    starts = [row["start_time"] for row in rows]
    assert starts == sorted(starts)
    assert WORLD_INSTANT - timedelta(days=LOG_DAYS) <= starts[0]
    assert starts[-1] <= WORLD_INSTANT + timedelta(minutes=1)
    assert all(row["start_time"] < row["end_time"] for row in rows)
    assert all(row["start_time"].utcoffset() == timedelta(0) for row in rows)


def test_every_comment_names_a_project_of_the_world_or_a_declared_foreign_one(
    world: World, rows: list[QueryLogRow]
) -> None:
    known = projects_by_id(world)
    named = Counter(payload.get("project_id") for _, _, payload in payloads(rows))
    assert named[None] == 1  # recoverable from the URL only
    assert set(named) - {None} <= {*known, *FOREIGN_PROJECT_IDS}
    assert set(FOREIGN_PROJECT_IDS) <= set(named)


def test_comments_are_one_line_of_json_with_sorted_keys(rows: list[QueryLogRow]) -> None:
    for _, _, text in commented(rows):
        if text[-1] == "}":
            assert text == json.dumps(json.loads(text), sort_keys=True)


def test_one_comment_was_cut_after_its_project_id(world: World, rows: list[QueryLogRow]) -> None:
    (text,) = [text for _, _, text in commented(rows) if text[-1] != "}"]
    found = re.search(r'"project_id": "([^"]+)"', text)
    assert found is not None and found[1] in projects_by_id(world)


def test_comments_describe_the_project_and_mostly_its_cell(
    world: World, rows: list[QueryLogRow]
) -> None:
    known = projects_by_id(world)
    with_cell = 0
    ours = [each for each in payloads(rows) if each[2].get("project_id") in known]
    for _, _, payload in ours:
        project = known[payload["project_id"]]
        assert payload["project_name"] == project["title"]
        assert payload.get("status") == (project["status"] or {}).get("name")
        assert re.fullmatch(r"[0-9a-f]{32}", payload["trace_id"])
        _, found, cell_id = payload["project_url"].partition("?selectedCellId=")
        if found:
            with_cell += 1
            cell = sql_cells(world, project["id"])[cell_id]
            assert cell["cellType"] == "SQL" and cell["dataConnectionId"] is not None
    assert 0.8 < with_cell / len(ours) < 1
    assert len({payload["trace_id"] for _, _, payload in ours}) == len(ours)
    assert {payload["context"] for _, _, payload in ours} == {
        "SCHEDULED_RUN",
        "APP_VIEW",
        "API_RUN",
        "LOGIC",
    }


def test_unpublished_projects_are_only_worked_on(world: World, rows: list[QueryLogRow]) -> None:
    known = projects_by_id(world)
    contexts = {
        payload["context"]
        for _, _, payload in payloads(rows)
        if payload.get("project_id") in known
        and known[payload["project_id"]]["lastPublishedAt"] is None
    }
    assert contexts == {"LOGIC"}


def test_archived_and_trashed_projects_stop(world: World, rows: list[QueryLogRow]) -> None:
    known = projects_by_id(world)
    ends = {key: p["archivedAt"] or p["trashedAt"] for key, p in known.items()}
    stopped = 0
    for row, _, payload in payloads(rows):
        if end := ends.get(payload.get("project_id", "")):
            stopped += 1
            latest = datetime.fromisoformat(end.replace("Z", "+00:00")) + timedelta(minutes=1)
            assert row["start_time"] < latest
    assert stopped


def test_a_cell_arrives_rendered_and_with_its_upstream_cells_inlined(
    world: World, rows: list[QueryLogRow]
) -> None:
    (project,) = [
        each
        for each in projects_by_id(world).values()
        if each["title"] == "Traffic by landing page"
    ]
    cells = sql_cells(world, project["id"])
    last = next(
        key
        for key, cell in cells.items()
        if cell["contents"]["sqlCell"]["outputDataframe"] == "page_and_channel"
    )
    compiled = [
        sql
        for _, sql, payload in payloads(rows)
        if payload.get("project_url", "").endswith(f"selectedCellId={last}")
    ]
    assert compiled
    for sql in compiled:
        tree = sqlglot.parse_one(sql, dialect="snowflake")
        assert [cte.alias for cte in tree.find_all(exp.CTE)] == [
            "sessions_base",
            "by_page",
            "by_channel",
        ]


def test_own_ctes_are_merged_with_the_upstream_ones(rows: list[QueryLogRow]) -> None:
    merged = [sql for _, sql, _ in payloads(rows) if "items as (" in sql]
    assert merged
    for sql in merged:
        tree = sqlglot.parse_one(sql, dialect="snowflake")
        assert [cte.alias for cte in tree.find_all(exp.CTE)] == ["orders_by_week", "items"]


def test_everything_hex_ran_is_snowflake_sql_without_jinja(rows: list[QueryLogRow]) -> None:
    texts = {sql for _, sql, _ in commented(rows)}
    assert all("{{" not in sql and "{%" not in sql for sql in texts)
    shapes = {re.sub(r"'[^']*'|\d+", "?", sql): sql for sql in texts}
    for sql in shapes.values():
        assert isinstance(sqlglot.parse_one(sql, dialect="snowflake"), exp.Query)


def test_literals_vary_between_executions(rows: list[QueryLogRow]) -> None:
    by_shape: dict[str, set[str]] = {}
    for _, sql, _ in payloads(rows):
        by_shape.setdefault(re.sub(r"'[^']*'|\d+", "?", sql), set()).add(sql)
    assert sum(len(texts) > 5 for texts in by_shape.values()) > 10


def test_dataframe_sql_and_other_warehouses_never_reach_this_log(
    world: World, rows: list[QueryLogRow]
) -> None:
    text = "\n".join(row["query_text"] for row in rows)
    assert "margin_rate" not in text  # dataframe SQL
    assert "picking_queue" not in text  # Postgres
    assert "dwh.public" not in text  # another Snowflake account
    assert "unit_price, i.quantity" in text  # a connection that no listing shows


def test_only_the_last_statement_of_a_cell_carries_the_comment(rows: list[QueryLogRow]) -> None:
    settings = [row for row in rows if row["query_text"].startswith("set close_month")]
    assert settings
    assert all(HEX_COMMENT_MARKER not in row["query_text"] for row in settings)
    assert any("$close_month" in sql for _, sql, _ in payloads(rows))


def test_names_are_qualified_in_every_way_and_some_are_not_catalogued(
    world: World, rows: list[QueryLogRow]
) -> None:
    catalogued = {
        (table.database, table.schema, table.name) for table in world.database_services[0].tables
    }
    depths = Counter[int]()
    unknown = set()
    for row, sql, payload in payloads(rows):
        if payload.get("project_id") in FOREIGN_PROJECT_IDS:
            continue
        tree = sqlglot.parse_one(sql, dialect="snowflake")
        ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
        for table in tree.find_all(exp.Table):
            parts = [
                part.name if part.args.get("quoted") else part.name.upper() for part in table.parts
            ]
            if len(parts) == 1 and table.name in ctes:
                continue
            depths[len(parts)] += 1
            session = [row["database_name"], row["schema_name"]]
            full = tuple([*session[: 3 - len(parts)], *parts])
            if full not in catalogued:
                unknown.add(full)
    assert set(depths) == {1, 2, 3}
    assert ("ANALYTICS", "SUPPLY", "CARRIER_SCANS") in unknown
    assert unknown <= {
        ("ANALYTICS", "SUPPLY", "CARRIER_SCANS"),
        ("ANALYTICS", "LEGACY", "KPI_DAILY"),
        ("ANALYTICS", "FINANCE", "PNL_2022"),
    }


def test_noise_mentions_hex_without_its_comment(rows: list[QueryLogRow]) -> None:
    noise = [row for row in rows if row["user_name"] not in ("SVC_HEX", "TWO_RIVERS")]
    assert any("hex" in row["query_text"].lower() for row in noise)
    assert any("Hex query metadata: " in row["query_text"] for row in noise)
    assert all(HEX_COMMENT_MARKER not in row["query_text"] for row in noise)


def test_a_few_executions_failed(rows: list[QueryLogRow]) -> None:
    outcomes = Counter(row["execution_status"] for row in rows)
    assert set(outcomes) == {"SUCCESS", "FAIL"}
    assert outcomes["FAIL"] < len(rows) / 10


def test_written_log_reads_back_as_it_was(rows: list[QueryLogRow], tmp_path: Path) -> None:
    path = tmp_path / "query_log.parquet"
    write_query_log(rows, path)
    table = pl.read_parquet(path)
    assert dict(table.schema) == QUERY_LOG_SCHEMA
    assert table.to_dicts() == rows
