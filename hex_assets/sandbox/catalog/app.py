"""The catalog's REST API, with OpenMetadata's routes, status codes and JSON shapes."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hex_assets.sandbox.catalog.activity import Pipelines, Usage
from hex_assets.sandbox.catalog.entities import Entities, Page
from hex_assets.sandbox.catalog.kinds import KINDS, Kind
from hex_assets.sandbox.catalog.lineage import End, Lineage
from hex_assets.sandbox.catalog.page import render_page
from hex_assets.sandbox.catalog.releases import OPENMETADATA_2_0, Release
from hex_assets.sandbox.catalog.requests import RestoreEntity, parse, parse_json
from hex_assets.sandbox.catalog.rules import Policy, Refused
from hex_assets.sandbox.catalog.search import Selection, search_field, search_query
from hex_assets.sandbox.catalog.seed import seed_server
from hex_assets.sandbox.catalog.store import Include, Key, Store

_VERSION_PATH = "/api/v1/system/version"
REPORT_PATH = "/report"
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Call:
    """One request, as the handlers see it.

    Attributes:
        path: path parameters, percent-decoded.
        body: the JSON body; None for methods without one.
    """

    path: dict[str, str]
    query: QueryParams
    body: Any

    def flag(self, name: str) -> bool:
        return self.query.get(name, "false").lower() == "true"

    def number(self, name: str, default: int) -> int:
        text = self.query.get(name, str(default))
        try:
            return int(text)
        except ValueError:
            # JAX-RS answers 404 for a query parameter it cannot convert
            raise Refused(404, "HTTP 404 Not Found") from None

    def include(self) -> Include:
        include = self.query.get("include", "non-deleted")
        if include not in ("non-deleted", "deleted", "all"):
            raise Refused(400, f"query param include has an unknown value {include}")
        return cast("Include", include)

    def fields(self) -> str:
        return self.query.get("fields", "")

    def key(self, prefix: str = "") -> Key:
        """The entity the path names by ``id`` or ``fqn``."""
        entity_id = self.path.get(f"{prefix}id")
        if entity_id is not None:
            return Key("id", entity_id)
        return Key("name", self.path[f"{prefix}fqn"])

    def end(self, prefix: str = "") -> End:
        """One end of an edge."""
        return self.path[f"{prefix}type"], self.key(prefix)


Handler = Callable[[Call], Response]


def create_catalog(
    database: Path,
    *,
    jwt: str,
    release: Release = OPENMETADATA_2_0,
    bot: bool = True,
    clock: Callable[[], float] = time.time,
    report: Callable[[], str | None] | None = None,
) -> Starlette:
    """An OpenMetadata-compatible catalog; everything it holds is in one SQLite file.

    Args:
        database: the file; made if missing, taken up where it was left otherwise.
        jwt: the only token it accepts.
        release: which OpenMetadata it behaves like.
        bot: the token belongs to a bot (a bot's PUT keeps descriptions that exist).
        clock: seconds since the epoch.
        report: gives the lineage report that is served beside the page, None while there is none.
    """
    store = Store(database)
    policy = Policy(release, bot)
    seed_server(store, release, clock)
    entities = Entities(store, policy, clock)

    def version_handler(call: Call) -> Response:
        del call
        timestamp = int(clock() * 1000)
        return JSONResponse(
            {"version": release.version, "revision": "sandbox", "timestamp": timestamp}
        )

    def page_handler(call: Call) -> Response:
        del call
        headers = {"content-security-policy": _PAGE_POLICY}
        html = render_page(store, release.version, REPORT_PATH if report else None)
        return HTMLResponse(html, headers=headers)

    def report_handler(call: Call) -> Response:
        del call
        html = report() if report else None
        if html is None:
            raise Refused(404, "there is no lineage report yet")
        return HTMLResponse(html)  # it brings a policy of its own

    routes: list[BaseRoute] = [_route("/system/version", "GET", version_handler)]
    for kind in KINDS:
        routes += _entity_routes(kind, entities, release)

    def add_property(call: Call) -> Response:
        return JSONResponse(entities.add_property(call.key().value, call.body))

    routes.append(_route("/metadata/types/{id}", "PUT", add_property))
    routes += _lineage_routes(Lineage(store, policy, clock))
    routes += _search_routes(store)
    routes += _activity_routes(Usage(store), Pipelines(store, release.array_statuses))
    return Starlette(
        routes=[
            _route("/", "GET", page_handler),
            _route(REPORT_PATH, "GET", report_handler),
            Mount("/api/v1", routes=routes),
        ],
        middleware=[Middleware(_Gate, jwt=jwt)],
        exception_handlers={
            Refused: _refused,
            HTTPException: _http_refused,
            Exception: _failed,
        },
    )


class _Gate:
    """Checks the bearer token, and routes by the undecoded path.

    A fully qualified name may hold an encoded slash, which must not end a path segment.
    """

    def __init__(self, app: ASGIApp, jwt: str) -> None:
        self._app = app
        self._expected = f"Bearer {jwt}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("latin-1")}
            problem = self._problem(scope)
            if problem is not None:
                await _error(401, problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, scope: Scope) -> str | None:
        path = scope["path"]
        if not path.startswith("/api/") or path == _VERSION_PATH:
            return None
        given = dict(scope["headers"]).get(b"authorization")
        if given is None:
            return "Not Authorized! Token not present"
        if not hmac.compare_digest(given, self._expected):
            return "Not Authorized! Invalid token"
        return None


def _route(path: str, method: str, handler: Handler, *, body_of_delete: bool = False) -> Route:
    with_body = method in {"POST", "PUT", "PATCH"} or body_of_delete

    async def endpoint(request: Request) -> Response:
        body = None
        if with_body:
            wanted = "application/json"
            if request.method == "PATCH":
                wanted = "application/json-patch+json"
            given = request.headers.get("content-type", "").split(";")[0].strip().lower()
            if given != wanted:
                raise HTTPException(415)
            body = parse_json(await request.body())
        path_params = {name: unquote(value) for name, value in request.path_params.items()}
        return await run_in_threadpool(handler, Call(path_params, request.query_params, body))

    return Route(path, endpoint, methods=[method])


def _entity_routes(kind: Kind, entities: Entities, release: Release) -> list[BaseRoute]:
    def list_page(call: Call) -> Response:
        filters = {name: call.query[name] for name in kind.filters if name in call.query}
        page = Page(
            limit=call.number("limit", 10),
            before=call.query.get("before"),
            after=call.query.get("after"),
            include=call.include(),
        )
        return JSONResponse(entities.read_page(kind, filters, page, call.fields()))

    def get(call: Call) -> Response:
        return JSONResponse(entities.read_one(kind, call.key(), call.include(), call.fields()))

    def post(call: Call) -> Response:
        return JSONResponse(entities.create(kind, call.body), status_code=201)

    def put(call: Call) -> Response:
        entity, created = entities.put(kind, call.body)
        return JSONResponse(entity, status_code=201 if created else 200)

    def put_bulk(call: Call) -> Response:
        if call.flag("async"):
            raise Refused(400, "this catalog has no asynchronous bulk operations")
        override = call.flag("overrideMetadata")
        return JSONResponse(entities.bulk(kind, call.body, override))

    def patch(call: Call) -> Response:
        return JSONResponse(entities.patch(kind, call.key(), call.body))

    def delete(call: Call) -> Response:
        hard, recursive = call.flag("hardDelete"), call.flag("recursive")
        return JSONResponse(entities.delete(kind, call.key(), hard, recursive))

    def delete_stale(call: Call) -> Response:
        return JSONResponse(entities.delete_stale(kind, call.body))

    def restore(call: Call) -> Response:
        entity_id = str(parse(RestoreEntity, call.body).id)
        return JSONResponse(entities.restore(kind, entity_id))

    root = f"/{kind.collection}"
    one, by_name = f"{root}/{{id}}", f"{root}/name/{{fqn}}"
    routes = [_route(root, "GET", list_page)]
    if kind.request is not None:
        routes += [_route(root, "POST", post), _route(root, "PUT", put)]
        routes += [_route(path, "PATCH", patch) for path in (one, by_name)]
    if kind.bulk and release.bulk:
        routes.append(_route(f"{root}/bulk", "PUT", put_bulk))
    if kind.bulk and release.delete_stale:
        stale = f"{root}/deleteStale"
        routes.append(_route(stale, "DELETE", delete_stale, body_of_delete=True))
    if kind.deletable:
        routes.append(_route(f"{root}/restore", "PUT", restore))
        routes += [_route(path, "DELETE", delete) for path in (one, by_name)]
    return [*routes, *(_route(path, "GET", get) for path in (one, by_name))]


def _lineage_routes(lineage: Lineage) -> list[BaseRoute]:
    def add(call: Call) -> Response:
        lineage.add(call.body)
        return Response()

    def add_by_name(call: Call) -> Response:
        lineage.add_by_name(call.end("from_"), call.end("to_"), call.body)
        return Response()

    def get_edge(call: Call) -> Response:
        return JSONResponse(lineage.edge_by_ids(call.path["from_id"], call.path["to_id"]))

    def get_edge_by_name(call: Call) -> Response:
        return JSONResponse(lineage.edge(call.end("from_"), call.end("to_")))

    def patch(call: Call) -> Response:
        lineage.patch(call.end("from_"), call.end("to_"), call.body)
        return Response()

    def delete(call: Call) -> Response:
        lineage.delete(call.end("from_"), call.end("to_"))
        return Response()

    def delete_by_source(call: Call) -> Response:
        lineage.delete_by_source(call.end(), call.path["source"])
        return Response()

    def around(call: Call) -> Response:
        depths = call.number("upstreamDepth", 1), call.number("downstreamDepth", 1)
        return JSONResponse(lineage.around(call.end(), *depths))

    by_name = "/{from_type}/name/{from_fqn}/{to_type}/name/{to_fqn}"
    by_id = "/{from_type}/{from_id}/{to_type}/{to_id}"
    lines: list[tuple[str, str, Handler]] = [
        ("", "PUT", add),
        ("/getLineageEdge" + by_name, "GET", get_edge_by_name),
        ("/getLineageEdge/{from_id}/{to_id}", "GET", get_edge),
        ("/source/name/{type}/{fqn}/type/{source}", "DELETE", delete_by_source),
        (by_name, "PUT", add_by_name),
        (by_name, "PATCH", patch),
        (by_name, "DELETE", delete),
        ("/{type}/{id}/type/{source}", "DELETE", delete_by_source),
        (by_id, "PATCH", patch),
        (by_id, "DELETE", delete),
        ("/{type}/name/{fqn}", "GET", around),
        ("/{type}/{id}", "GET", around),
    ]
    return [_route(f"/lineage{path}", method, handler) for path, method, handler in lines]


def _activity_routes(usage: Usage, pipelines: Pipelines) -> list[BaseRoute]:
    def set_usage(call: Call) -> Response:
        answer = usage.report(*call.end(), call.body, add=False)
        return JSONResponse(answer, status_code=201)

    def add_usage(call: Call) -> Response:
        answer = usage.report(*call.end(), call.body, add=True)
        return JSONResponse(answer, status_code=201)

    def read_usage(call: Call) -> Response:
        try:
            last = date.fromisoformat(call.query.get("date") or date.today().isoformat())
        except ValueError:
            raise Refused(400, "query param date is no date") from None
        return JSONResponse(usage.read(*call.end(), last, call.number("days", 1)))

    def put_pipeline(call: Call) -> Response:
        pipeline, created = pipelines.put(call.body)
        return JSONResponse(pipeline, status_code=201 if created else 200)

    def get_pipeline(call: Call) -> Response:
        return JSONResponse(pipelines.get(call.path["fqn"]))

    def put_status(call: Call) -> Response:
        return JSONResponse(pipelines.put_status(call.path["fqn"], call.body), status_code=201)

    def get_status(call: Call) -> Response:
        status = pipelines.status(call.path["fqn"], call.path["run_id"])
        return Response(status_code=204) if status is None else JSONResponse(status)

    def list_statuses(call: Call) -> Response:
        return JSONResponse(pipelines.statuses(call.path["fqn"]))

    def put_progress(call: Call) -> Response:
        del call
        return Response()

    pipeline = "/services/ingestionPipelines"
    lines: list[tuple[str, str, Handler]] = [
        ("/usage/{type}/name/{fqn}", "POST", set_usage),
        ("/usage/{type}/name/{fqn}", "PUT", add_usage),
        ("/usage/{type}/name/{fqn}", "GET", read_usage),
        ("/usage/{type}/{id}", "POST", set_usage),
        ("/usage/{type}/{id}", "PUT", add_usage),
        ("/usage/{type}/{id}", "GET", read_usage),
        (pipeline, "PUT", put_pipeline),
        (f"{pipeline}/name/{{fqn}}", "GET", get_pipeline),
        (f"{pipeline}/progress/{{fqn}}/{{run_id}}", "PUT", put_progress),
        (f"{pipeline}/{{fqn}}/pipelineStatus", "PUT", put_status),
        (f"{pipeline}/{{fqn}}/pipelineStatus", "GET", list_statuses),
        (f"{pipeline}/{{fqn}}/pipelineStatus/{{run_id}}", "GET", get_status),
    ]
    return [_route(path, method, handler) for path, method, handler in lines]


def _search_routes(store: Store) -> list[BaseRoute]:
    def required(call: Call, name: str) -> str:
        if name not in call.query:
            raise Refused(400, f"query param {name} must not be null")
        return call.query[name]

    def field_query(call: Call) -> Response:
        include: Include = "deleted" if call.flag("deleted") else "non-deleted"
        return JSONResponse(
            search_field(
                store,
                required(call, "index"),
                required(call, "fieldName"),
                required(call, "fieldValue"),
                Selection(call.number("from", 0), call.number("size", 10), include),
            )
        )

    def query(call: Call) -> Response:
        sort = call.query.get("sort_field", "_score")
        if sort not in ("_score", "fullyQualifiedName"):
            raise Refused(400, f"this catalog does not sort by {sort}")
        include: Include = "all"
        if "deleted" in call.query:
            include = "deleted" if call.flag("deleted") else "non-deleted"
        selection = Selection(
            call.number("from", 0),
            call.number("size", 10),
            include,
            call.query.getlist("include_source_fields"),
            by_fqn=sort == "fullyQualifiedName",
        )
        return JSONResponse(
            search_query(
                store,
                required(call, "index"),
                required(call, "q"),
                call.query.get("query_filter"),
                selection,
            )
        )

    return [
        _route("/search/fieldQuery", "GET", field_query),
        _route("/search/query", "GET", query),
    ]


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"code": status, "message": message}, status_code=status)


async def _refused(request: Request, error: Exception) -> Response:
    del request
    if not isinstance(error, Refused):
        raise error
    return _error(error.status, error.message)


async def _http_refused(request: Request, error: Exception) -> Response:
    del request
    if not isinstance(error, HTTPException):
        raise error
    return _error(error.status_code, f"HTTP {error.status_code} {error.detail}")


async def _failed(request: Request, error: Exception) -> Response:
    del request
    return _error(500, f"{type(error).__name__} in the sandbox catalog")
