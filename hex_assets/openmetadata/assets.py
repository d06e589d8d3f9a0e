"""Stage 4: what the catalog knows, and what is published to it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from hex_assets.connections import open_openmetadata
from hex_assets.errors import FrameError, PublishError
from hex_assets.frames import (
    CATALOG_SCHEMAS,
    CATALOG_TABLES,
    HEX_CELLS,
    HEX_COMPONENT_IMPORTS,
    HEX_PROJECTS,
    HEX_RUNS,
    LINEAGE_EDGES,
    OPENMETADATA_ENTITIES,
    Frame,
    FrameSchema,
)
from hex_assets.outputs import OWNERS, frame_out
from hex_assets.reporting import (
    bars,
    change_metadata,
    change_since,
    counted,
    failures,
    gaps_metadata,
    log_progress,
    step_failure,
    table,
)
from hex_assets.resources import FRAMES_IO, OPENMETADATA_POOL, Recipes
from hex_assets.storage import StoredFrames

if TYPE_CHECKING:
    from hex_assets.openmetadata.catalog_copy import CatalogFiles
    from hex_assets.openmetadata.publish import Plan
    from hex_assets.openmetadata.published import PublishedFiles
    from hex_assets.recipe import Recipe


class CatalogConfig(dg.Config):
    """Settings of one run, for the launchpad.

    Attributes:
        reconcile: list everything anew, whatever earlier runs kept.
    """

    reconcile: bool = False


def _of_catalog(description: str) -> dg.AssetOut:
    return frame_out(description, group_name="warehouse", kind="openmetadata", is_required=True)


@dg.multi_asset(
    outs={
        "catalog_tables": _of_catalog(
            "The warehouse tables that OpenMetadata knows, of the schemas within the recipe's "
            "dbServicePrefixes that can hold what is named. References in SQL are resolved against "
            "these, in exact case, and against nothing else."
        ),
        "catalog_schemas": _of_catalog(
            "All schemas that OpenMetadata knows within the recipe's dbServicePrefixes, and when "
            "the tables of those that were read were listed."
        ),
    },
    pool=OPENMETADATA_POOL,
)
def catalog(
    context: dg.AssetExecutionContext,
    hex_recipes: Recipes,
    hex_frames: StoredFrames,
    config: CatalogConfig,
    table_references: Frame,
) -> Iterator[dg.MaterializeResult[Frame]]:
    """Read the schemas that can hold what is named, unless an earlier run did and they are same."""
    from hex_assets.openmetadata.tables import read_catalog

    recipe = hex_recipes.recipe(context.partition_key)
    with failures(context, hex_recipes.retry_seconds), open_openmetadata(recipe) as client:
        read = read_catalog(
            client,
            recipe.source_config.db_service_prefixes,
            table_references,
            catalog_files(hex_frames, recipe),
            reconcile_days=recipe.hex_assets.reconcile_days,
            reconcile=config.reconcile,
        )
        requests = client.requests_sent
    if read.index_problem:
        context.log.warning(f"All schemas are listed anew in each run: {read.index_problem}")
    for schema, frame, key in (
        (CATALOG_TABLES, read.tables, "table_fqn"),
        (CATALOG_SCHEMAS, read.schemas, "schema_fqn"),
    ):
        change = change_since(hex_frames.last(schema, context.partition_key), frame, [key])
        yield dg.MaterializeResult(
            asset_key=context.asset_key_for_output(schema.name),
            value=frame,
            metadata={
                **_catalog(recipe),
                "by_service": dg.MetadataValue.md(bars(counted(frame.rows, "service"))),
                "schemas_read": read.schemas.rows["read_at"].count(),
                "schemas_listed_now": read.schemas_listed_now,
                "requests": requests,
                **change_metadata(change),
                **gaps_metadata(frame),
            },
        )


def catalog_files(stored: StoredFrames, recipe: "Recipe") -> "CatalogFiles":
    """Where the copy of the recipe's OpenMetadata server is kept, for all workspaces."""
    from hex_assets.openmetadata.catalog_copy import CatalogFiles, server_key

    server = server_key(recipe.openmetadata.host_port)
    return CatalogFiles(
        listings=stored.state_path(CATALOG_SCHEMAS.name, server),
        tables=stored.state_path(CATALOG_TABLES.name, server),
    )


class PublishConfig(dg.Config):
    """Settings of one run, for the launchpad.

    Attributes:
        reconcile: read everything from OpenMetadata, whatever the last run left there.
        reviewed_plan: fingerprint of the only plan that may be applied (``hex-assets plan``).
    """

    reconcile: bool = False
    reviewed_plan: str = ""


@dg.asset(
    group_name="openmetadata",
    kinds={"openmetadata"},
    owners=OWNERS,
    pool=OPENMETADATA_POOL,
    io_manager_key=FRAMES_IO,
)
def openmetadata_entities(
    context: dg.AssetExecutionContext,
    hex_recipes: Recipes,
    hex_frames: StoredFrames,
    config: PublishConfig,
    hex_projects: Frame,
    hex_cells: Frame,
    hex_component_imports: Frame,
    hex_runs: Frame,
    catalog_tables: Frame,
    lineage_edges: Frame,
) -> dg.MaterializeResult[Frame]:
    """Dashboards, charts, tags, lineage edges and usage of the workspace in OpenMetadata.

    Plans the difference between what Hex and the warehouses say and what the catalog holds, then
    sends only that. What people wrote in the catalog stays. Projects that left Hex are soft
    deleted after a complete read, and never more of them at once than the deletion guard allows.
    """
    from hex_assets.openmetadata.publish import Sources, publish
    from hex_assets.openmetadata.run_status import reported_run

    recipe = hex_recipes.recipe(context.partition_key)
    sources = Sources(
        hex_projects, lineage_edges, hex_cells, hex_component_imports, catalog_tables, hex_runs
    )
    with (
        failures(context, hex_recipes.retry_seconds),
        open_openmetadata(recipe) as client,
        reported_run(
            client,
            recipe,
            context.run.run_id,
            context.log.warning,
            dagster_url=hex_recipes.dagster_url.rstrip("/"),
        ) as report,
    ):
        try:
            frame = publish(
                client,
                recipe,
                sources,
                published_files(hex_frames, context.partition_key),
                reconcile=config.reconcile,
                reviewed=config.reviewed_plan or None,
                progress=log_progress(context.log.info, "Entities published"),
            )
        except PublishError as error:
            report.published(error.frame)
            raise step_failure(
                context, hex_recipes.retry_seconds, error, _metadata(error.frame)
            ) from error
        report.published(frame)
    return dg.MaterializeResult(value=frame, metadata={**_catalog(recipe), **_metadata(frame)})


def _catalog(recipe: "Recipe") -> dict[str, Any]:
    page = recipe.openmetadata.host_port.removesuffix("/").removesuffix("/api")
    return {"openmetadata": dg.MetadataValue.url(page)}


def _metadata(frame: Frame) -> dict[str, Any]:
    from hex_assets.openmetadata.publications import NO_USER

    written = frame.rows.filter(pl.col("action") != "unchanged")
    unknown = frame.rows.select(owner=pl.col("reason").str.extract(rf"(\S+){NO_USER}")).drop_nulls()
    return {
        "owners_without_user": dg.MetadataValue.md(bars(counted(unknown, "owner"))),
        "by_action": dg.MetadataValue.md(bars(counted(frame.rows, "action"))),
        "by_kind": dg.MetadataValue.md(bars(counted(frame.rows, "kind"))),
        "changes": dg.MetadataValue.md(
            table(written, ["kind", "fqn", "action", "reason", "before", "after", "outcome"])
        ),
        **{name: int(of_outcome.sum()) for name, of_outcome in _outcomes(frame.rows).items()},
    }


def _outcomes(rows: pl.DataFrame) -> dict[str, pl.Series]:
    """Which entities came to what; Dagster plots their number over runs."""
    outcome, action = rows["outcome"], rows["action"]
    done = outcome.str.starts_with("done") & (action != "unchanged")
    return {
        "written": done,
        "created": done & action.is_in(["create", "restore"]),
        "deleted": done & (action == "delete"),
        "unchanged": action == "unchanged",
        "left_alone": outcome.str.starts_with("skipped"),
        "failed": outcome.str.starts_with("failed"),
    }


def published_files(stored: StoredFrames, workspace: str) -> "PublishedFiles":
    """Where the asset keeps what it left in OpenMetadata."""
    from hex_assets.openmetadata.published import PublishedFiles

    return PublishedFiles(
        edges=stored.state_path(OPENMETADATA_ENTITIES.name, workspace),
        views=stored.state_path("dashboard_views", workspace),
    )


def plan_workspace(storage: str, recipe: "Recipe", *, reconcile: bool = False) -> "Plan":
    """Plan what publishing the frames of the last run would do.

    Args:
        storage: local path or object-store URL of the stored frames.

    Raises:
        FrameError: a frame has not been stored yet.
        HexAssetsError: as ``plan_publication``.
    """
    from hex_assets.openmetadata.publish import Sources, plan_publication

    stored, workspace = StoredFrames(root=storage), recipe.service_name

    def last(schema: FrameSchema) -> Frame:
        frame = stored.last(schema, workspace)
        if frame is None:
            raise FrameError(
                f"there is no {schema.name} of {workspace} yet to plan from. Read Hex and the "
                "warehouses first: hex-assets plan --read."
            )
        return frame

    sources = Sources(
        *(
            last(schema)
            for schema in (
                HEX_PROJECTS,
                LINEAGE_EDGES,
                HEX_CELLS,
                HEX_COMPONENT_IMPORTS,
                CATALOG_TABLES,
                HEX_RUNS,
            )
        )
    )
    files = published_files(stored, workspace)
    with open_openmetadata(recipe) as client:
        return plan_publication(client, recipe, sources, files, reconcile=reconcile)
