"""Each asset check passes when all is well, and says what to do when it is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg
import pytest

from hex_assets.checks import build_checks
from hex_assets.frame_files import SCHEMAS
from hex_assets.frames import (
    EVIDENCE_DISAGREEMENTS,
    HEX_CELLS,
    HEX_COMPONENT_IMPORTS,
    HEX_COVERAGE,
    HEX_PROJECTS,
    HEX_QUERIED_TABLES,
    HEX_RUNS,
    HEX_WORKSPACE,
    LINEAGE_EDGES,
    TABLE_REFERENCES,
    UNRESOLVED_REFERENCES,
    WAREHOUSE_QUERY_HISTORY,
    Frame,
    FrameSchema,
)

CHECKS = {
    check.check_key.name: check
    for check in build_checks(
        dg.StaticPartitionsDefinition(["w"]), {name: dg.AssetKey(name) for name in SCHEMAS}
    )
}
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
NOW = datetime.now(timezone.utc)


def run(name: str, **frames: Frame) -> dg.AssetCheckResult:
    result = CHECKS[name](**frames)
    assert isinstance(result, dg.AssetCheckResult)
    return result


def frame(schema: FrameSchema, *rows: dict[str, Any], gaps: Sequence[str] = ()) -> Frame:
    """Rows of which only some columns matter."""
    lists: dict[str, list[Any]] = {
        name: [] for name, dtype in schema.types.items() if str(dtype).startswith("List")
    }
    empty = dict.fromkeys(schema.columns) | lists
    return schema.frame([empty | row for row in rows], gaps)


@pytest.mark.parametrize(
    ("days", "missing", "passed", "says"),
    [
        (None, [], True, "no expiry known"),
        (15, [], True, "expires in 15 days"),
        (13, [], False, "expires in 13 days; make a new one in Hex"),
        (-1, [], False, "make a new one"),
        (None, ["Cells read", "Users read"], False, "lacks Cells read, Users read"),
    ],
)
def test_the_token(days: int | None, missing: list[str], passed: bool, says: str) -> None:
    # An hour more, so that the days are whole whenever the test runs.
    ends = None if days is None else NOW + timedelta(days=days, hours=1)
    row = {"token_kind": "workspace", "token_expires_at": ends, "missing_scopes": missing}
    result = run("hex_token_lasts", hex_workspace=frame(HEX_WORKSPACE, row))
    assert (result.passed, result.severity) == (passed, WARN)
    assert says in (result.description or "")


@pytest.mark.parametrize(
    ("states", "passed"),
    [
        (["current", "not applicable", "not available"], True),
        (["current", "stale"], False),
        (["current", "never read"], False),
    ],
)
def test_details_are_current(states: list[str], passed: bool) -> None:
    rows = [{"project_id": str(n), "detail": "cells", "state": s} for n, s in enumerate(states)]
    result = run("hex_details_current", hex_coverage=frame(HEX_COVERAGE, *rows))
    assert (result.passed, result.severity) == (passed, WARN)
    assert f"1 {states[-1]}" in (result.description or "")
    assert ("hexAssets.readMinutes" in (result.description or "")) is not passed


@pytest.mark.parametrize(
    ("statuses", "passed", "says"),
    [
        (["COMPLETED", "RUNNING"], True, "of 0 failed, 0 have none"),
        (["COMPLETED", "ERRORED"], False, "of 1 failed, 0 have none"),
        (["COMPLETED", None], False, "of 0 failed, 1 have none"),
    ],
)
def test_schedules_are_healthy(statuses: list[str | None], passed: bool, says: str) -> None:
    projects, runs, coverage = [], [], []
    for number, status in enumerate(statuses):
        ours = {"project_id": str(number)}
        projects.append({"id": str(number), "title": f"P{number}", "schedules": ["DAILY 06:00"]})
        coverage.append({**ours, "detail": "runs", "state": "current"})
        if status is not None:
            runs.append({**ours, "trigger": "SCHEDULED", "status": status})
    # It has no schedule, so nobody waits for its runs; nor is it known whether this one ran.
    projects += [{"id": "x", "title": "X"}, {"id": "y", "title": "Y", "schedules": ["DAILY"]}]
    runs.append({"project_id": "x", "trigger": "API", "status": "ERRORED"})
    coverage.append({"project_id": "y", "detail": "runs", "state": "never read"})
    result = run(
        "hex_schedules_healthy",
        hex_runs=frame(HEX_RUNS, *runs),
        hex_projects=frame(HEX_PROJECTS, *projects),
        hex_coverage=frame(HEX_COVERAGE, *coverage),
    )
    assert (result.passed, result.severity) == (passed, WARN)
    assert says in (result.description or "")


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("hex_component_imports_complete", HEX_COMPONENT_IMPORTS),
        ("hex_queried_tables_complete", HEX_QUERIED_TABLES),
        ("hex_cells_complete", HEX_CELLS),
        ("hex_projects_complete", HEX_PROJECTS),
        ("table_references_complete", TABLE_REFERENCES),
    ],
)
def test_a_gap_is_an_error(name: str, schema: FrameSchema) -> None:
    asset = schema.name
    result = run(name, **{asset: frame(schema, gaps=["project 7: HTTP 500"])})
    assert (result.passed, result.severity) == (False, ERROR)
    assert "project 7: HTTP 500" in (result.description or "")
    may_be_empty = schema in (HEX_COMPONENT_IMPORTS, HEX_QUERIED_TABLES)
    empty = run(name, **{asset: frame(schema)})
    assert (empty.passed, empty.severity) == (may_be_empty, WARN)


@pytest.mark.parametrize(("linked", "passed"), [(["a", "b"], True), (["a"], False), ([], False)])
def test_lineage_covers_projects_that_query_a_warehouse(linked: list[str], passed: bool) -> None:
    cells = [
        {"project_id": "b", "data_connection_id": "w", "sql": "select 1"},
        {"project_id": "c", "data_connection_id": "w", "sql": "select 1"},
        {"project_id": "dataframes only", "sql": "select 1"},
    ]
    result = run(
        "lineage_coverage",
        lineage_edges=frame(LINEAGE_EDGES, *({"project_id": one} for one in linked)),
        warehouse_query_history=frame(WAREHOUSE_QUERY_HISTORY, {"project_id": "a"}),
        hex_cells=frame(HEX_CELLS, *cells),
    )
    assert (result.passed, result.severity) == (passed, WARN)
    assert result.metadata["projects_without_an_edge"].value == 3 - len(linked)


def test_a_warehouse_that_fell_silent_is_told() -> None:
    rows = [
        {"service": "busy", "last_seen": NOW - timedelta(hours=1)},
        {"service": "silent", "last_seen": NOW - timedelta(hours=100)},
        {"service": "silent", "last_seen": NOW - timedelta(hours=200)},
    ]
    history = frame(WAREHOUSE_QUERY_HISTORY, *rows)
    result = run("warehouse_query_history_recent", warehouse_query_history=history)
    assert (result.passed, result.severity) == (False, WARN)
    assert "silent: newest 100 h ago" in (result.description or "")
    well = frame(WAREHOUSE_QUERY_HISTORY, rows[0])
    assert run("warehouse_query_history_recent", warehouse_query_history=well).passed


@pytest.mark.parametrize(("edges", "passed"), [(1, True), (0, False)])
def test_most_references_are_resolved(edges: int, passed: bool) -> None:
    result = run(
        "unresolved_references_few",
        unresolved_references=frame(UNRESOLVED_REFERENCES, {"project_id": "a"}),
        lineage_edges=frame(LINEAGE_EDGES, *({"project_id": "a"} for _ in range(edges))),
    )
    assert (result.passed, result.severity) == (passed, WARN)


def test_drift_between_witnesses_is_told() -> None:
    edges = frame(LINEAGE_EDGES, *({"project_id": str(n)} for n in range(4)))
    of_a_column = {"project_id": "a", "column": "x"}
    of_a_table = {"project_id": "a"}
    for rows, passed in (([of_a_column] * 9, True), ([of_a_table], False)):
        result = run(
            "evidence_disagreements_few",
            evidence_disagreements=frame(EVIDENCE_DISAGREEMENTS, *rows),
            lineage_edges=edges,
        )
        assert result.passed is passed
