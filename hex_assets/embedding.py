"""Everything of this package as one Definitions object, for a code location of yours or ours."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import dagster as dg

from hex_assets.automation import (
    JOB_NAME,
    HexAutomation,
    build_project_run_sensor,
    build_schedule,
    build_sensor,
)
from hex_assets.checks import build_checks
from hex_assets.hex.assets import hex_data_connections, hex_details, hex_projects, hex_workspace
from hex_assets.lineage.assets import lineage
from hex_assets.lineage.parse_steps import table_references
from hex_assets.openmetadata.assets import catalog, openmetadata_entities
from hex_assets.project_assets import project_assets
from hex_assets.resources import FRAMES_IO, Recipes
from hex_assets.storage import ParquetFrames, StoredFrames
from hex_assets.translator import DagsterHexTranslator
from hex_assets.warehouse.assets import warehouse_query_history

# Partitioned checks are the only ones that keep one workspace's result from hiding another's.
warnings.filterwarnings("ignore", category=dg.PreviewWarning, message=".*partitions_def.*")

Stage = Literal["hex", "warehouse", "lineage", "openmetadata"]

_STAGES: Mapping[Stage, Sequence[dg.AssetsDefinition]] = {
    "hex": [hex_workspace, hex_projects, hex_data_connections, hex_details],
    "warehouse": [warehouse_query_history],
    # The catalog is read once it is known which tables are named.
    "lineage": [table_references, catalog, lineage],
    "openmetadata": [openmetadata_entities],
}


def build_hex_assets_definitions(
    recipes: str | Path,
    *,
    storage: str = ".hex_assets/frames",
    key_prefix: str | Sequence[str] = (),
    group_name: str | None = None,
    translator: DagsterHexTranslator | None = None,
    through: Stage = "openmetadata",
    checks: bool = True,
    automation: HexAutomation | None = None,
    projects_in_graph: bool = False,
    table_assets: Iterable[dg.AssetsDefinition | dg.AssetSpec] = (),
    report_url: str = "",
    dagster_url: str = "",
    retry_seconds: int = 60,
    executor: dg.ExecutorDefinition = dg.in_process_executor,
    resources: Mapping[str, object] | None = None,
) -> dg.Definitions:
    """Assets, checks, job, schedule, sensors and resources, to be merged with your own.

    A code location holds them once: several Hex workspaces are several recipes in one folder.
    Nothing connects to anything, and no secret is read, until a run or a sensor starts.

    Args:
        recipes: recipe file, or folder with one recipe per Hex workspace; each is a partition.
            Empty for the demo workspaces of the embedded sandbox.
        storage: where frames are kept, a local path or an object-store URL.
        key_prefix: before the key of every asset.
        group_name: one group for all assets; by default one per stage (hex, warehouse, lineage,
            openmetadata), and ``hex_projects``.
        translator: decides keys, owners, tags and descriptions; by default
            ``DagsterHexTranslator()``.
        through: the last stage to include; ``lineage`` publishes nothing.
        checks: whether to include the asset checks.
        automation: schedule, sensor and freshness; by default ``HexAutomation()``, with schedule
            and sensor switched off until somebody switches them on.
        projects_in_graph: whether each published Hex project is an external asset, once a run
            has stored what it takes (see ``load_hex_project_specs``).
        table_assets: your tables, of which the projects are downstream by ``dagster/table_name``.
        report_url: where the page of ``hex-assets report`` is served, for links to it.
        dagster_url: where Dagster's UI is served, for the catalog's link to it.
        retry_seconds: before a step that failed for a transient reason is tried again.
        executor: of the job; by default in process, for steps wait for APIs most of the time, and a
            process for each would take longer to start than most of them run. One that spreads
            steps takes those that parse many new texts to other processes or machines.
        resources: in place of ours, by key: ``hex_recipes`` (a ``Recipes``), ``hex_frames``
            (a ``StoredFrames``), ``hex_frames_io`` (an IO manager for ``Frame``).

    Raises:
        RecipeError: there is no recipe, or one names no workspace.
        DagsterInvalidDefinitionError: the translator changed the last part of an asset's key, or
            gave two projects the same key.
    """
    translator = translator or DagsterHexTranslator()
    automation = automation or HexAutomation()
    prefix = [key_prefix] if isinstance(key_prefix, str) else list(key_prefix)
    recipe_files = Recipes(path=str(recipes), retry_seconds=retry_seconds, dagster_url=dagster_url)
    workspaces = dg.StaticPartitionsDefinition(recipe_files.workspaces())

    def translated(spec: dg.AssetSpec) -> dg.AssetSpec:
        ours = translator.get_asset_spec(
            spec.replace_attributes(
                key=spec.key.with_prefix(prefix),
                group_name=group_name or spec.group_name,
                partitions_def=workspaces,
                freshness_policy=automation.freshness_policy,
            )
        )
        if ours.key.path[-1] != spec.key.path[-1]:
            raise dg.DagsterInvalidDefinitionError(
                f"The key {ours.key.to_user_string()} does not end in {spec.key.path[-1]}, by "
                "which the stored frame is found. Change what stands before it only."
            )
        return ours

    specs = {spec.key: translated(spec) for asset in _assets(through) for spec in asset.specs}
    new_keys = {key: spec.key for key, spec in specs.items()}
    by_new_key = {spec.key: spec for spec in specs.values()}
    assets = [
        asset.with_attributes(asset_key_replacements=new_keys).map_asset_specs(
            # The dependencies are inputs of the functions, and not to be translated.
            lambda spec: by_new_key[spec.key].replace_attributes(deps=spec.deps)
        )
        for asset in _assets(through)
    ]
    projects = (
        project_assets(storage, table_assets, key_prefix=prefix, translator=translator)
        if projects_in_graph
        else []
    )
    project_specs = [
        spec.replace_attributes(group_name=group_name or spec.group_name) for _, spec in projects
    ]
    sensors = [build_sensor(automation)] if automation.sensor_seconds else []
    if projects:
        by_key = {spec.key: project for project, spec in projects}
        sensors.append(build_project_run_sensor(automation, by_key))
    return dg.Definitions(
        assets=[*assets, *project_specs],
        asset_checks=(
            build_checks(workspaces, {key.path[-1]: key for key in by_new_key}) if checks else []
        ),
        jobs=[
            dg.define_asset_job(
                JOB_NAME,
                selection=dg.AssetSelection.assets(*by_new_key),
                description="Reads Hex and the query history, publishes to OpenMetadata."
                + ("" if str(recipes) else " Demo workspaces: there are no recipes."),
                executor_def=executor,
            )
        ],
        schedules=[build_schedule(automation)] if automation.schedule else [],
        sensors=sensors,
        resources={
            "hex_recipes": recipe_files,
            "hex_frames": StoredFrames(root=storage, report_url=report_url),
            FRAMES_IO: ParquetFrames(root=storage),
            **(resources or {}),
        },
    )


def _assets(through: Stage) -> Iterable[dg.AssetsDefinition]:
    stages = get_args(Stage)
    for stage in stages[: stages.index(through) + 1]:
        yield from _STAGES[stage]
