"""What OpenMetadata should hold, as Hex and the lineage say it; nothing here does any IO."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import polars as pl

from hex_assets.errors import RecipeError
from hex_assets.openmetadata import fqn

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

_EVIDENCE: Mapping[str, str] = {
    "query_history": "the warehouse's query history",
    "warehouse_resolved": "the objects the warehouse says it accessed",
    "cell_sql": "the SQL of its cells",
    "queried_tables": "Hex's own list of queried tables",
}

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class DesiredTag:
    """A tag; ``name`` is encoded, ``display_name`` as in Hex."""

    classification: str
    name: str
    display_name: str
    description: str

    @property
    def fqn(self) -> str:
        return fqn.join(self.classification, self.name)


@dataclass(frozen=True)
class LifeCycle:
    """Instants in milliseconds since 1970; None when unknown or never."""

    created: int | None = None
    updated: int | None = None
    accessed: int | None = None

    def events(self) -> dict[str, Any]:
        """The request's ``lifeCycle``."""
        events = {"created": self.created, "updated": self.updated, "accessed": self.accessed}
        return {name: {"timestamp": at} for name, at in events.items() if at is not None}

    def significant(self) -> str:
        """What has to change for the dashboard to be written again.

        A later view on the same day is not worth another version of the dashboard.
        """
        day = None if self.accessed is None else self.accessed // (24 * 60 * 60 * 1000)
        return f"{self.created} {self.updated} {day}"


@dataclass(frozen=True)
class DesiredDashboard:
    """A Hex project as a dashboard.

    Attributes:
        project_id: lower case; the dashboard's name.
        owner_email: owner, else creator; None when Hex names neither.
        url: page in Hex; None when unknown.
        tags: fully qualified names of tags in our classifications, sorted.
    """

    project_id: str
    title: str
    description: str | None = None
    owner_email: str | None = None
    url: str | None = None
    tags: tuple[str, ...] = ()
    life_cycle: LifeCycle = LifeCycle()


@dataclass(frozen=True)
class DesiredEdge:
    """Lineage from a table to the dashboard of a project.

    Attributes:
        description: which evidence shows it.
        statements: masked statements that show it, the best first.
    """

    project_id: str
    table_id: str
    table_fqn: str
    description: str
    statements: tuple[str, ...] = ()


@dataclass(frozen=True)
class Desired:
    """Everything that should be in OpenMetadata for one workspace.

    Attributes:
        service: name of the dashboard service.
        dashboards: live projects within the filters.
        not_published: why any other project of Hex has no dashboard.
        leaving: which of those are to be deleted: the archived and trashed ones.
    """

    service: str
    tags: tuple[DesiredTag, ...] = ()
    dashboards: tuple[DesiredDashboard, ...] = ()
    edges: tuple[DesiredEdge, ...] = ()
    not_published: Mapping[str, str] = field(default_factory=dict)
    leaving: frozenset[str] = frozenset()

    def dashboard_fqn(self, project_id: str) -> str:
        return fqn.join(self.service, fqn.encode(project_id))


def desired_state(
    service: str,
    projects: pl.DataFrame,
    edges: pl.DataFrame,
    publishes: Callable[[str], bool] = lambda title: True,
) -> Desired:
    """What should be in OpenMetadata.

    Args:
        service: the recipe's ``serviceName``.
        projects: rows of ``hex_projects``.
        edges: rows of ``lineage_edges``.
        publishes: whether a project of this title is to be published; the recipe's
            ``dashboardFilterPattern``.

    Raises:
        RecipeError: OpenMetadata cannot have a service of this name.
    """
    try:
        fqn.quote(service)
    except ValueError as error:
        raise RecipeError(f"source.serviceName: {error}") from error
    dashboards, not_published, leaving = [], {}, set()
    tags: dict[str, DesiredTag] = {}
    for project in projects.sort("id").iter_rows(named=True):
        project_id = str(project["id"])
        why_not = _why_not_published(project, publishes)
        if why_not:
            not_published[project_id] = why_not
            if _left_hex(project):
                leaving.add(project_id)
            continue
        own = _tags(project)
        for tag in own:
            tags[tag.fqn] = _better_described(tags.get(tag.fqn), tag)
        dashboards.append(_dashboard(project, own))
    return Desired(
        service,
        tuple(tags[name] for name in sorted(tags)),
        tuple(dashboards),
        tuple(_edges(edges)),
        not_published,
        frozenset(leaving),
    )


def _why_not_published(project: Mapping[str, Any], publishes: Callable[[str], bool]) -> str | None:
    if project["type"] != "PROJECT":
        return f"is a {project['type']} in Hex"
    if project["trashed_at"] is not None:
        return f"was trashed in Hex on {project['trashed_at']:%Y-%m-%d}"
    if project["archived_at"] is not None:
        return f"was archived in Hex on {project['archived_at']:%Y-%m-%d}"
    if not publishes(project["title"]):
        return "is filtered out by dashboardFilterPattern"
    return None


def _left_hex(project: Mapping[str, Any]) -> bool:
    gone = project["trashed_at"] is not None or project["archived_at"] is not None
    return project["type"] == "PROJECT" and gone


def _dashboard(project: Mapping[str, Any], tags: Sequence[DesiredTag]) -> DesiredDashboard:
    return DesiredDashboard(
        project_id=project["id"],
        title=project["title"],
        description=project["description"] or None,
        owner_email=project["owner_email"] or project["creator_email"] or None,
        url=project["url"],
        tags=tuple(sorted({tag.fqn for tag in tags})),
        life_cycle=LifeCycle(
            _milliseconds(project["created_at"]),
            _milliseconds(project["last_edited_at"]),
            _milliseconds(project["last_viewed_at"]),
        ),
    )


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


def _edges(edges: pl.DataFrame) -> Iterable[DesiredEdge]:
    """One edge per project and table, out of the rows of its cells."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    most_used_first = edges.sort(
        "project_id", "table_fqn", "executions", "sql", descending=[False, False, True, False]
    )
    for row in most_used_first.iter_rows(named=True):
        groups.setdefault((row["project_id"], row["table_id"]), []).append(row)
    for (project_id, table_id), rows in groups.items():
        evidence = sorted({name for row in rows for name in row["evidence"]})
        shown = " and ".join(_EVIDENCE.get(name, name) for name in evidence)
        yield DesiredEdge(
            project_id,
            table_id,
            rows[0]["table_fqn"],
            f"Read by this Hex project, as shown by {shown}.",
            tuple(dict.fromkeys(row["sql"] for row in rows if row["sql"])),
        )
