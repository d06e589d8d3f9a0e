"""ClickHouse's ``system.query_log``, grouped where it is.

Each replica keeps a log of its own, flushed every 7.5 seconds and kept until a TTL drops it; texts
are cut at ``log_queries_cut_to_length``, by default 100,000 bytes (ClickHouse documentation,
"system.query_log").
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, field_validator

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.section import Secret, free_form, no_effect
from hex_assets.warehouse.comment import TRACE_ID, USER_EMAIL
from hex_assets.warehouse.connection import SqlWarehouse
from hex_assets.warehouse.faults import fault, translated, unknown_argument
from hex_assets.warehouse.reader import HistoryBatch, Window, batch, in_utc

_ROWS_PER_BLOCK = 10_000
_SPILL_ABOVE_BYTES = 2_000_000_000
_CUT_SHORT_BY = 64
"""ClickHouse cuts a little below its limit: 99,984 bytes of 100,000 (seen with 26.9)."""

_HTTP_PORT_OF = {9000: 8123, 9440: 8443}
"""Port of the HTTP interface beside a default port of the native protocol."""

_TABLE = re.compile(r"(?:\w+|`(?:[^`\\]|\\.)+`)(?:\.(?:\w+|`(?:[^`\\]|\\.)+`))?")
_NAME = re.compile(r"`((?:[^`\\]|\\.)*)`|([^.`]+)")
_NO_TABLE = ("_table_function", "_temporary_and_external_tables")

# The marker is two joined literals, so that this statement does not find itself in the log. Texts
# are grouped as ``STATEMENTS`` says, by hashes of what comes before the marker and of the
# comment without trace ids and users. Texts without a marker come along only if they were cut: as
# a count. The log is partitioned by the date at which statements end, in the server's time zone.
_HISTORY = """
WITH
  positionCaseInsensitive(query, concat('hex query ', 'metadata')) AS marker,
  substring(query, marker) AS comment,
  extract(comment, {user:String}) AS email
SELECT
  argMax(if(marker > 0, query, NULL), at) AS query_text,
  NULL AS database,
  nullIf(current_database, '') AS schema,
  if(query_text IS NULL, [], groupUniqArrayIf(lowerUTF8(if(email != '', email, user)),
                                              email != '' OR user != '')) AS users,
  toInt64(count()) AS executions,
  min(query_start_time_microseconds) AS first_seen,
  max(query_start_time_microseconds) AS last_seen,
  argMax(query_id, at) AS sample_query_id,
  argMaxIf(tables, at, notEmpty(tables)) AS read_tables,
  argMaxIf(columns, at, notEmpty(tables)) AS read_columns
FROM (
  SELECT *, (query_start_time_microseconds, query_id) AS at
  FROM QUERY_LOG
  WHERE event_date >= toDate({start:DateTime64(6, 'UTC')}) - 1
    AND query_start_time_microseconds >= {start:DateTime64(6, 'UTC')}
    AND query_start_time_microseconds < {end:DateTime64(6, 'UTC')}
    AND type = 'QueryFinish' AND is_initial_query
)
WHERE marker > 0
   OR length(query) + {short:UInt64} >= toUInt64(getSetting('log_queries_cut_to_length'))
GROUP BY
  current_database,
  sipHash128(if(marker > 0, substring(query, 1, marker - 1), '')),
  sipHash128(if(marker > 0, replaceRegexpAll(
    replaceRegexpAll(comment, {trace_id:String}, 'trace_id'), {user:String}, 'user_email'), ''))
LIMIT {limit:UInt64}
"""

_CHECK = """
SELECT count(), countIf(notEmpty(tables)) FROM QUERY_LOG
WHERE event_date >= today() - 2 AND event_time >= now() - INTERVAL 24 HOUR
  AND type = 'QueryFinish' AND is_initial_query
"""


class Clickhouse(SqlWarehouse):
    """Reads the query log of one ClickHouse server or cluster, over HTTP."""

    type: Literal["Clickhouse"] = Field(description="Always Clickhouse.")
    host_port: str = Field(
        min_length=1,
        description="Host and port of the HTTP interface. A default port of the native protocol "
        "(9000, 9440) is taken for the HTTP one beside it (8123, 8443).",
    )
    username: str = Field(
        default="default", min_length=1, description="User that reads the query log."
    )
    password: Secret | None = Field(default=None, description="Password of the user.")
    scheme: Literal["clickhouse+http", "clickhouse+native"] = Field(
        default="clickhouse+http", description="Either; the log is read over HTTP."
    )
    https: bool = Field(default=False, description="Connect over TLS.")
    secure: bool = Field(default=False, description="Connect over TLS.")
    keyfile: str | None = Field(
        default=None,
        description="Path of a client's private key; its certificate is client_cert of "
        "connectionArguments.",
    )
    cluster: str | None = Field(
        default=None,
        min_length=1,
        description="Cluster whose replicas' logs are all read; on ClickHouse Cloud `default`. "
        "Without it, the log of the server that answers. Not one of OpenMetadata's fields.",
    )
    query_log_table: str = Field(
        default="system.query_log",
        description="Table that holds the log, if it is a copy. Not one of OpenMetadata's fields.",
    )
    connection_options: dict[str, str] = free_form(
        "Settings of the statements sent; `protocol: https` connects over TLS."
    )
    connection_arguments: dict[str, Any] = free_form(
        "Further arguments of clickhouse_connect.get_client, for example ca_cert."
    )

    database_name: str | None = no_effect(None)
    database_schema: str | None = no_effect(None)
    duration: int | None = no_effect(None)

    @field_validator("query_log_table")
    @classmethod
    def _is_a_table(cls, name: str) -> str:
        if not _TABLE.fullmatch(name):
            raise ValueError("must be database.table, a name with other characters in backticks")
        return name

    @property
    def sql_dialect(self) -> str:
        return "clickhouse"

    def read_history(self, window: Window) -> Iterator[HistoryBatch]:
        """Rows are grouped by ClickHouse."""
        values = {
            "start": window.start,
            "end": window.end,
            "trace_id": TRACE_ID,
            "user": USER_EMAIL,
            "short": _CUT_SHORT_BY,
            "limit": self.row_limit + 1,
        }
        for _, rows in self.execute(self._statement(_HISTORY), values):
            yield batch(
                (*row[:5], in_utc(row[5]), in_utc(row[6]), row[7], _tables_read(*row[8:]))
                for row in rows
            )

    def check(self) -> str:
        """See ``WarehouseConnection.check``."""
        ((_, ((count, resolved),)),) = self.execute(self._statement(_CHECK), {})
        found = f"readable, {count} statements in the last 24 hours"
        return found if resolved or not count else f"{found}, none with the tables it read"

    def execute(
        self, statement: str, parameters: Mapping[str, Any]
    ) -> Iterator[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
        """See ``SqlWarehouse.execute``; parameters are written ``{name:Type}``.

        Instants are ``DateTime64(6, 'UTC')``.
        """
        values = {
            name: f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else value
            for name, value in parameters.items()
        }
        with self._client() as client:
            settings = self._settings(client)
            with client.query_row_block_stream(statement, values, settings) as blocks:
                names = list(blocks.source.column_names)
                yield names, next(blocks, [])
                for rows in blocks:
                    yield names, rows

    def _statement(self, template: str) -> str:
        log = self.query_log_table
        if self.cluster is not None:
            cluster = self.cluster.replace("\\", "\\\\").replace("'", "\\'")
            log = f"clusterAllReplicas('{cluster}', {log})"
        return template.replace("QUERY_LOG", log)

    def _settings(self, client: Any) -> dict[str, Any]:
        """What we ask of each statement, as far as the user's profile lets it be asked."""
        wanted: dict[str, Any] = {
            "max_execution_time": self.statement_timeout_seconds,
            "max_block_size": _ROWS_PER_BLOCK,
            "max_bytes_before_external_group_by": _SPILL_ABOVE_BYTES,
            "log_comment": "hex-assets",
        }
        known = client.server_settings
        allowed = {
            name: value
            for name, value in wanted.items()
            if name in known and not known[name].readonly
        }
        options = self.connection_options
        return allowed | {name: options[name] for name in options if name != "protocol"}

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """A client of its own; its errors become ours."""
        # The log of the client quotes statements; failures reach us as exceptions.
        logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
        try:
            import clickhouse_connect
            from clickhouse_connect.driver.exceptions import ClickHouseError, StreamFailureError
        except ImportError:
            raise MissingExtra(self.service, "clickhouse") from None
        from urllib3.exceptions import HTTPError

        client = None
        try:
            try:
                client = clickhouse_connect.get_client(**self._arguments())
            except TypeError as error:
                raise unknown_argument(self.service, error) from None
            yield client
        except (ClickHouseError, StreamFailureError, HTTPError) as error:
            raise self._translated(error) from None
        finally:
            if client is not None:
                client.close()

    def _arguments(self) -> dict[str, Any]:
        address = self.host_port.partition("://")[2] or self.host_port
        host, _, port = address.rstrip("/").rpartition(":")
        if not host or not port.isdecimal():
            host, port = address.rstrip("/"), ""
        tls = (
            self.https
            or self.secure
            or self.host_port.startswith("https://")
            or self.connection_options.get("protocol") == "https"
        )
        number = int(port) if port else (8443 if tls else 8123)
        return {
            "host": host.strip("[]"),
            "port": _HTTP_PORT_OF.get(number, number),
            "secure": tls,
            "username": self.username,
            "password": self.password.get_secret_value() if self.password else "",
            "client_name": "hex-assets",
            "connect_timeout": 20,
            # Long statements send nothing before their first row.
            "send_receive_timeout": self.statement_timeout_seconds + 30,
            **({"client_cert_key": self.keyfile} if self.keyfile else {}),
            **self.connection_arguments,
        }

    def _translated(self, error: Exception) -> WarehouseError:
        """The client's error in words that say what mends it."""
        return translated(
            self.service,
            f"{getattr(error, 'name', None) or ''} {error}",
            _FAULTS,
            {
                "user": self.username,
                "host": self.host_port,
                "log": self.query_log_table,
                "cluster": self.cluster or "",
                "seconds": str(self.statement_timeout_seconds),
            },
            (self.password, *self.connection_arguments.values()),
            (
                "ClickHouse refused",
                "Run the same login and table in clickhouse-client to see more",
            ),
        )


def _tables_read(tables: Sequence[str], columns: Sequence[str]) -> list[dict[str, Any]] | None:
    """The log's names of tables (``db.table``) and columns (``db.table.column``) as a tree.

    Left out is what is no table: table functions, and the one row that ``SELECT 1`` reads.
    """
    read: dict[tuple[str, ...], list[str]] = {}
    for name in tables:
        parts = _parts(name)
        if len(parts) == 2 and parts[0] not in _NO_TABLE and parts != ("system", "one"):
            read.setdefault(parts, [])
    for name in columns:
        *table, column = _parts(name)
        if tuple(table) in read:
            read[tuple(table)].append(column)
    return [
        {"database": None, "schema": schema, "table": table, "columns": sorted(names)}
        for (schema, table), names in sorted(read.items())
    ] or None


def _parts(name: str) -> tuple[str, ...]:
    return tuple(
        re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
        for quoted, plain in _NAME.findall(name)
    )


_FAULTS = (
    fault(
        r"AUTHENTICATION_FAILED|\b516\b|REQUIRED_PASSWORD|WRONG_PASSWORD|UNKNOWN_USER",
        "ClickHouse rejected the login of user {user}",
        "Check hostPort, username and password",
    ),
    fault(
        r"CLUSTER_DOESNT_EXIST|\b701\b",
        "the server knows no cluster {cluster}",
        "Correct `cluster`: SELECT DISTINCT cluster FROM system.clusters lists them",
    ),
    fault(
        r"ACCESS_DENIED|NOT_ENOUGH_PRIVILEGES|\b497\b|Not enough privileges",
        "user {user} may not read {log}",
        "GRANT SELECT ON {log} TO {user}, and for `cluster` GRANT REMOTE ON *.* TO {user}",
    ),
    fault(
        r"UNKNOWN_TABLE|UNKNOWN_DATABASE|\bCode: (?:60|81)\b",
        "{log} does not exist",
        "Turn on the query_log section of the server's configuration (the table comes with the "
        "first statement logged), or correct `queryLogTable`",
    ),
    fault(
        r"TIMEOUT_EXCEEDED|TOO_SLOW|\bCode: 159\b|SOCKET_TIMEOUT",
        "ClickHouse stopped the statement on {log} after {seconds} seconds",
        "Raise statementTimeoutSeconds, or lower hexAssets.lookBackDays",
    ),
    fault(
        r"MEMORY_LIMIT_EXCEEDED|\bCode: 241\b",
        "ClickHouse ran out of memory over {log}",
        "Raise max_memory_usage of user {user}, or lower hexAssets.lookBackDays",
    ),
    fault(
        r"READONLY|\bCode: 164\b",
        "the profile of user {user} does not let settings be changed",
        "Take them out of connectionOptions, or set readonly = 2 in the profile",
    ),
    fault(
        r"timed out|timeout|connect|resolve|refused|NETWORK_ERROR|ALL_CONNECTION_TRIES_FAILED|"
        r"closed|IncompleteRead|Max retries",
        "ClickHouse at {host} did not answer",
        "Check hostPort (the HTTP interface, by default 8123, with TLS 8443), `https` and the "
        "network",
        transient=True,
    ),
)
"""Known failures, the first that fits counts (ClickHouse source, ErrorCodes.cpp)."""
