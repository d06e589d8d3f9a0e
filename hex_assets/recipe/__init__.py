"""Recipes: the YAML of OpenMetadata's Hex workflow, validated.

A recipe that ``metadata ingest -c`` accepts for Hex is accepted here, with our own settings under
``workflowConfig.config.hexAssets``, a place that OpenMetadata leaves to its users. All settings
come from here; nothing else reads them from files or the environment.
"""

from hex_assets.recipe.load import load_recipe, load_recipes, parse_recipe, service_names
from hex_assets.recipe.settings import (
    HexAssetsSettings,
    RetrySettings,
)
from hex_assets.recipe.workflow import (
    DashboardMetadata,
    HexConnection,
    OpenMetadataConnection,
    Recipe,
)
from hex_assets.section import FilterPattern

__all__ = [
    "DashboardMetadata",
    "FilterPattern",
    "HexAssetsSettings",
    "HexConnection",
    "OpenMetadataConnection",
    "Recipe",
    "RetrySettings",
    "load_recipe",
    "load_recipes",
    "parse_recipe",
    "service_names",
]
