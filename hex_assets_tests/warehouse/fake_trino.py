"""A server of Trino's and Presto's client protocol that executes on DuckDB by way of sqlglot."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import duckdb
import sqlglot
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_IMMEDIATE = re.compile(r"EXECUTE IMMEDIATE '((?:[^']|'')*)'(?: USING (.*))?\Z", re.DOTALL)
_EXECUTE = re.compile(r"EXECUTE (\w+)(?: USING (.*))?\Z", re.DOTALL)
_PAGE = 4
_TYPES = {
    "INTEGER": "bigint",
    "BIGINT": "bigint",
    "VARCHAR": "varchar",
    "VARCHAR[]": "array(varchar)",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
}


class FakeTrino:
    """State of one server.

    Attributes:
        brand: ``Trino`` or ``Presto``, by which the headers are named.
        seen: statement, then headers, of each query.
        cancelled: ids of the queries that the client gave up.
    """

    def __init__(self, brand: str) -> None:
        self.brand = brand
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.cancelled: list[str] = []
        self._db = duckdb.connect()
        self._db.execute("SET TimeZone='UTC'; ATTACH ':memory:' AS coordinator")
        self._db.execute("CREATE SCHEMA coordinator.runtime")
        self._lock = threading.Lock()
        self._pages: dict[str, Iterator[dict[str, Any]]] = {}

    def log(self, rows: list[dict[str, Any]]) -> None:
        """Fill ``system.runtime.queries``."""
        with self._lock:
            self._db.execute(
                "CREATE OR REPLACE TABLE coordinator.runtime.queries "
                "(query_id VARCHAR, state VARCHAR, "
                '"user" VARCHAR, source VARCHAR, query VARCHAR, created TIMESTAMPTZ)'
            )
            for row in rows:
                state = {"SUCCESS": "FINISHED", "FAIL": "FAILED"}[row["execution_status"]]
                values = [row["query_id"], state, row["user_name"], row["query_text"]]
                self._db.execute(
                    "INSERT INTO coordinator.runtime.queries VALUES (?, ?, ?, 'hex', ?, ?)",
                    [*values, row["start_time"]],
                )

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/statement", self._post, methods=["POST"]),
                Route("/v1/statement/{query}/{page}", self._next, methods=["GET", "DELETE"]),
            ]
        )

    async def _post(self, request: Request) -> Response:
        statement = (await request.body()).decode()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((statement, headers))
        user = headers.get(f"x-{self.brand.lower()}-user")
        if user is None:
            return Response("no user header", 400)
        if user == "locked":
            return Response("Unauthorized", 401)
        query = f"20261120_120000_{len(self.seen):05}_abcde"
        if prepared := re.match(r"PREPARE (\w+) FROM (.*)\Z", statement, re.DOTALL):
            answer = self._answer(query, "FINISHED") | {"columns": [], "data": []}
            value = f"{prepared[1]}={quote_plus(prepared[2])}"
            return JSONResponse(answer, headers={f"X-{self.brand}-Added-Prepare": value})
        if statement.startswith("DEALLOCATE"):
            return JSONResponse(self._answer(query, "FINISHED"))
        self._pages[query] = self._run(query, self._plain(statement, headers), user)
        first = self._answer(query, "QUEUED")
        return JSONResponse(first | {"nextUri": f"{request.base_url}v1/statement/{query}/0"})

    async def _next(self, request: Request) -> Response:
        query = request.path_params["query"]
        if request.method == "DELETE":
            self.cancelled.append(query)
            return Response(status_code=204)
        page = next(self._pages[query])
        if page.pop("more", False):
            number = int(request.path_params["page"]) + 1
            page["nextUri"] = f"{request.base_url}v1/statement/{query}/{number}"
        return JSONResponse(page)

    def _answer(self, query: str, state: str) -> dict[str, Any]:
        stats = {"state": state}
        return {"id": query, "infoUri": "http://ui", "stats": stats, "warnings": []}

    def _plain(self, statement: str, headers: dict[str, str]) -> str:
        """The statement with the values of its parameters in their places."""
        if immediate := _IMMEDIATE.match(statement):
            text, values = immediate[1].replace("''", "'"), immediate[2]
        elif execute := _EXECUTE.match(statement):
            known = headers[f"x-{self.brand.lower()}-prepared-statement"]
            name, _, encoded = known.partition("=")
            assert name == execute[1]
            text, values = unquote_plus(encoded), execute[2]
        else:
            return statement
        for value in re.findall(r"(?:TIMESTAMP )?'[^']*'", values or ""):
            text = text.replace("?", value, 1)
        return text

    def _run(self, query: str, statement: str, user: str) -> Iterator[dict[str, Any]]:
        failed = self._answer(query, "FAILED")
        if user == "blind":
            yield failed | {"error": _error("PERMISSION_DENIED", "Access Denied: Cannot select")}
            return
        if user == "slow":
            text = "Query exceeded the maximum run time limit of 900.00s"
            yield failed | {"error": _error("EXCEEDED_TIME_LIMIT", text)}
            return
        dialect = self.brand.lower()
        try:
            tree = sqlglot.parse_one(statement, read=dialect)
            for table in tree.find_all(sqlglot.exp.Table):
                if table.catalog == "system":  # DuckDB has one of its own
                    table.set("catalog", sqlglot.exp.to_identifier("coordinator"))
            sql = tree.sql("duckdb")
            sql = re.sub(r"\bTO_ISO8601\(", "strftime_utc(", sql, flags=re.IGNORECASE)
            with self._lock:
                self._db.execute(
                    "CREATE OR REPLACE TEMP MACRO strftime_utc(t) AS "
                    "strftime(t, '%Y-%m-%dT%H:%M:%S.%fZ')"
                )
                result = self._db.execute(sql)
                kinds = [(name, str(kind)) for name, kind, *_ in result.description]
                rows = result.fetchall()
        except (duckdb.Error, sqlglot.errors.SqlglotError) as error:
            name = "TABLE_NOT_FOUND" if "does not exist" in str(error) else "SYNTAX_ERROR"
            yield failed | {"error": _error(name, str(error))}
            return
        columns = [_column(name, kind) for name, kind in kinds]
        data = [[_wire(value) for value in row] for row in rows]
        for at in range(0, max(len(data), 1), _PAGE):
            more = at + _PAGE < len(data)
            yield self._answer(query, "RUNNING" if more else "FINISHED") | {
                "columns": columns,
                "data": data[at : at + _PAGE],
                "more": more,
            }


def _error(name: str, message: str) -> dict[str, Any]:
    return {
        "message": message,
        "errorCode": 4,
        "errorName": name,
        "errorType": "USER_ERROR",
        "failureInfo": {"type": "io.trino.spi.TrinoException", "message": message},
    }


def _column(name: str, kind: str) -> dict[str, Any]:
    declared = _TYPES.get(kind.upper(), "varchar" if kind == "STRING" else "")
    if not declared:
        declared = {"DATETIME": "timestamp with time zone", "NUMBER": "bigint"}.get(
            kind, "array(varchar)"
        )
    return {"name": name, "type": declared, "typeSignature": _signature(declared)}


def _signature(declared: str) -> dict[str, Any]:
    if declared == "array(varchar)":
        inner = {"kind": "TYPE", "value": _signature("varchar")}
        return {"rawType": "array", "arguments": [inner]}
    length = {"varchar": 2147483647, "timestamp with time zone": 6}.get(declared)
    arguments = [] if length is None else [{"kind": "LONG", "value": length}]
    return {"rawType": declared, "arguments": arguments}


def _wire(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S.%f} UTC"
    return value
