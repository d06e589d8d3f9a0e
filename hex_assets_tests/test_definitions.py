"""What the code location offers, and that it loads without secrets and without heavy imports."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from hex_assets.automation import JOB_NAME
from hex_assets.definitions import build_definitions
from hex_assets.errors import RecipeError
from hex_assets.runs import run_workspace
from hex_assets.settings import LocationSettings
from hex_assets_tests.conftest import Location

NAMING_INPUTS = {
    "warehouse_query_history",
    "hex_cells",
    "hex_data_connections",
    "hex_component_imports",
    "hex_queried_tables",
}
LINEAGE_INPUTS = {*NAMING_INPUTS, "table_references", "catalog_tables", "catalog_schemas"}

EXPECTED = {
    "hex_workspace": ("hex", set()),
    "hex_projects": ("hex", {"hex_workspace"}),
    "hex_data_connections": ("hex", set()),
    "hex_cells": ("hex", {"hex_projects", "hex_data_connections"}),
    "hex_component_imports": ("hex", {"hex_projects", "hex_data_connections"}),
    "hex_queried_tables": ("hex", {"hex_projects", "hex_data_connections"}),
    "hex_runs": ("hex", {"hex_projects", "hex_data_connections"}),
    "hex_coverage": ("hex", {"hex_projects", "hex_data_connections"}),
    "warehouse_query_history": ("warehouse", {"hex_projects"}),
    "table_references": ("lineage", NAMING_INPUTS),
    "catalog_tables": ("warehouse", {"table_references"}),
    "catalog_schemas": ("warehouse", {"table_references"}),
    "lineage_edges": ("lineage", LINEAGE_INPUTS),
    "unresolved_references": ("lineage", LINEAGE_INPUTS),
    "evidence_disagreements": ("lineage", LINEAGE_INPUTS),
    "openmetadata_entities": (
        "openmetadata",
        {
            "hex_projects",
            "hex_cells",
            "hex_component_imports",
            "hex_runs",
            "catalog_tables",
            "lineage_edges",
        },
    ),
}


def test_the_graph_is_the_one_documented() -> None:
    graph = build_definitions(LocationSettings()).resolve_asset_graph()
    found = {
        node.key.path[-1]: (node.group_name, {parent.path[-1] for parent in node.parent_keys})
        for node in graph.asset_nodes
    }
    assert found == EXPECTED


def test_every_asset_is_partitioned_described_owned_and_checked() -> None:
    graph = build_definitions(LocationSettings()).resolve_asset_graph()
    checked = {key.asset_key.path[-1] for key in graph.asset_check_keys}
    for node in graph.asset_nodes:
        name = node.key.path[-1]
        assert node.partitions_def is not None, name
        assert node.partitions_def.get_partition_keys() == ["hex_finance", "hex_growth"], name
        assert len(node.description or "") > 40, name
        assert node.owners, name
        assert node.kinds, name
        assert name in checked


def test_schedule_and_sensor_are_off_until_somebody_turns_them_on() -> None:
    repository = build_definitions(LocationSettings()).get_repository_def()
    (schedule,) = repository.schedule_defs
    (sensor,) = repository.sensor_defs
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert schedule.job_name == sensor.job_name == JOB_NAME


def test_the_cron_comes_from_the_environment() -> None:
    settings = LocationSettings.from_environment({"HEX_ASSETS_SCHEDULE": "30 1 * * 1"})
    (schedule,) = build_definitions(settings).get_repository_def().schedule_defs
    assert schedule.cron_schedule == "30 1 * * 1"


def test_without_recipes_the_job_says_that_it_is_a_demo() -> None:
    job = build_definitions(LocationSettings()).resolve_job_def(JOB_NAME)
    assert "Demo workspaces" in (job.description or "")


def test_each_recipe_is_a_partition(location: Location) -> None:
    for number, name in enumerate(["hex_growth", "hex_finance"]):
        location.edit_recipe(name, "source.serviceName", f"team_{number}")
    graph = build_definitions(location.settings).resolve_asset_graph()
    partitions = graph.get(dg.AssetKey("hex_projects")).partitions_def
    assert partitions is not None
    assert partitions.get_partition_keys() == ["team_0", "team_1"]


def test_definitions_load_without_the_secrets(location: Location) -> None:
    location.edit_recipe("hex_growth", "source.serviceConnection.config.token", "${NOT_SET}")
    assert build_definitions(location.settings).resolve_asset_graph()


def test_one_asset_and_what_it_needs_can_be_materialized(location: Location) -> None:
    definitions = build_definitions(location.settings)
    assets = [one for one in definitions.assets or () if isinstance(one, dg.AssetsDefinition)]
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            assets,
            selection=dg.AssetSelection.assets("openmetadata_entities").upstream(),
            partition_key="hex_finance",
            resources=dict(definitions.resources or {}),
            instance=instance,
        )
        lines = [entry.user_message for entry in instance.all_logs(result.run_id)]
    events = result.get_asset_materialization_events()
    made = {event.asset_key.path[-1] for event in events if event.asset_key}
    assert any(
        re.search(r"Projects read: \d+ of \d+, \d+ requests left in the window", line)
        for line in lines
    )
    cells = next(
        event.materialization.metadata
        for event in events
        if event.asset_key == dg.AssetKey("hex_cells")
    )
    assert cells["requests"].value
    assert cells["projects_read"].value == cells["projects_changed"].value
    assert "openmetadata_entities" in made
    assert "lineage_edges" in made
    assert "unresolved_references" not in made


def test_a_folder_without_recipes_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=str(tmp_path)):
        build_definitions(LocationSettings(recipes=str(tmp_path)))


def test_loading_imports_no_heavy_client() -> None:
    code = (
        "import sys; from hex_assets.definitions import build_definitions;"
        "from hex_assets.settings import LocationSettings;"
        "build_definitions(LocationSettings()).resolve_asset_graph();"
        "heavy = {'clickhouse_connect', 'databricks', 'google', 'snowflake', 'sqlglot', 'uvicorn'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_sensors_interval_comes_from_the_environment() -> None:
    settings = LocationSettings.from_environment({"HEX_ASSETS_SENSOR_SECONDS": "7"})
    (sensor,) = build_definitions(settings).get_repository_def().sensor_defs
    assert sensor.minimum_interval_seconds == 7
    with pytest.raises(RecipeError, match="HEX_ASSETS_SENSOR_SECONDS"):
        LocationSettings.from_environment({"HEX_ASSETS_SENSOR_SECONDS": "often"})


def test_lineage_links_to_the_report_that_is_served(location: Location) -> None:
    settings = replace(location.settings, report_url="https://reports.example/hex.html")
    with dg.DagsterInstance.ephemeral() as instance:
        run_workspace(settings, "hex_finance", instance, lambda kind, text: None)
        event = instance.get_latest_materialization_event(dg.AssetKey("lineage_edges"))
    assert event is not None
    assert event.asset_materialization is not None
    link = event.asset_materialization.metadata["report"].value
    assert link == "https://reports.example/hex.html#workspace=hex_finance"
