"""A double of the Hex REST API that serves the demo world over HTTP.

It keeps the habits that trip clients: small default pages, opaque cursors, two generations of
error bodies, rate limits in fixed windows, components and sharing shown only on request, unknown
fields and cell types. What it serves can be changed while it runs.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import yaml
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hex_assets.sandbox.world import HexWorkspace, WireObject, with_project, without_project

DEFAULT_LIMIT = 25
LONGEST_LIMIT = 100
WINDOW_SECONDS = 60.0
"""A rate window is fixed: it starts with its first request and ends so many seconds later."""

CHART_IMAGES = "hex-chart-image"
"""Rate group with two thirds of the requests of the others (20 to 30 by default)."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_TABLE_IN_SQL = re.compile(r"\b(?:from|join)\s+(\w+(?:\.\w+)+)", re.IGNORECASE)

_TYPE_IN_FILE = {"DISPLAY_TABLE": "TABLE_DISPLAY", "CHART": "CHARTV2", "VEGA_CHART": "CHARTV2"}

_IMAGE = {
    "imageBase64": (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJ"
        "RU5ErkJggg=="
    ),
    "mimeType": "image/png",
}

_CODES = {
    400: "BAD_REQUEST",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    422: "UNPROCESSABLE_CONTENT",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL_SERVER_ERROR",
}


class HexState:
    """The workspaces as the API shows them at this moment; safe to change from any thread."""

    def __init__(self, workspaces: Iterable[HexWorkspace]) -> None:
        self._lock = threading.Lock()
        self._workspaces = {workspace.name: workspace for workspace in workspaces}

    def workspace(self, name: str) -> HexWorkspace:
        """The workspace as it is now.

        Raises:
            KeyError: there is none of this name.
        """
        return self._workspaces[name]

    def with_token(self, token: str) -> HexWorkspace | None:
        """The workspace that this API token opens."""
        workspaces = tuple(self._workspaces.values())
        return next((each for each in workspaces if each.token == token), None)

    def put_workspace(self, workspace: HexWorkspace) -> None:
        """Add the workspace, or put it in the place of the one of its name."""
        with self._lock:
            self._workspaces = {**self._workspaces, workspace.name: workspace}

    def put_project(
        self, workspace: str, project: WireObject, cells: Iterable[WireObject] | None = None
    ) -> None:
        """Add the project, or put it in the place of the one with its id.

        Args:
            workspace: name of the workspace.
            project: the project in the JSON shape of the API, ``sharing`` included.
            cells: its cells; None leaves those it has.
        """
        with self._lock:
            changed = with_project(self._workspaces[workspace], project, cells)
            self._workspaces = {**self._workspaces, workspace: changed}

    def change_project(self, workspace: str, project_id: str, **fields: Any) -> None:
        """Set fields of a project; editing sets ``lastEditedAt``, publishing
        ``lastPublishedAt``, archiving ``archivedAt``.

        Raises:
            KeyError: the workspace or the project does not exist.
        """
        with self._lock:
            current = self._workspaces[workspace]
            project = {each["id"]: each for each in current.projects}[project_id]
            changed = with_project(current, {**project, **fields})
            self._workspaces = {**self._workspaces, workspace: changed}

    def remove_project(self, workspace: str, project_id: str) -> None:
        """Delete the project for good, as Hex does 30 days after it was trashed."""
        with self._lock:
            changed = without_project(self._workspaces[workspace], project_id)
            self._workspaces = {**self._workspaces, workspace: changed}


def create_hex_api(
    workspaces: HexState | Iterable[HexWorkspace],
    *,
    clock: Callable[[], float] = time.time,
    requests_per_minute: int = 30,
    general_requests_per_minute: int = 60,
    rate_headers: bool = True,
    me_fails_for_workspace_tokens: bool = False,
) -> Starlette:
    """The API as an ASGI app, below ``/api/v1``; the bearer token selects the workspace.

    Args:
        workspaces: what to serve; pass a HexState to change it while the app runs.
        clock: epoch seconds; decides about rate windows and expired tokens.
        requests_per_minute: limit of each rate group of each token.
        general_requests_per_minute: limit of a token over all operations.
        rate_headers: whether answers tell the remaining requests and ``Retry-After``. Hex names
            no header, so a client must be able to live without them.
        me_fails_for_workspace_tokens: answer 500 to ``/users/me`` with a workspace token; the
            published clients disagree about what Hex does.
    """
    state = workspaces if isinstance(workspaces, HexState) else HexState(workspaces)
    limits = _RateLimits(clock, requests_per_minute, general_requests_per_minute)
    door = _Door(state, clock, limits, rate_headers)
    me = _failing_me if me_fails_for_workspace_tokens else _me
    operations = (
        _Operation("/projects", _list_projects, None, "Projects: Read", legacy=True),
        _Operation("/projects/{project_id}", _get_project, "hex-api", "Projects: Read"),
        _Operation("/cells", _list_cells, "hex-api-30rpm", "Cells: Read"),
        _Operation(
            "/data-connections", _list_data_connections, "hex-api", "Data connections: Read"
        ),
        _Operation(
            "/data-connections/{connection_id}",
            _get_data_connection,
            "hex-api",
            "Data connections: Read",
        ),
        _Operation(
            "/projects/{project_id}/queriedTables",
            _list_queried_tables,
            None,
            "Projects: Read queried tables",
            legacy=True,
        ),
        _Operation("/projects/{project_id}/runs", _list_runs, "hex-api", "Projects: Read"),
        _Operation("/projects/{project_id}/runs/{run_id}", _get_run, "hex-api", "Projects: Read"),
        _Operation(
            "/projects/{project_id}/runs/{run_id}/cells/{cell_id}/image",
            _run_image,
            "hex-chart-image",
            "Projects: Read",
        ),
        _Operation("/cells/{cell_id}/image", _logic_image, "hex-chart-image", "Cells: Read"),
        _Operation("/collections", _list_collections, None, "Collections: Read", legacy=True),
        _Operation("/groups", _list_groups, None, "Groups: Read", legacy=True),
        _Operation("/users", _list_users, "hex-api-30rpm", "Users: Read"),
        _Operation("/users/me", me, "hex-api-30rpm", "Users: Read"),
    )
    export = _Operation("/projects/export", _export, "hex-api", "Projects: Read")
    unknown = _Operation("/{path:path}", _unknown_operation, None, None)
    verbs = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return Starlette(
        routes=[
            _route(door, export, ["POST"]),
            *(_route(door, operation, ["GET"]) for operation in operations),
            _route(door, unknown, verbs),
        ]
    )


@dataclass(frozen=True)
class _Operation:
    """One operation of the API.

    Attributes:
        path: below ``/api/v1``.
        answer: from the request and its workspace to the body of a 200.
        group: rate group besides the general one.
        scope: what a workspace token needs.
        legacy: whether errors have the shape of the API's older generation.
    """

    path: str
    answer: Callable[[Request, HexWorkspace], WireObject]
    group: str | None
    scope: str | None
    legacy: bool = False


class _RateLimits:
    """Requests counted per token and group in fixed windows."""

    def __init__(self, clock: Callable[[], float], per_group: int, general: int) -> None:
        self._clock = clock
        self._per_group = per_group
        self._general = general
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}

    def admit(self, token: str, group: str | None) -> tuple[bool, dict[str, str]]:
        """Count one request: whether it is within its limits, and the headers that tell."""
        limits = {"general": self._general}
        if group == CHART_IMAGES:
            limits[group] = self._per_group * 2 // 3
        elif group is not None:
            limits[group] = self._per_group
        now = self._clock()
        with self._lock:
            windows = {name: self._window(token, name, now) for name in limits}
            admitted = all(windows[name][1] < limit for name, limit in limits.items())
            for name, (opened, count) in windows.items():
                windows[name] = (opened, count + admitted)
                self._windows[token, name] = windows[name]
        tightest = min(limits, key=lambda name: limits[name] - windows[name][1])
        opened, count = windows[tightest]
        seconds = str(max(1, math.ceil(opened + WINDOW_SECONDS - now)))
        headers = {
            "RateLimit-Remaining": str(limits[tightest] - count),
            "RateLimit-Reset": seconds,
        }
        return admitted, headers if admitted else {**headers, "Retry-After": seconds}

    def _window(self, token: str, group: str, now: float) -> tuple[float, int]:
        opened, count = self._windows.get((token, group), (now, 0))
        return (opened, count) if now < opened + WINDOW_SECONDS else (now, 0)


class _Door:
    """What every request passes: token, rate limits, scope; and the shape of refusals."""

    def __init__(
        self,
        state: HexState,
        clock: Callable[[], float],
        limits: _RateLimits,
        rate_headers: bool,
    ) -> None:
        self._state = state
        self._clock = clock
        self._limits = limits
        self._rate_headers = rate_headers
        self._requests = itertools.count(1)

    def respond(self, operation: _Operation, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        workspace = self._state.with_token(token) if scheme.lower() == "bearer" else None
        if workspace is None or self._clock() >= (workspace.token_expires_at or math.inf):
            return PlainTextResponse("Unauthorized", status_code=401)
        trace_id = hashlib.sha256(str(next(self._requests)).encode()).hexdigest()[:32]
        admitted, rate_headers = self._limits.admit(token, operation.group)
        try:
            if not admitted:
                raise HTTPException(429, "Too many requests")
            _require_scope(workspace, operation.scope)
            response = JSONResponse(operation.answer(request, workspace))
        except HTTPException as refusal:
            response = _refused(refusal, operation.legacy, trace_id)
        response.headers["x-trace-id"] = trace_id
        if self._rate_headers:
            response.headers.update(rate_headers)
        return response


def _route(door: _Door, operation: _Operation, methods: list[str]) -> Route:
    async def endpoint(request: Request) -> Response:
        request.state.body = await request.body()
        return await run_in_threadpool(door.respond, operation, request)

    return Route(f"/api/v1{operation.path}", endpoint, methods=methods)


def _require_scope(workspace: HexWorkspace, scope: str | None) -> None:
    if workspace.token_kind == "workspace" and scope not in (None, *workspace.scopes):
        raise HTTPException(403, f"The token lacks the scope {scope}")


def _refused(refusal: HTTPException, legacy: bool, trace_id: str) -> JSONResponse:
    body: WireObject = (
        {"reason": refusal.detail, "traceId": trace_id}
        if legacy
        else {
            "code": _CODES[refusal.status_code],
            "message": refusal.detail,
            "issues": [{"message": refusal.detail}],
        }
    )
    return JSONResponse(body, status_code=refusal.status_code)


def _list_projects(request: Request, workspace: HexWorkspace) -> WireObject:
    parameters = request.query_params
    include_sharing = _flag(request, "includeSharing")
    include_archived = _flag(request, "includeArchived")
    include_trashed = _flag(request, "includeTrashed")
    include_components = _flag(request, "includeComponents")
    statuses = parameters.getlist("statuses")
    categories = set(parameters.getlist("categories"))
    collections = {
        collection["name"]
        for collection in workspace.collections
        if collection["id"] == parameters.get("collectionId", "").lower()
    }

    def listed(project: WireObject) -> bool:
        return (
            (include_archived or project["archivedAt"] is None)
            and (include_trashed or project["trashedAt"] is None)
            and (include_components or project["type"] != "COMPONENT")
            and (not statuses or (project["status"] or {}).get("name") in statuses)
            and (not categories or not categories.isdisjoint(_names(project["categories"])))
            and parameters.get("creatorEmail") in (None, _email(project, "creator"))
            and parameters.get("ownerEmail") in (None, _email(project, "owner"))
            and (
                "collectionId" not in parameters
                or not collections.isdisjoint(_collection_names(project))
            )
        )

    fields = {
        "CREATED_AT": "createdAt",
        "LAST_EDITED_AT": "lastEditedAt",
        "LAST_PUBLISHED_AT": "lastPublishedAt",
    }
    field = fields[_one_of(request, "sortBy", tuple(fields))]
    page = _page(
        request,
        [
            project
            for project in workspace.projects
            if _visible(workspace, project) and listed(project)
        ],
        sort_value=lambda project: project[field],
        descending=_one_of(request, "sortDirection", ("DESC", "ASC")) == "DESC",
    )
    page["values"] = [_shown(project, include_sharing) for project in page["values"]]
    return page


def _get_project(request: Request, workspace: HexWorkspace) -> WireObject:
    project = _project(workspace, request.path_params["project_id"])
    return _shown(project, _flag(request, "includeSharing"))


def _list_cells(request: Request, workspace: HexWorkspace) -> WireObject:
    project = _project(workspace, request.query_params.get("projectId", ""))
    cells = workspace.cells.get(project["id"], ())
    positions = _positions(cells)
    return _page(request, cells, lambda cell: positions[cell["id"]], descending=False)


def _list_data_connections(request: Request, workspace: HexWorkspace) -> WireObject:
    connections = workspace.data_connections
    positions = _positions(connections)
    by_name = _one_of(request, "sortBy", ("NAME", "CREATED_AT")) == "NAME"
    return _page(
        request,
        connections,
        lambda each: each["name"] if by_name else positions[each["id"]],
        descending=_one_of(request, "sortDirection", ("ASC", "DESC")) == "DESC",
    )


def _positions(items: Iterable[WireObject]) -> dict[str, str]:
    """Item id to its place, as text that sorts; for what has an order but no instant."""
    return {item["id"]: f"{position:06}" for position, item in enumerate(items)}


def _get_data_connection(request: Request, workspace: HexWorkspace) -> WireObject:
    wanted = request.path_params["connection_id"].lower()
    for connection in workspace.data_connections:
        if connection["id"] == wanted:
            return connection
    raise HTTPException(404, "Data connection not found")


def _list_queried_tables(request: Request, workspace: HexWorkspace) -> WireObject:
    project = _project(workspace, request.path_params["project_id"])
    if not workspace.enterprise:
        raise HTTPException(403, "Queried tables are part of the Enterprise plan")
    if project["lastPublishedAt"] is None:
        raise HTTPException(422, "The project was never published")
    known = workspace.queried_tables.get(project["id"])
    tables = _tables_in_sql(workspace, project["id"]) if known is None else known
    numbered = [{"id": f"{number:06}", "row": table} for number, table in enumerate(tables)]
    page = _page(request, numbered, lambda one: one["id"], descending=False)
    page["values"] = [one["row"] for one in page["values"]]
    return page


def _tables_in_sql(workspace: HexWorkspace, project_id: str) -> list[WireObject]:
    """Qualified names behind FROM and JOIN, in mixed depth and case, and a row of junk."""
    names = {one["id"]: one["name"] for one in workspace.data_connections}
    found: dict[tuple[str, str], None] = {}
    for cell in workspace.cells.get(project_id, ()):
        source = ((cell["contents"] or {}).get("sqlCell") or {}).get("source") or ""
        if cell["dataConnectionId"] is not None:
            for name in _TABLE_IN_SQL.findall(source):
                found[cell["dataConnectionId"], name] = None
    rows = [
        {
            "dataConnectionId": connection_id,
            "dataConnectionName": names.get(connection_id, "Project connection"),
            "tableName": name.upper() if number % 2 else name,
        }
        for number, (connection_id, name) in enumerate(found)
    ]
    junk = [{**rows[0], "tableName": "count(*)"}] if rows else []
    return [*rows, *junk]


def _list_runs(request: Request, workspace: HexWorkspace) -> WireObject:
    project = _project(workspace, request.path_params["project_id"])
    if project["lastPublishedAt"] is None:
        raise HTTPException(422, "The project was never published")
    wanted = request.query_params.get("runTriggerFilter", "ALL")
    if wanted not in ("SCHEDULED", "API", "APP_REFRESH", "ALL"):
        raise HTTPException(400, "runTriggerFilter is unknown")
    status = request.query_params.get("statusFilter")
    runs = [
        run
        for run in workspace.runs.get(project["id"], ())
        if wanted in ("ALL", run["runTrigger"]) and status in (None, run["status"])
    ]
    limit, offset = _limit(request), request.query_params.get("offset", "0")
    if not offset.isdecimal():
        raise HTTPException(400, "offset must not be negative")
    start = int(offset)
    more = start + limit < len(runs)
    return {
        "runs": runs[start : start + limit],
        "nextPage": f"/runs?offset={start + limit}" if more else None,
        "previousPage": f"/runs?offset={max(0, start - limit)}" if start else None,
        "traceId": "0" * 32,
    }


def _get_run(request: Request, workspace: HexWorkspace) -> WireObject:
    project = _project(workspace, request.path_params["project_id"])
    for run in workspace.runs.get(project["id"], ()):
        if run["runId"] == request.path_params["run_id"].lower():
            return run
    raise HTTPException(422, "No such run")


def _run_image(request: Request, workspace: HexWorkspace) -> WireObject:
    run = _get_run(request, workspace)
    project_id, cell_id = run["projectId"], request.path_params["cell_id"].lower()
    cells = [one for one in workspace.cells.get(project_id, ()) if one["staticId"] == cell_id]
    if run["status"] != "COMPLETED" or not _drawn(cells):
        raise HTTPException(404, "The run drew no such chart")
    return {"projectId": project_id, "runId": run["runId"], "staticId": cell_id, **_IMAGE}


def _logic_image(request: Request, workspace: HexWorkspace) -> WireObject:
    cell_id = request.path_params["cell_id"].lower()
    cells = [
        cell
        for project in workspace.projects
        if _visible(workspace, project)
        for cell in workspace.cells.get(project["id"], ())
        if cell_id in (cell["id"], cell["staticId"])
    ]
    if not _drawn(cells):
        raise HTTPException(404, "The cell drew no chart")
    return {"cellId": cell_id, **_IMAGE}


def _drawn(cells: Iterable[WireObject]) -> bool:
    return any(cell["cellType"] in ("CHART", "VEGA_CHART") for cell in cells)


def _export(request: Request, workspace: HexWorkspace) -> WireObject:
    try:
        asked = json.loads(request.state.body)
        project = _project(workspace, asked["projectId"])
        version = asked.get("version", "draft")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HTTPException(400, "The body must name a projectId") from error
    if not workspace.exports_enabled:
        raise HTTPException(403, "Exports are not available to your organization")
    numbered = isinstance(version, int) and not isinstance(version, bool) and version > 0
    if not numbered and version not in ("draft", "latest"):
        raise HTTPException(400, "version must be a positive integer, draft or latest")
    if version != "draft" and project["lastPublishedAt"] is None:
        raise HTTPException(400, "There is no such version")
    published = version != "draft"
    used = _used_connections(workspace, project["id"])
    own = {one["id"] for one in workspace.unlisted_connections}
    document = {
        "schemaVersion": 3,
        "meta": {
            "sourceVersionId": project["lastPublishedAt" if published else "lastEditedAt"],
            "description": project["description"],
            "projectId": project["id"],
            "title": project["title"],
            "timezone": None,
            "appTheme": "SYS_PREF",
            "codeLanguage": "PYTHON",
            "status": project["status"],
            "hexType": project["type"],
        },
        "projectAssets": {
            "dataConnections": [{"dataConnectionId": one} for one in used if one in own],
            "envVars": [],
            "secrets": [],
        },
        "sharedAssets": {
            "dataConnections": [{"dataConnectionId": one} for one in used if one not in own]
        },
        "cells": _exported_cells(workspace, project["id"], published),
        "appLayout": {"visibleMetadataFields": ["NAME"], "fullWidth": False, "tabs": []},
        "sharedFilters": [],
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    for one in (*workspace.data_connections, *workspace.unlisted_connections):
        # Hex names connections in comments only, which a parser does not see.
        text = text.replace(f"dataConnectionId: {one['id']}\n", _commented(one))
    return {"filename": f"{project['title']}.yaml", "content": f"# Hex project\n{text}"}


def _commented(connection: WireObject) -> str:
    return f"dataConnectionId: {connection['id']} # {connection['name']}\n"


def _used_connections(workspace: HexWorkspace, project_id: str) -> list[str]:
    cells = workspace.cells.get(project_id, ())
    used = (cell["dataConnectionId"] for cell in cells)
    return list(dict.fromkeys(one for one in used if one is not None))


def _exported_cells(workspace: HexWorkspace, project_id: str, published: bool) -> list[WireObject]:
    """Cells in Hex's file format: an import instead of inlined cells, sections with what is in
    them, and in the published version an older text of the Markdown.
    """
    exported: list[WireObject] = []
    inlined = 0
    for cell in workspace.cells.get(project_id, ()):
        if inlined:
            inlined -= 1
            continue
        config: WireObject = {}
        contents = cell["contents"] or {}
        if cell["cellType"] == "SQL":
            sql = contents["sqlCell"]
            config = {
                "source": sql["source"],
                "dataConnectionId": cell["dataConnectionId"],
                "dataFrameCell": cell["dataConnectionId"] is None,
                "resultVariableName": sql["outputDataframe"],
                "useQueryMode": False,
            }
        elif cell["cellType"] == "CODE":
            config = {"source": contents["codeCell"]["source"]}
        elif cell["cellType"] == "MARKDOWN":
            source = contents["markdownCell"]["source"]
            config = {"source": f"{source}\n\n(as published)" if published else source}
        elif cell["cellType"] == "COMPONENT_IMPORT":
            component_id, inlined = workspace.component_imports.get(cell["staticId"], (None, 0))
            if component_id is not None:
                config = {"component": {"id": component_id, "version": 1}}
        elif cell["cellType"] in ("CHART", "EXPLORE", "DISPLAY_TABLE"):
            config = {"dataframe": _latest_output(exported)}
        elif cell["cellType"] == "COLLAPSIBLE":
            # A section is sent last in the listing; in the file it holds what comes before it.
            exported, config = exported[:-2], {"cells": exported[-2:]}
        exported.append(
            {
                "cellType": _TYPE_IN_FILE.get(cell["cellType"], cell["cellType"]),
                "cellId": cell["staticId"],
                "cellLabel": cell["label"],
                "config": config,
            }
        )
    return exported


def _latest_output(exported: list[WireObject]) -> str | None:
    outputs = (cell["config"].get("resultVariableName") for cell in reversed(exported))
    return next((output for output in outputs if output), None)


def _list_collections(request: Request, workspace: HexWorkspace) -> WireObject:
    return _page(request, workspace.collections, lambda one: one["name"], descending=False)


def _list_groups(request: Request, workspace: HexWorkspace) -> WireObject:
    field = "name" if _one_of(request, "sortBy", ("CREATED_AT", "NAME")) == "NAME" else "createdAt"
    return _page(
        request,
        workspace.groups,
        lambda one: one[field],
        descending=_one_of(request, "sortDirection", ("DESC", "ASC")) == "DESC",
        longest=500,
    )


def _list_users(request: Request, workspace: HexWorkspace) -> WireObject:
    return _page(request, workspace.users, lambda one: one["email"], descending=False)


def _me(request: Request, workspace: HexWorkspace) -> WireObject:
    return {
        **workspace.token_user,
        "org": {"id": workspace.org_id},
        "token": {"exp": workspace.token_expires_at},
    }


def _failing_me(request: Request, workspace: HexWorkspace) -> WireObject:
    if workspace.token_kind == "workspace":
        raise HTTPException(500, "Internal server error")
    return _me(request, workspace)


def _unknown_operation(request: Request, workspace: HexWorkspace) -> WireObject:
    raise HTTPException(404, "No such operation")


def _project(workspace: HexWorkspace, project_id: str) -> WireObject:
    wanted = project_id.lower()
    if not _UUID.fullmatch(wanted):
        raise HTTPException(400, "projectId must be a UUID")
    for project in workspace.projects:
        if project["id"] == wanted and _visible(workspace, project):
            return project
    raise HTTPException(404, "Project not found")


def _visible(workspace: HexWorkspace, project: WireObject) -> bool:
    """Whether the token may see the project; a workspace token sees all of them."""
    if workspace.token_kind == "workspace":
        return True
    sharing = project["sharing"]
    people = {
        _email(project, "owner"),
        _email(project, "creator"),
        *(each["user"]["email"] for each in sharing["users"] if each["access"] != "NONE"),
    }
    return sharing["workspace"]["access"] != "NONE" or workspace.token_user["email"] in people


def _shown(project: WireObject, include_sharing: bool) -> WireObject:
    return {name: value for name, value in project.items() if include_sharing or name != "sharing"}


def _email(project: WireObject, role: str) -> str | None:
    person: WireObject = project.get(role) or {}
    return person.get("email")


def _names(objects: Iterable[WireObject]) -> list[str]:
    return [each["name"] for each in objects]


def _collection_names(project: WireObject) -> list[str]:
    return _names(each["collection"] for each in project["sharing"]["collections"])


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text.lower() not in ("true", "false"):
        raise HTTPException(400, f"{name} must be true or false")
    return text.lower() == "true"


def _one_of(request: Request, name: str, allowed: tuple[str, ...]) -> str:
    """The parameter's value; the first of the allowed ones is its default."""
    text = request.query_params.get(name, allowed[0])
    if text not in allowed:
        raise HTTPException(400, f"{name} must be one of {', '.join(allowed)}")
    return text


def _page(
    request: Request,
    items: Iterable[WireObject],
    sort_value: Callable[[WireObject], str | None],
    descending: bool,
    longest: int = LONGEST_LIMIT,
) -> WireObject:
    """One page of the items, ordered by (sort value, id), those without a value last.

    A cursor names the sort value and the id of an item, not a position, so what is added or
    deleted elsewhere neither repeats nor hides an item.
    """

    def place(value: str | None, item_id: str) -> tuple[bool, str, str]:
        return (value is None) != descending, value or "", item_id

    limit = _limit(request, longest)
    after, before = (_cursor(request, name) for name in ("after", "before"))
    if after and before:
        raise HTTPException(400, "after and before exclude each other")
    ordered = sorted(
        ((place(sort_value(item), item["id"]), item) for item in items),
        key=lambda placed: placed[0],
        reverse=descending,
    )
    start, end = 0, limit
    if cursor := after or before:
        mark = place(*cursor)
        earlier = sum(where > mark if descending else where < mark for where, _ in ordered)
        if before:
            start, end = max(0, earlier - limit), earlier
        else:
            start = earlier + sum(where == mark for where, _ in ordered)
            end = start + limit
    page = [item for _, item in ordered[start:end]]

    def named(item: WireObject) -> str:
        text = json.dumps([sort_value(item), item["id"]], separators=(",", ":"))
        return base64.urlsafe_b64encode(f"v2:{text}".encode()).decode().rstrip("=")

    return {
        "values": page,
        "pagination": {
            "after": named(page[-1]) if page and end < len(ordered) else None,
            "before": named(page[0]) if page else None,
        },
    }


def _limit(request: Request, longest: int = LONGEST_LIMIT) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not text.isdecimal() or not 1 <= int(text) <= longest:
        raise HTTPException(400, f"limit must be between 1 and {longest}")
    return int(text)


def _cursor(request: Request, name: str) -> tuple[str | None, str] | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    refusal = HTTPException(400, f"{name} is not a cursor of this API")
    try:
        padded = text + "=" * (-len(text) % 4)
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        version, _, named = decoded.partition(":")
        item = json.loads(named)
    except ValueError as error:
        raise refusal from error
    match version, item:
        case "v2", [(str() | None) as value, str(item_id)]:
            return value, item_id
    raise refusal
