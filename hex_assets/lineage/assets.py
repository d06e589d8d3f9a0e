"""Stage 3: which tables and columns each Hex project reads."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from hex_assets.frames import (
    EVIDENCE_DISAGREEMENTS,
    LINEAGE_EDGES,
    TABLE_REFERENCES,
    UNRESOLVED_REFERENCES,
    Frame,
)
from hex_assets.outputs import frame_out
from hex_assets.reporting import (
    bars,
    change_metadata,
    change_since,
    counted,
    failures,
    gaps_metadata,
    log_progress,
    report_metadata,
    table,
)
from hex_assets.resources import Recipes
from hex_assets.storage import StoredFrames

if TYPE_CHECKING:
    from hex_assets.lineage.edges import Lineage


def _out(description: str) -> dg.AssetOut:
    return frame_out(description, group_name="lineage", kind="python")


@dg.multi_asset(
    outs={
        "lineage_edges": _out(
            "Which tables, and which of their columns, each Hex project and each cell of it "
            "reads, with the evidence for it. A reference that fits several tables makes no edge."
        ),
        "unresolved_references": _out(
            "Table references that could not be linked, and why: what to add to the "
            "catalog or to the recipe."
        ),
        "evidence_disagreements": _out(
            "Tables and columns that one witness saw and another should have seen: query "
            "history, cell sources, Hex's own lists, the warehouse's own record."
        ),
    },
    # For its parse results, which are in the store then.
    deps=[TABLE_REFERENCES.name],
    can_subset=True,
)
def lineage(
    context: dg.AssetExecutionContext,
    hex_recipes: Recipes,
    hex_frames: StoredFrames,
    warehouse_query_history: Frame,
    catalog_tables: Frame,
    catalog_schemas: Frame,
    hex_cells: Frame,
    hex_data_connections: Frame,
    hex_component_imports: Frame,
    hex_queried_tables: Frame,
) -> Iterator[dg.MaterializeResult[Frame]]:
    """Resolve what each distinct statement reads against the catalog."""
    from hex_assets.lineage.edges import build_edges
    from hex_assets.lineage.links import LinkStore
    from hex_assets.lineage.parse_store import ParseStore

    recipe = hex_recipes.recipe(context.partition_key)
    selected = context.op_execution_context.selected_output_names
    with failures(context, hex_recipes.retry_seconds):
        built = build_edges(
            warehouse_query_history,
            catalog_tables,
            recipe.source_config.db_service_prefixes,
            progress=log_progress(context.log.info, "Distinct statements linked"),
            cells=hex_cells,
            connections=hex_data_connections,
            imports=hex_component_imports,
            queried_tables=hex_queried_tables,
            catalog_schemas=catalog_schemas,
            store=ParseStore(hex_frames.state_path("lineage", context.partition_key)),
            links=LinkStore(hex_frames.state_path("lineage_links", context.partition_key)),
        )
    if "lineage_edges" in selected:
        keep_sql = recipe.hex_assets.store_sql != "none"
        last = hex_frames.last(LINEAGE_EDGES, context.partition_key)
        report = report_metadata(hex_frames.report_url, context.partition_key)
        key = context.asset_key_for_output("lineage_edges")
        yield _edges_result(key, built, last, keep_sql, report)
    if "unresolved_references" in selected:
        last = hex_frames.last(UNRESOLVED_REFERENCES, context.partition_key)
        key = context.asset_key_for_output("unresolved_references")
        yield _unresolved_result(key, built, last)
    if "evidence_disagreements" in selected:
        last = hex_frames.last(EVIDENCE_DISAGREEMENTS, context.partition_key)
        key = context.asset_key_for_output("evidence_disagreements")
        yield _disagreements_result(key, built, last)


def _edges_result(
    key: dg.AssetKey,
    built: "Lineage",
    last: Frame | None,
    keep_sql: bool,
    report: Mapping[str, Any],
) -> dg.MaterializeResult[Frame]:
    edges = built.edges.rows
    if not keep_sql:
        edges = edges.with_columns(sql=pl.lit(None, pl.String))
    frame = LINEAGE_EDGES.frame(edges, built.edges.gaps)
    change = change_since(last, frame, ["project_id", "cell_id", "table_fqn"])
    changed = ["table_fqn", "project_id", "cell_id", "evidence", "resolution"]
    return dg.MaterializeResult(
        asset_key=key,
        value=frame,
        metadata={
            "projects": edges["project_id"].n_unique(),
            "tables": edges["table_fqn"].n_unique(),
            "columns": edges.explode("columns").filter(pl.col("columns").is_not_null()).height,
            "by_evidence": dg.MetadataValue.md(bars(counted(_witnesses(edges), "evidence"))),
            "statements_parsed": built.figures.statements,
            "statements_not_parsed": built.figures.unparsed,
            "most_read_tables": dg.MetadataValue.md(bars(_readers(edges))),
            "new_edges": dg.MetadataValue.md(table(change.added, changed)),
            "lost_edges": dg.MetadataValue.md(table(change.removed, changed)),
            **change_metadata(change),
            **gaps_metadata(frame),
            **report,
        },
    )


def _unresolved_result(
    key: dg.AssetKey, built: "Lineage", last: Frame | None
) -> dg.MaterializeResult[Frame]:
    unresolved = built.unresolved.rows
    by_use = unresolved.sort("executions", descending=True)
    change = change_since(last, built.unresolved, ["project_id", "reference", "reason"])
    return dg.MaterializeResult(
        asset_key=key,
        value=built.unresolved,
        metadata={
            "executions_not_linked": int(unresolved["executions"].sum()),
            "by_reason": dg.MetadataValue.md(bars(counted(unresolved, "reason"))),
            "references": dg.MetadataValue.md(
                table(by_use, ["reference", "reason", "detail", "executions"])
            ),
            **change_metadata(change),
        },
    )


def _disagreements_result(
    key: dg.AssetKey, built: "Lineage", last: Frame | None
) -> dg.MaterializeResult[Frame]:
    rows = built.disagreements.rows
    what = ["project_id", "cell_id", "table_fqn", "column", "seen_by", "missed_by"]
    missed = rows.select(missed=pl.format("{} saw, {} did not", "seen_by", "missed_by"))
    return dg.MaterializeResult(
        asset_key=key,
        value=built.disagreements,
        metadata={
            "by_witness": dg.MetadataValue.md(bars(counted(missed, "missed"))),
            "disagreements": dg.MetadataValue.md(table(rows, rows.columns)),
            **change_metadata(change_since(last, built.disagreements, what)),
            **gaps_metadata(built.disagreements),
        },
    )


def _witnesses(edges: pl.DataFrame) -> pl.DataFrame:
    return edges.select(pl.col("evidence").list.join(", "))


def _readers(edges: pl.DataFrame) -> list[tuple[str, int]]:
    """Distinct projects per table."""
    return counted(edges.unique(["project_id", "table_fqn"]), "table_fqn")
