"""From Hex's answers to frames: projects, data connections and cells of one workspace."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from hex_assets.errors import NotFound, PermissionMissing, ServerFailed
from hex_assets.frames import HEX_DATA_CONNECTIONS, HEX_PROJECTS, HEX_WORKSPACE, Frame
from hex_assets.hex.client import HexClient
from hex_assets.hex.export import NotebookCell
from hex_assets.hex.jinja import neutralise
from hex_assets.hex.models import (
    AppViews,
    DataConnection,
    Listing,
    Me,
    Project,
    Schedule,
    Timing,
)
from hex_assets.hex.namespaces import default_namespace

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

_NO_ACCESS = "NONE"
_UNKNOWN_TYPE = "unknown"


def read_workspace(client: HexClient) -> Frame:
    """Whose token it is, as the one row of ``HEX_WORKSPACE``.

    A token that may not ask (or for which Hex fails to answer, as it is said to do for workspace
    tokens) leaves its end and the organization unknown.

    Raises:
        RequestError: Hex could not be asked, or does not accept the token.
    """
    missing = list(client.missing_list_scopes())
    try:
        me = client.me()
    except (PermissionMissing, NotFound, ServerFailed) as error:
        _log.warning("Projects get no links; set hexAssets.hexOrgId to have them. %s", error)
        me = Me()
        if isinstance(error, PermissionMissing):
            missing.append("Users read")
    expires = me.token.exp if me.token else None
    row = {
        "org_id": me.org.id if me.org else None,
        "token_kind": client.token_kind,
        "token_expires_at": None if expires is None else _instant(expires),
        "missing_scopes": sorted(missing),
    }
    return HEX_WORKSPACE.frame([row])


def read_projects(client: HexClient, org_id: str | None = None) -> Frame:
    """All projects and components of the workspace, as ``HEX_PROJECTS``.

    Args:
        org_id: id of the Hex organization; None if it is unknown, then there are no links.

    Raises:
        RequestError: the listing was interrupted.
        IncompleteRead: the listing has no end.
    """
    return projects_frame(
        client.projects(), client.web_url, org_id, _collection_descriptions(client)
    )


def read_data_connections(client: HexClient) -> Listing[DataConnection]:
    """All shared data connections of the workspace.

    A token without the scope for them leaves the listing empty and is one of its faults.

    Raises:
        RequestError: the listing was interrupted.
        IncompleteRead: the listing has no end.
    """
    try:
        return client.data_connections()
    except PermissionMissing as error:
        return Listing((), (f"data connections were not read: {error}",))


def projects_frame(
    listing: Listing[Project],
    web: str,
    org_id: str | None,
    collections: Mapping[str, str | None],
) -> Frame:
    """The listing as ``HEX_PROJECTS``; without an org id there are no links.

    Args:
        collections: descriptions by name.
    """
    rows = [
        project_row(project, project_url(project, web, org_id), collections)
        for project in listing.items
    ]
    return HEX_PROJECTS.frame(rows, listing.malformed)


def data_connections_frame(
    listing: Listing[DataConnection], services: Mapping[str, str] | None = None
) -> Frame:
    """The listing as ``HEX_DATA_CONNECTIONS``.

    Args:
        services: database service by connection id. Ids that are not listed, as those of
            connections that belong to one project, get a row too.
    """
    by_id = services or {}
    rows = [data_connection_row(one, by_id.get(one.id)) for one in listing.items]
    listed = {one.id for one in listing.items}
    rows += [
        data_connection_row(DataConnection(id=unlisted, type=_UNKNOWN_TYPE), service)
        for unlisted, service in by_id.items()
        if unlisted not in listed
    ]
    return HEX_DATA_CONNECTIONS.frame(rows, listing.malformed)


def project_row(
    project: Project, url: str | None, descriptions: Mapping[str, str | None]
) -> dict[str, Any]:
    """One row of ``HEX_PROJECTS``."""
    categories = {c.name: c.description for c in project.categories if c.name}
    shares = project.sharing.collections if project.sharing else ()
    collections = {
        share.collection.name
        for share in shares
        if share.collection and share.collection.name and share.access != _NO_ACCESS
    }
    groups = {
        share.group.name
        for share in (project.sharing.groups if project.sharing else ())
        if share.group and share.group.name and share.access != _NO_ACCESS
    }
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
        "collection_descriptions": [descriptions.get(name) for name in sorted(collections)],
        "groups": sorted(groups),
        "reviews_required": project.reviews and project.reviews.required,
        "created_at": project.created_at,
        "last_edited_at": project.last_edited_at,
        "last_published_at": project.last_published_at,
        "archived_at": project.archived_at,
        "trashed_at": project.trashed_at,
        "results_updated_at": (
            project.analytics and project.analytics.published_results_updated_at
        ),
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


def data_connection_row(connection: DataConnection, service: str | None) -> dict[str, Any]:
    """One row of ``HEX_DATA_CONNECTIONS``."""
    database, schema = default_namespace(connection)
    return {
        "id": connection.id,
        "name": connection.name or connection.id,
        "type": connection.type,
        "database": database,
        "schema": schema,
        "dialect": _DIALECTS.get(connection.type),
        "service": service,
    }


def notebook_cell_row(
    project_id: str,
    cell: NotebookCell,
    connection_types: Mapping[str, str],
    mask: Mask,
    version: str,
) -> dict[str, Any]:
    """One row of ``HEX_CELLS``.

    Args:
        connection_types: type of each data connection by its id.
    """
    if cell.data_connection_id is None:
        dialect = DATAFRAME_DIALECT
    else:
        # The empty dialect is sqlglot's own, the most tolerant one.
        dialect = _DIALECTS.get(connection_types.get(cell.data_connection_id, ""), "")
    has_sql = cell.sql is not None and bool(cell.sql.strip())
    neutral = neutralise(cell.sql or "", dialect)
    return {
        "project_id": project_id,
        "cell_id": cell.cell_id,
        "type": cell.type,
        "label": cell.label,
        "data_connection_id": cell.data_connection_id,
        "sql": mask(neutral.sql, dialect) if has_sql else None,
        "dialect": dialect if has_sql else None,
        "jinja_names": list(neutral.names),
        "output_dataframe": cell.output_dataframe,
        "source_dataframe": cell.source_dataframe,
        "parent_cell_id": cell.parent_cell_id,
        "component_id": cell.component_id,
        "markdown": cell.markdown,
        "version": version,
    }


def _collection_descriptions(client: HexClient) -> dict[str, str | None]:
    """Descriptions by name; none for a name that two collections bear with different ones."""
    try:
        listing = client.collections()
    except (PermissionMissing, NotFound) as error:
        _log.warning("Collections get no descriptions. %s", error)
        return {}
    found: dict[str, set[str | None]] = {}
    for collection in listing.items:
        if collection.name:
            found.setdefault(collection.name, set()).add(collection.description)
    return {name: texts.pop() if len(texts) == 1 else None for name, texts in found.items()}


def _instant(epoch_seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(epoch_seconds, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None
