"""The component by which ``dg`` finds, scaffolds and loads this package in a project of yours."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import dagster as dg
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from pydantic import BaseModel, Field
from upath import UPath

from hex_assets.automation import HexAutomation
from hex_assets.embedding import build_hex_assets_definitions
from hex_assets.project_assets import HexProject
from hex_assets.translator import DagsterHexTranslator

# Raised by Dagster itself where a component holds asset checks.
warnings.filterwarnings(
    "ignore", category=dg.BetaWarning, message=".*`execution_type` of function.*"
)

_RECIPE = """\
# One Hex workspace: what to read, and where to publish it. Variables are read when a run starts.
source:
  type: hex
  serviceName: hex                        # dashboard service in OpenMetadata, and partition here
  serviceConnection:
    config:
      type: Hex
      hostPort: https://app.hex.tech
      token: ${HEX_TOKEN}
  sourceConfig:
    config:
      type: DashboardMetadata
      lineageInformation:
        dbServicePrefixes: [snowflake]    # database services in OpenMetadata that Hex queries
sink: {type: metadata-rest, config: {}}
workflowConfig:
  openMetadataServerConfig:
    hostPort: https://openmetadata.example.com/api
    authProvider: openmetadata
    securityConfig: {jwtToken: "${OPENMETADATA_JWT}"}
"""


class ScaffoldParameters(BaseModel):
    """Options of ``dg scaffold defs hex_assets.HexWorkspaceComponent``."""

    recipes: str | None = Field(
        default=None,
        description="Recipe file or folder of recipes that you have; by default an example of one "
        "is written.",
    )


class HexWorkspaceScaffolder(dg.Scaffolder[ScaffoldParameters]):
    """Writes a ``defs.yaml`` that loads, and an example of a recipe where none is named."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParameters]:
        return ScaffoldParameters

    def scaffold(self, request: dg.ScaffoldRequest[ScaffoldParameters]) -> None:
        recipes = request.params.recipes
        if recipes is None:
            recipes = "recipes"
            folder = request.target_path / recipes
            folder.mkdir(exist_ok=True)
            (folder / "hex.yaml").write_text(_RECIPE, encoding="utf-8")
        dg.scaffold_component(
            request,
            {
                "recipes": recipes,
                "storage": ".hex_assets/frames",
                "projects_in_graph": True,
                "automation": {"schedule": "0 5 * * *", "sensor_seconds": 120},
            },
        )


@dg.scaffold_with(HexWorkspaceScaffolder)
class HexWorkspaceComponent(dg.Component, dg.Model, dg.Resolvable):
    """Hex workspaces: projects, cells and query history, lineage, and their publication.

    .. code-block:: yaml

        type: hex_assets.HexWorkspaceComponent
        attributes:
          recipes: recipes
          key_prefix: [hex]
          projects_in_graph: true
          tables_from: [dbt]

    A project holds it once: several Hex workspaces are several recipes in one folder.
    """

    recipes: str = Field(
        description="Recipe file, or folder with one recipe per Hex workspace; each is a "
        "partition. Relative to the folder of defs.yaml. Empty for the demo workspaces.",
        examples=["recipes", "{{ project_root }}/recipes"],
    )
    storage: str = Field(
        default=".hex_assets/frames",
        description="Where frames are kept: an object-store URL, or a folder, relative to the "
        "root of the project.",
        examples=["s3://bucket/hex"],
    )
    key_prefix: Sequence[str] = Field(
        default=(),
        description="Before the key of every asset.",
        examples=[["analytics", "hex"]],
    )
    group_name: str | None = Field(
        default=None,
        description="One group for all assets; by default one per stage (hex, warehouse, lineage, "
        "openmetadata), and hex_projects.",
        examples=["bi"],
    )
    translation: Annotated[
        TranslationFn[str] | None,
        TranslationFnResolver[str](lambda name: {"name": name}),
    ] = Field(
        default=None,
        description="Owners, tags, key, group and more of each asset; `spec` is what it would be, "
        "`name` the name of the asset. The last part of a key has to stay.",
        examples=[{"owners": ["team:analytics"], "tags": {"tier": "bi"}}],
    )
    project_translation: Annotated[
        TranslationFn[HexProject] | None,
        TranslationFnResolver[HexProject](lambda project: {"project": project}),
    ] = Field(
        default=None,
        description="The same for the external asset of each Hex project; `project` is a "
        "HexProject, `spec` what the asset would be.",
        examples=[{"key": "hex/{{ project.id }}", "group_name": "{{ project.workspace }}"}],
    )
    through: Literal["hex", "warehouse", "lineage", "openmetadata"] = Field(
        default="openmetadata",
        description="The last stage whose assets are included; `lineage` publishes nothing.",
        examples=["lineage"],
    )
    checks: bool = Field(
        default=True, description="Whether to include the asset checks.", examples=[True]
    )
    automation: HexAutomation = Field(
        default_factory=HexAutomation,
        description="Schedule, sensor and freshness.",
        examples=[{"schedule": "0 5 * * *", "turned_on": True}],
    )
    projects_in_graph: bool = Field(
        default=False,
        description="Whether each published Hex project is an external asset, once a run has "
        "stored what it takes.",
        examples=[True],
    )
    tables_from: Sequence[str] = Field(
        default=(),
        description="Folders of defs with your tables (dbt, Snowflake...), relative to the root of "
        "defs. Hex projects are downstream of the assets whose dagster/table_name they read.",
        examples=[["dbt", "snowflake/marts"]],
    )
    report_url: str = Field(
        default="",
        description="Where the page of `hex-assets report` is served, for links to it.",
        examples=["https://reports.example.com/hex.html"],
    )
    retry_seconds: int = Field(
        default=60,
        ge=0,
        description="Before a step that failed for a transient reason is tried again.",
        examples=[60],
    )

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        return dg.ComponentTypeSpec(
            description="Hex projects, owners, tags and lineage in OpenMetadata.",
            tags=["hex", "openmetadata", "lineage"],
            owners=[],
            produces=["asset", "asset_check", "job", "resource", "schedule", "sensor"],
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """What the attributes say. Override it to swap resources or to add your own."""
        tables = [
            spec
            for path in self.tables_from
            for spec in context.build_defs(path).resolve_all_asset_specs()
        ]
        return build_hex_assets_definitions(
            str(_below(context.path, self.recipes)) if self.recipes else "",
            storage=str(_below(context.project_root, self.storage)),
            key_prefix=self.key_prefix,
            group_name=self.group_name,
            translator=self.translator(),
            through=self.through,
            checks=self.checks,
            automation=self.automation,
            projects_in_graph=self.projects_in_graph,
            table_assets=tables,
            report_url=self.report_url,
            retry_seconds=self.retry_seconds,
        )

    def translator(self) -> DagsterHexTranslator:
        """By default what `translation` and `project_translation` say; override it for more."""
        return _AttributeTranslator(self.translation, self.project_translation)


@dataclass(frozen=True)
class _AttributeTranslator(DagsterHexTranslator):
    translation: TranslationFn[str] | None
    project_translation: TranslationFn[HexProject] | None

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        return self.translation(spec, spec.key.path[-1]) if self.translation else spec

    def get_project_spec(self, spec: dg.AssetSpec, project: HexProject) -> dg.AssetSpec:
        return self.project_translation(spec, project) if self.project_translation else spec


def _below(root: Path, path: str) -> UPath | Path:
    """A path as it is if it is absolute or has a protocol, else below the root."""
    return UPath(path) if UPath(path).is_absolute() or "://" in path else root / path
