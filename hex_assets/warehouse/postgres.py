"""PostgreSQL's query history: its server log, read as a table through file_fdw or log_fdw.

The server keeps no history of statements, and ``pg_stat_statements`` is none: of the comments of
one statement it keeps the first it saw, whoever ran it. The log holds user, database, time and
the whole text, but not the search_path. Its time is that of the line, which for a statement with
a duration is the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

from pydantic import Field

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.section import no_effect
from hex_assets.warehouse.aws import rds_password
from hex_assets.warehouse.comment import TRACE_ID, USER_EMAIL
from hex_assets.warehouse.connection import SqlWarehouse
from hex_assets.warehouse.faults import fault, translated
from hex_assets.warehouse.login import (
    CONNECT_SECONDS,
    ROWS_PER_BATCH,
    AuthType,
    HostPort,
    SslConfig,
    SslMode,
    host_and_port,
)
from hex_assets.warehouse.reader import HistoryBatch, Window, batch

_PORT = 5432
_TABLE = re.compile(r'(?:[a-z_][\w$]*|"(?:[^"]|"")+")(?:\.(?:[a-z_][\w$]*|"(?:[^"]|"")+"))?', re.I)

# A statement is logged at its end with a duration, or at its start without one; then an error of
# its session follows if it fails. Of the extended protocol only execution counts, and of a cursor
# only its opening. The marker is two joined literals, so that this statement does not find itself
# in the log; the collation "C" changes no character but ASCII letters.
_HISTORY = """
WITH logged AS (
  SELECT log_time, session_id, session_line_num, user_name, database_name,
         error_severity IN ('ERROR', 'FATAL', 'PANIC') AS failed,
         message LIKE 'duration: %%' AS done,
         CASE WHEN error_severity IN ('ERROR', 'FATAL', 'PANIC') THEN query
              ELSE substring(message from
                '^(?:duration: [0-9.]+ ms  )?(?:statement|execute (?!fetch from )[^:]*): (.*)$')
         END AS q
  FROM {table}
  WHERE log_time >= %(start)s AND log_time < %(end)s
    AND strpos(lower(CASE WHEN error_severity IN ('ERROR', 'FATAL', 'PANIC') THEN query
                          ELSE message END COLLATE "C"), 'hex query ' || 'metadata') > 0
), followed AS (
  SELECT logged.*, LEAD(failed AND q IS NOT NULL) OVER session AS then_failed,
         LEAD(q) OVER session AS then_q
  FROM logged
  WHERE q IS NOT NULL
  WINDOW session AS (PARTITION BY session_id ORDER BY session_line_num)
), ran AS (
  SELECT log_time, session_id || '/' || session_line_num AS id, user_name, database_name, q,
         strpos(lower(q COLLATE "C"), 'hex query ' || 'metadata') AS marker
  FROM followed
  WHERE NOT failed AND (done OR NOT COALESCE(then_failed AND then_q = q, false))
)
SELECT min(q COLLATE "C"), database_name, NULL,
       array_agg(DISTINCT lower(COALESCE(substring(substr(q, marker) from {user}), user_name))),
       count(*), min(log_time), max(log_time),
       substr(max((to_char(log_time AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS') || id)
                  COLLATE "C"), 21),
       NULL
FROM ran
GROUP BY database_name, sha256(convert_to(left(q, marker - 1), 'UTF8')),
         sha256(convert_to(regexp_replace(regexp_replace(
           substr(q, marker), {trace_id}, 'trace_id', 'g'), {user}, 'user_email', 'g'), 'UTF8'))
LIMIT %(rows)s
"""

_CHECK = """
SELECT count(*) FROM {table} WHERE log_time >= now() - interval '1 day'
"""

_HOW_TO_LOG = (
    "Log with csvlog, make a foreign table on it and name it in queryLogTable, or export the log "
    "and read it with type QueryLog; docs/warehouses/postgres.md has the commands"
)


class Postgres(SqlWarehouse):
    """Reads the log of one PostgreSQL server through a foreign table."""

    type: Literal["Postgres"] = Field(description="Always Postgres.")
    username: str = Field(min_length=1, description="User that reads the foreign table.")
    auth_type: AuthType = Field(
        default_factory=AuthType, description="{password}, or {awsConfig} for RDS IAM."
    )
    host_port: HostPort = Field(description="Host and port; without a port, 5432.")
    database: str = Field(min_length=1, description="Database that holds the foreign table.")
    query_log_table: str | None = Field(
        default=None,
        min_length=1,
        description="Foreign table on the server's CSV log, or a view of several, with the "
        "columns of PostgreSQL's documentation. Not one of OpenMetadata's fields.",
    )
    ssl_mode: SslMode = Field(default="prefer", description="libpq's sslmode.")
    ssl_config: SslConfig | None = Field(default=None, description="Certificates.")

    scheme: Literal["postgresql+psycopg2", "pgspider+psycopg2"] = no_effect("postgresql+psycopg2")
    ingest_all_databases: bool = no_effect(False)
    classification_name: str = no_effect("PostgresPolicyTags")
    query_statement_source: str = no_effect(
        "pg_stat_statements", "Its texts keep the comment of one project only."
    )

    @property
    def sql_dialect(self) -> str:
        return "postgres"

    @property
    def _table(self) -> str:
        if self.query_log_table is None:
            raise WarehouseError(
                self.service, "PostgreSQL keeps no query history of its own", _HOW_TO_LOG
            )
        if not _TABLE.fullmatch(self.query_log_table):
            raise WarehouseError(
                self.service,
                f"queryLogTable {self.query_log_table!r} is not a table name",
                "Write it as schema.table",
            )
        return self.query_log_table

    def read_history(self, window: Window) -> Iterator[HistoryBatch]:
        """Rows are grouped by PostgreSQL; ``schema`` is null, the log does not tell it."""
        statement = _HISTORY.format(
            table=self._table, trace_id=_literal(TRACE_ID), user=_literal(USER_EMAIL)
        )
        values = {"start": window.start, "end": window.end, "rows": self.row_limit + 1}
        for _, rows in self.execute(statement, values):
            yield batch(rows)

    def check(self) -> str:
        """See ``WarehouseConnection.check``."""
        ((_, ((count,),)),) = self.execute(_CHECK.format(table=self._table), {})
        return f"{self._table} readable, {count} lines in the last 24 hours"

    def execute(
        self, statement: str, parameters: Mapping[str, Any]
    ) -> Iterator[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
        """See ``SqlWarehouse.execute``; parameters are written ``%(name)s``."""
        with self._session() as session, session.cursor("hex_assets") as cursor:
            cursor.itersize = ROWS_PER_BATCH
            cursor.execute(statement, dict(parameters))
            names = [column.name for column in cursor.description]
            rows = cursor.fetchmany(ROWS_PER_BATCH)
            yield names, rows
            while rows := cursor.fetchmany(ROWS_PER_BATCH):
                yield names, rows

    @contextmanager
    def _session(self) -> Iterator[Any]:
        """A new session, reading only; the client's errors become ours."""
        try:
            import psycopg
        except ImportError:
            raise MissingExtra(self.service, "postgres") from None
        with ExitStack() as stack:
            certificates = stack.enter_context(self.ssl_config.files()) if self.ssl_config else {}
            arguments = self._arguments(certificates)
            try:
                session = stack.enter_context(psycopg.connect(**arguments))
                session.read_only = True
                yield session
            except psycopg.Error as error:
                raise self._translated(error) from None

    def _arguments(self, certificates: Mapping[str, str]) -> dict[str, Any]:
        host, port = host_and_port(self.host_port, _PORT)
        names = {"ca": "sslrootcert", "cert": "sslcert", "key": "sslkey"}
        arguments: dict[str, Any] = {
            "host": host,
            "port": port,
            "user": self.username,
            "dbname": self.database,
            "sslmode": self.ssl_mode,
            "application_name": "hex-assets",
            "connect_timeout": CONNECT_SECONDS,
            "options": f"-c statement_timeout={self.statement_timeout_seconds * 1000} "
            "-c TimeZone=UTC",
            **{names[name]: path for name, path in certificates.items()},
            **self.connection_options,
        }
        login = self.auth_type
        if login.aws_config is not None:
            arguments["password"] = rds_password(
                login.aws_config, self.service, host, port, self.username
            )
        elif login.password is not None:
            arguments["password"] = login.password.get_secret_value()
        return arguments | self.connection_arguments

    def _translated(self, error: Exception) -> WarehouseError:
        return translated(
            self.service,
            f"{getattr(error, 'sqlstate', None) or type(error).__name__} {error}",
            _FAULTS,
            {
                "user": self.username,
                "address": self.host_port,
                "table": self.query_log_table or "the history",
                "database": self.database,
            },
            (self.auth_type.password, *self.connection_arguments.values()),
            (
                "PostgreSQL refused",
                "Run the same login and a SELECT on the foreign table in psql to see more",
            ),
        )


def _literal(pattern: str) -> str:
    """A pattern of ours as a string of any setting of standard_conforming_strings."""
    return "E'" + pattern.replace("\\", "\\\\") + "'"


_FAULTS = (
    fault(
        r"\b28(?:P01|000)\b|password authentication failed|no pg_hba.conf entry|"
        r"no password supplied|role .* does not exist|database .* does not exist",
        "PostgreSQL rejected the login of user {user} to database {database}",
        "Check username, authType, database and pg_hba.conf",
    ),
    fault(
        r"\b42501\b",
        "{table} cannot be read by user {user}",
        "GRANT SELECT ON {table} TO the user, and USAGE on its schema",
    ),
    fault(
        r"\b42P01\b|\b3F000\b",
        "there is no {table} in database {database}",
        _HOW_TO_LOG,
    ),
    fault(
        r"\b42703\b",
        "{table} lacks a column of PostgreSQL's CSV log",
        "Make it with the columns that PostgreSQL's documentation lists for your version",
    ),
    fault(
        r"\b(?:58P01|58000|HV\w{3}|22P0[24]|22007)\b|program .* failed",
        "the log file behind {table} cannot be read",
        "Check the file or program that the foreign table names, and that its columns are those "
        "of your version's CSV log",
    ),
    fault(
        r"\b57014\b|QueryCanceled",
        "PostgreSQL stopped the statement on {table} before its end",
        "Raise statementTimeoutSeconds, or rotate the log",
    ),
    fault(
        r"\b(?:08\w{3}|57P0\d|53300)\b|OperationalError",
        "PostgreSQL at {address} did not answer",
        "Check hostPort, sslMode and the network",
        transient=True,
    ),
)
"""Known failures, the first that fits counts (PostgreSQL documentation, appendix A)."""
