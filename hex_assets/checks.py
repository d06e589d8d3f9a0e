"""Asset checks: is the data complete, and does it look as it should?"""

import dagster as dg
import polars as pl

from hex_assets.frames import Frame
from hex_assets.reporting import gaps_metadata

_UNRESOLVED_SHARE = 0.5
"""More unresolved than resolved references points at a wrong or missing prefix."""


_DISAGREEMENT_SHARE = 0.2
"""More disagreements than this per edge are drift: of the parser, a reader, or stale cells."""


def build_checks(workspaces: dg.PartitionsDefinition[str]) -> list[dg.AssetChecksDefinition]:
    """One check per asset, each evaluated per workspace."""

    @dg.asset_check(asset="hex_projects", partitions_def=workspaces)
    def hex_projects_complete(hex_projects: Frame) -> dg.AssetCheckResult:
        """The listing was read to its end, every item was readable, and there is at least one."""
        return _complete(hex_projects, "projects or components")

    @dg.asset_check(asset="hex_data_connections", partitions_def=workspaces)
    def hex_data_connections_complete(hex_data_connections: Frame) -> dg.AssetCheckResult:
        """The listing was read to its end, and there is at least one connection."""
        return _complete(hex_data_connections, "data connections")

    @dg.asset_check(asset="hex_cells", partitions_def=workspaces)
    def hex_cells_complete(hex_cells: Frame) -> dg.AssetCheckResult:
        """The cells of every project could be read."""
        return _complete(hex_cells, "cells")

    @dg.asset_check(asset="warehouse_query_history", partitions_def=workspaces)
    def warehouse_query_history_complete(
        warehouse_query_history: Frame,
    ) -> dg.AssetCheckResult:
        """Every warehouse answered for the whole window, and Hex ran something in it."""
        return _complete(warehouse_query_history, "statements signed by Hex")

    @dg.asset_check(asset="catalog_tables", partitions_def=workspaces)
    def catalog_tables_present(catalog_tables: Frame) -> dg.AssetCheckResult:
        """OpenMetadata has tables within the recipe's prefixes; without them nothing resolves."""
        return _complete(catalog_tables, "tables within dbServicePrefixes")

    @dg.asset_check(
        asset="lineage_edges",
        partitions_def=workspaces,
        additional_ins={"warehouse_query_history": dg.AssetIn("warehouse_query_history")},
    )
    def lineage_edges_present(
        lineage_edges: Frame, warehouse_query_history: Frame
    ) -> dg.AssetCheckResult:
        """Projects that ran SQL have at least one edge, and the evidence was complete."""
        ran = warehouse_query_history.rows["project_id"].unique()
        linked = lineage_edges.rows["project_id"].unique()
        coverage = ran.is_in(linked.implode()).sum() / len(ran) if len(ran) else 1.0
        return dg.AssetCheckResult(
            passed=lineage_edges.complete and coverage > 0,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{coverage:.0%} of the {len(ran)} projects that ran SQL have an edge",
            metadata={"coverage": float(coverage), **gaps_metadata(lineage_edges)},
        )

    @dg.asset_check(
        asset="unresolved_references",
        partitions_def=workspaces,
        additional_ins={"lineage_edges": dg.AssetIn("lineage_edges")},
    )
    def unresolved_references_few(
        unresolved_references: Frame, lineage_edges: Frame
    ) -> dg.AssetCheckResult:
        """Most references were linked."""
        unresolved, edges = unresolved_references.rows.height, lineage_edges.rows.height
        share = unresolved / (unresolved + edges) if unresolved + edges else 0.0
        return dg.AssetCheckResult(
            passed=share <= _UNRESOLVED_SHARE,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{unresolved} references unresolved beside {edges} edges. Above "
            f"{_UNRESOLVED_SHARE:.0%}, look at dbServicePrefixes and at what the catalog has read",
            metadata={"unresolved_share": share},
        )

    @dg.asset_check(
        asset="evidence_disagreements",
        partitions_def=workspaces,
        additional_ins={"lineage_edges": dg.AssetIn("lineage_edges")},
    )
    def evidence_disagreements_few(
        evidence_disagreements: Frame, lineage_edges: Frame
    ) -> dg.AssetCheckResult:
        """What one witness saw, the others that should have seen it saw too."""
        differing = evidence_disagreements.rows.filter(pl.col("column").is_null()).height
        edges = lineage_edges.rows.height
        share = differing / edges if edges else 0.0
        return dg.AssetCheckResult(
            passed=share <= _DISAGREEMENT_SHARE,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{differing} disagreements about tables beside {edges} edges. Above "
            f"{_DISAGREEMENT_SHARE:.0%}, look at seen_by and missed_by in evidence_disagreements",
            metadata={"disagreement_share": share},
        )

    @dg.asset_check(
        asset="openmetadata_entities",
        partitions_def=workspaces,
        additional_ins={"hex_projects": dg.AssetIn("hex_projects")},
    )
    def openmetadata_entities_published(
        openmetadata_entities: Frame, hex_projects: Frame
    ) -> dg.AssetCheckResult:
        """Everything planned was done, and the deletion guard held nothing back."""
        from hex_assets.openmetadata.plan import DELETION_GUARD

        rows = openmetadata_entities.rows
        failed = rows.filter(pl.col("outcome").str.starts_with("failed"))
        guarded = rows.filter(pl.col("reason").str.contains(DELETION_GUARD, literal=True))
        passed = failed.is_empty() and guarded.is_empty() and hex_projects.complete
        return dg.AssetCheckResult(
            passed=passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=guarded["reason"][0] if guarded.height else f"{failed.height} failed",
            metadata={
                "held_back_by_the_deletion_guard": guarded.height,
                "failed": failed.height,
                **gaps_metadata(hex_projects),
            },
        )

    return [
        hex_projects_complete,
        hex_data_connections_complete,
        hex_cells_complete,
        warehouse_query_history_complete,
        catalog_tables_present,
        lineage_edges_present,
        unresolved_references_few,
        evidence_disagreements_few,
        openmetadata_entities_published,
    ]


def _complete(frame: Frame, of_what: str) -> dg.AssetCheckResult:
    """An incomplete read is an error; a complete but empty one deserves a look."""
    empty = frame.rows.is_empty()
    return dg.AssetCheckResult(
        passed=frame.complete and not empty,
        severity=dg.AssetCheckSeverity.WARN if frame.complete else dg.AssetCheckSeverity.ERROR,
        description=(
            f"{frame.rows.height} {of_what}"
            + ("" if frame.complete else f", {len(frame.gaps)} gaps: {frame.gaps[0]}")
        ),
        metadata=gaps_metadata(frame),
    )
