"""The demo world: a small online shop with its Hex workspaces and its catalogued warehouses.

The world is a value, made from a seed: the same seed gives the same ids, titles, dates and SQL
in every process. The doubles of Hex and of OpenMetadata serve it, and the generated query log
agrees with it.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from hex_assets.sandbox import shop

WireObject = dict[str, Any]
"""One JSON object as the Hex API sends it."""

WORLD_INSTANT = datetime(2026, 11, 2, 9, 0, tzinfo=timezone.utc)
"""When the demo world was photographed; nothing in it is younger."""

DEMO_WORKSPACES = tuple(shop.PROJECTS)
"""Names of the demo world's workspaces, known without building it."""

TOKEN_PREFIXES = {"workspace": "hxtw_", "personal": "hxtp_"}
"""Token kind to what its tokens begin with (Hex docs, "API overview")."""

WORKSPACE_SCOPES = (
    "Projects: Read",
    "Projects: Read queried tables",
    "Cells: Read",
    "Data connections: Read",
    "Users: Read",
    "Groups: Read",
    "Collections: Read",
)
"""The read scopes a Hex admin can give a workspace token."""


@dataclass(frozen=True)
class CatalogTable:
    """One table or view of a database service.

    Attributes:
        database: database name in exact case, unquoted.
        schema: schema name in exact case, unquoted.
        name: table name in exact case, unquoted; may hold spaces and dots.
        columns: (column name, OpenMetadata ``dataType``) in the table's order.
    """

    database: str
    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DatabaseService:
    """One database service as OpenMetadata catalogues it.

    Attributes:
        name: service name in OpenMetadata.
        service_type: OpenMetadata's ``serviceType``, for example ``Snowflake``.
        tables: all tables of the service.
        connection: ``connection.config``; None when OpenMetadata does not store it.
    """

    name: str
    service_type: str
    tables: tuple[CatalogTable, ...]
    connection: WireObject | None = None


@dataclass(frozen=True)
class CatalogUser:
    """One user of OpenMetadata; the address may differ in case from the one in Hex."""

    name: str
    email: str
    display_name: str


@dataclass(frozen=True)
class HexWorkspace:
    """One Hex workspace, with its objects in the JSON shape of the Hex API.

    Attributes:
        name: OpenMetadata dashboard service and recipe that stand for the workspace.
        slug: the workspace's segment in web URLs.
        org_id: UUID that ``/users/me`` reports as ``org.id``.
        token: the one API token of the workspace.
        token_kind: ``workspace`` (admin view, cut down by scopes) or ``personal`` (sees what its
            user sees).
        component_imports: static id of an import cell to the component that it imports and the
            number of the component's cells that stand inlined after it in ``cells``.
        runs: project id to its runs, newest first.
        queried_tables: project id to its queried tables; those of other projects are taken from
            their SQL.
        exports_enabled: whether Hex support has switched on exports for the workspace.
        users: what ListUsers shows.
        token_user: the user a personal token acts as, as ``/users/me`` reports it.
        token_expires_at: epoch seconds after which the token is rejected; None for never.
        scopes: scopes of a workspace token, of ``WORKSPACE_SCOPES``; a personal token needs none.
        enterprise: whether the plan includes Enterprise features.
        projects: projects and components, with ``sharing``.
        cells: project id to the cells of its draft, in notebook order.
        data_connections: what ListDataConnections shows.
        unlisted_connections: connections that cells use but that no listing shows, because they
            belong to one project.
        collections: what ListCollections shows.
        groups: what ListGroups shows; names may repeat.
    """

    name: str
    slug: str
    org_id: str
    token: str
    token_kind: Literal["workspace", "personal"]
    scopes: tuple[str, ...]
    enterprise: bool
    projects: tuple[WireObject, ...]
    cells: Mapping[str, tuple[WireObject, ...]]
    data_connections: tuple[WireObject, ...]
    unlisted_connections: tuple[WireObject, ...] = ()
    collections: tuple[WireObject, ...] = ()
    groups: tuple[WireObject, ...] = ()
    component_imports: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    runs: Mapping[str, tuple[WireObject, ...]] = field(default_factory=dict)
    queried_tables: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    exports_enabled: bool = True
    users: tuple[WireObject, ...] = ()
    token_user: Mapping[str, Any] = field(default_factory=dict)
    token_expires_at: float | None = None


@dataclass(frozen=True)
class World:
    """Everything the doubles serve.

    Attributes:
        workspaces: the Hex workspaces.
        database_services: the catalogued database services.
        users: the users that OpenMetadata knows.
    """

    workspaces: tuple[HexWorkspace, ...]
    database_services: tuple[DatabaseService, ...]
    users: tuple[CatalogUser, ...]


def build_world(seed: int = 7) -> World:
    """The demo world of this seed."""
    rng = random.Random(seed)
    return World(
        workspaces=(
            _workspace(rng, "hex_growth", "larkfield-growth", "workspace", enterprise=True),
            _workspace(rng, "hex_finance", "larkfield-finance", "personal", enterprise=False),
        ),
        database_services=(
            DatabaseService("snowflake_prod", "Snowflake", _tables(shop.SNOWFLAKE_TABLES)),
            DatabaseService("postgres_shop", "Postgres", _tables(shop.POSTGRES_TABLES)),
        ),
        users=tuple(CatalogUser(*user) for user in shop.CATALOG_USERS),
    )


def wire_instant(instant: datetime) -> str:
    """An aware instant as the Hex API writes it: UTC, milliseconds, ``Z``."""
    text = instant.astimezone(timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def with_project(
    workspace: HexWorkspace, project: WireObject, cells: Iterable[WireObject] | None = None
) -> HexWorkspace:
    """The workspace with this project added, or put in the place of the one with its id.

    Args:
        cells: the project's cells; None leaves those it has.
    """
    kept = workspace.cells.get(project["id"], ()) if cells is None else tuple(cells)
    by_id = {other["id"]: other for other in workspace.projects} | {project["id"]: project}
    return replace(
        workspace,
        projects=tuple(by_id.values()),
        cells={**workspace.cells, project["id"]: kept},
    )


def without_project(workspace: HexWorkspace, project_id: str) -> HexWorkspace:
    """The workspace after the project and its cells were deleted for good."""
    return replace(
        workspace,
        projects=tuple(other for other in workspace.projects if other["id"] != project_id),
        cells={owner: cells for owner, cells in workspace.cells.items() if owner != project_id},
    )


def _workspace(
    rng: random.Random,
    name: str,
    slug: str,
    token_kind: Literal["workspace", "personal"],
    enterprise: bool,
) -> HexWorkspace:
    connection_ids = {connection.key: _uuid4(rng) for connection in shop.CONNECTIONS[name]}
    declared = shop.PROJECTS[name]
    birthdays = _birthdays(rng, len(declared))
    projects = tuple(
        _project(rng, project, born) for project, born in zip(declared, birthdays, strict=True)
    )
    components = {project.title: project for project in declared if project.type == "COMPONENT"}
    cells = {
        wire["id"]: _cells(rng, wire["id"], project, components, connection_ids)
        for wire, project in zip(projects, declared, strict=True)
    }
    component_ids = {
        project.title: wire["id"]
        for wire, project in zip(projects, declared, strict=True)
        if project.type == "COMPONENT"
    }
    return HexWorkspace(
        component_imports={
            cell["staticId"]: (component_ids[title], len(components[title].cells))
            for wire, project in zip(projects, declared, strict=True)
            for cell, title in zip(
                (one for one in cells[wire["id"]] if one["cellType"] == "COMPONENT_IMPORT"),
                project.imports,
                strict=False,
            )
        },
        runs={wire["id"]: _runs(wire) for wire in projects if _runs(wire)},
        users=_users(),
        name=name,
        slug=slug,
        org_id=_uuid4(rng),
        token=f"{TOKEN_PREFIXES[token_kind]}{rng.getrandbits(384):096x}",
        token_kind=token_kind,
        token_user=_token_user(rng) if token_kind == "personal" else {},
        scopes=WORKSPACE_SCOPES if token_kind == "workspace" else (),
        enterprise=enterprise,
        projects=projects,
        cells=cells,
        data_connections=_connections(name, connection_ids, "listed"),
        unlisted_connections=_connections(name, connection_ids, "project"),
        collections=_collections(rng, declared),
        groups=_groups(rng),
    )


def _token_user(rng: random.Random) -> WireObject:
    return {
        "id": _uuid4(rng),
        "name": "Inés Soler",
        "email": shop.HEX_EMAILS[shop.TOKEN_USER],
        "role": "EDITOR",
        "lastLoginDate": wire_instant(WORLD_INSTANT - timedelta(hours=2)),
    }


def _project(rng: random.Random, project: shop.Project, born: datetime) -> WireObject:
    edited = born + (WORLD_INSTANT - born) * (1 - 0.6 * rng.random() ** 3)
    published = None if project.state == "draft" else born + (edited - born) * rng.uniform(0.8, 1)
    has_app = published is not None and project.type == "PROJECT"
    views = int(rng.paretovariate(0.9) * 60) if has_app else 0
    recent = (
        [0, 0, 0]
        if project.state != "published" or not has_app
        else sorted(rng.randint(0, min(views, 400)) for _ in range(3))
    )
    viewed = WORLD_INSTANT - timedelta(hours=rng.uniform(1, 60 if recent[0] else 2000))
    ended = wire_instant(WORLD_INSTANT - timedelta(days=rng.uniform(3, 25)))
    wire: WireObject = {
        "id": _uuid7(rng, born) if born.year >= 2025 else _uuid4(rng),
        "type": project.type,
        "title": project.title,
        "description": project.description,
        "status": None if project.status is None else {"name": project.status},
        "categories": [
            {"name": name, "description": shop.CATEGORY_DESCRIPTIONS[name]}
            for name in project.categories
        ],
        "reviews": {"required": project.status == "In review"},
        "analytics": {
            "publishedResultsUpdatedAt": None if published is None else wire_instant(viewed),
            "lastViewedAt": wire_instant(viewed) if views else None,
            "appViews": {
                "allTime": views,
                "lastSevenDays": recent[0],
                "lastFourteenDays": recent[1],
                "lastThirtyDays": recent[2],
            },
        },
        "createdAt": wire_instant(born),
        "lastEditedAt": wire_instant(edited),
        "lastPublishedAt": None if published is None else wire_instant(published),
        "archivedAt": ended if project.state == "archived" else None,
        "trashedAt": ended if project.state == "trashed" else None,
        "schedules": [_schedule(*schedule) for schedule in project.schedules],
        "sharing": _sharing(project),
        "kernelImage": "python-3.12",
    }
    creator = project.creator or project.owner
    if creator is not None:
        wire["creator"] = {"email": shop.HEX_EMAILS[creator]}
    if project.owner is not None:
        wire["owner"] = {"email": shop.HEX_EMAILS[project.owner]}
    return wire


_ODD_STATUSES = ("ERRORED", "KILLED", "UNABLE_TO_ALLOCATE_KERNEL")


def _runs(project: WireObject) -> tuple[WireObject, ...]:
    """Runs of a published project, newest first; some have not started, some failed.

    They come from the project's id, so that they move no other number of the world.
    """
    if project["lastPublishedAt"] is None or project["type"] != "PROJECT":
        return ()
    rng = random.Random(project["id"])
    never_ran = any(one["enabled"] for one in project["schedules"]) and rng.random() < 0.1
    kinds: list[str] = [] if never_ran else ["SCHEDULED"] * 30 if project["schedules"] else []
    kinds += ["API"] * rng.choice((0, 0, 3)) + ["APP_REFRESH"] * rng.choice((0, 5))
    rng.shuffle(kinds)
    runs = []
    for age, kind in enumerate(kinds):
        start = WORLD_INSTANT - timedelta(hours=20 * age + rng.uniform(1, 10))
        elapsed = rng.randint(4_000, 300_000)
        waiting = age == 0 and rng.random() < 0.1
        status = (
            "PENDING" if waiting else rng.choices(("COMPLETED", *_ODD_STATUSES), (90, 6, 2, 2))[0]
        )
        run_id = _uuid4(rng)
        runs.append(
            {
                "projectId": project["id"],
                "projectVersion": "draft" if kind == "API" and age % 2 else str(rng.randint(1, 9)),
                "runId": run_id,
                "runUrl": f"https://app.hex.example/run/{run_id}",
                "status": status,
                "runTrigger": kind,
                "startTime": None if waiting else wire_instant(start),
                "endTime": None
                if waiting
                else wire_instant(start + timedelta(milliseconds=elapsed)),
                "elapsedTime": None if waiting else elapsed,
                "traceId": f"{rng.getrandbits(128):032x}",
            }
        )
    return tuple(runs)


def _users() -> tuple[WireObject, ...]:
    rng = random.Random("users")
    return tuple(
        {
            "id": _uuid4(rng),
            "name": None if person == "sam" else person.title(),
            "email": email,
            "role": "EDITOR",
            "lastLoginDate": None,
        }
        for person, email in shop.HEX_EMAILS.items()
    )


def _schedule(cadence: str, when: dict[str, object], enabled: bool) -> WireObject:
    cadences = ("hourly", "daily", "weekly", "monthly", "custom")
    return {
        "cadence": cadence,
        "enabled": enabled,
        **{name: when if name == cadence.lower() else None for name in cadences},
    }


def _sharing(project: shop.Project) -> WireObject:
    return {
        "users": [
            {"user": {"email": shop.HEX_EMAILS[person]}, "access": "FULL_ACCESS"}
            for person in dict.fromkeys((project.owner, project.creator))
            if person is not None
        ],
        "collections": [
            {"collection": {"name": name}, "access": "CAN_VIEW"} for name in project.collections
        ],
        "groups": [{"group": {"name": "Analysts"}, "access": "CAN_EDIT"}]
        if project.status == "Endorsed"
        else [],
        "workspace": {"access": project.access},
        "publicWeb": {"access": "NONE"},
        "support": {"access": "NONE"},
    }


def _cells(
    rng: random.Random,
    project_id: str,
    project: shop.Project,
    components: Mapping[str, shop.Project],
    connection_ids: Mapping[str, str],
) -> tuple[WireObject, ...]:
    """Cells of a draft; those of imported components stand inlined after their import."""
    declared: list[shop.Cell] = []
    for title in project.imports:
        declared += [shop.Cell("COMPONENT_IMPORT", label=title), *components[title].cells]
    declared += project.cells
    return tuple(_cell(rng, project_id, cell, connection_ids) for cell in declared)


def _cell(
    rng: random.Random, project_id: str, cell: shop.Cell, connection_ids: Mapping[str, str]
) -> WireObject:
    source = {"source": cell.source}
    return {
        "id": _uuid4(rng),
        "staticId": _uuid4(rng),
        "cellType": cell.type,
        "label": cell.label,
        "dataConnectionId": None if cell.connection is None else connection_ids[cell.connection],
        "contents": {
            "codeCell": source if cell.type == "CODE" else None,
            "sqlCell": {**source, "outputDataframe": cell.output} if cell.type == "SQL" else None,
            "markdownCell": source if cell.type == "MARKDOWN" else None,
        },
        "projectId": project_id,
        "isPinned": False,
    }


def _connections(
    workspace: str, ids: Mapping[str, str], known: Literal["listed", "project"]
) -> tuple[WireObject, ...]:
    return tuple(
        {
            "id": ids[connection.key],
            "name": connection.name,
            "type": connection.type,
            "description": None,
            "connectionDetails": None
            if connection.details is None
            else {connection.type: connection.details},
            "connectViaSsh": False,
            "includeMagic": True,
            "allowWritebackCells": False,
            "schemaRefreshAccess": "ADMINS",
            "sharing": {"workspace": {"members": "QUERY", "guests": "NONE", "public": "NONE"}},
        }
        for connection in shop.CONNECTIONS[workspace]
        if connection.known == known
    )


def _collections(rng: random.Random, projects: Sequence[shop.Project]) -> tuple[WireObject, ...]:
    names = sorted({name for project in projects for name in project.collections})
    return tuple(
        {
            "id": _uuid4(rng),
            "name": name,
            "description": f"Projects of: {name}",
            "creator": {"email": shop.HEX_EMAILS["ada"], "id": _uuid4(rng)},
            "sharing": {"workspace": {"members": "MEMBER"}},
        }
        for name in names
    )


def _groups(rng: random.Random) -> tuple[WireObject, ...]:
    born = wire_instant(WORLD_INSTANT - timedelta(days=400))
    return tuple(
        {"id": _uuid4(rng), "name": name, "createdAt": born}
        for name in ("Analysts", "Analysts", "Leadership")
    )


def _birthdays(rng: random.Random, count: int) -> list[datetime]:
    """Instants in ascending order, the first two equal, so that listings meet a tie."""
    days = sorted(rng.uniform(40, 1200) for _ in range(count - 1))
    return [WORLD_INSTANT - timedelta(days=day) for day in reversed([*days, days[-1]])]


def _tables(declarations: Mapping[str, str]) -> tuple[CatalogTable, ...]:
    tables: list[CatalogTable] = []
    for owner, text in declarations.items():
        database, schema = owner.split(".")
        for declaration in re.split(r"\n(?=[^\n]*:)", text.strip()):
            name, columns = declaration.split(":")
            tables.append(CatalogTable(database, schema, name.strip(), _columns(columns)))
    return tuple(tables)


def _columns(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (column.rsplit(maxsplit=1) for column in text.split(","))
    return tuple((name.strip(), shop.COLUMN_TYPES[letter]) for name, letter in pairs)


def _uuid4(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _uuid7(rng: random.Random, born: datetime) -> str:
    """Time-ordered UUID (RFC 9562, version 7), as Hex gives its newer projects."""
    milliseconds = int(born.timestamp() * 1000)
    head = milliseconds << 80 | 7 << 76 | rng.getrandbits(12) << 64
    return str(uuid.UUID(int=head | 0b10 << 62 | rng.getrandbits(62)))
