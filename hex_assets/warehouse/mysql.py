"""The query history of MySQL and MariaDB: the slow log or the general log, kept as a table.

Both are off by default. ``mysql.slow_log`` carries the session's database and so is the better;
``mysql.general_log`` does not, it is rebuilt there from what connected and what was used.
``performance_schema`` is no source: it cuts texts at 1,024 bytes, which takes the comment away.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any, Literal

from pydantic import Field

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.section import Secret, no_effect
from hex_assets.warehouse.aws import rds_password
from hex_assets.warehouse.comment import TRACE_ID, USER_EMAIL, USER_EMAIL_KEY
from hex_assets.warehouse.connection import SqlWarehouse
from hex_assets.warehouse.faults import fault, translated
from hex_assets.warehouse.login import (
    CONNECT_SECONDS,
    ROWS_PER_BATCH,
    AuthType,
    HostPort,
    SslConfig,
    host_and_port,
    naive,
)
from hex_assets.warehouse.reader import HistoryBatch, Window, batch, in_utc, nothing_but

_PORT = 3306
_TABLE = re.compile(r"(?:[\w$]+|`[^`]+`)(?:\.(?:[\w$]+|`[^`]+`))?")

# A binary collation makes the patterns heed letter case, and texts equal only if they are. The
# marker is two joined literals, so that this statement does not find itself in the log.
_MARKER_AT = "LOCATE(CONCAT('hex query ', 'metadata'), LOWER({text}))"

_SLOW_LOG = """
SELECT start_time AS ran_at, db, user_host, CONVERT(sql_text USING utf8mb4) COLLATE utf8mb4_bin AS q
FROM {table}
WHERE start_time >= %(start)s AND start_time < %(end)s
"""

# The database of a statement is what the last event before it in its session set: a connection,
# a change of user, or USE. Those may lie before the window.
_GENERAL_LOG = """
SELECT ran_at, db, user_host, q
FROM (
  SELECT ran_at, command_type, user_host, q,
         MAX(db) OVER (PARTITION BY server_id, thread_id, setting) AS db
  FROM (
    SELECT event.*, SUM(sets) OVER (
      PARTITION BY server_id, thread_id ORDER BY ran_at, sets DESC
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS setting
    FROM (
      SELECT event_time AS ran_at, server_id, thread_id, user_host, command_type, q,
             command_type IN ('Connect', 'Change user', 'Init DB')
               OR (command_type IN ('Query', 'Execute') AND q REGEXP %(use)s) AS sets,
             NULLIF(TRIM(BOTH '`' FROM CASE
               WHEN command_type IN ('Connect', 'Change user')
                 THEN REGEXP_REPLACE(REGEXP_REPLACE(q, '^.*? on ', ''), ' ?using [A-Za-z/ ]+$', '')
               WHEN command_type = 'Init DB' THEN q
               WHEN q REGEXP %(use)s
                 THEN REGEXP_REPLACE(REGEXP_REPLACE(q, %(use_before)s, ''), %(use_after)s, '')
             END), '') AS db
      FROM (
        SELECT event_time, server_id, thread_id, user_host, command_type,
               CONVERT(argument USING utf8mb4) COLLATE utf8mb4_bin AS q
        FROM {table}
        WHERE event_time < %(end)s
      ) AS logged
      WHERE command_type IN ('Connect', 'Change user', 'Init DB')
         OR (command_type IN ('Query', 'Execute') AND (
           q REGEXP %(use)s OR (event_time >= %(start)s AND {marker_at} > 0)
         ))
    ) AS event
  ) AS followed
) AS session
WHERE command_type IN ('Query', 'Execute') AND ran_at >= %(start)s
"""

_DATABASE = {
    "use": r"(?i)^\s*use\s+(`[^`]+`|[^\s;`]+)\s*(;|$)",
    "use_before": r"(?i)^\s*use\s+",
    "use_after": r"(?s)\s*(;.*)?$",
}

_HISTORY = """
SELECT MIN(q), NULL, db, GROUP_CONCAT(DISTINCT user_name SEPARATOR '\n'), COUNT(*),
       MIN(ran_at), MAX(ran_at), NULL, NULL
FROM (
  SELECT q, db, ran_at, SHA2(SUBSTRING(q, 1, marker - 1), 256) AS body,
         SHA2(REGEXP_REPLACE(REGEXP_REPLACE(
           SUBSTRING(q, marker), %(trace_id)s, 'trace_id'), %(user)s, 'user_email'), 256) AS note,
         LOWER(COALESCE(
           NULLIF(REGEXP_REPLACE(
             REGEXP_SUBSTR(SUBSTRING(q, marker), %(user)s), %(user_before)s, ''), ''),
           TRIM(SUBSTRING_INDEX(user_host, '[', 1))
         )) AS user_name
  FROM (SELECT source.*, {marker_at} AS marker FROM ({source}) AS source) AS logged
  WHERE marker > 0
) AS named
GROUP BY body, note, db
LIMIT %(rows)s
"""

_CHECK = """
SELECT COUNT(*) FROM {table} WHERE {time} >= UTC_TIMESTAMP() - INTERVAL 1 DAY
"""

_SWITCHES = """
SELECT @@GLOBAL.log_output, @@GLOBAL.slow_query_log, @@GLOBAL.general_log, @@GLOBAL.long_query_time
"""


class _MysqlProtocol(SqlWarehouse):
    """What MySQL and MariaDB share."""

    username: str = Field(min_length=1, description="User that reads the log.")
    host_port: HostPort = Field(description="Host and port; without a port, 3306.")
    database_name: str | None = Field(
        default=None, description="No effect here; the name of the database in OpenMetadata."
    )
    database_schema: str | None = Field(default=None, description="Database of the session.")
    ssl_config: SslConfig | None = Field(
        default=None, description="Certificates; without, TLS is used where the server offers it."
    )
    use_slow_logs: bool = Field(
        default=True,
        description="Read mysql.slow_log, which carries the database of a statement; false reads "
        "mysql.general_log. OpenMetadata's own default is false.",
    )
    query_history_table: str | None = Field(
        default=None,
        min_length=1,
        description="A copy of the log with its columns, for example mysql.general_log_backup.",
    )
    scheme: Literal["mysql+pymysql"] = no_effect("mysql+pymysql")

    @property
    def sql_dialect(self) -> str:
        return "mysql"

    @property
    @abstractmethod
    def _login(self) -> AuthType: ...

    @property
    def _table(self) -> str:
        standard = "mysql.slow_log" if self.use_slow_logs else "mysql.general_log"
        table = self.query_history_table or standard
        if not _TABLE.fullmatch(table):
            raise WarehouseError(
                self.service,
                f"queryHistoryTable {table!r} is not a table name",
                "Write it as database.table",
            )
        return table

    def read_history(self, window: Window) -> Iterator[HistoryBatch]:
        """Rows are grouped by the server; ``database`` is null, ``schema`` its database."""
        if self.query_history_table is None and (problem := self._switched_off()):
            yield nothing_but(f"{self.service}: {problem[0]}. {problem[1]}")
        marker_at = _MARKER_AT.format(text="q")
        source = (_SLOW_LOG if self.use_slow_logs else _GENERAL_LOG).format(
            table=self._table, marker_at=marker_at
        )
        values = {
            "start": window.start,
            "end": window.end,
            "rows": self.row_limit + 1,
            "trace_id": TRACE_ID,
            "user": USER_EMAIL,
            "user_before": f"^{USER_EMAIL_KEY}",
            **_DATABASE,
        }
        parts = self.execute(_HISTORY.format(source=source, marker_at=marker_at), values)
        for _, rows in parts:
            yield batch(map(_row, rows))

    def check(self) -> str:
        """See ``WarehouseConnection.check``."""
        if self.query_history_table is None and (problem := self._switched_off()):
            raise WarehouseError(self.service, *problem)
        time = "start_time" if self.use_slow_logs else "event_time"
        ((_, ((count,),)),) = self.execute(_CHECK.format(table=self._table, time=time), {})
        found = f"{self._table} readable, {count} entries in the last 24 hours"
        if self.use_slow_logs and self.query_history_table is None:
            ((_, ((*_, seconds),)),) = self.execute(_SWITCHES, {})
            if seconds:
                found += f"; only statements of {seconds:g} seconds or more (long_query_time)"
        return found

    def _switched_off(self) -> tuple[str, str] | None:
        """What is wrong if the server does not write the log, and what mends it."""
        ((_, ((output, slow, general, _),)),) = self.execute(_SWITCHES, {})
        name = "slow_query_log" if self.use_slow_logs else "general_log"
        if not (slow if self.use_slow_logs else general):
            return f"the server does not write {self._table}", f"SET GLOBAL {name} = ON"
        if "TABLE" not in str(output).upper():
            return "the server logs to files only", "SET GLOBAL log_output = 'TABLE,FILE'"
        return None

    def execute(
        self, statement: str, parameters: Mapping[str, Any]
    ) -> Iterator[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
        """See ``SqlWarehouse.execute``; parameters are written ``%(name)s``."""
        with self._cursor() as cursor:
            cursor.execute(statement, {name: naive(value) for name, value in parameters.items()})
            names = [column[0] for column in cursor.description]
            rows = cursor.fetchmany(ROWS_PER_BATCH)
            yield names, rows
            while rows := cursor.fetchmany(ROWS_PER_BATCH):
                yield names, rows

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """An unbuffered cursor of a new session; the client's errors become ours."""
        try:
            import pymysql
            from pymysql.cursors import SSCursor
        except ImportError:
            raise MissingExtra(self.service, "mysql") from None
        with ExitStack() as stack:
            certificates = stack.enter_context(self.ssl_config.files()) if self.ssl_config else {}
            arguments = self._arguments(certificates)
            try:
                session = stack.enter_context(closing(pymysql.connect(**arguments)))
                with closing(session.cursor()) as settings:
                    seconds = self.statement_timeout_seconds
                    limit = f"max_execution_time = {seconds * 1000}"
                    if "MariaDB" in session.get_server_info():
                        limit = f"max_statement_time = {seconds}"
                    settings.execute(
                        "SET SESSION time_zone = '+00:00', group_concat_max_len = 16000000, "
                        f"{limit}"
                    )
                cursor = session.cursor(SSCursor)
                try:
                    yield cursor
                finally:
                    # The client would read a stream left midway to its end, over a session that
                    # is closed by then.
                    if (stream := cursor._result) is not None:  # noqa: SLF001
                        stream.unbuffered_active = False
            except (pymysql.Error, OSError, ValueError) as error:
                raise self._translated(error) from None

    def _arguments(self, certificates: Mapping[str, str]) -> dict[str, Any]:
        host, port = host_and_port(self.host_port, _PORT)
        arguments: dict[str, Any] = {
            "host": host,
            "port": port,
            "user": self.username,
            "database": self.database_schema,
            "charset": "utf8mb4",
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": self.statement_timeout_seconds + CONNECT_SECONDS,
            "program_name": "hex-assets",
            "autocommit": True,
            **{f"ssl_{name}": path for name, path in certificates.items()},
            **self.connection_options,
        }
        login = self._login
        if login.aws_config is not None:
            arguments["password"] = rds_password(
                login.aws_config, self.service, host, port, self.username
            )
        elif login.password is not None:
            arguments["password"] = login.password.get_secret_value()
        arguments |= self.connection_arguments
        return {name: value for name, value in arguments.items() if value is not None}

    def _translated(self, error: Exception) -> WarehouseError:
        return translated(
            self.service,
            f"{type(error).__name__} {error}",
            _FAULTS,
            {"user": self.username, "address": self.host_port, "table": self._table},
            (self._login.password, *self.connection_arguments.values()),
            (
                "the server refused",
                "Run the same login and a SELECT on the log with another client to see more",
            ),
        )


class Mysql(_MysqlProtocol):
    """Reads the slow or general log of one MySQL server."""

    type: Literal["Mysql"] = Field(description="Always Mysql.")
    auth_type: AuthType = Field(
        default_factory=AuthType, description="{password}, or {awsConfig} for RDS IAM."
    )

    @property
    def _login(self) -> AuthType:
        return self.auth_type


class MariaDB(_MysqlProtocol):
    """Reads the slow or general log of one MariaDB server."""

    type: Literal["MariaDB"] = Field(description="Always MariaDB.")
    password: Secret | None = Field(default=None, description="Password of the user.")

    @property
    def _login(self) -> AuthType:
        return AuthType(password=self.password)


def _row(row: Sequence[Any]) -> tuple[Any, ...]:
    text, database, schema, users, executions, first, last, *rest = row
    named = users.split("\n") if users else []
    return (text, database, schema or None, named, executions, in_utc(first), in_utc(last), *rest)


_FAULTS = (
    fault(
        r"\b(?:1045|1698|1044|1049)\b",
        "the server rejected the login of user {user}",
        "Check username and password, that the user may connect from here, and databaseSchema",
    ),
    fault(
        r"\b(?:1142|1143|1146|1227)\b",
        "{table} cannot be read by user {user}",
        "GRANT SELECT ON {table} TO the user, or correct useSlowLogs and queryHistoryTable",
    ),
    fault(
        r"\b(?:3024|1969|1317)\b",
        "the server stopped the statement on {table} before its end",
        "Raise statementTimeoutSeconds, rotate the log, or give it an index on its time (see "
        "docs/warehouses/mysql.md)",
    ),
    fault(
        r"\b(?:2059|3159)\b|public key|cryptography",
        "the server takes this password over TLS only",
        "Give sslConfig.caCertificate, or install PyMySQL[rsa]",
    ),
    fault(
        r"\b(?:1054|1305)\b",
        "{table} lacks a column, or the server a function, that is needed",
        "MySQL 8.0 or MariaDB 10.4 are the oldest; a copy needs all columns of the log",
    ),
    fault(
        r"\b(?:2003|2006|2013|2055|2026)\b|timed out|SSL|certificate",
        "the server at {address} did not answer",
        "Check hostPort, sslConfig and the network",
        transient=True,
    ),
)
"""Known failures, the first that fits counts (MySQL 8.0 error reference)."""
