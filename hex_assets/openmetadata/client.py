"""Client of OpenMetadata's REST API, versions 1.6 to 2.x."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from hex_assets.errors import (
    ConnectionFailed,
    IncompleteRead,
    NotFound,
    PermissionMissing,
    RateLimited,
    RequestError,
    RequestRejected,
    ServerFailed,
    TokenRejected,
    UnreadableAnswer,
)
from hex_assets.http import JsonApi, Retry
from hex_assets.openmetadata.models import (
    Answer,
    BulkResult,
    Chart,
    Classification,
    Container,
    Dashboard,
    DashboardService,
    DatabaseService,
    Indexed,
    Lineage,
    LineageDetails,
    LineageEdge,
    Page,
    Person,
    SearchPage,
    Table,
    Tag,
    TypeDefinition,
    Version,
)

Entity = TypeVar("Entity", bound=Answer)

Collection = Literal["dashboards", "charts"]
IndexedKind = Literal["schema", "table"]

_INDEXES: Mapping[IndexedKind, str] = {
    "schema": "database_schema_search_index",
    "table": "table_search_index",
}

_DASHBOARD_FIELDS = "owners,tags,charts,dataModels,dataProducts,extension"
_CHART_FIELDS = "owners,tags,dashboards,dataProducts"

_SETTINGS = "workflowConfig.openMetadataServerConfig"
_HINTS: Mapping[type[RequestError], str] = {
    TokenRejected: (
        "The JWT is wrong, expired or revoked. Copy or renew the bot's token in OpenMetadata "
        f"(Settings, Bots) and set it as {_SETTINGS}.securityConfig.jwtToken."
    ),
    PermissionMissing: (
        "The token's user lacks a policy. Its role needs Create, EditAll, ViewAll and Delete on "
        "dashboards, dashboard services, classifications and tags, EditLineage on tables, and "
        "ViewAll on users, databases, database schemas and tables; the policy of OpenMetadata's "
        "own ingestion bot has them."
    ),
    ConnectionFailed: (
        f"Check that {_SETTINGS}.hostPort is reachable from here and that verifySSL and "
        "sslConfig fit its certificate."
    ),
    UnreadableAnswer: (
        f"{_SETTINGS}.hostPort must end in /api; without it OpenMetadata's web page answers."
    ),
    NotFound: f"If nothing else works either: {_SETTINGS}.hostPort must end in /api.",
    RateLimited: "Lower hexAssets.concurrency, or run at a quieter time.",
    ServerFailed: "OpenMetadata's own log tells why; the next run takes up where this one ended.",
}

_JSON_PATCH = "application/json-patch+json"
_NO_SUCH_METHOD = (405, 501)

_PAGE = 1000
_TABLE_PAGE = 250
"""A table comes with all its columns, so a page of them is large."""

_SEARCH_PAGE = 2500
_SEARCH_WINDOW = 10_000
"""Elasticsearch and OpenSearch show no hit beyond it (``index.max_result_window``)."""

_INDEXED_FIELDS = ("id", "fullyQualifiedName", "updatedAt")


class OpenMetadataClient:
    """One OpenMetadata server, on behalf of the user of a JWT (normally a bot).

    Reading methods return typed entities; a missing single entity is None. All of them raise the
    subclasses of ``RequestError``, and listings never return a part for the whole.

    Args:
        host_port: the recipe's ``hostPort``: URL of the API, ending in ``/api``.
        jwt: called for every attempt, so that a renewed token is picked up during a run.
        verify: False, True, or the TLS context with the company's own certificates.
        extra_headers: sent with every request, for proxies in front of OpenMetadata.
    """

    def __init__(
        self,
        host_port: str,
        jwt: Callable[[], str],
        *,
        retry: Retry | None = None,
        verify: bool | ssl.SSLContext = True,
        extra_headers: Mapping[str, str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._api = JsonApi(
            "OpenMetadata",
            host_port.rstrip("/"),
            bearer=jwt,
            retry=retry or Retry(),
            hints=_HINTS,
            headers=extra_headers,
            verify=verify,
            timeout=httpx.Timeout(300.0, connect=10.0),
            sleep=sleep,
            transport=transport,
        )
        self._has_bulk: bool | None = None

    def __enter__(self) -> OpenMetadataClient:
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
        return self._api.requests_sent

    def version(self) -> str:
        """The server's version; answered without a token, so it proves reachability only."""
        return self._get("/v1/system/version", Version, during="asking for the version").version

    def check(self) -> str:
        """Prove that the host is OpenMetadata's API and that the token works.

        Returns:
            The server's version.
        """
        version = self.version()
        path = "/v1/services/dashboardServices"
        self._get(path, Page, {"limit": 1}, "checking the token")
        return version

    # Services, classifications, tags, people

    def dashboard_service(self, name: str) -> DashboardService | None:
        """The service, also when it is soft deleted."""
        path = f"/v1/services/dashboardServices/name/{_segment(name)}"
        return self._find(path, DashboardService, {"include": "all"})

    def create_dashboard_service(self, body: Mapping[str, Any]) -> DashboardService:
        """Create it; an existing one is left as it is and raises RequestRejected (409)."""
        return self._send("POST", "/v1/services/dashboardServices", body, DashboardService)

    def database_service(self, name: str) -> DatabaseService | None:
        """The service with its connection; passwords are masked unless the caller is a bot."""
        return self._find(f"/v1/services/databaseServices/name/{_segment(name)}", DatabaseService)

    def classifications(self) -> list[Classification]:
        """All classifications, soft-deleted ones included."""
        params = {"include": "all", "limit": _PAGE}
        return self._list("/v1/classifications", Classification, params, "listing classifications")

    def put_classification(self, body: Mapping[str, Any]) -> Classification:
        return self._send("PUT", "/v1/classifications", body, Classification)

    def tags(self, classification: str) -> list[Tag]:
        """Tags of one classification, soft-deleted ones included."""
        params = {"parent": classification, "include": "all", "limit": _PAGE}
        return self._list("/v1/tags", Tag, params, f"listing tags of {classification}")

    def put_tag(self, body: Mapping[str, Any]) -> Tag:
        return self._send("PUT", "/v1/tags", body, Tag)

    def users(self) -> list[Person]:
        """All users that are not deleted."""
        return self._list("/v1/users", Person, {"limit": _PAGE}, "listing users")

    def teams(self) -> list[Person]:
        """All teams that are not deleted."""
        return self._list("/v1/teams", Person, {"limit": _PAGE}, "listing teams")

    # Dashboards and charts

    def dashboards(self, service: str) -> list[Dashboard]:
        """All dashboards of the service, soft-deleted ones included.

        Args:
            service: fully qualified name of the service.
        """
        params = {**_of_service(service), "fields": _DASHBOARD_FIELDS}
        return self._list("/v1/dashboards", Dashboard, params, f"listing dashboards of {service}")

    def dashboard_ids(self, service: str) -> dict[str, str]:
        """Ids of all dashboards of the service, by fully qualified name."""
        during = f"listing ids of the dashboards of {service}"
        found = self._list("/v1/dashboards", Container, _of_service(service), during)
        return {one.fully_qualified_name: one.id for one in found}

    def dashboard(self, fqn: str) -> Dashboard:
        """One dashboard that is not deleted, as it is now."""
        path = f"/v1/dashboards/name/{_segment(fqn)}"
        return self._get(path, Dashboard, {"fields": _DASHBOARD_FIELDS}, "reading a dashboard")

    def put_dashboard(self, body: Mapping[str, Any]) -> Dashboard:
        """Create the dashboard, or merge into the existing one, which restores a deleted one."""
        return self._send("PUT", "/v1/dashboards", body, Dashboard)

    def charts(self, service: str) -> list[Chart]:
        """All charts of the service, soft-deleted ones included."""
        params = {**_of_service(service), "fields": _CHART_FIELDS}
        return self._list("/v1/charts", Chart, params, f"listing charts of {service}")

    def chart(self, fqn: str) -> Chart:
        """One chart that is not deleted, as it is now."""
        path = f"/v1/charts/name/{_segment(fqn)}"
        return self._get(path, Chart, {"fields": _CHART_FIELDS}, "reading a chart")

    def put_chart(self, body: Mapping[str, Any]) -> Chart:
        """Create the chart, or merge into the existing one, which restores a deleted one."""
        return self._send("PUT", "/v1/charts", body, Chart)

    def put_in_bulk(
        self, collection: Collection, bodies: Sequence[Mapping[str, Any]]
    ) -> BulkResult | None:
        """PUT many at once; what came of each is in the answer.

        Returns:
            None if the server has no bulk requests (before about 1.11), or does not allow them.
        """
        if self._has_bulk is False:
            return None
        path = f"/v1/{collection}/bulk"
        params = {"async": "false", "overrideMetadata": "false"}
        try:
            answer = self._api.call("PUT", path, params=params, json=list(bodies))
        except (NotFound, PermissionMissing):
            self._has_bulk = False
            return None
        except RequestRejected as error:
            if error.status not in _NO_SUCH_METHOD:
                raise
            self._has_bulk = False
            return None
        self._has_bulk = True
        return self._parsed(answer, BulkResult, f"PUT {path}", "")

    def patch(
        self, collection: Collection, entity_id: str, operations: Sequence[Mapping[str, Any]]
    ) -> None:
        """Apply a JSON Patch (RFC 6902)."""
        path = f"/v1/{collection}/{_segment(entity_id)}"
        self._api.call("PATCH", path, json=list(operations), content_type=_JSON_PATCH)

    def delete(self, collection: Collection, entity_id: str) -> None:
        """Soft delete: hidden, with history and lineage kept."""
        path = f"/v1/{collection}/{_segment(entity_id)}"
        params = {"recursive": "true", "hardDelete": "false"}
        self._api.call("DELETE", path, params=params)

    def restore(self, collection: Collection, entity_id: str) -> None:
        """Undo a soft delete."""
        self._api.call("PUT", f"/v1/{collection}/restore", json={"id": entity_id})

    # Custom properties

    def dashboard_type(self) -> TypeDefinition:
        """The type of all dashboards, with the custom properties that they may have."""
        fields = {"fields": "customProperties"}
        during = "reading custom properties"
        return self._get("/v1/metadata/types/name/dashboard", TypeDefinition, fields, during)

    def add_property(self, body: Mapping[str, Any], field_type: str) -> None:
        """Add a custom property to the type of all dashboards, or replace the one of its name."""
        during = "adding a custom property"
        path = f"/v1/metadata/types/name/{_segment(field_type)}"
        field = self._get(path, TypeDefinition, {"category": "field"}, during)
        type_id = _segment(self.dashboard_type().id)
        reference = {"id": field.id, "type": "type"}
        self._api.call(
            "PUT",
            f"/v1/metadata/types/{type_id}",
            json={**body, "propertyType": reference},
            during=during,
        )

    def set_usage(self, dashboard_fqn: str, date: str, count: int) -> None:
        """Set the views of one day; a PUT in place of the POST would add to them."""
        path = f"/v1/usage/dashboard/name/{_segment(dashboard_fqn)}"
        self._api.call("POST", path, json={"date": date, "count": count})

    # Runs

    def ingestion_pipeline(self, fqn: str) -> bool:
        """Whether the ingestion pipeline exists."""
        path = f"/v1/services/ingestionPipelines/name/{_segment(fqn)}"
        return self._find(path, Container) is not None

    def put_ingestion_pipeline(self, body: Mapping[str, Any]) -> None:
        self._api.call("PUT", "/v1/services/ingestionPipelines", json=body)

    def put_pipeline_status(self, pipeline: str, body: Mapping[str, Any]) -> None:
        """Record the state of one run of an ingestion pipeline, by its ``runId``."""
        path = f"/v1/services/ingestionPipelines/{_segment(pipeline)}/pipelineStatus"
        self._api.call("PUT", path, json=body)

    # Lineage

    def upstream_lineage(self, dashboard_id: str) -> Lineage:
        """All direct upstream edges of a dashboard that is not deleted, with their details."""
        path = f"/v1/lineage/dashboard/{_segment(dashboard_id)}"
        depths = {"upstreamDepth": 1, "downstreamDepth": 0}
        return self._get(path, Lineage, depths, "reading the lineage of a dashboard")

    def downstream_lineage(self, table_fqn: str, depth: int) -> Lineage | None:
        """Direct and indirect downstream edges of a table; None when there is no such table.

        Args:
            depth: steps, up to 3.
        """
        path = f"/v1/lineage/table/name/{_segment(table_fqn)}"
        depths = {"upstreamDepth": 0, "downstreamDepth": depth}
        try:
            return self._get(path, Lineage, depths, "reading the lineage of a table")
        except NotFound:
            return None

    def lineage_edge(self, from_id: str, to_id: str) -> LineageDetails | None:
        """One edge; answered for soft-deleted ends too."""
        path = f"/v1/lineage/getLineageEdge/{_segment(from_id)}/{_segment(to_id)}"
        found = self._find(path, LineageEdge)
        return found.edge if found else None

    def put_lineage(self, edge: Mapping[str, Any]) -> None:
        """Create the edge, or replace it and everything it says."""
        self._api.call("PUT", "/v1/lineage", json={"edge": edge})

    def patch_lineage(
        self, table_id: str, dashboard_id: str, operations: Sequence[Mapping[str, Any]]
    ) -> None:
        """Apply a JSON Patch to the details of an edge."""
        path = f"/v1/lineage/table/{_segment(table_id)}/dashboard/{_segment(dashboard_id)}"
        self._api.call("PATCH", path, json=list(operations), content_type=_JSON_PATCH)

    def delete_lineage(self, from_type: str, from_id: str, to_type: str, to_id: str) -> None:
        parts = (from_type, from_id, to_type, to_id)
        self._api.call("DELETE", "/v1/lineage/" + "/".join(_segment(part) for part in parts))

    # Databases and tables

    def databases(self, service: str) -> list[Container]:
        """Databases of a database service, given its fully qualified name."""
        params = {"service": service, "limit": _PAGE}
        return self._list("/v1/databases", Container, params, f"listing databases of {service}")

    def database(self, fqn: str) -> Container | None:
        return self._find(f"/v1/databases/name/{_segment(fqn)}", Container)

    def database_schema(self, fqn: str) -> Container | None:
        return self._find(f"/v1/databaseSchemas/name/{_segment(fqn)}", Container)

    def database_schemas(self, database: str) -> list[Container]:
        """Schemas of a database, given its fully qualified name."""
        params = {"database": database, "limit": _PAGE}
        during = f"listing schemas of {database}"
        return self._list("/v1/databaseSchemas", Container, params, during)

    def tables_of_database(self, fqn: str) -> Iterator[list[Table]]:
        """Pages of the tables and views of a database."""
        return self._tables({"database": fqn}, fqn)

    def tables_of_schema(self, fqn: str) -> Iterator[list[Table]]:
        """Pages of the tables and views of a schema."""
        return self._tables({"databaseSchema": fqn}, fqn)

    def _tables(self, where: Mapping[str, str], fqn: str) -> Iterator[list[Table]]:
        params = {**where, "limit": _TABLE_PAGE}
        return self._pages("/v1/tables", Table, params, f"listing tables of {fqn}")

    def indexed(
        self, kind: IndexedKind, *, below: Sequence[str] = (), named: Sequence[str] = ()
    ) -> list[Indexed]:
        """What the search index knows of schemas or tables that are not deleted.

        The index follows the catalog after a while, and shows 10,000 hits at most: what is here
        may be out of date or lack something, and letter case does not count in it.

        Args:
            below: fully qualified names of containers.
            named: fully qualified names of entities themselves.
        """
        conditions: list[dict[str, dict[str, str]]] = [
            *({"prefix": {"fullyQualifiedName": f"{name}.".lower()}} for name in below),
            *({"term": {"fullyQualifiedName": name.lower()}} for name in named),
        ]
        wanted = {"query": {"bool": {"should": conditions, "minimum_should_match": 1}}}
        params = {
            "q": "*",
            "index": _INDEXES[kind],
            "query_filter": json.dumps(wanted, ensure_ascii=False, separators=(",", ":")),
            "include_source_fields": _INDEXED_FIELDS,
            "sort_field": "fullyQualifiedName",
            "sort_order": "asc",
            "deleted": "false",
            "size": _SEARCH_PAGE,
        }
        during = f"searching the index of {kind}s"
        found: list[Indexed] = []
        for start in range(0, _SEARCH_WINDOW, _SEARCH_PAGE):
            path = "/v1/search/query"
            page = self._get(path, SearchPage, {**params, "from": start}, during).hits.hits
            found += [hit.source for hit in page]
            if len(page) < _SEARCH_PAGE:
                break
        return found

    # How answers are read

    def _list(
        self, path: str, model: type[Entity], params: Mapping[str, Any], during: str
    ) -> list[Entity]:
        return [item for page in self._pages(path, model, params, during) for item in page]

    def _pages(
        self, path: str, model: type[Entity], params: Mapping[str, Any], during: str
    ) -> Iterator[list[Entity]]:
        """Pages until there is no cursor.

        Raises:
            IncompleteRead: the server hands out a cursor it gave before.
        """
        cursors: set[str] = set()
        cursor: str | None = None
        while True:
            step = f"{during}, page {len(cursors) + 1}"
            after = {} if cursor is None else {"after": cursor}
            page = self._get(path, Page, {**params, **after}, step)
            yield [self._parsed(item, model, f"GET {path}", step) for item in page.data]
            cursor = page.paging.after
            if cursor is None:
                return
            if cursor in cursors:
                raise IncompleteRead(
                    f"OpenMetadata repeats itself while {step}: its cursor was given before. "
                    "Run again; if it persists, look at the server's log."
                )
            cursors.add(cursor)

    def _find(
        self, path: str, model: type[Entity], params: Mapping[str, Any] | None = None
    ) -> Entity | None:
        try:
            return self._get(path, model, params)
        except NotFound:
            return None

    def _get(
        self,
        path: str,
        model: type[Entity],
        params: Mapping[str, Any] | None = None,
        during: str = "",
    ) -> Entity:
        answer = self._api.call("GET", path, params=params, during=during)
        return self._parsed(answer, model, f"GET {path}", during)

    def _send(self, method: str, path: str, body: Any, model: type[Entity]) -> Entity:
        answer = self._api.call(method, path, json=body)
        return self._parsed(answer, model, f"{method} {path}", "")

    def _parsed(self, answer: Any, model: type[Entity], request: str, during: str) -> Entity:
        try:
            return model.model_validate(answer)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the body"
            detail = f"{model.__name__}: {where}: {first['msg']}"
            raise self._api.unreadable(request, 200, detail, during) from error


def _of_service(service: str) -> dict[str, Any]:
    return {"service": service, "include": "all", "limit": _PAGE}


def _segment(text: str) -> str:
    """One path segment; a slash or quote inside a name must not be taken for syntax."""
    return quote(text, safe="")
