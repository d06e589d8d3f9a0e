"""Client of Hex's public REST API: the read endpoints a catalog needs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal
from urllib.parse import quote

import httpx
from pydantic import SecretStr, ValidationError

from hex_assets.errors import (
    ConnectionFailed,
    IncompleteRead,
    NotFound,
    PermissionMissing,
    PlanMissing,
    RateLimited,
    RecipeError,
    RequestError,
    ServerFailed,
    TokenRejected,
    UnreadableAnswer,
)
from hex_assets.hex.models import (
    Cell,
    DataConnection,
    Export,
    Item,
    Listing,
    Me,
    Project,
    ProjectEdit,
    QueriedTable,
    Run,
    WorkspaceCollection,
    describe_malformed,
    what_is_wrong,
)
from hex_assets.hex.rate_limit import (
    GENERAL,
    HEX_API,
    HEX_API_30RPM,
    RequestBudget,
    shared_budget,
)
from hex_assets.http import JsonApi, Retry, asked_to_wait, no_requests_left

_PAGE_SIZE = 100
"""The most that Hex's listings allow; their default is 25."""

_FRUITLESS_PAGES = 3
"""A listing that brings nothing new for so many pages in a row goes in circles."""

_TOKEN_KINDS: Mapping[str, str] = {"hxtp_": "personal", "hxtw_": "workspace"}

_TOKEN = re.compile(r"[!-~]+")
"""Visible ASCII: what an HTTP header can carry."""

_HINTS: Mapping[type[RequestError], str] = {
    ConnectionFailed: "Check source.serviceConnection.config.hostPort, the network and its proxy",
    TokenRejected: (
        "Make a new token in Hex under Settings > API keys and set it as "
        "source.serviceConnection.config.token. If the token is new, check hostPort: a token is "
        "only valid on its own deployment"
    ),
    PlanMissing: "Hex offers its API on the Team and Enterprise plans; ask your Hex admin",
    NotFound: "It is gone, or the token's user may not see it",
    RateLimited: (
        "Other tools that use this token share its limit. "
        "Lower hexAssets.requestsPerMinute, or use a token of its own user"
    ),
    ServerFailed: "Try again later. Hex support asks for the trace id",
    UnreadableAnswer: "Is source.serviceConnection.config.hostPort really Hex?",
}


@dataclass(frozen=True)
class _Resource(Generic[Item]):
    """One listing: where it is, what it counts against, which scope it needs."""

    path: str
    kind: str
    model: type[Item]
    group: str
    scope: str


_PROJECTS = _Resource("/projects", "project", Project, GENERAL, "Read projects")
_PROJECT_EDITS = _Resource("/projects", "project", ProjectEdit, GENERAL, "Read projects")
_DATA_CONNECTIONS = _Resource(
    "/data-connections", "data connection", DataConnection, HEX_API, "Data connections read"
)
_CELLS = _Resource("/cells", "cell", Cell, HEX_API_30RPM, "Cells read")
_COLLECTIONS = _Resource(
    "/collections", "collection", WorkspaceCollection, GENERAL, "Collections read"
)
_READ_QUERIED_TABLES = "Projects: Read queried tables"

LOST_WITHOUT: Mapping[str, str] = {
    "Read projects": "nothing can be read",
    "Data connections read": "cells and queried tables are linked to no database service",
    "Cells read": "the cells of projects that Hex does not export, and their lineage, are missing",
    "Collections read": "collections have no descriptions",
    _READ_QUERIED_TABLES: "Hex's own list of tables, which the Enterprise plan has, is no evidence",
    "Users read": "links to Hex need hexAssets.hexOrgId, and nobody knows when the token expires",
}
"""What a token costs its user that lacks a scope."""

_NO_EXPORTS = (
    "Ask Hex support to enable exports by API, and give the token's user Can Explore on the "
    "project. Without it, projects are read as drafts, without sections, imports of components and "
    "the dataframes that charts show"
)

_EVERY_PROJECT: Mapping[str, bool] = {
    "includeComponents": True,
    "includeArchived": True,
    "includeTrashed": True,
}


def web_base(host: str) -> str:
    """Scheme and host of a Hex deployment, from whatever a user may paste.

    A bare host, a URL, an API URL and the URL of a workspace all give, for example,
    ``https://app.hex.tech``. Without a scheme it is https.

    Raises:
        RecipeError: there is no host in it.
    """
    text = host.strip()
    try:
        url = httpx.URL(text if "://" in text else f"https://{text}")
        if url.scheme not in ("http", "https") or not url.host:
            raise httpx.InvalidURL("no host")
        return str(httpx.URL(scheme=url.scheme, host=url.host, port=url.port))
    except httpx.InvalidURL as error:
        raise RecipeError(
            "source.serviceConnection.config.hostPort is not the address of a Hex deployment "
            "such as https://app.hex.tech"
        ) from error


class HexClient:
    """Reads one Hex workspace; a context manager that closes its connections.

    Args:
        host: see ``web_base``.
        token: workspace or personal access token.
        requests_per_minute: limit of each rate group of Hex (see ``RequestBudget``).
        sleep: called with seconds, for retries and for the rate limit.
        budget: by default the one that all processes of this machine share for this token.
        rate_limits: folder in which that one is kept (see ``shared_budget``).

    Attributes:
        web_url: scheme and host, under which people reach Hex too.
        token_kind: ``personal`` or ``workspace``, by the token's prefix; else ``unknown``.

    Raises:
        RecipeError: host or token cannot be used.
    """

    def __init__(
        self,
        host: str,
        token: SecretStr,
        *,
        requests_per_minute: int = 30,
        retry: Retry = Retry(),  # noqa: B008 - frozen
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
        budget: RequestBudget | None = None,
        rate_limits: str = "",
    ) -> None:
        bearer = token.get_secret_value().strip()
        if not _TOKEN.fullmatch(bearer):
            raise RecipeError(
                "source.serviceConnection.config.token is empty or holds a space, a line break "
                "or another character that no Hex token has"
            )
        self.web_url = web_base(host)
        base = f"{self.web_url}/api/v1"
        self._sleep = sleep
        self.token_kind = _TOKEN_KINDS.get(bearer[:5], "unknown")
        folder = Path(rate_limits) if rate_limits else None
        self._budget = budget or shared_budget(base, bearer, requests_per_minute, folder)
        self._api = JsonApi(
            "Hex",
            base,
            bearer=lambda: bearer,
            retry=retry,
            hints=_HINTS,
            acquire=self._wait_for_slot,
            observe=self._heed,
            sleep=sleep,
            transport=transport,
        )

    def __enter__(self) -> HexClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._api.close()

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, retries included."""
        return self._api.requests_sent

    @property
    def requests_left(self) -> int:
        """Requests of the busiest rate group that may be sent at once."""
        return self._budget.left(HEX_API)

    def me(self) -> Me:
        """Whose token it is.

        Raises:
            RequestError: see ``hex_assets.errors``.
        """
        during = "asking whose token it is"
        body = self._get("/users/me", HEX_API_30RPM, {}, "Users read", during)
        try:
            return Me.model_validate(body)
        except ValidationError as error:
            raise self._api.unreadable("GET /users/me", 200, what_is_wrong(error), during) from None

    def missing_list_scopes(self) -> tuple[str, ...]:
        """The scopes of ``LOST_WITHOUT`` that listings lack, found by one small request each.

        Cells and queried tables are asked for by project; reading them tells the rest.

        Raises:
            RequestError: see ``hex_assets.errors``.
        """
        missing = []
        lists: tuple[_Resource[Any], ...] = (_COLLECTIONS, _DATA_CONNECTIONS)
        for resource in lists:
            try:
                self._page(resource, {"limit": 1}, "looking for missing scopes")
            except PermissionMissing:
                missing.append(resource.scope)
            except NotFound:
                continue
        return tuple(missing)

    def projects(self) -> Listing[Project]:
        """All projects and components the token may see, archived and trashed ones included.

        Raises:
            RequestError: a page could not be read; the error names it.
            IncompleteRead: the pages do not end.
        """
        asked = {"includeSharing": True, **_EVERY_PROJECT}
        return self._list(_PROJECTS, asked, "listing projects")

    def data_connections(self) -> Listing[DataConnection]:
        """All shared data connections the token may see.

        Raises:
            RequestError: a page could not be read; the error names it.
            IncompleteRead: the pages do not end.
        """
        return self._list(_DATA_CONNECTIONS, {}, "listing data connections")

    def cells(self, project_id: str) -> Listing[Cell]:
        """All cells of the draft of one project or component.

        Raises:
            NotFound: the project is gone or hidden from the token.
            RequestError: a page could not be read; the error names it.
            IncompleteRead: the pages do not end.
        """
        return self._list(
            _CELLS, {"projectId": project_id}, f"listing cells of project {project_id}"
        )

    def collections(self) -> Listing[WorkspaceCollection]:
        """All collections the token may see.

        Raises:
            PermissionMissing: the token lacks the scope.
            RequestError: a page could not be read; the error names it.
            IncompleteRead: the pages do not end.
        """
        return self._list(_COLLECTIONS, {}, "listing collections")

    def queried_tables(self, project_id: str) -> Listing[QueriedTable]:
        """The tables that Hex saw a project query; on the Enterprise plan only.

        Raises:
            PermissionMissing: the plan or the token does not allow it, for any project.
            RequestRejected: 422, the project was never published.
            NotFound: the project is gone or hidden from the token.
            RequestError: a page could not be read; the error names it.
            IncompleteRead: the pages do not end.
        """
        resource = _Resource(
            f"/projects/{quote(project_id, safe='')}/queriedTables",
            "queried table",
            QueriedTable,
            GENERAL,
            _READ_QUERIED_TABLES,
        )
        return self._list(resource, {}, f"listing tables queried by project {project_id}")

    def runs(
        self, project_id: str, limit: int = _PAGE_SIZE, trigger: str = "ALL"
    ) -> tuple[tuple[Run, ...], tuple[str, ...]]:
        """The latest runs of a project, each once, newest first, in one request.

        Args:
            limit: 1 to 100.
            trigger: ``ALL``, ``SCHEDULED``, ``API`` or ``APP_REFRESH``.

        Returns:
            The runs, and a sentence for each that was left out as unreadable.

        Raises:
            RequestRejected: 422, Hex keeps no runs of a project that was never published.
            NotFound: the project is gone or hidden from the token.
            RequestError: see ``hex_assets.errors``.
        """
        path = f"/projects/{quote(project_id, safe='')}/runs"
        during = f"listing runs of project {project_id}"
        asked = {"limit": limit, "runTriggerFilter": trigger}
        body = self._get(path, HEX_API, asked, "Read projects", during)
        values = body.get("runs") if isinstance(body, dict) else None
        if not isinstance(values, list):
            raise self._api.unreadable(f"GET {path}", 200, "the body has no list of runs", during)
        resource = _Resource(path, "run", Run, HEX_API, "Read projects")
        runs, malformed = _parse(resource, values, "the first page")
        return tuple({run.key: run for run in runs}.values()), tuple(malformed)

    def export(self, project_id: str, version: Literal["latest", "draft"]) -> str:
        """The source of a project or component in Hex's file format, YAML.

        Args:
            version: ``latest`` is the latest published one.

        Raises:
            PermissionMissing: the workspace or the project does not allow exports.
            NotFound: the project is gone or hidden from the token.
            RequestError: see ``hex_assets.errors``.
        """
        during = f"exporting project {project_id}"
        asked = {"projectId": project_id, "version": version}
        try:
            body = self._call(
                "POST", "/projects/export", HEX_API, "Read projects", during, json=asked
            )
        except PermissionMissing as error:
            error.hint = _NO_EXPORTS
            raise
        try:
            return Export.model_validate(body).content
        except ValidationError as error:
            raise self._api.unreadable(
                "POST /projects/export", 200, what_is_wrong(error), during
            ) from None

    def newest_edits(self, limit: int = _PAGE_SIZE) -> tuple[ProjectEdit, ...]:
        """The most recently edited projects and components, newest first, in one request.

        The latest instant in it moves when something is created or edited, and when one of
        these projects is published; publishing one that was not edited for longer goes
        unnoticed. (A listing sorted by publication would miss edits, and Hex does not say
        where in it the unpublished come.) Malformed items are left out; ``projects`` reports
        them.

        Args:
            limit: 1 to 100.

        Raises:
            RequestError: see ``hex_assets.errors``.
        """
        asked = {
            "limit": limit,
            "sortBy": "LAST_EDITED_AT",
            "sortDirection": "DESC",
            **_EVERY_PROJECT,
        }
        values, _ = self._page(_PROJECT_EDITS, asked, "looking for newly edited projects")
        edits, _ = _parse(_PROJECT_EDITS, values, "the first page")
        return tuple(edits)

    def _list(
        self, resource: _Resource[Item], asked: Mapping[str, Any], doing: str
    ) -> Listing[Item]:
        found: dict[str, Item] = {}
        malformed: list[str] = []
        cursors: set[str] = set()
        cursor: str | None = None
        page = fruitless = 0
        while True:
            page += 1
            during = f"{doing}, page {page}"
            turn = {} if cursor is None else {"after": cursor}
            values, cursor = self._page(resource, {**asked, "limit": _PAGE_SIZE, **turn}, during)
            items, faults = _parse(resource, values, f"page {page}")
            before = len(found)
            found.update((item.key, item) for item in items)
            malformed += faults
            if cursor is None:
                return Listing(tuple(found.values()), tuple(dict.fromkeys(malformed)))
            fruitless = 0 if len(found) > before else fruitless + 1
            if cursor in cursors or fruitless == _FRUITLESS_PAGES:
                raise IncompleteRead(
                    f"Hex GET {resource.path}: the pages go in circles while {during}, so the "
                    "listing has no end. Try again later, then tell Hex support"
                )
            cursors.add(cursor)

    def _page(
        self, resource: _Resource[Item], asked: Mapping[str, Any], during: str
    ) -> tuple[list[Any], str | None]:
        body = self._get(resource.path, resource.group, asked, resource.scope, during)
        request = f"GET {resource.path}"
        values = body.get("values") if isinstance(body, dict) else None
        if not isinstance(values, list):
            raise self._api.unreadable(request, 200, "the body has no list of values", during)
        pagination = body.get("pagination") or {}
        cursor = pagination.get("after") if isinstance(pagination, dict) else False
        if not isinstance(cursor, str | None):
            raise self._api.unreadable(request, 200, "the pagination has no usable cursor", during)
        return values, cursor or None

    def _get(
        self, path: str, group: str, params: Mapping[str, Any], scope: str, during: str
    ) -> Any:
        return self._call("GET", path, group, scope, during, params=params)

    def _call(
        self, method: str, path: str, group: str, scope: str, during: str, **content: Any
    ) -> Any:
        try:
            return self._api.call(method, path, group=group, during=during, **content)
        except PlanMissing as error:
            if scope == _READ_QUERIED_TABLES:
                error.hint = (
                    "Hex tells queried tables on the Enterprise plan only. Without it, "
                    f"{LOST_WITHOUT[scope]}"
                )
            raise
        except PermissionMissing as error:
            error.hint = (
                f"Give the token the scope '{scope}' in Hex (Settings > API keys), "
                f"or use the token of a user who may do this. Without it, {LOST_WITHOUT[scope]}"
            )
            raise

    def _wait_for_slot(self, group: str) -> None:
        while wait := self._budget.take(group):
            self._sleep(wait)

    def _heed(self, group: str, response: httpx.Response) -> None:
        """Hold back what Hex would refuse, because others used up the token's window."""
        seconds = asked_to_wait(response)
        if response.status_code == 429:
            self._budget.hold(GENERAL, seconds or 0.0)
        elif seconds is not None and no_requests_left(response):
            self._budget.hold(group, seconds)


def _parse(resource: _Resource[Item], values: list[Any], page: str) -> tuple[list[Item], list[str]]:
    items: list[Item] = []
    malformed: list[str] = []
    for number, value in enumerate(values, start=1):
        try:
            items.append(resource.model.model_validate(value))
        except ValidationError as error:
            position = f"position {number} of {page}"
            malformed.append(describe_malformed(resource.kind, value, position, error))
    return items, malformed
