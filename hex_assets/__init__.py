"""Hex projects, owners, tags and lineage in OpenMetadata, as Dagster assets.

What a project of yours embeds is offered here, and imported when first asked for: the
``hex-assets`` command needs none of it, and is to start fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hex_assets.automation import HexAutomation
    from hex_assets.component import HexWorkspaceComponent
    from hex_assets.embedding import build_hex_assets_definitions
    from hex_assets.project_assets import HexProject, WarehouseTable, load_hex_project_specs
    from hex_assets.translator import DagsterHexTranslator

__all__ = [
    "DagsterHexTranslator",
    "HexAutomation",
    "HexProject",
    "HexWorkspaceComponent",
    "WarehouseTable",
    "build_hex_assets_definitions",
    "load_hex_project_specs",
]

_MODULES = {
    "DagsterHexTranslator": "hex_assets.translator",
    "HexAutomation": "hex_assets.automation",
    "HexProject": "hex_assets.project_assets",
    "HexWorkspaceComponent": "hex_assets.component",
    "WarehouseTable": "hex_assets.project_assets",
    "build_hex_assets_definitions": "hex_assets.embedding",
    "load_hex_project_specs": "hex_assets.project_assets",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """The public names too, because ``dg`` looks for components among these."""
    return sorted({*globals(), *__all__})
