"""The Dagster code location: assets, checks, job, schedule, sensor and resources."""

import warnings

import dagster as dg

from hex_assets.settings import LocationSettings

# Partitioned checks are the only ones that keep one workspace's result from hiding another's.
warnings.filterwarnings("ignore", category=dg.PreviewWarning, message=".*partitions_def.*")
warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*include_sources.*")


def build_definitions(settings: LocationSettings) -> dg.Definitions:
    """Everything, for the recipes that the settings point at.

    Raises:
        RecipeError: there is no recipe, or one names no workspace.
    """
    from hex_assets.automation import JOB_NAME, build_schedule, build_sensor
    from hex_assets.checks import build_checks
    from hex_assets.hex.assets import (
        hex_data_connections,
        hex_details,
        hex_projects,
        hex_workspace,
    )
    from hex_assets.lineage.assets import lineage
    from hex_assets.openmetadata.assets import catalog_tables, openmetadata_entities
    from hex_assets.resources import Recipes
    from hex_assets.storage import ParquetFrames, StoredFrames
    from hex_assets.warehouse.assets import warehouse_query_history

    recipes = Recipes(path=settings.recipes)
    workspaces = dg.StaticPartitionsDefinition(recipes.workspaces())
    note = "" if settings.recipes else "Demo workspaces: HEX_ASSETS_RECIPES is not set."
    assets = [
        hex_workspace,
        hex_projects,
        hex_data_connections,
        hex_details,
        warehouse_query_history,
        catalog_tables,
        lineage,
        openmetadata_entities,
    ]
    if note:
        dg.get_dagster_logger("hex_assets").warning(note)
    return dg.Definitions(
        assets=[
            asset.map_asset_specs(lambda spec: spec.replace_attributes(partitions_def=workspaces))
            for asset in assets
        ],
        asset_checks=build_checks(workspaces),
        jobs=[
            dg.define_asset_job(
                JOB_NAME,
                selection=dg.AssetSelection.all(),
                description=f"Reads Hex and the query history, publishes to OpenMetadata. {note}",
            )
        ],
        schedules=[build_schedule(settings.schedule)],
        sensors=[build_sensor(settings.sensor_seconds)],
        resources={
            "recipes": recipes,
            "stored": StoredFrames(root=settings.storage, report_url=settings.report_url),
            "io_manager": ParquetFrames(root=settings.storage),
        },
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What ``dagster dev`` loads: the recipes named in the environment."""
    return build_definitions(LocationSettings.from_environment())
