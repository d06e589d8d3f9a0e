"""The demo world is the same in every process and holds the cases that trip clients."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from hex_assets.sandbox.world import (
    DEMO_WORKSPACES,
    WORLD_INSTANT,
    HexWorkspace,
    WireObject,
    World,
    build_world,
    wire_instant,
    with_project,
    without_project,
)

HEX_CELL_TYPES = set(
    "CODE MARKDOWN DISPLAY_TABLE INPUT SQL VEGA_CHART CELL_GROUP METRIC TEXT MAP WRITEBACK "
    "DBT_METRIC PIVOT FILTER COMPONENT_IMPORT CHART BLOCK EXPLORE COLLAPSIBLE".split()
)
HEX_CONNECTION_TYPES = set(
    "athena bigquery clickhouse databricks postgres redshift snowflake trino".split()
)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world()


@pytest.fixture(scope="module")
def growth(world: World) -> HexWorkspace:
    return world.workspaces[0]


def all_projects(world: World) -> list[WireObject]:
    return [project for workspace in world.workspaces for project in workspace.projects]


def all_cells(world: World) -> list[WireObject]:
    return [
        cell
        for workspace in world.workspaces
        for cells in workspace.cells.values()
        for cell in cells
    ]


def test_a_seed_gives_one_world() -> None:
    assert build_world(3) == build_world(3)
    assert build_world(3) != build_world(4)


def test_another_process_builds_the_same_world(world: World) -> None:
    script = "from hex_assets.sandbox.world import build_world; print(ascii(build_world()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().strip() == ascii(world)


def test_workspaces_are_known_by_name_before_the_world_is_built(world: World) -> None:
    assert tuple(workspace.name for workspace in world.workspaces) == DEMO_WORKSPACES


def test_tokens_have_the_form_of_hex_tokens(world: World) -> None:
    growth, finance = world.workspaces
    assert re.fullmatch(r"hxtw_[0-9a-f]{96}", growth.token)
    assert re.fullmatch(r"hxtp_[0-9a-f]{96}", finance.token)


def test_ids_are_unique_lower_case_uuids_of_the_fourth_and_seventh_version(world: World) -> None:
    ids = [project["id"] for project in all_projects(world)]
    ids += [cell[key] for cell in all_cells(world) for key in ("id", "staticId")]
    ids += [each["id"] for space in world.workspaces for each in space.data_connections]
    assert len(ids) == len(set(ids))
    assert all(str(uuid.UUID(each)) == each for each in ids)
    assert {uuid.UUID(project["id"]).version for project in all_projects(world)} == {4, 7}


def test_time_ordered_ids_carry_the_creation_instant(world: World) -> None:
    for project in all_projects(world):
        identity = uuid.UUID(project["id"])
        if identity.version == 7:
            born = datetime.fromtimestamp((identity.int >> 80) / 1000, timezone.utc)
            assert wire_instant(born) == project["createdAt"]


def test_projects_cover_the_states_of_a_real_workspace(world: World) -> None:
    projects = all_projects(world)
    assert 40 <= len(projects) <= 60
    for field in ("archivedAt", "trashedAt", "lastPublishedAt", "status", "description"):
        assert {project[field] is None for project in projects} == {True, False}, field
    assert {project["type"] for project in projects} == {"PROJECT", "COMPONENT"}
    assert {"owner" in project for project in projects} == {True, False}
    assert {bool(project["categories"]) for project in projects} == {True, False}
    assert any(len(project["schedules"]) > 1 for project in projects)
    assert any(len(project["description"] or "") > 8000 for project in projects)
    assert any(not project["title"].isascii() for project in projects)
    assert any('"' in project["title"] and "--" in project["title"] for project in projects)


def test_every_schedule_sets_exactly_the_object_of_its_cadence(world: World) -> None:
    cadences = ("hourly", "daily", "weekly", "monthly", "custom")
    schedules = [each for project in all_projects(world) for each in project["schedules"]]
    assert {schedule["cadence"].lower() for schedule in schedules} == set(cadences)
    for schedule in schedules:
        present = [name for name in cadences if schedule[name] is not None]
        assert present == [schedule["cadence"].lower()]


def test_titles_clash_within_and_between_workspaces(world: World) -> None:
    growth, finance = (
        Counter(project["title"] for project in workspace.projects)
        for workspace in world.workspaces
    )
    assert growth & finance
    assert max(growth.values()) > 1


def test_instants_are_in_order_and_not_younger_than_the_world(world: World) -> None:
    for project in all_projects(world):
        assert project["createdAt"] <= project["lastEditedAt"] <= wire_instant(WORLD_INSTANT)
        if project["lastPublishedAt"] is not None:
            assert project["createdAt"] <= project["lastPublishedAt"] <= project["lastEditedAt"]


def test_view_counts_grow_with_the_window_and_drafts_have_none(world: World) -> None:
    for project in all_projects(world):
        views = project["analytics"]["appViews"]
        rising = [views[f"last{days}Days"] for days in ("Seven", "Fourteen", "Thirty")]
        assert sorted(rising) == rising and rising[-1] <= views["allTime"]
        if project["lastPublishedAt"] is None or project["type"] == "COMPONENT":
            assert views["allTime"] == 0


def test_the_listing_has_a_tie_in_its_default_order(growth: HexWorkspace) -> None:
    born = Counter(project["createdAt"] for project in growth.projects)
    assert max(born.values()) > 1


def test_cells_cover_every_documented_type_and_one_from_the_future(world: World) -> None:
    types = {cell["cellType"] for cell in all_cells(world)}
    assert types >= HEX_CELL_TYPES
    assert len(types - HEX_CELL_TYPES) == 1


def test_sql_cells_cover_dataframe_sql_jinja_and_null_labels(world: World) -> None:
    cells = [cell for cell in all_cells(world) if cell["cellType"] == "SQL"]
    sources = [cell["contents"]["sqlCell"]["source"] for cell in cells]
    assert {cell["dataConnectionId"] is None for cell in cells} == {True, False}
    assert {cell["label"] is None for cell in cells} == {True, False}
    for needle in ("{{ start_date }}", "| array }}", "{% if region %}"):
        assert any(needle in source for source in sources), needle


def test_components_stand_inlined_after_their_import(growth: HexWorkspace) -> None:
    importing = next(p for p in growth.projects if p["title"] == "Experiment read-out")
    component = next(p for p in growth.projects if p["title"] == "Order base")
    imported, inlined = growth.cells[importing["id"]][:2]
    assert imported["cellType"] == "COMPONENT_IMPORT"
    assert imported["contents"] == {"codeCell": None, "sqlCell": None, "markdownCell": None}
    assert inlined["contents"] == growth.cells[component["id"]][0]["contents"]


def test_connections_fill_more_than_one_default_page_with_every_type(growth: HexWorkspace) -> None:
    assert len(growth.data_connections) > 25
    types = {connection["type"] for connection in growth.data_connections}
    assert types > HEX_CONNECTION_TYPES
    assert any(each["connectionDetails"] is None for each in growth.data_connections)


def test_cells_name_connections_that_no_listing_shows(growth: HexWorkspace) -> None:
    listed = {connection["id"] for connection in growth.data_connections}
    unlisted = {connection["id"] for connection in growth.unlisted_connections}
    named = {
        cell["dataConnectionId"]
        for cells in growth.cells.values()
        for cell in cells
        if cell["dataConnectionId"] is not None
    }
    assert named & unlisted
    assert len(named - listed - unlisted) == 1  # deleted, yet still named


def test_the_catalog_has_two_services_of_different_types(world: World) -> None:
    assert [service.service_type for service in world.database_services] == [
        "Snowflake",
        "Postgres",
    ]
    for service in world.database_services:
        names = [(table.database, table.schema, table.name) for table in service.tables]
        assert len(names) == len(set(names))
        assert all(table.columns for table in service.tables)
    snowflake = world.database_services[0]
    assert len(snowflake.tables) >= 60
    assert {table.database for table in snowflake.tables} == {"ANALYTICS", "RAW"}


def test_some_table_names_need_a_schema_or_quotes(world: World) -> None:
    tables = world.database_services[0].tables
    assert max(Counter(table.name for table in tables).values()) > 1
    quoted = next(table for table in tables if table.name == "Promo Calendar")
    assert quoted.columns[0] == ("Promo Name", "VARCHAR")
    assert any("." in table.name for table in tables)


def test_owners_differ_from_the_catalog_in_case_and_one_is_unknown(world: World) -> None:
    owners = {project["owner"]["email"] for project in all_projects(world) if "owner" in project}
    catalogued = {user.email for user in world.users}
    folded = {email.lower() for email in catalogued}
    assert len([email for email in owners - catalogued if email.lower() in folded]) == 3
    assert len([email for email in owners if email.lower() not in folded]) == 1


def test_collections_named_by_sharing_exist(world: World) -> None:
    for workspace in world.workspaces:
        known = {collection["name"] for collection in workspace.collections}
        for project in workspace.projects:
            named = {each["collection"]["name"] for each in project["sharing"]["collections"]}
            assert named <= known


def test_wire_instant_is_utc_with_milliseconds() -> None:
    east = datetime(2026, 1, 2, 3, 4, 5, 678900, timezone(timedelta(hours=1)))
    assert wire_instant(east) == "2026-01-02T02:04:05.678Z"


def test_with_project_replaces_one_project_and_keeps_its_cells(growth: HexWorkspace) -> None:
    project = growth.projects[0]
    changed = with_project(growth, {**project, "title": "Renamed"})
    assert changed.projects == ({**project, "title": "Renamed"}, *growth.projects[1:])
    assert changed.cells == growth.cells
    assert with_project(growth, project, cells=()).cells[project["id"]] == ()


def test_without_project_drops_the_project_and_its_cells(growth: HexWorkspace) -> None:
    project_id = growth.projects[0]["id"]
    changed = without_project(growth, project_id)
    assert project_id not in changed.cells
    assert changed == replace(growth, projects=growth.projects[1:], cells=changed.cells)
