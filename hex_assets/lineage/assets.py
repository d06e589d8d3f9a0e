"""Stage 3: which tables each Hex project reads."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from hex_assets.frames import LINEAGE_EDGES, UNRESOLVED_REFERENCES, Frame
from hex_assets.reporting import (
    bars,
    change_metadata,
    change_since,
    counted,
    failures,
    gaps_metadata,
    log_progress,
    table,
)
from hex_assets.resources import Recipes
from hex_assets.storage import StoredFrames


def _out(description: str) -> dg.AssetOut:
    return dg.AssetOut(
        dagster_type=Frame,
        description=description,
        group_name="lineage",
        kinds={"python"},
        owners=["team:data-platform"],
    )


@dg.multi_asset(
    outs={
        "lineage_edges": _out(
            "Which tables each Hex project, and each cell of it, reads, with the "
            "evidence for it. A reference that fits several tables makes no edge."
        ),
        "unresolved_references": _out(
            "Table references that could not be linked, and why: what to add to the "
            "catalog or to the recipe."
        ),
    },
)
def lineage(
    context: dg.AssetExecutionContext,
    recipes: Recipes,
    stored: StoredFrames,
    warehouse_query_history: Frame,
    catalog_tables: Frame,
) -> Iterator[dg.MaterializeResult[Frame]]:
    """Parse each distinct statement once and resolve its tables against the catalog."""
    from hex_assets.lineage.edges import build_edges

    recipe = recipes.recipe(context.partition_key)
    with failures():
        built = build_edges(
            warehouse_query_history,
            catalog_tables,
            recipe.source_config.db_service_prefixes,
            progress=log_progress(context.log.info, "Distinct statements parsed"),
        )
    key = ["project_id", "cell_id", "table_fqn"]
    last = stored.last(LINEAGE_EDGES, context.partition_key)
    edges = built.edges.rows
    if recipe.hex_assets.store_sql == "none":
        edges = edges.with_columns(sql=pl.lit(None, pl.String))
    edges_frame = LINEAGE_EDGES.frame(edges, built.edges.gaps)
    yield dg.MaterializeResult(
        asset_key="lineage_edges",
        value=edges_frame,
        metadata={
            "projects": edges["project_id"].n_unique(),
            "tables": edges["table_fqn"].n_unique(),
            "statements_parsed": built.figures.statements,
            "statements_not_parsed": built.figures.unparsed,
            "most_read_tables": dg.MetadataValue.md(bars(_readers(edges))),
            **change_metadata(change_since(last, edges_frame, key)),
            **gaps_metadata(edges_frame),
        },
    )
    unresolved = built.unresolved.rows
    yield dg.MaterializeResult(
        asset_key="unresolved_references",
        value=built.unresolved,
        metadata={
            "by_reason": dg.MetadataValue.md(bars(counted(unresolved, "reason"))),
            "references": dg.MetadataValue.md(
                table(
                    unresolved.sort("executions", descending=True),
                    ["reference", "reason", "detail", "executions"],
                )
            ),
            **change_metadata(
                change_since(
                    stored.last(UNRESOLVED_REFERENCES, context.partition_key),
                    built.unresolved,
                    ["project_id", "reference", "reason"],
                )
            ),
        },
    )


def _readers(edges: pl.DataFrame) -> list[tuple[str, int]]:
    """Distinct projects per table."""
    return counted(edges.unique(["project_id", "table_fqn"]), "table_fqn")
