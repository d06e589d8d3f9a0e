"""What OpenMetadata should hold, as Hex and the lineage say it; nothing here does any IO."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import polars as pl

from hex_assets.errors import RecipeError
from hex_assets.frames import Frame
from hex_assets.openmetadata import fqn
from hex_assets.openmetadata.charts import desired_charts, desired_edges
from hex_assets.openmetadata.entities import (
    Desired,
    DesiredChart,
    DesiredDashboard,
    DesiredTag,
    LifeCycle,
)
from hex_assets.openmetadata.properties import Value, properties_of

STATUS = "HexStatus"
CATEGORIES = "HexCategories"
COLLECTIONS = "HexCollections"

CLASSIFICATIONS: Mapping[str, str] = {
    STATUS: "Statuses of Hex projects, as the Hex workspace defines them.",
    CATEGORIES: "Categories of Hex projects, as the Hex workspace defines them.",
    COLLECTIONS: "Hex collections that a project is in.",
}
"""Our classifications and their descriptions, which OpenMetadata demands."""

_TAG_DESCRIPTIONS: Mapping[str, str] = {
    STATUS: "Hex status {}.",
    CATEGORIES: "Hex category {}.",
    COLLECTIONS: "Hex collection {}.",
}

_FILTERS = {"PROJECT": "dashboardFilterPattern", "COMPONENT": "chartFilterPattern"}

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def desired_state(
    service: str,
    projects: pl.DataFrame,
    edges: pl.DataFrame,
    publishes: Callable[[str], bool] = lambda title: True,
    *,
    cells: pl.DataFrame | None = None,
    imports: pl.DataFrame | None = None,
    tables: pl.DataFrame | None = None,
    runs: Frame | None = None,
    publishes_chart: Callable[[str], bool] = lambda title: True,
) -> Desired:
    """What should be in OpenMetadata.

    Args:
        service: the recipe's ``serviceName``.
        projects: rows of ``hex_projects``.
        edges: rows of ``lineage_edges``.
        publishes: whether a project of this title is to be published; the recipe's
            ``dashboardFilterPattern``.
        cells: rows of ``hex_cells``, which name the charts of cells.
        imports: rows of ``hex_component_imports``.
        tables: rows of ``catalog_tables``: no column is told that they lack.
        runs: ``hex_runs``; without them dashboards get no custom properties.
        publishes_chart: as ``publishes``, for charts by their title.

    Raises:
        RecipeError: OpenMetadata cannot have a service of this name.
    """
    try:
        fqn.quote(service)
    except ValueError as error:
        raise RecipeError(f"source.serviceName: {error}") from error
    published, components, not_published, leaving = [], [], {}, set()
    tags: dict[str, DesiredTag] = {}
    runs_of = runs.rows.partition_by("project_id", as_dict=True) if runs is not None else {}
    for project in projects.sort("id").iter_rows(named=True):
        project_id = str(project["id"])
        component = project["type"] == "COMPONENT"
        why_not = _why_not_published(project, publishes_chart if component else publishes)
        if why_not:
            not_published[project_id] = why_not
            if _left_hex(project):
                leaving.add(project_id)
            continue
        own = _tags(project)
        for tag in own:
            tags[tag.fqn] = _better_described(tags.get(tag.fqn), tag)
        if component:
            components.append(DesiredChart(**_entity(project, own)))
            not_published[project_id] = _IS_A_CHART
            # A project may have been turned into a component; its dashboard goes.
            leaving.add(project_id)
        else:
            properties = _properties(project, runs, runs_of) if runs is not None else {}
            published.append(DesiredDashboard(**_entity(project, own), properties=properties))
    charts = desired_charts(published, components, edges, cells, imports, publishes_chart)
    return Desired(
        service,
        tuple(tags[name] for name in sorted(tags)),
        tuple(replace(one, charts=charts.linked.get(one.name, ())) for one in published),
        desired_edges(edges, charts, tables),
        not_published,
        frozenset(leaving),
        charts.charts,
    )


def _properties(
    project: Mapping[str, Any], runs: Frame, by_project: Mapping[Any, pl.DataFrame]
) -> Mapping[str, Value | None]:
    own = by_project.get((project["id"],), runs.rows.clear())
    return properties_of(project, own, runs_complete=runs.complete)


_IS_A_CHART = "is a component, whose tables are those of the projects that import it"


def _why_not_published(project: Mapping[str, Any], publishes: Callable[[str], bool]) -> str | None:
    if project["type"] not in ("PROJECT", "COMPONENT"):
        return f"is a {project['type']} in Hex"
    if project["trashed_at"] is not None:
        return f"was trashed in Hex on {project['trashed_at']:%Y-%m-%d}"
    if project["archived_at"] is not None:
        return f"was archived in Hex on {project['archived_at']:%Y-%m-%d}"
    if not publishes(project["title"]):
        return f"is filtered out by {_FILTERS[project['type']]}"
    return None


def _left_hex(project: Mapping[str, Any]) -> bool:
    gone = project["trashed_at"] is not None or project["archived_at"] is not None
    return gone


def _entity(project: Mapping[str, Any], tags: Sequence[DesiredTag]) -> dict[str, Any]:
    """The attributes of a ``DesiredEntity``."""
    return {
        "name": project["id"],
        "title": project["title"],
        "description": project["description"] or None,
        "owner_email": project["owner_email"] or project["creator_email"] or None,
        "url": project["url"],
        "tags": tuple(sorted({tag.fqn for tag in tags})),
        "life_cycle": LifeCycle(
            _milliseconds(project["created_at"]),
            _milliseconds(project["last_edited_at"]),
            _milliseconds(project["last_viewed_at"]),
        ),
    }


def _milliseconds(instant: datetime | None) -> int | None:
    return None if instant is None else (instant - _EPOCH) // timedelta(milliseconds=1)


def _tags(project: Mapping[str, Any]) -> list[DesiredTag]:
    categories = project["categories"] or []
    descriptions = project["category_descriptions"] or [None] * len(categories)
    named: list[tuple[str, str | None, str | None]] = [
        (STATUS, project["status"], None),
        *((CATEGORIES, name, text) for name, text in zip(categories, descriptions, strict=True)),
        *((COLLECTIONS, name, None) for name in project["collections"] or []),
    ]
    return [
        DesiredTag(
            classification,
            fqn.encode(name),
            name,
            description or _TAG_DESCRIPTIONS[classification].format(name),
        )
        for classification, name, description in named
        if name and name.strip()
    ]


def _better_described(known: DesiredTag | None, tag: DesiredTag) -> DesiredTag:
    """The tag with the description of the first project that has one of its own."""
    plain = _TAG_DESCRIPTIONS[tag.classification].format(tag.display_name)
    return tag if known is None or known.description == plain else known
