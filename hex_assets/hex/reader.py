"""From Hex's answers to frames: projects, data connections and cells of one workspace."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

import polars as pl

from hex_assets.errors import NotFound, PermissionMissing, ServerFailed
from hex_assets.frames import HEX_CELLS, HEX_DATA_CONNECTIONS, HEX_PROJECTS, Frame
from hex_assets.hex.client import HexClient
from hex_assets.hex.models import (
    AppViews,
    Cell,
    DataConnection,
    Listing,
    Project,
    Schedule,
    SqlCell,
    Timing,
    storable,
)

_log = logging.getLogger(__name__)

Mask = Callable[[str, str], str]
"""Takes SQL and a sqlglot dialect, gives the SQL without literals."""

DATAFRAME_DIALECT = "duckdb"
"""SQL cells without a data connection run on dataframes, in DuckDB (Hex docs, "SQL cells")."""

_DIALECTS: Mapping[str, str] = {
    "alloydb": "postgres",
    "athena": "athena",
    "bigquery": "bigquery",
    "clickhouse": "clickhouse",
    "cloudsql__mysql": "mysql",
    "cloudsql__postgres": "postgres",
    "cloudsql__sqlserver": "tsql",
    "databricks": "databricks",
    "mariadb": "mysql",
    "motherduck": "duckdb",
    "mysql": "mysql",
    "postgres": "postgres",
    "presto": "presto",
    "redshift": "redshift",
    "snowflake": "snowflake",
    "sqlserver": "tsql",
    "starburst": "trino",
    "trino": "trino",
}

_DATABASE_FIELDS: Mapping[str, str] = {
    "athena": "catalog",
    "bigquery": "projectId",
    "postgres": "database",
    "redshift": "database",
    "snowflake": "database",
    "trino": "catalog",
}
_SCHEMA_FIELDS: Mapping[str, str] = {"snowflake": "schema", "trino": "schema"}
_FIXED_SCHEMAS: Mapping[str, str] = {"postgres": "public", "redshift": "public"}


def read_projects(client: HexClient, org_id: str | None = None) -> Frame:
    """All projects and components of the workspace, as ``HEX_PROJECTS``.

    Args:
        org_id: id of the Hex organization; asked of Hex when None.

    Raises:
        RequestError: the listing was interrupted.
        IncompleteRead: the listing has no end.
    """
    listing = client.projects()
    return projects_frame(listing, client.web_url, org_id or _org_id(client))


def read_data_connections(client: HexClient) -> Frame:
    """All shared data connections of the workspace, as ``HEX_DATA_CONNECTIONS``.

    Raises:
        RequestError: the listing was interrupted.
        IncompleteRead: the listing has no end.
    """
    return data_connections_frame(client.data_connections())


def read_cells(
    client: HexClient,
    projects: Frame,
    connections: Frame,
    mask: Mask,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Frame:
    """The draft cells of the projects and components that are not trashed, as ``HEX_CELLS``.

    A token without the scope for cells, and a project that vanished since it was listed, are
    gaps of the frame. So are the gaps of ``projects``.

    Args:
        projects: ``HEX_PROJECTS``.
        connections: ``HEX_DATA_CONNECTIONS``, which tells the dialect of a cell's SQL.
        mask: applied to the SQL of every cell.
        progress: called after each project with the projects done and their total.

    Raises:
        RequestError: the reading was interrupted.
        IncompleteRead: a listing has no end.
    """
    present = projects.rows.filter(pl.col("trashed_at").is_null())
    project_ids = present.get_column("id").to_list()
    types = dict(connections.rows.select("id", "type").iter_rows())
    rows: list[dict[str, Any]] = []
    gaps = list(projects.gaps)
    for done, project_id in enumerate(project_ids):
        try:
            listing = client.cells(project_id)
        except PermissionMissing as error:
            gaps.append(f"cells of {len(project_ids) - done} projects were not read: {error}")
            break
        except NotFound:
            gaps.append(f"project {project_id} vanished before its cells were read")
        else:
            gaps += [f"project {project_id}: {fault}" for fault in listing.malformed]
            rows += [cell_row(project_id, cell, types, mask) for cell in listing.items]
        progress(done + 1, len(project_ids))
    return HEX_CELLS.frame(rows, gaps)


def projects_frame(listing: Listing[Project], web: str, org_id: str | None) -> Frame:
    """The listing as ``HEX_PROJECTS``; without an org id there are no links."""
    rows = [project_row(project, project_url(project, web, org_id)) for project in listing.items]
    return HEX_PROJECTS.frame(rows, listing.malformed)


def data_connections_frame(listing: Listing[DataConnection]) -> Frame:
    """The listing as ``HEX_DATA_CONNECTIONS``."""
    return HEX_DATA_CONNECTIONS.frame(map(data_connection_row, listing.items), listing.malformed)


def project_row(project: Project, url: str | None) -> dict[str, Any]:
    """One row of ``HEX_PROJECTS``."""
    categories = {c.name: c.description for c in project.categories if c.name}
    shares = project.sharing.collections if project.sharing else ()
    collections = {s.collection.name for s in shares if s.collection and s.collection.name}
    views = (project.analytics and project.analytics.app_views) or AppViews()
    return {
        "id": project.id,
        "type": project.type,
        "title": project.title or project.id,
        "description": project.description,
        "owner_email": project.owner and project.owner.email,
        "creator_email": project.creator and project.creator.email,
        "status": project.status and project.status.name,
        "categories": sorted(categories),
        "category_descriptions": [categories[name] for name in sorted(categories)],
        "collections": sorted(collections),
        "collection_descriptions": [None for _ in collections],
        "groups": [],
        "reviews_required": None,
        "created_at": project.created_at,
        "last_edited_at": project.last_edited_at,
        "last_published_at": project.last_published_at,
        "archived_at": project.archived_at,
        "trashed_at": project.trashed_at,
        "last_viewed_at": project.analytics and project.analytics.last_viewed_at,
        "views_all_time": views.all_time,
        "views_7_days": views.last_seven_days,
        "views_14_days": views.last_fourteen_days,
        "views_30_days": views.last_thirty_days,
        "schedules": sorted({schedule_words(s) for s in project.schedules if s.enabled}),
        "url": url,
    }


def project_url(project: Project, web: str, org_id: str | None) -> str | None:
    """Page of the project: the app once published, else the draft.

    Hex also shows links with a workspace slug and a short id; the API tells neither, and an
    organization id with the UUID is accepted in their place.
    """
    if org_id is None:
        return None
    home, project_id = f"{web}/{quote(org_id, safe='')}", quote(project.id, safe="")
    if project.last_published_at is not None:
        return f"{home}/app/{project_id}"
    return f"{home}/hex/{project_id}/draft/logic"


def schedule_words(schedule: Schedule) -> str:
    """A schedule in words, such as ``WEEKLY MONDAY 06:30 +00:00``."""
    timings = {
        "HOURLY": schedule.hourly,
        "DAILY": schedule.daily,
        "WEEKLY": schedule.weekly,
        "MONTHLY": schedule.monthly,
        "CUSTOM": schedule.custom,
    }
    timing = timings.get(schedule.cadence) or Timing()
    at = None
    if timing.minute is not None:
        hour = "" if timing.hour is None else f"{timing.hour:02d}"
        at = f"{hour}:{timing.minute:02d}"
    words = (schedule.cadence, timing.day_of_week, timing.day, timing.cron, at, timing.timezone)
    return " ".join(str(word) for word in words if word is not None)


def data_connection_row(connection: DataConnection) -> dict[str, Any]:
    """One row of ``HEX_DATA_CONNECTIONS``."""
    database, schema = default_namespace(connection)
    return {
        "id": connection.id,
        "name": connection.name or connection.id,
        "type": connection.type,
        "database": database,
        "schema": schema,
        "dialect": _DIALECTS.get(connection.type),
        "service": None,
    }


def default_namespace(connection: DataConnection) -> tuple[str | None, str | None]:
    """Database and schema in which a query of this connection looks for unqualified tables.

    Each type keeps them in fields of its own (Hex API, ListDataConnections); Databricks
    has them as ``ConnCatalog`` and ``ConnSchema`` in its JDBC URL, if at all.
    """
    kind = connection.type
    details = (connection.connection_details or {}).get(kind)
    if not isinstance(details, Mapping):
        details = {}
    if kind == "databricks":
        options = _jdbc_options(_text(details, "jdbcUrl") or "")
        return _text(options, "conncatalog"), _text(options, "connschema")
    database = _text(details, _DATABASE_FIELDS.get(kind))
    schema = _text(details, _SCHEMA_FIELDS.get(kind))
    return database, schema or _FIXED_SCHEMAS.get(kind)


def cell_row(
    project_id: str, cell: Cell, connection_types: Mapping[str, str], mask: Mask
) -> dict[str, Any]:
    """One row of ``HEX_CELLS``.

    Args:
        connection_types: type of each data connection by its id.
    """
    sql = (cell.contents and cell.contents.sql_cell) or SqlCell()
    if cell.data_connection_id is None:
        dialect = DATAFRAME_DIALECT
    else:
        # The empty dialect is sqlglot's own, the most tolerant one.
        dialect = _DIALECTS.get(connection_types.get(cell.data_connection_id, ""), "")
    return {
        "project_id": project_id,
        "cell_id": cell.static_id,
        "type": cell.cell_type,
        "label": cell.label,
        "data_connection_id": cell.data_connection_id,
        "sql": mask(sql.source, dialect) if sql.source and sql.source.strip() else None,
        "dialect": dialect if sql.source else None,
        "jinja_names": [],
        "output_dataframe": sql.output_dataframe,
        "source_dataframe": None,
        "parent_cell_id": None,
        "component_id": None,
        "markdown": None,
        "version": "draft",
    }


def _org_id(client: HexClient) -> str | None:
    try:
        org = client.me().org
    except (PermissionMissing, NotFound, ServerFailed) as error:
        _log.warning("Projects get no links; set hexAssets.hexOrgId to have them. %s", error)
        return None
    return org.id if org else None


def _text(fields: Mapping[str, Any], name: str | None) -> str | None:
    value = fields.get(name) if name else None
    return (storable(value).strip() or None) if isinstance(value, str) else None


def _jdbc_options(url: str) -> dict[str, str]:
    options: Iterable[tuple[str, str, str]] = (part.partition("=") for part in url.split(";"))
    return {name.strip().lower(): value for name, _, value in options}
