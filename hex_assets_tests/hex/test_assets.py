"""What people see of the Hex assets in Dagster: metadata, the run's log and the checks."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from hex_assets.definitions import build_definitions
from hex_assets.sandbox.world import HexWorkspace
from hex_assets_tests.conftest import Location

WORKSPACE = "hex_growth"


@dataclass(frozen=True)
class Materialized:
    """Metadata by asset, checks by name, and the lines of the run's log."""

    metadata: Mapping[str, Mapping[str, Any]]
    checks: Mapping[str, dg.AssetCheckEvaluation]
    lines: list[str]


def materialize(location: Location) -> Materialized:
    definitions = build_definitions(location.settings)
    assets = [one for one in definitions.assets or () if isinstance(one, dg.AssetsDefinition)]
    checks = list(definitions.asset_checks or ())
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [*assets, *checks],
            selection=dg.AssetSelection.groups("hex"),
            partition_key=WORKSPACE,
            resources=dict(definitions.resources or {}),
            instance=instance,
        )
        lines = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert result.success
    return Materialized(
        {
            event.asset_key.path[-1]: {
                name: value.value for name, value in event.materialization.metadata.items()
            }
            for event in result.get_asset_materialization_events()
            if event.asset_key is not None
        },
        {one.check_name: one for one in result.get_asset_check_evaluations()},
        lines,
    )


def workspace(location: Location) -> HexWorkspace:
    return location.sandbox.hex_state.workspace(WORKSPACE)


def test_a_healthy_workspace_is_read_whole_and_says_so(location: Location) -> None:
    first = materialize(location)
    assert first.metadata["hex_workspace"]["missing_scopes"] == "none"
    assert first.metadata["hex_coverage"]["not_available"] == "none"
    cells = first.metadata["hex_cells"]
    assert cells["projects_due"] == cells["projects_read"] == cells["projects_changed"] > 0
    assert cells["minutes_left_estimated"] == 0
    assert cells["requests_left_in_the_window"] > 0
    said = [re.search(r"Projects read: (\d+) of (\d+)", line) for line in first.lines]
    assert any(found and found.group(1) == found.group(2) for found in said)
    failed = {name for name, one in first.checks.items() if not one.passed}
    # Some runs of the demo's schedules failed, and that is what this check is for.
    assert failed <= {"hex_schedules_healthy"}
    again = materialize(location)
    assert again.metadata["hex_cells"]["projects_due"] == 0
    assert again.metadata["hex_cells"]["requests"] == 0


def test_everything_that_the_token_and_the_plan_lack_is_told_with_its_cost(
    location: Location,
) -> None:
    lacking = replace(
        workspace(location),
        scopes=("Projects: Read",),
        exports_enabled=False,
    )
    location.sandbox.hex_state.put_workspace(lacking)
    made = materialize(location)
    told = str(made.metadata["hex_workspace"]["missing_scopes"]).splitlines()
    assert [line.partition(":")[0] for line in told] == [
        "- Collections read",
        "- Data connections read",
        "- Users read",
    ]
    assert "collections have no descriptions" in told[0]
    assert "no database service" in told[1]
    not_available = str(made.metadata["hex_coverage"]["not_available"])
    assert "cells: " in not_available
    assert "'Cells read'" in not_available
    assert "'Projects: Read queried tables'" in not_available
    assert not made.checks["hex_token_lasts"].passed
    assert not made.checks["hex_cells_complete"].passed
    assert made.checks["hex_queried_tables_complete"].passed


def test_a_token_at_its_end_is_told_in_time(location: Location) -> None:
    days = 86_400
    for left, passed in ((30 * days, True), (5 * days, False)):
        ending = replace(workspace(location), token_expires_at=time.time() + left)
        location.sandbox.hex_state.put_workspace(ending)
        made = materialize(location)
        assert made.metadata["hex_workspace"]["token_kind"] == "workspace"
        check = made.checks["hex_token_lasts"]
        assert check.passed is passed
        assert re.search(r"expires in (29|4) days", check.description or "")


def test_connections_that_nobody_mapped_say_what_to_add_to_the_recipe(location: Location) -> None:
    location.edit_recipe(
        WORKSPACE,
        "workflowConfig.config.hexAssets.dataConnections",
        {"Old Snowflake (do not use)": "snowflake_prod", "Misspelt": "snowflake_prod"},
    )
    made = materialize(location)
    metadata = made.metadata["hex_data_connections"]
    first = next(
        one for one in workspace(location).data_connections if one["name"] == "Snowflake Analytics"
    )
    to_add = f"add {first['id']} to hexAssets.dataConnections with one of snowflake_prod"
    assert to_add in metadata["to_be_mapped"]
    assert any(to_add in line for line in made.lines)
    assert metadata["unknown_in_recipe"] == "- Misspelt"
    assert any("names Misspelt, which Hex does not list" in line for line in made.lines)
    assert "Shop Postgres" in metadata["outside_of_dbServicePrefixes"]
    assert "snowflake_prod" in metadata["by_service"]
