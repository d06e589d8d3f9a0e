"""A Databricks SQL warehouse on 127.0.0.1, as far as databricks-sql-connector speaks Thrift to it.

Statements are translated by sqlglot and executed by DuckDB. Who logs in with a token that names a
refusal is refused so.
"""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from databricks.sql.thrift_api.TCLIService import TCLIService, ttypes
from sqlglot import exp
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

CATALOG = "system_tables"
"""DuckDB keeps ``system`` to itself."""

SERVICE_PRINCIPAL = b"app:s3cr3t-of-principal"
REFUSED_STATEMENTS = {
    "no-grant": "[INSUFFICIENT_PERMISSIONS] Insufficient privileges: User does not have "
    "USE SCHEMA on Schema 'system.query'. SQLSTATE: 42501",
    "slow": "[STATEMENT_TIMEOUT] Statement exceeded the statement timeout of 60 seconds.",
    "odd": "[INTERNAL_ERROR] near 's3cr3t-odd'",
}
REFUSED_REQUESTS = {
    "wrong": (403, "Invalid access token."),
    "no-warehouse": (404, "endpoint not found"),
}
_ROWS_PER_FETCH = 1_000
_SUCCESS = ttypes.TStatus(statusCode=ttypes.TStatusCode.SUCCESS_STATUS)
_VERSION = ttypes.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V7
_TYPES = {
    pa.int64(): ttypes.TTypeId.BIGINT_TYPE,
    pa.int32(): ttypes.TTypeId.INT_TYPE,
    pa.timestamp("us", "UTC"): ttypes.TTypeId.TIMESTAMP_TYPE,
}


@dataclass
class FakeDatabricks:
    """The warehouse.

    Attributes:
        port: where it listens.
        database: what it executes statements in.
        sessions: configuration of each session that was opened.
        statements: what it was sent.
        tokens: service principals' tokens that it gave out.
    """

    port: int
    database: duckdb.DuckDBPyConnection
    sessions: list[dict[str, str]] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)


class _Thrift:
    """What the connector calls, for one request."""

    def __init__(self, fake: FakeDatabricks, results: dict[bytes, Any], token: str) -> None:
        self.fake, self.results, self.token = fake, results, token

    def OpenSession(self, request: Any) -> Any:
        self.fake.sessions.append(dict(request.configuration or {}))
        handle = ttypes.TSessionHandle(sessionId=_id(), serverProtocolVersion=_VERSION)
        return ttypes.TOpenSessionResp(
            status=_SUCCESS,
            serverProtocolVersion=_VERSION,
            sessionHandle=handle,
            configuration={},
            initialNamespace=request.initialNamespace,
            canUseMultipleCatalogs=True,
        )

    def CloseSession(self, request: Any) -> Any:
        return ttypes.TCloseSessionResp(status=_SUCCESS)

    def ExecuteStatement(self, request: Any) -> Any:
        self.fake.statements.append(request.statement)
        refusal = next((text for key, text in REFUSED_STATEMENTS.items() if key in self.token), "")
        table = None
        try:
            if not refusal:
                table = self._run(request)
        except (duckdb.Error, sqlglot.errors.SqlglotError) as error:
            refusal = str(error)
            if isinstance(error, duckdb.CatalogException):
                refusal = f"[TABLE_OR_VIEW_NOT_FOUND] {error} SQLSTATE: 42P01"
        if table is None or refusal:
            status = ttypes.TStatus(
                statusCode=ttypes.TStatusCode.ERROR_STATUS,
                errorMessage=refusal,
                displayMessage=refusal,
            )
            return ttypes.TExecuteStatementResp(status=status)
        operation = ttypes.TOperationHandle(
            operationId=_id(),
            operationType=ttypes.TOperationType.EXECUTE_STATEMENT,
            hasResultSet=True,
        )
        self.results[operation.operationId.guid] = [table, 0]
        direct = ttypes.TSparkDirectResults(
            operationStatus=self.GetOperationStatus(None), resultSetMetadata=_metadata(table)
        )
        return ttypes.TExecuteStatementResp(
            status=_SUCCESS, operationHandle=operation, directResults=direct
        )

    def _run(self, request: Any) -> pa.Table:
        values = {one.name: one for one in request.parameters or []}
        tree = sqlglot.parse_one(request.statement, read="databricks")
        for place in list(tree.find_all(exp.Placeholder)):
            value = values[place.name]
            literal = exp.Literal.string(value.value.stringValue)
            place.replace(exp.cast(literal, value.type) if value.type != "STRING" else literal)
        for named in tree.find_all(exp.Table):
            if named.catalog == "system":
                named.set("catalog", exp.to_identifier(CATALOG))
        result = self.fake.database.cursor().sql(tree.sql(dialect="duckdb")).to_arrow_table()
        return result.cast(
            pa.schema(
                pa.field(one.name, pa.timestamp("us", "UTC"))
                if pa.types.is_timestamp(one.type)
                else one
                for one in result.schema
            )
        )

    def GetOperationStatus(self, request: Any) -> Any:
        state = ttypes.TOperationState.FINISHED_STATE
        return ttypes.TGetOperationStatusResp(status=_SUCCESS, operationState=state)

    def GetResultSetMetadata(self, request: Any) -> Any:
        return _metadata(self.results[request.operationHandle.operationId.guid][0])

    def FetchResults(self, request: Any) -> Any:
        result = self.results[request.operationHandle.operationId.guid]
        table, start = result
        part = table.slice(start, min(request.maxRows, _ROWS_PER_FETCH)).combine_chunks()
        result[1] = start + part.num_rows
        batches = [
            ttypes.TSparkArrowBatch(batch=one.serialize().to_pybytes(), rowCount=one.num_rows)
            for one in part.to_batches()
        ]
        return ttypes.TFetchResultsResp(
            status=_SUCCESS,
            hasMoreRows=result[1] < table.num_rows,
            results=ttypes.TRowSet(startRowOffset=start, rows=[], arrowBatches=batches),
            resultSetMetadata=_metadata(table),
        )

    def CloseOperation(self, request: Any) -> Any:
        self.results.pop(request.operationHandle.operationId.guid, None)
        return ttypes.TCloseOperationResp(status=_SUCCESS)


def _id() -> Any:
    return ttypes.THandleIdentifier(guid=uuid.uuid4().bytes, secret=uuid.uuid4().bytes)


def _metadata(table: pa.Table) -> Any:
    columns = []
    for place, one in enumerate(table.schema, start=1):
        kind = _TYPES.get(
            one.type,
            ttypes.TTypeId.ARRAY_TYPE if pa.types.is_list(one.type) else ttypes.TTypeId.STRING_TYPE,
        )
        entry = ttypes.TTypeEntry(primitiveEntry=ttypes.TPrimitiveTypeEntry(kind))
        columns.append(ttypes.TColumnDesc(one.name, ttypes.TTypeDesc([entry]), place))
    return ttypes.TGetResultSetMetadataResp(
        status=_SUCCESS,
        schema=ttypes.TTableSchema(columns),
        resultFormat=ttypes.TSparkRowSetType.ARROW_BASED_SET,
        lz4Compressed=False,
        arrowSchema=table.schema.serialize().to_pybytes(),
        isStagingOperation=False,
    )


@contextmanager
def running_databricks() -> Iterator[FakeDatabricks]:
    """A warehouse with an empty database, until the block ends."""
    results: dict[bytes, Any] = {}

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            """Nothing is logged."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/oidc/v1/token":
                self._log_in(body)
                return
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            for key, (status, text) in REFUSED_REQUESTS.items():
                if key in token:
                    self._answer(status, text.encode(), "text/plain")
                    return
            answer = TMemoryBuffer()
            TCLIService.Processor(_Thrift(fake, results, token)).process(
                TBinaryProtocol(TMemoryBuffer(body)), TBinaryProtocol(answer)
            )
            self._answer(200, answer.getvalue(), "application/x-thrift")

        def _log_in(self, body: bytes) -> None:
            client = base64.b64decode(self.headers["Authorization"].removeprefix("Basic "))
            if b"client_credentials" not in body or client != SERVICE_PRINCIPAL:
                self._answer(401, b'{"error": "invalid_client"}', "application/json")
                return
            token = f"of-service-principal-{len(fake.tokens)}"
            fake.tokens.append(token)
            answer = {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
            self._answer(200, json.dumps(answer).encode(), "application/json")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    database = duckdb.connect()
    database.execute(f"ATTACH ':memory:' AS {CATALOG}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    server.daemon_threads = True
    fake = FakeDatabricks(server.server_address[1], database)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        database.close()
