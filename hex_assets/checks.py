"""Asset checks: is the data complete, and does it look as it should?"""

from collections.abc import Mapping
from datetime import datetime, timezone

import dagster as dg
import polars as pl

from hex_assets.frames import Frame
from hex_assets.hex.models import RENEW_TOKEN_WITHIN_DAYS
from hex_assets.hex.run_history import COMPLETED, SCHEDULED, UNDER_WAY
from hex_assets.reporting import gaps_metadata, table

_UNRESOLVED_SHARE = 0.5
"""More unresolved than resolved references points at a wrong or missing prefix."""


_LINEAGE_COVERAGE = 0.5
"""Fewer projects with an edge than this, of those that have SQL, points at a part that is blind."""

_QUIET_HOURS = 72.0
"""A weekend passes without executions; more points at a log or a view that has stopped."""

_DISAGREEMENT_SHARE = 0.2
"""More disagreements than this per edge are drift: of the parser, a reader, or stale cells."""


def build_checks(
    workspaces: dg.PartitionsDefinition[str], keys: Mapping[str, dg.AssetKey]
) -> list[dg.AssetChecksDefinition]:
    """At least one check per asset, each evaluated per workspace.

    Args:
        keys: of the assets that there are, by name; what looks at others is left out.
    """

    def key(name: str) -> dg.AssetKey:
        return keys.get(name, dg.AssetKey(name))

    @dg.asset_check(asset=key("hex_projects"), partitions_def=workspaces)
    def hex_projects_complete(hex_projects: Frame) -> dg.AssetCheckResult:
        """The listing was read to its end, every item was readable, and there is at least one."""
        return _complete(hex_projects, "projects or components")

    @dg.asset_check(asset=key("hex_data_connections"), partitions_def=workspaces)
    def hex_data_connections_complete(hex_data_connections: Frame) -> dg.AssetCheckResult:
        """The listing was read to its end, and there is at least one connection."""
        return _complete(hex_data_connections, "data connections")

    @dg.asset_check(asset=key("hex_cells"), partitions_def=workspaces)
    def hex_cells_complete(hex_cells: Frame) -> dg.AssetCheckResult:
        """The cells of every project could be read."""
        return _complete(hex_cells, "cells")

    @dg.asset_check(asset=key("hex_workspace"), partitions_def=workspaces)
    def hex_token_lasts(hex_workspace: Frame) -> dg.AssetCheckResult:
        """The token lives for another fortnight and was not found to lack a scope."""
        (row,) = hex_workspace.rows.to_dicts()
        expires, missing = row["token_expires_at"], row["missing_scopes"]
        days = None if expires is None else (expires - datetime.now(timezone.utc)).days
        expiring = days is not None and days < RENEW_TOKEN_WITHIN_DAYS
        words = [f"{row['token_kind']} token"]
        words.append("no expiry known" if days is None else f"expires in {days} days")
        if expiring:
            words.append("make a new one in Hex under Settings > API keys before it does")
        if missing:
            words.append(f"lacks {', '.join(missing)}")
        return dg.AssetCheckResult(
            passed=not expiring and not missing,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(words),
        )

    @dg.asset_check(asset=key("hex_coverage"), partitions_def=workspaces)
    def hex_details_current(hex_coverage: Frame) -> dg.AssetCheckResult:
        """What was read of every project is current: no cells, tables or runs are outdated."""
        states = dict(hex_coverage.rows.group_by("state").len().iter_rows())
        outdated = states.get("stale", 0) + states.get("never read", 0)
        return dg.AssetCheckResult(
            passed=not outdated and hex_coverage.complete,
            severity=dg.AssetCheckSeverity.WARN,
            description=", ".join(f"{count} {state}" for state, count in sorted(states.items()))
            + (". The next run goes on reading; see hexAssets.readMinutes" if outdated else ""),
            metadata={
                "stale": states.get("stale", 0),
                "never_read": states.get("never read", 0),
                **gaps_metadata(hex_coverage),
            },
        )

    @dg.asset_check(asset=key("hex_component_imports"), partitions_def=workspaces)
    def hex_component_imports_complete(hex_component_imports: Frame) -> dg.AssetCheckResult:
        """The imports of every project could be read."""
        return _complete(hex_component_imports, "imports", empty_is_fine=True)

    @dg.asset_check(asset=key("hex_queried_tables"), partitions_def=workspaces)
    def hex_queried_tables_complete(hex_queried_tables: Frame) -> dg.AssetCheckResult:
        """Every project was asked for its queried tables, where the plan has them."""
        return _complete(hex_queried_tables, "queried tables", empty_is_fine=True)

    @dg.asset_check(
        asset=key("hex_runs"),
        partitions_def=workspaces,
        additional_ins={
            "hex_projects": dg.AssetIn(key("hex_projects")),
            "hex_coverage": dg.AssetIn(key("hex_coverage")),
        },
    )
    def hex_schedules_healthy(
        hex_runs: Frame, hex_projects: Frame, hex_coverage: Frame
    ) -> dg.AssetCheckResult:
        """The latest scheduled run of every scheduled project went well, and there is one."""
        known = hex_coverage.rows.filter(
            (pl.col("detail") == "runs") & pl.col("state").is_in(["current", "stale"])
        )
        scheduled = hex_projects.rows.filter(pl.col("schedules").list.len() > 0).join(
            known, left_on="id", right_on="project_id", how="semi"
        )
        latest = hex_runs.rows.filter(pl.col("trigger") == SCHEDULED)
        joined = scheduled.select("id", "title").join(
            latest.select("project_id", "status", "last_success_at"),
            left_on="id",
            right_on="project_id",
            how="left",
        )
        never = joined.filter(pl.col("status").is_null())
        failing = joined.filter(
            pl.col("status").is_not_null() & ~pl.col("status").is_in([COMPLETED, *UNDER_WAY])
        )
        return dg.AssetCheckResult(
            passed=never.is_empty() and failing.is_empty() and hex_runs.complete,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{scheduled.height} scheduled projects: the latest scheduled run of "
            f"{failing.height} failed, {never.height} have none"
            + ("" if hex_runs.complete else f"; {hex_runs.gaps[0]}"),
            metadata={
                "failing": dg.MetadataValue.md(
                    table(failing, ["title", "status", "last_success_at"])
                ),
                "never_run": dg.MetadataValue.md(table(never, ["title"])),
                **gaps_metadata(hex_runs),
            },
        )

    @dg.asset_check(asset=key("warehouse_query_history"), partitions_def=workspaces)
    def warehouse_query_history_complete(
        warehouse_query_history: Frame,
    ) -> dg.AssetCheckResult:
        """Every warehouse answered for the whole window, and Hex ran something in it."""
        return _complete(warehouse_query_history, "statements signed by Hex")

    @dg.asset_check(asset=key("warehouse_query_history"), partitions_def=workspaces)
    def warehouse_query_history_recent(warehouse_query_history: Frame) -> dg.AssetCheckResult:
        """The newest execution of each warehouse is of the last days."""
        newest = warehouse_query_history.rows.group_by("service").agg(pl.col("last_seen").max())
        now = datetime.now(timezone.utc)
        hours = {
            service: (now - seen).total_seconds() / 3600
            for service, seen in newest.sort("service").iter_rows()
        }
        quiet = [service for service, age in hours.items() if age > _QUIET_HOURS]
        words = [f"{service}: newest {age:.0f} h ago" for service, age in hours.items()]
        return dg.AssetCheckResult(
            passed=not quiet,
            severity=dg.AssetCheckSeverity.WARN,
            description=("; ".join(words) or "no executions")
            + (
                f". After {_QUIET_HOURS:.0f} h, see that the warehouse still logs what Hex runs"
                if quiet
                else ""
            ),
            metadata={"hours_since_newest": max(hours.values(), default=0.0)},
        )

    @dg.asset_check(asset=key("table_references"), partitions_def=workspaces)
    def table_references_complete(table_references: Frame) -> dg.AssetCheckResult:
        """Nothing lacked that names tables, and some table is named."""
        return _complete(table_references, "names of tables")

    @dg.asset_check(asset=key("catalog_tables"), partitions_def=workspaces)
    def catalog_tables_present(catalog_tables: Frame) -> dg.AssetCheckResult:
        """OpenMetadata has tables where some are named; without them nothing resolves."""
        return _complete(catalog_tables, "tables in schemas that are named")

    @dg.asset_check(asset=key("catalog_schemas"), partitions_def=workspaces)
    def catalog_schemas_present(catalog_schemas: Frame) -> dg.AssetCheckResult:
        """OpenMetadata has schemas within the recipe's prefixes."""
        return _complete(catalog_schemas, "schemas within dbServicePrefixes")

    @dg.asset_check(
        asset=key("lineage_edges"),
        partitions_def=workspaces,
        additional_ins={
            "warehouse_query_history": dg.AssetIn(key("warehouse_query_history")),
            "hex_cells": dg.AssetIn(key("hex_cells")),
        },
    )
    def lineage_coverage(
        lineage_edges: Frame, warehouse_query_history: Frame, hex_cells: Frame
    ) -> dg.AssetCheckResult:
        """Projects that query a warehouse have at least one edge, and the evidence was complete."""
        queries = hex_cells.rows.filter(
            pl.col("data_connection_id").is_not_null() & pl.col("sql").is_not_null()
        )
        connected = {*queries["project_id"], *warehouse_query_history.rows["project_id"]}
        without = connected - set(lineage_edges.rows["project_id"])
        coverage = 1 - len(without) / len(connected) if connected else 1.0
        return dg.AssetCheckResult(
            passed=lineage_edges.complete and coverage >= _LINEAGE_COVERAGE,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{coverage:.0%} of the {len(connected)} projects that query a warehouse "
            f"have an edge. Below {_LINEAGE_COVERAGE:.0%}, look at unresolved_references",
            metadata={
                "coverage": coverage,
                "projects_without_an_edge": len(without),
                **gaps_metadata(lineage_edges),
            },
        )

    @dg.asset_check(
        asset=key("unresolved_references"),
        partitions_def=workspaces,
        additional_ins={"lineage_edges": dg.AssetIn(key("lineage_edges"))},
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
        asset=key("evidence_disagreements"),
        partitions_def=workspaces,
        additional_ins={"lineage_edges": dg.AssetIn(key("lineage_edges"))},
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
        asset=key("openmetadata_entities"),
        partitions_def=workspaces,
        additional_ins={"hex_projects": dg.AssetIn(key("hex_projects"))},
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

    checks = [
        hex_projects_complete,
        hex_data_connections_complete,
        hex_cells_complete,
        hex_token_lasts,
        hex_details_current,
        hex_component_imports_complete,
        hex_queried_tables_complete,
        hex_schedules_healthy,
        warehouse_query_history_complete,
        warehouse_query_history_recent,
        table_references_complete,
        catalog_tables_present,
        catalog_schemas_present,
        lineage_coverage,
        unresolved_references_few,
        evidence_disagreements_few,
        openmetadata_entities_published,
    ]
    present = set(keys.values())
    return [check for check in checks if check.check_key.asset_key in present]


def _complete(frame: Frame, of_what: str, *, empty_is_fine: bool = False) -> dg.AssetCheckResult:
    """An incomplete read is an error; a complete but empty one deserves a look."""
    empty = frame.rows.is_empty() and not empty_is_fine
    return dg.AssetCheckResult(
        passed=frame.complete and not empty,
        severity=dg.AssetCheckSeverity.WARN if frame.complete else dg.AssetCheckSeverity.ERROR,
        description=(
            f"{frame.rows.height} {of_what}"
            + ("" if frame.complete else f", {len(frame.gaps)} gaps: {frame.gaps[0]}")
        ),
        metadata=gaps_metadata(frame),
    )
