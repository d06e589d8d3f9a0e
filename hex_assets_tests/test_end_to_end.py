"""The whole graph against the sandbox over HTTP: it converges and never deletes wrongly."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from uuid import UUID, uuid5

import polars as pl
import pytest

from hex_assets.runs import RECONCILE
from hex_assets.sandbox.faults import Fault
from hex_assets.sandbox.world import World, build_world, with_project
from hex_assets_tests.conftest import Location, running_location

GROWTH, FINANCE = "hex_growth", "hex_finance"


def test_the_second_run_sends_no_write(location: Location) -> None:
    first = [location.run(GROWTH), location.run(FINANCE)]
    assert [run.failures for run in first] == [{}, {}]
    assert len(location.sandbox.catalog_faults.writes()) > 50
    published = location.catalog()
    location.sandbox.catalog_faults.requests.clear()

    again = [location.run(GROWTH), location.run(FINANCE)]

    assert [run.failures for run in again] == [{}, {}]
    assert location.catalog_writes() == []
    assert location.catalog() == published
    for run in again:
        assert set(run.frames["openmetadata_entities"].rows["outcome"]) <= {"unchanged"}


def test_the_catalog_is_read_once_for_all_workspaces_and_again_to_reconcile(
    location: Location,
) -> None:
    def listed() -> list[str]:
        requests = location.sandbox.catalog_faults.requests
        found = [line.partition("&")[0] for line in requests if "/v1/tables?" in line]
        requests.clear()
        return found

    runs = [location.run(GROWTH)]
    first = listed()
    schemas = runs[0].frames["catalog_schemas"].rows
    assert first
    assert len(first) == len(set(first)) <= schemas["read_at"].count() < schemas.height
    runs.append(location.run(FINANCE))
    assert not set(listed()) & set(first)
    runs += [location.run(GROWTH), location.run(FINANCE)]
    assert listed() == []
    runs.append(location.run(GROWTH, RECONCILE))
    assert listed() == first
    assert [run.failures for run in runs] == [{}] * len(runs)


def test_what_is_published_is_what_the_world_holds(location: Location) -> None:
    run = location.run(GROWTH)
    workspace = location.sandbox.hex_state.workspace(GROWTH)
    live = {
        project["id"].lower(): project
        for project in workspace.projects
        if project["type"] == "PROJECT" and not project["archivedAt"] and not project["trashedAt"]
    }
    dashboards = {
        fqn.removeprefix(f"{GROWTH}."): dashboard
        for fqn, dashboard in location.catalog()["dashboards"].items()
    }
    assert dashboards.keys() == live.keys()
    for project_id, project in live.items():
        assert dashboards[project_id]["displayName"] == (project["title"] or project_id)
    edges = run.frames["lineage_edges"].rows
    assert edges["table_fqn"].n_unique() > 20
    assert set(edges["table_fqn"].str.split(".").list.first()) == {"snowflake_prod"}
    unresolved = run.frames["unresolved_references"].rows
    ran = unresolved.filter(pl.col("executions") > 0)
    assert ran.select("reference", "reason").rows() == [
        ("analytics.supply.carrier_scans", "not in the catalog")
    ]
    # What only cells and Hex's own list name besides.
    listed = unresolved.filter(pl.col("reason") == "not in the catalog")["reference"]
    assert set(listed) == {
        "RAW.GSHEETS",
        "analytics.legacy.kpi_daily",
        "analytics.supply.carrier_scans",
    }


def test_no_literal_of_the_log_is_stored(location: Location, tmp_path: Path) -> None:
    run = location.run(GROWTH)
    log = pl.read_parquet(tmp_path / "sandbox" / "query_log.parquet")["query_text"]
    literals = log.str.extract_all(r"'[^'\n]{4,}'").explode().drop_nulls().unique()
    assert len(literals) > 20
    stored = "\n".join(
        text
        for name, column in (
            ("warehouse_query_history", "sql"),
            ("lineage_edges", "sql"),
            ("hex_cells", "sql"),
        )
        for text in run.frames[name].rows[column].drop_nulls()
    )
    assert "@" not in stored
    assert [literal for literal in literals if literal in stored] == []


@pytest.mark.parametrize("store_sql", ["none", "masked", "full"])
def test_the_recipe_says_which_sql_reaches_the_catalog(location: Location, store_sql: str) -> None:
    location.edit_recipe(FINANCE, "workflowConfig.config.hexAssets.storeSql", store_sql)
    assert location.run(FINANCE).succeeded
    edges = [json.loads(edge) for found in location.catalog()["edges"].values() for edge in found]
    sql = "\n".join(edge.get("sqlQuery") or "" for edge in edges)
    assert len(edges) > 10
    assert ("SELECT" in sql.upper()) == (store_sql != "none")
    assert bool(re.search(r"'\d{4}-\d\d-\d\d'", sql)) == (store_sql == "full")


def many_projects(count: int) -> World:
    """The demo world with so many projects in the first workspace that the listing has pages."""
    world = build_world()
    growth, *others = world.workspaces
    pattern = next(one for one in growth.projects if one["type"] == "PROJECT")
    for number in range(count):
        identity = str(uuid5(UUID(int=7), str(number)))
        growth = with_project(growth, {**pattern, "id": identity, "title": f"Report {number}"})
    return replace(world, workspaces=(growth, *others))


def test_a_500_on_page_2_leaves_the_catalog_and_names_page_status_and_trace(
    tmp_path: Path,
) -> None:
    with running_location(tmp_path, many_projects(120)) as location:
        assert location.run(GROWTH).succeeded
        published = location.catalog()
        location.sandbox.catalog_faults.requests.clear()
        location.sandbox.hex_faults.faults.append(
            Fault(r"GET /api/v1/projects\?.*after=", times=None, status=500)
        )

        run = location.run(GROWTH)

        assert not run.succeeded
        message = run.failures["hex_projects"]
        assert "page 2" in message
        assert "HTTP 500" in message
        assert "trace-injected" in message
        assert location.catalog_writes() == []
        assert location.catalog() == published


def test_odd_projects_and_hostile_sql_are_published_or_reported(
    location: Location, tmp_path: Path
) -> None:
    state = location.sandbox.hex_state
    pattern = next(one for one in state.workspace(FINANCE).projects if one["lastPublishedAt"])
    odd = {
        str(uuid5(UUID(int=9), title)): title
        for title in (
            "",
            "x" * 10_000,
            '«Übersicht» "Q3" 売上 <script>alert(1)</script>',
            "a::b > c",
        )
    }
    for identity, title in odd.items():
        project = {
            **pattern,
            "id": identity,
            "title": title or None,
            "owner": None,
            "creator": None,
        }
        state.put_project(FINANCE, project)
    log = tmp_path / "sandbox" / "query_log.parquet"
    rows = pl.read_parquet(log)
    signed = rows.filter(pl.col("query_text").str.contains(pattern["id"])).head(1)
    (text,) = signed["query_text"]
    comment = text[text.rindex("-- Hex") :]
    huge = "SELECT " + ", ".join(f"c{number} + {number}" for number in range(60_000))
    hostile = pl.concat(
        signed.with_columns(query_text=pl.lit(f"{sql}\n{comment}"))
        for sql in (f"{huge} FROM core.dim_customers", "SELEC FROM WHERE ((", "SELECT 'open FROM t")
    )
    pl.concat([rows, hostile]).write_parquet(log)

    run = location.run(FINANCE)

    assert run.failures == {}
    dashboards = location.catalog()["dashboards"]
    for identity, title in odd.items():
        assert dashboards[f"{FINANCE}.{identity}"]["displayName"] == (title or identity)
    reasons = run.frames["unresolved_references"].rows["reason"].to_list()
    assert "not parsed" in reasons
    assert location.run(FINANCE).frames["openmetadata_entities"].rows[
        "outcome"
    ].unique().to_list() == ["unchanged"]


def test_vanished_projects_are_deleted_under_the_guard_and_come_back(location: Location) -> None:
    location.run(GROWTH)
    state = location.sandbox.hex_state
    before = state.workspace(GROWTH)
    published = location.catalog()
    vanished = next(one for one in before.projects if one["type"] == "PROJECT")["id"]
    state.remove_project(GROWTH, vanished)
    location.run(GROWTH)
    assert location.catalog()["dashboards"][f"{GROWTH}.{vanished}"]["deleted"]

    state.put_workspace(before)
    assert location.run(GROWTH).succeeded
    assert location.catalog() == published


def test_the_guard_holds_back_a_mass_deletion(location: Location) -> None:
    location.run(GROWTH)
    published = location.catalog()
    state = location.sandbox.hex_state
    state.put_workspace(replace(state.workspace(GROWTH), projects=(), cells={}))
    location.sandbox.catalog_faults.requests.clear()

    run = location.run(GROWTH)

    assert location.catalog_writes() == []
    assert location.catalog() == published
    assert "deletionGuardPercent" in run.warnings["openmetadata_entities_published"]


@pytest.mark.parametrize("killed_after", [3, 30])
def test_a_killed_publish_is_completed_by_the_next_run(tmp_path: Path, killed_after: int) -> None:
    now = datetime.now(timezone.utc)
    with running_location(tmp_path / "whole", now=now) as undisturbed:
        undisturbed.run(GROWTH)
        expected = undisturbed.catalog()
    with running_location(tmp_path / "killed", now=now) as location:
        catalog = location.sandbox.catalog_faults
        # Slow the catalog down, so that the kill comes in the middle on any machine.
        catalog.faults.append(Fault(r"(PUT|POST|PATCH) ", kind="delay", seconds=0.05, times=None))
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "hex_assets",
                "ingest",
                "-c",
                str(location.recipe_path(GROWTH)),
            ],
            env={**os.environ, "HEX_ASSETS_STORAGE": location.settings.storage},
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(catalog.writes()) < killed_after and process.poll() is None:
            time.sleep(0.005)
        assert process.poll() is None, "the run ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
        catalog.faults.clear()
        assert location.catalog() != expected

        assert location.run(GROWTH).succeeded
        assert location.catalog() == expected


def test_a_warehouse_without_a_connection_fails_only_its_part(location: Location) -> None:
    whole = location.run(FINANCE)
    published = location.catalog()
    lineage = "source.sourceConfig.config.lineageInformation.dbServicePrefixes"
    location.edit_recipe(FINANCE, lineage, ["snowflake_prod", "postgres_shop"])

    run = location.run(FINANCE)

    assert run.failures == {}
    history, before = (one.frames["warehouse_query_history"] for one in (run, whole))
    assert history.rows["sql_key"].to_list() == before.rows["sql_key"].to_list()
    assert "postgres_shop was not read to its end since" in history.gaps[0]
    assert "postgres_shop" in run.warnings["warehouse_query_history_complete"]
    assert location.catalog() == published
