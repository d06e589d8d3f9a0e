"""Databricks' ``system.query.history``, grouped where it is, with Unity Catalog's lineage.

The history covers SQL warehouses and serverless compute of all workspaces of a region (not classic
all-purpose clusters), about an hour late, for 365 days (Databricks documentation, "Query history
system table reference"). It names no session catalog or schema; what a statement read is in
``system.access.table_lineage`` and ``column_lineage``, where they are granted.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from pydantic import Field, field_validator

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.section import Secret, Section, free_form, no_effect
from hex_assets.warehouse.comment import TRACE_ID, USER_EMAIL
from hex_assets.warehouse.connection import SqlWarehouse
from hex_assets.warehouse.faults import fault, translated
from hex_assets.warehouse.reader import HistoryBatch, Window, batch, in_utc

_ROWS_PER_BATCH = 10_000
_BUFFER_BYTES = 16_000_000
_TABLE = re.compile(r"(?:\w+|`(?:[^`]|``)+`)(?:\.(?:\w+|`(?:[^`]|``)+`)){0,2}")
_TABLE_LINEAGE = "system.access.table_lineage"
_COLUMN_LINEAGE = "system.access.column_lineage"

# The marker is two joined literals, so that this statement does not find itself in the history.
# Texts are grouped as ``reader.grouped`` does, by hashes of what comes before the marker and of
# the comment without trace ids and users. Texts that the account hides come along as a count.
_HISTORY = """
WITH logged AS (
  SELECT statement_id, statement_text, executed_by, start_time,
         locate(concat('hex query ', 'metadata'), lower(statement_text)) AS marker
  FROM QUERY_HISTORY
  WHERE start_time >= :start AND start_time < :end AND execution_status = 'FINISHED'
), kept AS (
  SELECT statement_id, executed_by, start_time,
         CASE WHEN marker > 0 THEN statement_text END AS text,
         CASE WHEN marker > 0 THEN substring(statement_text, 1, marker - 1) ELSE '' END AS body,
         CASE WHEN marker > 0 THEN substring(statement_text, marker) ELSE '' END AS comment
  FROM logged
  WHERE marker > 0 OR statement_text IS NULL OR statement_text IN ('', '<REDACTED>')
), named AS (
  SELECT statement_id, start_time, text, sha2(body, 256) AS body,
         sha2(regexp_replace(regexp_replace(comment, :trace_id, 'trace_id'), :user, 'user_email'),
              256) AS comment,
         lower(coalesce(nullif(regexp_extract(comment, :user, 1), ''), executed_by)) AS person
  FROM kept
), table_reads AS (
  TABLES_READ
), column_reads AS (
  COLUMNS_READ
)
SELECT max_by(text, start_time) AS query_text, collect_set(person) AS users, count(*) AS executions,
       min(start_time) AS first_seen, max(start_time) AS last_seen,
       max_by(named.statement_id, start_time) AS sample_query_id,
       max_by(table_reads.names, CASE WHEN table_reads.names IS NOT NULL THEN start_time END)
         AS tables,
       max_by(column_reads.names, CASE WHEN table_reads.names IS NOT NULL THEN start_time END)
         AS columns
FROM named
LEFT JOIN table_reads ON table_reads.statement_id = named.statement_id
LEFT JOIN column_reads ON column_reads.statement_id = named.statement_id
GROUP BY body, comment
LIMIT :limit
"""

# Names of Unity Catalog hold no dots, but for those of columns. A statement's lineage is recorded
# when it ends, which may be long after it started.
_TABLES_READ = f"""
SELECT statement_id, collect_set(source_table_full_name) AS names
FROM {_TABLE_LINEAGE}
WHERE event_date >= date_sub(CAST(:start AS DATE), 1)
  AND statement_id IS NOT NULL AND source_table_full_name IS NOT NULL
GROUP BY statement_id
"""
_COLUMNS_READ = f"""
SELECT statement_id, collect_set(concat(source_table_full_name, '.', source_column_name)) AS names
FROM {_COLUMN_LINEAGE}
WHERE event_date >= date_sub(CAST(:start AS DATE), 1)
  AND statement_id IS NOT NULL AND source_table_full_name IS NOT NULL
  AND source_column_name IS NOT NULL
GROUP BY statement_id
"""
_NOTHING_READ = """
SELECT CAST(NULL AS STRING) AS statement_id, CAST(NULL AS ARRAY<STRING>) AS names WHERE 1 = 0
"""

_CHECK = """
SELECT count(*), count(CASE WHEN statement_text IN ('', '<REDACTED>') THEN 1 END)
FROM QUERY_HISTORY
WHERE start_time >= :start
"""

_DAY = timedelta(days=1)
_log = logging.getLogger(__name__)


class PersonalAccessToken(Section):
    """Login with a personal access token."""

    token: Secret = Field(description="Personal access token.")


class DatabricksOauth(Section):
    """Login of a service principal of Databricks (OAuth, machine to machine)."""

    client_id: str = Field(min_length=1, description="Application id of the service principal.")
    client_secret: Secret = Field(description="OAuth secret of the service principal.")


class AzureAdSetup(Section):
    """Login of a service principal of Microsoft Entra ID."""

    azure_client_id: str = Field(min_length=1, description="Client id of the service principal.")
    azure_client_secret: Secret = Field(description="Client secret of the service principal.")
    azure_tenant_id: str = Field(min_length=1, description="Tenant of the service principal.")


class _DatabricksWarehouse(SqlWarehouse):
    """Reads the query history of the region of one Databricks workspace."""

    host_port: str = Field(
        min_length=1, description="Host of the workspace, for example adb-123.azuredatabricks.net."
    )
    http_path: str = Field(
        min_length=1,
        description="HTTP path of the SQL warehouse that runs the history statement, from its "
        "connection details.",
    )
    auth_type: PersonalAccessToken | DatabricksOauth | AzureAdSetup = Field(
        description="token; or clientId and clientSecret; or azureClientId, azureClientSecret and "
        "azureTenantId."
    )
    connection_timeout: int = Field(
        default=120, ge=1, description="Seconds after which a connection that stays silent fails."
    )
    query_history_table: str = Field(
        default="system.query.history",
        description="Table that holds the query history, if it is a copy or a view.",
    )
    connection_options: dict[str, str] = free_form("Configuration of the session.")
    connection_arguments: dict[str, Any] = free_form("Further arguments of databricks.sql.connect.")

    scheme: Literal["databricks"] = no_effect("databricks")
    catalog: str | None = no_effect(None)
    database_schema: str | None = no_effect(None)

    @field_validator("query_history_table")
    @classmethod
    def _is_a_table(cls, name: str) -> str:
        if not _TABLE.fullmatch(name):
            raise ValueError("must be catalog.schema.table, by default system.query.history")
        return name

    @property
    def latency(self) -> timedelta:
        """An hour for the history, more for the lineage of long statements."""
        return timedelta(hours=4)

    @property
    def sql_dialect(self) -> str:
        return "databricks"

    def read_history(self, window: Window) -> Iterator[HistoryBatch]:
        """Rows are grouped by Databricks."""
        values = {
            "start": window.start,
            "end": window.end,
            "trace_id": TRACE_ID,
            "user": USER_EMAIL,
            "limit": self.row_limit + 1,
        }
        missing = self._lineage_missing()
        if missing:
            _log.info("%s: read without %s, which is not granted", self.service, missing)
        statement = (
            _HISTORY.replace(
                "TABLES_READ", _NOTHING_READ if _TABLE_LINEAGE in missing else _TABLES_READ
            )
            .replace("COLUMNS_READ", _NOTHING_READ if missing else _COLUMNS_READ)
            .replace("QUERY_HISTORY", self.query_history_table)
        )
        for _, rows in self.execute(statement, values):
            yield batch(
                (
                    text,
                    None,
                    None,
                    [] if text is None else users,
                    executions,
                    in_utc(first),
                    in_utc(last),
                    sample,
                    _tables_read(tables, columns),
                )
                for text, users, executions, first, last, sample, tables, columns in rows
            )

    def check(self) -> str:
        """See ``WarehouseConnection.check``."""
        statement = _CHECK.replace("QUERY_HISTORY", self.query_history_table)
        now = datetime.now(timezone.utc)
        ((_, ((count, hidden),)),) = self.execute(statement, {"start": now - _DAY})
        found = f"readable, {count} statements in the last 24 hours"
        if hidden:
            found += f", {hidden} of them with their text hidden by the account"
        if missing := self._lineage_missing():
            found += f"; without {' and '.join(missing)} (USE SCHEMA and SELECT are optional)"
        return found

    def _lineage_missing(self) -> list[str]:
        """The tables of lineage that may not be read; columns are of no use without tables."""
        missing: list[str] = []
        for table in (_TABLE_LINEAGE, _COLUMN_LINEAGE):
            try:
                list(self.execute(f"SELECT statement_id FROM {table} LIMIT 0", {}))
            except WarehouseError as error:
                if error.hint != _NOT_GRANTED.hint.format_map(self._names()):
                    raise
                missing.append(table)
        return missing

    def execute(
        self, statement: str, parameters: Mapping[str, Any]
    ) -> Iterator[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
        """See ``SqlWarehouse.execute``; parameters are written ``:name``."""
        with self._cursor() as cursor:
            cursor.execute(statement, dict(parameters) or None)
            names = [column[0] for column in cursor.description]
            while True:
                chunk = cursor.fetchmany_arrow(_ROWS_PER_BATCH)
                rows = list(zip(*(column.to_pylist() for column in chunk.columns), strict=True))
                yield names, rows
                if len(rows) < _ROWS_PER_BATCH:
                    break

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """A cursor of a new session; the connector's errors become ours."""
        # The log of the connector quotes statements; failures reach us as exceptions.
        for name in ("databricks.sql", "databricks.sql.unsafe", "databricks.sdk", "thrift"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            from databricks import sql
        except ImportError:
            raise MissingExtra(self.service, "databricks") from None
        from urllib3.exceptions import HTTPError

        try:
            with (
                closing(sql.connect(**self._arguments())) as session,
                closing(
                    session.cursor(arraysize=_ROWS_PER_BATCH, buffer_size_bytes=_BUFFER_BYTES)
                ) as cursor,
            ):
                yield cursor
        except (sql.Error, HTTPError, OSError, ValueError) as error:
            # Without an answer the connector raises urllib3's error; the SDK that logs service
            # principals in raises OSError and ValueError.
            raise self._translated(error) from None

    def _arguments(self) -> dict[str, Any]:
        return {
            "server_hostname": self._host.partition("://")[2],
            "http_path": self.http_path,
            "session_configuration": {
                **self.connection_options,
                "STATEMENT_TIMEOUT": str(self.statement_timeout_seconds),
                "TIMEZONE": "UTC",
            },
            "query_tags": {"application": "hex-assets"},
            "user_agent_entry": "hex-assets",
            "enable_telemetry": False,
            "_socket_timeout": self.connection_timeout,
            "_retry_stop_after_attempts_duration": 300,
            **self._login(),
            **self.connection_arguments,
        }

    @property
    def _host(self) -> str:
        """Address of the workspace, without path."""
        scheme, _, rest = self.host_port.rpartition("://")
        return f"{scheme or 'https'}://{rest.partition('/')[0]}"

    def _login(self) -> dict[str, Any]:
        login = self.auth_type
        if isinstance(login, PersonalAccessToken):
            return {"access_token": login.token.get_secret_value()}
        if isinstance(login, AzureAdSetup):
            return {
                "auth_type": "azure-sp-m2m",
                "azure_client_id": login.azure_client_id,
                "azure_client_secret": login.azure_client_secret.get_secret_value(),
                "azure_tenant_id": login.azure_tenant_id,
            }
        return {"credentials_provider": self._service_principal}

    def _service_principal(self) -> Any:
        """What gives the connector its headers, with a token that is renewed."""
        from databricks.sdk.oauth import ClientCredentials

        login = self.auth_type
        assert isinstance(login, DatabricksOauth)
        tokens = ClientCredentials(
            client_id=login.client_id,
            client_secret=login.client_secret.get_secret_value(),
            token_url=f"{self._host}/oidc/v1/token",
            scopes="all-apis",
            use_header=True,
        )

        def headers() -> dict[str, str]:
            token = tokens.token()
            return {"Authorization": f"{token.token_type} {token.access_token}"}

        return headers

    def _names(self) -> dict[str, str]:
        return {
            "host": self.host_port,
            "path": self.http_path,
            "table": self.query_history_table,
            "seconds": str(self.statement_timeout_seconds),
        }

    def _translated(self, error: Exception) -> WarehouseError:
        """The connector's error in words that say what mends it."""
        context = getattr(error, "context", None) or {}
        login = self.auth_type
        return translated(
            self.service,
            f"{error} {context.get('http-code') or ''} {context.get('original-exception') or ''}",
            _FAULTS,
            self._names(),
            (
                *(getattr(login, name) for name in type(login).model_fields),
                *self.connection_arguments.values(),
            ),
            (
                "Databricks refused",
                "Run the same login and table in the SQL editor of the workspace to see more",
            ),
        )


class Databricks(_DatabricksWarehouse):
    """Reads the query history of the region of one Databricks workspace."""

    type: Literal["Databricks"] = Field(description="Always Databricks.")


class UnityCatalog(_DatabricksWarehouse):
    """Databricks as OpenMetadata's other type for it calls it."""

    type: Literal["UnityCatalog"] = Field(description="Always UnityCatalog.")


def _tables_read(
    tables: Sequence[str] | None, columns: Sequence[str] | None
) -> list[dict[str, Any]] | None:
    """``catalog.schema.table`` and ``catalog.schema.table.column`` as a tree."""
    read: dict[tuple[str, ...], list[str]] = {
        parts: [] for name in tables or () if len(parts := tuple(name.split("."))) == 3
    }
    for name in columns or ():
        *table, column = name.split(".", 3)
        if tuple(table) in read:
            read[tuple(table)].append(column)
    return [
        {"database": catalog, "schema": schema, "table": table, "columns": sorted(names)}
        for (catalog, schema, table), names in sorted(read.items())
    ] or None


_NOT_GRANTED = fault(
    r"TABLE_OR_VIEW_NOT_FOUND|SCHEMA_NOT_FOUND|NO_SUCH_CATALOG|INSUFFICIENT_PERMISSIONS|"
    r"PERMISSION_DENIED|does not have|UNAUTHORIZED_ACCESS|\b42501\b|\b42P01\b",
    "{table} cannot be read",
    "An account admin enables the system schemas `query` and `access`, and grants USE CATALOG ON "
    "CATALOG system, USE SCHEMA and SELECT on them; or correct `queryHistoryTable`",
)
_FAULTS = (
    _NOT_GRANTED,
    fault(
        r"\b40[13]\b|invalid access token|Invalid token|invalid_client|invalid_grant|oauth|"
        r"unauthenticated|credential",
        "Databricks rejected the login at {host}",
        "Check hostPort and authType: the token or secret may be wrong, expired or revoked",
    ),
    fault(
        r"\b404\b|MALFORMED_REQUEST|warehouse.*(?:not exist|not found|deleted)|endpoint.*not found|"
        r"RESOURCE_DOES_NOT_EXIST",
        "there is no SQL warehouse at {path}",
        "Copy httpPath from the connection details of a SQL warehouse",
    ),
    fault(
        r"STATEMENT_TIMEOUT|statement timeout|timed out after|QUERY_EXECUTION_TIMEOUT",
        "Databricks stopped the statement on {table} after {seconds} seconds",
        "Raise statementTimeoutSeconds, take a larger SQL warehouse, or lower "
        "hexAssets.lookBackDays",
    ),
    fault(
        r"timed out|timeout|connect|resolve|refused|Max retries|retr|TEMPORARILY_UNAVAILABLE|"
        r"\b50[234]\b|RATE_LIMIT|\b429\b",
        "Databricks at {host} did not answer",
        "Check hostPort and the network, and that the SQL warehouse can start",
        transient=True,
    ),
)
"""Known failures, the first that fits counts (Databricks documentation, error conditions)."""
