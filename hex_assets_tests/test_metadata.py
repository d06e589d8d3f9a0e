"""What each asset tells Dagster: numbers to plot over runs, what changed, and links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dagster as dg
import httpx
import pytest

from hex_assets.definitions import build_definitions
from hex_assets.runs import run_workspace
from hex_assets.sandbox.embedded import CATALOG_JWT
from hex_assets_tests.conftest import Location

FINANCE = "hex_finance"
PREFIXES = "source.sourceConfig.config.lineageInformation.dbServicePrefixes"


def materialize(location: Location, instance: dg.DagsterInstance) -> dict[str, Mapping[str, Any]]:
    """Metadata of each asset, by name."""
    run = run_workspace(location.settings, FINANCE, instance, lambda kind, text: None)
    assert run.failures == {}
    told = {}
    for spec in build_definitions(location.settings).resolve_all_asset_specs():
        event = instance.get_latest_materialization_event(spec.key)
        assert event is not None
        assert event.asset_materialization is not None
        told[spec.key.path[-1]] = event.asset_materialization.metadata
    return told


@pytest.fixture
def runs(location: Location) -> list[dict[str, Mapping[str, Any]]]:
    """Two runs, between which a project left Hex, and a database the recipe."""
    with dg.DagsterInstance.ephemeral() as instance:
        first = materialize(location, instance)
        state = location.sandbox.hex_state
        leaving = next(
            one["id"]
            for one in state.workspace(FINANCE).projects
            if one["title"] == "Month-end close"
        )
        state.remove_project(FINANCE, leaving)
        location.edit_recipe(FINANCE, PREFIXES, ["snowflake_prod.ANALYTICS"])
        return [first, materialize(location, instance)]


def test_numbers_to_plot_and_what_changed(runs: list[dict[str, Mapping[str, Any]]]) -> None:
    first, second = runs
    for name, metadata in second.items():
        numbers = {
            key
            for key, value in metadata.items()
            if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue)
        }
        assert numbers - {"dagster/row_count"} or name == "hex_workspace", name
    projects = [run["hex_projects"]["projects"].value for run in runs]
    assert projects[0] - projects[1] == 1
    assert second["hex_projects"]["removed"].value == 1
    assert second["lineage_edges"]["removed"].value > 0
    assert "snowflake_prod.RAW." in second["lineage_edges"]["lost_edges"].value
    assert "snowflake_prod." not in second["lineage_edges"]["new_edges"].value
    entities = second["openmetadata_entities"]
    assert first["openmetadata_entities"]["created"].value > 0
    assert "@" in first["openmetadata_entities"]["owners_without_user"].value
    assert entities["deleted"].value > 0
    assert entities["unchanged"].value > 0
    assert entities["failed"].value == entities["created"].value == 0


def test_links_lead_to_both_systems(
    location: Location, runs: list[dict[str, Mapping[str, Any]]]
) -> None:
    first, _ = runs
    assert first["openmetadata_entities"]["openmetadata"].value == location.sandbox.catalog_url
    assert first["catalog_tables"]["openmetadata"].value == location.sandbox.catalog_url
    assert first["hex_projects"]["hex"].value.startswith(location.sandbox.hex_url)


def test_the_catalog_leads_back_to_dagster(location: Location) -> None:
    settings = replace(location.settings, dagster_url="https://dagster.example/")
    with dg.DagsterInstance.ephemeral() as instance:
        run = run_workspace(settings, FINANCE, instance, lambda kind, text: None)
    assert run.failures == {}
    pipeline = f"services/ingestionPipelines/name/{FINANCE}.hex_assets"
    answer = httpx.get(
        f"{location.sandbox.catalog_url}/api/v1/{pipeline}",
        headers={"Authorization": f"Bearer {CATALOG_JWT}"},
    )
    assert "[Dagster](https://dagster.example/runs)" in answer.json()["description"]
