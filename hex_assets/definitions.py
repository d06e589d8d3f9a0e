"""The Dagster code location: everything, for the recipes named in the environment."""

import dagster as dg

from hex_assets.settings import LocationSettings


def build_definitions(settings: LocationSettings) -> dg.Definitions:
    """Everything, for the recipes that the settings point at.

    Raises:
        RecipeError: there is no recipe, or one names no workspace.
    """
    from hex_assets.automation import HexAutomation
    from hex_assets.embedding import build_hex_assets_definitions

    if not settings.recipes:
        dg.get_dagster_logger("hex_assets").warning(
            "Demo workspaces: HEX_ASSETS_RECIPES is not set."
        )
    return dg.Definitions.merge(
        build_hex_assets_definitions(
            settings.recipes,
            storage=settings.storage,
            automation=HexAutomation(
                schedule=settings.schedule, sensor_seconds=settings.sensor_seconds
            ),
            projects_in_graph=settings.projects_in_graph,
            report_url=settings.report_url,
            retry_seconds=settings.retry_seconds,
        ),
        dg.Definitions(executor=dg.in_process_executor),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What ``dagster dev`` loads: the recipes named in the environment."""
    return build_definitions(LocationSettings.from_environment())
