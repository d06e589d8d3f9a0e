"""The frames that the report is made from."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from hex_assets.frames import (
    CATALOG_TABLES,
    HEX_CELLS,
    HEX_COVERAGE,
    HEX_PROJECTS,
    HEX_RUNS,
    LINEAGE_EDGES,
    OPENMETADATA_ENTITIES,
    UNRESOLVED_REFERENCES,
)
from hex_assets.impact.stored import StoredFrameReader


@dataclass(frozen=True)
class ReportFrames:
    """Rows of all chosen workspaces, each with a column ``workspace`` before its own.

    Attributes:
        workspaces: names of the chosen workspaces, sorted.
        projects: ``hex_projects``.
        cells: ``hex_cells``.
        runs: ``hex_runs``.
        coverage: ``hex_coverage``.
        edges: ``lineage_edges``.
        tables: ``catalog_tables``; the same table comes once per workspace.
        unresolved: ``unresolved_references``.
        entities: ``openmetadata_entities``.
        gaps: what is known to be missing, by workspace, in words.
    """

    workspaces: tuple[str, ...]
    projects: pl.DataFrame
    cells: pl.DataFrame
    runs: pl.DataFrame
    coverage: pl.DataFrame
    edges: pl.DataFrame
    tables: pl.DataFrame
    unresolved: pl.DataFrame
    entities: pl.DataFrame
    gaps: tuple[str, ...]


def read_report_frames(root: str, workspace: str | None = None) -> ReportFrames:
    """What earlier runs stored.

    Args:
        root: the storage root, a path or object-store URL.
        workspace: name of one workspace; None for all that have lineage.

    Raises:
        NothingStored: no lineage is stored there, or none of that workspace.
        FrameError: a frame is of another version.
    """
    frames = StoredFrameReader.of(root, workspace)
    return ReportFrames(
        workspaces=frames.workspaces,
        projects=frames.rows(HEX_PROJECTS),
        cells=frames.rows(HEX_CELLS),
        runs=frames.rows(HEX_RUNS),
        coverage=frames.rows(HEX_COVERAGE),
        edges=frames.rows(LINEAGE_EDGES),
        tables=frames.rows(CATALOG_TABLES),
        unresolved=frames.rows(UNRESOLVED_REFERENCES),
        entities=frames.rows(OPENMETADATA_ENTITIES),
        gaps=frames.gaps,
    )
