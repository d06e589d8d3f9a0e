"""Charts of components and cells, and the edges of tables with the columns that they read.

The only targets that OpenMetadata accepts for columns on the edge to a dashboard are the charts
linked to it. So each component that a project imports, and each SQL cell with lineage, is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from hex_assets.openmetadata import fqn
from hex_assets.openmetadata.entities import DesiredChart, DesiredDashboard, DesiredEdge

PUBLISHED_BY = "Published by hex-assets."
"""Ends the description of an edge that is ours: OpenMetadata keeps no other sign of it."""

_EVIDENCE: Mapping[str, str] = {
    "query_history": "the warehouse's query history",
    "warehouse_resolved": "the objects the warehouse says it accessed",
    "cell_sql": "the SQL of its cells",
    "queried_tables": "Hex's own list of queried tables",
}

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PROJECT_ID = re.compile(_UUID)
_CHART_NAME = re.compile(f"({_UUID})(?:-{_UUID})?")


@dataclass(frozen=True)
class Charts:
    """Charts, and the dashboards they belong to.

    Attributes:
        charts: in the order of their names.
        linked: names of the charts of each project, sorted.
    """

    charts: tuple[DesiredChart, ...]
    linked: Mapping[str, tuple[str, ...]]


def is_project_id(name: str) -> bool:
    """Whether a project or component of Hex could have this id."""
    return _PROJECT_ID.fullmatch(name) is not None


def is_chart_name(name: str) -> bool:
    """Whether a chart of ours could have this name."""
    return _CHART_NAME.fullmatch(name) is not None


def cell_chart(project_id: str, cell_id: str) -> str:
    """Name of the chart of a cell."""
    return f"{project_id}-{cell_id}"


def owner_of_chart(name: str) -> str:
    """Id of the project whose cell, or of the component that, a chart of ours stands for."""
    found = _CHART_NAME.fullmatch(name)
    return found[1] if found else name


def desired_charts(
    dashboards: Sequence[DesiredDashboard],
    components: Sequence[DesiredChart],
    edges: pl.DataFrame,
    cells: pl.DataFrame | None,
    imports: pl.DataFrame | None,
    publishes: Callable[[str], bool],
) -> Charts:
    """The charts of the published projects.

    Args:
        components: those that are to be published.
        edges: rows of ``lineage_edges``.
        cells: rows of ``hex_cells``.
        imports: rows of ``hex_component_imports``.
        publishes: whether a chart of this title is.
    """
    projects = {one.name: one for one in dashboards}
    published = {one.name: one for one in components}
    labels: dict[tuple[str, str], str | None] = {}
    if cells is not None:
        for project_id, cell_id, label in _rows(cells, "project_id", "cell_id", "label"):
            labels[project_id, cell_id] = label
    linked: dict[str, set[str]] = {}
    for project_id, component_id in [
        *_rows(edges, "project_id", "component_id"),
        *([] if imports is None else _rows(imports, "project_id", "component_id")),
    ]:
        if project_id in projects and component_id in published:
            linked.setdefault(project_id, set()).add(component_id)
    charts = dict(published)
    for project_id, cell_id, component_id in _rows(edges, "project_id", "cell_id", "component_id"):
        project = projects.get(project_id)
        if project is None or cell_id is None or component_id is not None:
            continue
        title = labels.get((project_id, cell_id)) or "SQL cell"
        name = cell_chart(project_id, cell_id)
        if publishes(title) and is_chart_name(name):
            url = f"{project.url}?selectedCellId={cell_id}" if project.url else None
            charts[name] = DesiredChart(name, title, url=url, chart_type="Table")
            linked.setdefault(project_id, set()).add(name)
    return Charts(
        tuple(charts[name] for name in sorted(charts)),
        {project_id: tuple(sorted(names)) for project_id, names in linked.items()},
    )


def _rows(frame: pl.DataFrame, *columns: str) -> Iterable[tuple[Any, ...]]:
    return frame.select(columns).unique(maintain_order=True).iter_rows()


def desired_edges(
    edges: pl.DataFrame, charts: Charts, tables: pl.DataFrame | None
) -> tuple[DesiredEdge, ...]:
    """One edge per project and table, out of the rows of its cells and components.

    Columns that no chart of the dashboard reads, or that the catalog lacks under this exact name,
    are left out: OpenMetadata drops them, or refuses the whole edge.
    """
    known = None if tables is None else dict(_catalog_columns(tables))
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    most_used_first = edges.sort(
        "project_id", "table_fqn", "executions", "sql", descending=[False, False, True, False]
    )
    for row in most_used_first.iter_rows(named=True):
        groups.setdefault((row["project_id"], row["table_id"]), []).append(row)
    return tuple(
        DesiredEdge(
            project_id,
            table_id,
            rows[0]["table_fqn"],
            _description(rows),
            tuple(dict.fromkeys(row["sql"] for row in rows if row["sql"])),
            _columns(rows, charts.linked.get(project_id, ()), known and known.get(table_id, ())),
        )
        for (project_id, table_id), rows in groups.items()
    )


def _catalog_columns(tables: pl.DataFrame) -> Iterable[tuple[str, frozenset[str]]]:
    for table_id, columns in tables.select("table_id", "columns").iter_rows():
        yield table_id, frozenset(columns)


def _description(rows: Sequence[Mapping[str, Any]]) -> str:
    evidence = sorted({name for row in rows for name in row["evidence"]})
    shown = " and ".join(_EVIDENCE.get(name, name) for name in evidence)
    return f"Read by this Hex project, as shown by {shown}. {PUBLISHED_BY}"


def _columns(
    rows: Sequence[Mapping[str, Any]], linked: Sequence[str], known: Iterable[str] | None
) -> dict[str, tuple[str, ...]]:
    read: dict[str, set[str]] = {}
    for row in rows:
        chart = _chart_of(row)
        names = {column["name"] for column in row["columns"]}
        if known is not None:
            names &= set(known)
        if chart is not None and chart in linked and names:
            read.setdefault(chart, set()).update(names)
    table_fqn = rows[0]["table_fqn"]
    return {
        chart: tuple(fqn.below(table_fqn, name) for name in sorted(names))
        for chart, names in sorted(read.items())
    }


def _chart_of(row: Mapping[str, Any]) -> str | None:
    """Name of the chart that a row of ``lineage_edges`` belongs to; None if it names no cell."""
    if row["component_id"]:
        return str(row["component_id"])
    return cell_chart(row["project_id"], row["cell_id"]) if row["cell_id"] else None
