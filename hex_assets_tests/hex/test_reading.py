"""Only what changed is asked again, nothing is asked twice, and what is missing is told."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from upath import UPath

from hex_assets.errors import TokenRejected
from hex_assets.hex.details import StoredDetails
from hex_assets.hex.reader import data_connections_frame, read_projects
from hex_assets.hex.reading import HexDetails, Progress, ReadingLimits, read_details
from hex_assets_tests.hex.fake_hex import (
    FakeHex,
    Fault,
    connection,
    newer_error,
    project,
    sql_cell,
    uuid_of,
)

NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)


def exported(*cells: dict[str, Any]) -> str:
    return yaml.safe_dump({"schemaVersion": 3, "cells": list(cells)})


def sql(number: int, source: str, **config: Any) -> dict[str, Any]:
    settings = {"source": source, "dataConnectionId": uuid_of(0xC001), "resultVariableName": "df"}
    return {"cellType": "SQL", "cellId": uuid_of(number), "config": {**settings, **config}}


def run_of(number: int, status: str, trigger: str = "SCHEDULED", **fields: Any) -> dict[str, Any]:
    return {
        "projectId": uuid_of(1),
        "runId": uuid_of(0xD000 + number),
        "status": status,
        "runTrigger": trigger,
        "startTime": f"2026-10-{30 - number:02}T06:00:00.000Z",
        "endTime": None,
        "elapsedTime": 1000 * number,
        **fields,
    }


def workspace(count: int) -> FakeHex:
    ids = [uuid_of(number) for number in range(1, count + 1)]
    return FakeHex(
        projects=[project(number) for number in range(1, count + 1)],
        connections=[connection(1)],
        exports={one: exported(sql(7, "select a from core.t where b = 'x'")) for one in ids},
        queried_tables={
            ids[0]: [{"dataConnectionId": uuid_of(0xC001), "tableName": "core.t"}, "junk"]
        },
        runs={ids[0]: [run_of(1, "ERRORED"), run_of(2, "COMPLETED"), run_of(3, "COMPLETED")]},
    )


def masked(text: str, dialect: str) -> str:
    return text.replace("'x'", "'?'")


def read(fake: FakeHex, folder: UPath, **options: Any) -> HexDetails:
    """One run: a listing, then the details; the requests left in the fake are of the details."""
    settings = {"now": lambda: NOW, "clock": fake.clock, **options}
    with fake.client() as client:
        projects = read_projects(client)
        connections = data_connections_frame(client.data_connections())
        fake.requests.clear()
        stored = StoredDetails(folder)
        return read_details(client, projects, connections, masked, stored, **settings)


@pytest.fixture
def folder() -> UPath:
    return UPath(f"memory://details/{uuid.uuid4().hex}")


def states(details: HexDetails) -> list[str]:
    return sorted(set(details.coverage.rows["state"]))


def test_everything_is_read_once_and_then_nothing(folder: UPath) -> None:
    fake = workspace(3)
    first = read(fake, folder)
    assert len(fake.requests) == first.requests == 9
    again = read(fake, folder)
    assert fake.requests == []
    assert again.cells.rows.equals(first.cells.rows)
    assert again.runs.rows.equals(first.runs.rows)
    assert again.queried_tables.rows.equals(first.queried_tables.rows)
    assert states(again) == ["current"]
    assert again.cells.complete
    assert first.left_out == 1


@pytest.mark.parametrize(
    "moved",
    [
        {"lastEditedAt": "2026-09-01T00:00:00.000Z"},
        {"lastPublishedAt": "2026-10-20T00:00:00.000Z"},
        {"schedules": []},
    ],
)
def test_a_change_costs_three_requests_even_when_clocks_go_back(
    folder: UPath, moved: dict[str, Any]
) -> None:
    fake = workspace(3)
    read(fake, folder)
    fake.projects[1] = project(2, **moved)
    changed = read(fake, folder)
    assert len(fake.requests) == 3
    assert changed.changed == 1


def test_new_results_cost_a_look_at_the_runs_only(folder: UPath) -> None:
    fake = workspace(2)
    read(fake, folder)
    fake.projects[0]["analytics"]["publishedResultsUpdatedAt"] = "2026-10-31T06:00:00.000Z"
    read(fake, folder)
    assert [one.url.path.rsplit("/", 1)[1] for one in fake.requests] == ["runs"]


def test_a_slice_is_read_again_in_turn_until_all_were(folder: UPath) -> None:
    fake = workspace(4)
    read(fake, folder)
    seen = []
    for day in range(1, 3):
        later = NOW + timedelta(days=day)
        turn = read(
            fake, folder, now=lambda later=later: later, limits=ReadingLimits(refresh_in_runs=2)
        )
        assert turn.in_turn == 2
        seen += [one.url.path for one in fake.requests if one.url.path.endswith("/runs")]
    assert len(set(seen)) == 4


def test_the_most_viewed_comes_first_and_time_ends_the_run(folder: UPath) -> None:
    fake = workspace(3)
    fake.projects[2]["analytics"]["appViews"]["lastThirtyDays"] = 1000
    ticks: Iterator[float] = iter(range(0, 1000, 10))
    cut = read(fake, folder, clock=lambda: next(ticks), limits=ReadingLimits(seconds=15))
    assert cut.out_of_time
    assert (cut.progress.done, cut.progress.total) == (1, 3)
    assert cut.progress.seconds_left == 60
    assert cut.cells.rows["project_id"].unique().to_list() == [uuid_of(3)]
    assert cut.cells.gaps == ("cells of 2 projects are never read: the time budget ended first",)
    assert states(cut) == ["current", "never read"]
    rest = read(fake, folder)
    assert len(fake.requests) == 6
    assert rest.cells.complete


def test_progress_tells_how_far_it_is_and_how_long_it_takes(folder: UPath) -> None:
    fake = workspace(3)
    told: list[Progress] = []

    def five_seconds_pass(request: httpx.Request) -> None:
        fake.clock.now += 5

    fake.faults.append(five_seconds_pass)
    read(fake, folder, progress=told.append)
    assert [(one.done, one.total) for one in told] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [one.seconds_left for one in told] == [None, 30.0, 15.0, 0.0]
    left = [one.requests_left for one in told]
    assert left == sorted(left, reverse=True)
    assert left[-1] < left[0]


def test_a_project_deleted_after_the_listing_is_a_gap_of_its_own(folder: UPath) -> None:
    fake = workspace(2)
    gone = uuid_of(2)
    fake.faults.append(
        lambda r: newer_error(404, "gone", "NOT_FOUND") if gone in f"{r.url}{r.content!r}" else None
    )
    details = read(fake, folder)
    assert details.cells.gaps == (f"cells of project {gone}: vanished before it was read",)
    assert details.cells.rows["project_id"].unique().to_list() == [uuid_of(1)]


@pytest.mark.parametrize("skew", [timedelta(days=-400), timedelta(days=400)])
def test_a_wrong_clock_of_ours_neither_hides_a_change_nor_reads_all_again(
    folder: UPath, skew: timedelta
) -> None:
    fake = workspace(3)
    read(fake, folder)
    fake.projects[1] = project(2, lastEditedAt="2026-10-31T00:00:00.000Z")
    skewed = read(fake, folder, now=lambda: NOW + skew, limits=ReadingLimits(refresh_in_runs=0))
    assert (skewed.changed, len(fake.requests)) == (1, 3)
    assert read(fake, folder).changed == 0
    # What was read in the future of a clock that was wrong is no longer at rest.
    turn = read(fake, folder, now=lambda: NOW + timedelta(days=2))
    assert turn.in_turn == 1


@contextmanager
def killed_at(fake: FakeHex, number: int) -> Iterator[None]:
    """The process dies while it waits for the answer of this number."""

    class Killed(BaseException):
        pass

    left = number

    def fault(request: httpx.Request) -> httpx.Response | None:
        nonlocal left
        if request.url.path.endswith(("/runs", "/queriedTables", "/export")):
            left -= 1
            if left == 0:
                raise Killed
        return None

    fake.faults.append(fault)
    with pytest.raises(Killed):
        yield
    fake.faults.remove(fault)


def test_a_killed_run_is_taken_up_without_asking_twice(tmp_path: Path) -> None:
    whole = read(workspace(4), UPath(tmp_path / "whole"))
    fake, folder = workspace(4), UPath(tmp_path / "killed")
    with killed_at(fake, 8):
        read(fake, folder)
    rest = read(fake, folder)
    assert len(fake.requests) == 12 - 7
    assert rest.cells.rows.equals(whole.cells.rows)
    assert rest.runs.rows.equals(whole.runs.rows)
    assert not list((tmp_path / "killed").glob("parts*/*"))


def test_a_token_that_dies_keeps_what_was_read(folder: UPath) -> None:
    fake = workspace(3)

    def fault(request: httpx.Request) -> httpx.Response | None:
        return (
            httpx.Response(401)
            if request.url.path.startswith(f"/api/v1/projects/{uuid_of(2)}")
            else None
        )

    fake.faults.append(fault)
    with pytest.raises(TokenRejected):
        read(fake, folder)
    fake.faults.clear()
    read(fake, folder)
    assert len(fake.requests) == 9 - 4


def test_a_failed_project_keeps_its_old_rows_as_stale(folder: UPath) -> None:
    fake = workspace(2)
    first = read(fake, folder)
    fake.projects[0] = project(1, lastEditedAt="2026-10-30T00:00:00.000Z")
    fake.faults.append(lambda r: newer_error(500, "no") if uuid_of(1) in str(r.url) else None)
    second = read(fake, folder)
    assert second.runs.rows.equals(first.runs.rows)
    assert "HTTP 500" in second.runs.gaps[0]
    stale = second.coverage.rows.filter(project_id=uuid_of(1), detail="runs").to_dicts()[0]
    assert stale["state"] == "stale"


def test_without_enterprise_one_refusal_settles_it(folder: UPath) -> None:
    fake = workspace(3)
    fake.faults.append(
        lambda r: newer_error(403, "Enterprise plan") if "queriedTables" in r.url.path else None
    )
    details = read(fake, folder)
    assert sum("queriedTables" in one.url.path for one in fake.requests) == 1
    assert details.queried_tables.complete
    assert states(details) == ["current", "not available"]


def coverage_of(details: HexDetails, number: int, kind: str) -> dict[str, Any]:
    (row,) = details.coverage.rows.filter(project_id=uuid_of(number), detail=kind).to_dicts()
    return row


def answering(part: str, response: httpx.Response, number: int = 1) -> Fault:
    """Requests whose path ends so, about this project, are answered this way."""

    def fault(request: httpx.Request) -> httpx.Response | None:
        about = f"{request.url}{request.content!r}"
        return response if request.url.path.endswith(part) and uuid_of(number) in about else None

    return fault


@pytest.mark.parametrize(
    ("status", "state", "problem", "complete", "asked"),
    [
        (422, "current", None, True, 3),
        (404, "never read", "vanished before it was read", False, 3),
        (403, "not available", "'Projects: Read queried tables'", True, 1),
        (500, "never read", "HTTP 500", False, 5),
    ],
)
def test_queried_tables_that_are_refused(
    folder: UPath, status: int, state: str, problem: str | None, complete: bool, asked: int
) -> None:
    fake = workspace(3)
    fake.faults.append(answering("/queriedTables", newer_error(status, "no")))
    details = read(fake, folder)
    row = coverage_of(details, 1, "queried_tables")
    assert row["state"] == state
    assert (row["problem"] is None) if problem is None else (problem in row["problem"])
    assert details.queried_tables.complete is complete
    assert sum("queriedTables" in one.url.path for one in fake.requests) == asked
    # The other details of the same project are read.
    assert coverage_of(details, 1, "runs")["state"] == "current"


@pytest.mark.parametrize("part", ["/queriedTables", "/runs"])
@pytest.mark.parametrize(
    "body", ['{"values": [{"dataConn', '{"runs": [{"runId"', "", "[]", '{"values": null}']
)
def test_an_answer_cut_short_is_a_gap_and_is_read_by_the_next_run(
    folder: UPath, part: str, body: str
) -> None:
    fake = workspace(3)
    answers = {"content-type": "application/json"}
    fault = answering(part, httpx.Response(200, text=body, headers=answers), number=2)
    fake.faults.append(fault)
    details = read(fake, folder)
    kind = "runs" if part == "/runs" else "queried_tables"
    assert coverage_of(details, 2, kind)["state"] == "never read"
    assert states(details) == ["current", "never read"]
    fake.faults.remove(fault)
    again = read(fake, folder)
    assert len(fake.requests) == 1
    assert states(again) == ["current"]


def test_one_refused_export_and_no_cells_scope_leave_the_other_projects_exported(
    folder: UPath,
) -> None:
    fake = workspace(3)
    del fake.exports[uuid_of(1)]  # type: ignore[attr-defined]
    fake.faults.append(lambda r: newer_error(403, "no") if r.url.path.endswith("/cells") else None)
    details = read(fake, folder)
    assert details.cells.rows["project_id"].unique().sort().to_list() == [uuid_of(2), uuid_of(3)]
    assert "'Cells read'" in coverage_of(details, 1, "cells")["problem"]
    assert sum(one.url.path.endswith("/cells") for one in fake.requests) == 1


def test_an_export_that_fails_for_now_is_a_draft_until_the_next_run(folder: UPath) -> None:
    fake = workspace(2)
    fake.cells = {uuid_of(1): [sql_cell(1)]}
    fault = answering("/export", newer_error(500, "no"))
    fake.faults.append(fault)
    first = read(fake, folder)
    row = coverage_of(first, 1, "cells")
    assert (row["state"], row["version"]) == ("stale", "draft")
    assert "read as a draft: Hex POST /projects/export: HTTP 500" in first.cells.gaps[0]
    fake.faults.remove(fault)
    second = read(fake, folder)
    assert len(fake.requests) == 1
    assert coverage_of(second, 1, "cells")["version"] == "published"
    assert second.cells.complete
    # What was read as published is not given up for a draft.
    fake.faults.append(fault)
    fake.projects[0] = project(1, lastEditedAt="2026-10-31T00:00:00.000Z")
    third = read(fake, folder)
    assert third.cells.rows.equals(second.cells.rows)
    assert coverage_of(third, 1, "cells")["state"] == "stale"


def test_ids_in_capitals_are_the_same_project_connection_and_component(folder: UPath) -> None:
    fake = workspace(1)
    fake.projects = [project(1, id=uuid_of(1).upper()), project(9, type="COMPONENT")]
    fake.connections = [connection(1, id=uuid_of(0xC001).upper())]
    importing = {"cellType": "COMPONENT_IMPORT", "cellId": uuid_of(8).upper()}
    importing["config"] = {"component": {"id": uuid_of(9).upper(), "version": 1}}  # type: ignore[assignment]
    query = sql(7, "select 1", dataConnectionId=uuid_of(0xC001).upper())
    fake.exports = {uuid_of(1): exported(query, importing), uuid_of(9): exported()}
    table = {"dataConnectionId": uuid_of(0xC001).upper(), "tableName": "Core.T"}
    fake.queried_tables = {uuid_of(1): [table, {**table, "dataConnectionId": uuid_of(0xC001)}]}
    details = read(fake, folder)
    assert set(details.cells.rows["project_id"]) == {uuid_of(1)}
    assert set(details.cells.rows["data_connection_id"].drop_nulls()) == {uuid_of(0xC001)}
    assert details.component_imports.rows["component_id"].to_list() == [uuid_of(9)]
    # The name of a table keeps its case, in which it may be quoted.
    assert details.queried_tables.rows.rows() == [(uuid_of(1), uuid_of(0xC001), "Core.T")]
    read(fake, folder)
    assert fake.requests == []


def test_an_export_tells_sections_components_and_dataframes(folder: UPath) -> None:
    fake = workspace(1)
    component = {"cellType": "COMPONENT_IMPORT", "cellId": uuid_of(8).upper()}
    component["config"] = {"component": {"id": uuid_of(9).upper(), "version": 3}}  # type: ignore[assignment]
    chart = {"cellType": "CHARTV2", "cellId": uuid_of(6), "config": {"dataframe": "df"}}
    jinja = sql(5, "select * from {{ t }} where a = {{ x }} and b = 'x'")
    section = {"cellType": "COLLAPSIBLE", "cellId": uuid_of(4), "config": {"cells": [jinja, chart]}}
    fake.exports = {uuid_of(1): exported(component, section)}
    details = read(fake, folder)
    rows = {row["cell_id"]: row for row in details.cells.rows.to_dicts()}
    assert rows[uuid_of(5)]["sql"] == "select * from jinja_1 where a = NULL and b = '?'"
    assert rows[uuid_of(5)]["jinja_names"] == ["jinja_1"]
    assert rows[uuid_of(5)]["parent_cell_id"] == uuid_of(4)
    assert rows[uuid_of(6)]["source_dataframe"] == "df"
    assert rows[uuid_of(6)]["type"] == "CHART"
    assert rows[uuid_of(8)]["component_id"] == uuid_of(9)
    assert set(details.cells.rows["version"]) == {"published"}
    assert details.component_imports.rows.rows() == [(uuid_of(1), uuid_of(9), uuid_of(8), "3")]


def test_a_run_that_is_sent_twice_counts_once(folder: UPath) -> None:
    fake = workspace(1)
    twice = [run_of(1, "ERRORED"), run_of(2, "COMPLETED"), run_of(2, "COMPLETED")]
    fake.runs = {uuid_of(1): [*twice, run_of(1, "ERRORED", runId=uuid_of(0xD001).upper())]}
    (row,) = read(fake, folder).runs.rows.to_dicts()
    assert (row["runs"], row["success_rate"]) == (2, 0.5)


def test_runs_are_summed_up_per_trigger(folder: UPath) -> None:
    (row,) = read(workspace(1), folder).runs.rows.to_dicts()
    assert row["status"] == "ERRORED"
    assert row["runs"] == 3
    assert row["success_rate"] == pytest.approx(2 / 3)
    assert row["median_seconds"] == 2.5
    assert row["last_success_at"] == datetime(2026, 10, 28, 6, tzinfo=timezone.utc)
