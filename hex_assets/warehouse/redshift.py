r"""Redshift's query history: the SYS views, or the STL tables of clusters that lack them.

``SYS_QUERY_HISTORY`` keeps 4,000 bytes of a text, ``SYS_QUERY_TEXT`` all of it in chunks, both
for seven days (AWS documentation, "SYS monitoring views"). Texts are kept escaped: a line break
as ``\n``, a backslash doubled. They are grouped and joined so, and unescaped here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import polars as pl
from pydantic import Field, model_validator
from typing_extensions import Self

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.section import no_effect
from hex_assets.warehouse.aws import aws_errors
from hex_assets.warehouse.comment import MARKER, TRACE_ID, USER_EMAIL, USER_EMAIL_KEY
from hex_assets.warehouse.connection import SqlWarehouse
from hex_assets.warehouse.faults import fault, translated
from hex_assets.warehouse.login import (
    CONNECT_SECONDS,
    AuthType,
    HostPort,
    SslConfig,
    SslMode,
    host_and_port,
    naive,
)
from hex_assets.warehouse.reader import (
    EXECUTIONS,
    HistoryBatch,
    Window,
    batch,
    in_utc,
    nothing_but,
)

_PORT = 5439
_ROWS_PER_FETCH = 1_000  # the most that a cluster of one node gives at once
_LONG_TEXTS_PER_BATCH = 50
_WORKGROUP = re.compile(r"([\w-]+)\.\d+\.[\w-]+\.redshift-serverless\.amazonaws\.com(?:\.cn)?")
_CLUSTER = re.compile(r"([\w-]+)\.\w+\.[\w-]+\.redshift\.amazonaws\.com(?:\.cn)?")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class _Views:
    """Where the history is.

    Attributes:
        history: one row per execution, with the start of its text.
        chunks: all of a long text; joined where it is short enough for LISTAGG.
        most_chunks: chunks of one text that LISTAGG can join (65,535 bytes).
        chunk_bytes: bytes to which the source cut blanks off a chunk, if it pads them.
    """

    history: str
    chunks: str
    most_chunks: int
    chunk_bytes: int | None = None


_SYS = _Views(
    history="""
  SELECT query_id, user_id, database_name, start_time, query_text AS head,
         NOT result_cache_hit AS was_read
  FROM sys_query_history
  WHERE start_time >= %(start)s AND start_time < %(end)s AND user_id > 1 AND status = 'success'""",
    chunks="""
  SELECT DISTINCT t.query_id, t.sequence, t.text
  FROM sys_query_text t JOIN kept ON kept.query_id = t.query_id
  WHERE kept.is_long AND t.start_time >= %(start)s AND t.start_time < %(end)s""",
    most_chunks=16,
)

# Chunks are padded with blanks to 200 bytes. What is missing is padding, unless the next chunk
# begins with a character too long for the room that was left.
_STL = _Views(
    history="""
  SELECT query AS query_id, userid AS user_id, database AS database_name, starttime AS start_time,
         RTRIM(querytxt) AS head, TRUE AS was_read
  FROM stl_query
  WHERE starttime >= %(start)s AND starttime < %(end)s AND userid > 1 AND aborted = 0""",
    chunks="""
  SELECT query_id, sequence,
         CASE WHEN missing >= next_bytes THEN text || REPEAT(' ', missing) ELSE text END AS text
  FROM (
    SELECT query_id, sequence, RTRIM(text) AS text, 200 - OCTET_LENGTH(RTRIM(text)) AS missing,
           LEAD(OCTET_LENGTH(SUBSTRING(text, 1, 1))) OVER (
             PARTITION BY query_id ORDER BY sequence
           ) AS next_bytes
    FROM (
      SELECT DISTINCT t.query AS query_id, t.sequence, t.text
      FROM stl_querytext t JOIN kept ON kept.query_id = t.query
      WHERE kept.is_long
    ) AS apart
  ) AS measured""",
    most_chunks=327,
)

# A text of 3,800 bytes may go on in its chunks (chunks often end short of 4,000). The marker is
# two joined literals, so that this statement does not find itself in the history.
_KEPT = """
WITH logged AS ({history}
), kept AS (
  SELECT logged.*, OCTET_LENGTH(head) >= 3800 AS is_long
  FROM logged
  WHERE STRPOS(LOWER(head), 'hex query ' || 'metadata') > 0 OR OCTET_LENGTH(head) >= 3800
), chunk AS ({chunks}
), size AS (
  SELECT query_id, MAX(sequence) + 1 AS chunks FROM chunk GROUP BY query_id
)"""

_HISTORY = (
    _KEPT
    + """, joined AS (
  SELECT chunk.query_id, LISTAGG(chunk.text, '') WITHIN GROUP (ORDER BY chunk.sequence) AS text
  FROM chunk JOIN size ON size.query_id = chunk.query_id
  WHERE size.chunks <= {most_chunks}
  GROUP BY chunk.query_id
), whole AS (
  SELECT kept.query_id, kept.user_id, kept.database_name, kept.start_time, kept.was_read,
         COALESCE(joined.text, kept.head) AS text
  FROM kept
  LEFT JOIN joined ON joined.query_id = kept.query_id
  LEFT JOIN size ON size.query_id = kept.query_id
  WHERE COALESCE(size.chunks, 0) <= {most_chunks}
), marked AS (
  SELECT whole.*, STRPOS(LOWER(text), 'hex query ' || 'metadata') AS marker FROM whole
), named AS (
  SELECT query_id, user_id, TRIM(database_name) AS database_name, start_time, text, was_read,
         SHA2(SUBSTRING(text, 1, marker - 1), 256) AS body,
         SHA2(REGEXP_REPLACE(REGEXP_REPLACE(
           SUBSTRING(text, marker), {trace_id}, 'trace_id'), {user}, 'user_email'), 256) AS note,
         NULLIF(REGEXP_REPLACE(
           REGEXP_SUBSTR(SUBSTRING(text, marker), {user}), {user_before}, ''), '') AS email
  FROM marked
  WHERE marker > 0
)
SELECT MIN(text), database_name, LOWER(email), CASE WHEN email IS NULL THEN user_id END, COUNT(*),
       MIN(start_time), MAX(start_time), MAX(query_id),
       MAX(CASE WHEN was_read THEN query_id END)
FROM named
GROUP BY body, note, database_name, LOWER(email), CASE WHEN email IS NULL THEN user_id END
LIMIT %(rows)s
"""
)

_LONG_TEXTS = (
    _KEPT
    + """
SELECT kept.query_id, TRIM(kept.database_name), kept.user_id, kept.start_time, kept.was_read,
       chunk.text
FROM kept
JOIN size ON size.query_id = kept.query_id
JOIN chunk ON chunk.query_id = kept.query_id
WHERE size.chunks > {most_chunks}
ORDER BY kept.query_id, chunk.sequence
"""
)

# Tables outside Redshift are not among these, so queries that read some are left to the parser.
_TABLES_READ = """
SELECT DISTINCT query_id, TRIM(table_name) FROM sys_query_detail
WHERE step_name = 'scan' AND table_name IS NOT NULL AND query_id IN ({ids})
  AND query_id NOT IN (SELECT query_id FROM sys_external_query_detail WHERE query_id IN ({ids}))
"""

_USERS = "SELECT usesysid, usename FROM pg_user"

_CHECK = {
    "SYS": "SELECT COUNT(*), COUNT(DISTINCT user_id) FROM sys_query_history "
    "WHERE start_time >= %(start)s",
    "STL": "SELECT COUNT(*), COUNT(DISTINCT userid) FROM stl_query WHERE starttime >= %(start)s",
}

_log = logging.getLogger(__name__)


class Redshift(SqlWarehouse):
    """Reads the query history of one Redshift cluster or serverless workgroup."""

    type: Literal["Redshift"] = Field(description="Always Redshift.")
    username: str = Field(min_length=1, description="User that reads the history.")
    auth_type: AuthType = Field(
        default_factory=AuthType, description="{password}, or {awsConfig} for IAM."
    )
    host_port: HostPort = Field(description="Host and port; without a port, 5439.")
    database: str = Field(min_length=1, description="Database to connect to; any will do.")
    cluster_identifier: str | None = Field(
        default=None, description="Cluster for IAM; by default told from the host."
    )
    workgroup_name: str | None = Field(
        default=None, description="Serverless workgroup for IAM; by default told from the host."
    )
    ssl_mode: SslMode = Field(
        default="require",
        description="disable, or TLS: verify-full checks the host name too, all others check the "
        "authority only. OpenMetadata's own default is disable.",
    )
    system_tables: Literal["SYS", "STL"] = Field(
        default="SYS",
        description="STL reads STL_QUERY, for clusters without SYS views. Not one of "
        "OpenMetadata's fields.",
    )

    scheme: Literal["redshift+psycopg2"] = no_effect("redshift+psycopg2")
    ssl_config: SslConfig | None = no_effect(None, "The client trusts Amazon's authorities.")
    ingest_all_databases: bool = no_effect(False)

    @model_validator(mode="after")
    def _one_endpoint(self) -> Self:
        if self.cluster_identifier and self.workgroup_name:
            raise ValueError("has both clusterIdentifier and workgroupName; give one")
        return self

    @property
    def sql_dialect(self) -> str:
        return "redshift"

    def read_history(self, window: Window) -> Iterator[HistoryBatch]:
        """Rows are grouped by Redshift, but for texts too long for it to join.

        ``schema`` is null: the search_path is not recorded.
        """
        views = _STL if self.system_tables == "STL" else _SYS
        bounds = {"start": window.start, "end": window.end}
        users: dict[int, str] = {
            number: name for _, rows in self.execute(_USERS, {}) for number, name in rows
        }
        with self._tables_read() as tables:
            parts = self.execute(
                self._statement(_HISTORY, views), {**bounds, "rows": self.row_limit + 1}
            )
            for _, rows in parts:
                yield batch(_rows(rows, users, tables))
            chunks = (
                row
                for _, rows in self.execute(self._statement(_LONG_TEXTS, views), bounds)
                for row in rows
            )
            yield from self._long(chunks, users, tables)

    def check(self) -> str:
        """See ``WarehouseConnection.check``."""
        from datetime import datetime, timedelta, timezone

        start = datetime.now(timezone.utc) - timedelta(hours=24)
        ((_, ((count, users),)),) = self.execute(_CHECK[self.system_tables], {"start": start})
        return (
            f"{self.system_tables} history readable, {count} statements of {users} users in the "
            "last 24 hours"
        )

    def execute(
        self, statement: str, parameters: Mapping[str, Any]
    ) -> Iterator[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
        """See ``SqlWarehouse.execute``; parameters are written ``%(name)s``."""
        values = {name: naive(value) for name, value in parameters.items()}
        with self._cursor() as cursor:
            # The client holds all that one statement returns; a cursor bounds that.
            cursor.execute(f"DECLARE hex_assets CURSOR FOR {statement}", values)
            fetch = f"FETCH FORWARD {_ROWS_PER_FETCH} FROM hex_assets"
            cursor.execute(fetch)
            names = [column[0] for column in cursor.description]
            rows = cursor.fetchall()
            yield names, rows
            while len(rows) == _ROWS_PER_FETCH:
                cursor.execute(fetch)
                rows = cursor.fetchall()
                yield names, rows

    @staticmethod
    def _statement(template: str, views: _Views) -> str:
        return template.format(
            history=views.history,
            chunks=views.chunks,
            most_chunks=views.most_chunks,
            trace_id=_literal(TRACE_ID),
            user=_literal(USER_EMAIL),
            user_before=_literal(f"^{USER_EMAIL_KEY}"),
        )

    def _long(
        self, chunks: Iterable[Sequence[Any]], users: Mapping[int, str], tables: _TablesRead
    ) -> Iterator[HistoryBatch]:
        """Texts joined here, of those with a Hex comment."""
        waiting: list[dict[str, Any]] = []
        left = self.row_limit
        for (query, database, user, started, was_read), parts in groupby(
            chunks, lambda row: tuple(row[:5])
        ):
            text = _unescaped("".join(part[5] for part in parts))
            if not re.search(MARKER, text):
                continue
            if left == 0:
                yield nothing_but(
                    f"{self.service}: more than {self.row_limit} long texts; raise rowLimit"
                )
                break
            left -= 1
            waiting.append(
                {
                    "query_text": text,
                    "database": database,
                    "user": users.get(user),
                    "started_at": in_utc(started),
                    "query_id": str(query),
                    "resolved": tables.of([query])[query] if was_read else None,
                }
            )
            if len(waiting) == _LONG_TEXTS_PER_BATCH:
                yield HistoryBatch(pl.DataFrame(waiting, EXECUTIONS, orient="row"))
                waiting = []
        if waiting:
            yield HistoryBatch(pl.DataFrame(waiting, EXECUTIONS, orient="row"))

    @contextmanager
    def _tables_read(self) -> Iterator[_TablesRead]:
        """Look-ups in a session of their own: one that fails must not end the history's."""
        if self.system_tables == "STL":  # its query ids are not those of the SYS views
            yield _TablesRead(self.service, None)
            return
        with self._cursor() as cursor:
            yield _TablesRead(self.service, cursor)

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """A cursor of a new session, in a transaction; the client's errors become ours."""
        try:
            import redshift_connector
            from redshift_connector.error import Error
        except ImportError:
            raise MissingExtra(self.service, "redshift") from None
        logging.getLogger("redshift_connector").setLevel(logging.CRITICAL)  # quotes statements
        with ExitStack() as stack:
            try:
                session = stack.enter_context(
                    closing(redshift_connector.connect(**self._arguments()))
                )
                cursor = session.cursor()
                cursor.paramstyle = "pyformat"
                cursor.execute("SET query_group TO 'hex-assets'")
                cursor.execute(f"SET statement_timeout TO {self.statement_timeout_seconds * 1000}")
                session.commit()
                yield cursor
            except (Error, OSError) as error:
                raise self._translated(error) from None

    def _arguments(self) -> dict[str, Any]:
        host, port = host_and_port(self.host_port, _PORT)
        mode = "verify-full" if self.ssl_mode == "verify-full" else "verify-ca"
        arguments: dict[str, Any] = {
            "host": host,
            "port": port,
            "database": self.database,
            "user": self.username,
            "ssl": self.ssl_mode != "disable",
            "sslmode": mode,
            "timeout": self.statement_timeout_seconds + CONNECT_SECONDS,
            "application_name": "hex-assets",
            **self.connection_options,
        }
        if self.auth_type.aws_config is not None:
            arguments |= self._temporary_login(host)
        elif self.auth_type.password is not None:
            arguments["password"] = self.auth_type.password.get_secret_value()
        return arguments | self.connection_arguments

    def _temporary_login(self, host: str) -> dict[str, str]:
        """User and password that Redshift makes for an AWS identity."""
        config = self.auth_type.aws_config
        assert config is not None
        serverless = _WORKGROUP.fullmatch(host)
        cluster = _CLUSTER.fullmatch(host)
        workgroup = self.workgroup_name or (serverless[1] if serverless else None)
        identifier = self.cluster_identifier or (cluster[1] if cluster else None)
        with aws_errors(self.service):
            session = config.session(self.service)
            if workgroup and not self.cluster_identifier:
                client = session.client("redshift-serverless", endpoint_url=config.end_point_url)
                made = client.get_credentials(workgroupName=workgroup, dbName=self.database)
                return {"user": made["dbUser"], "password": made["dbPassword"]}
            if identifier is None:
                raise WarehouseError(
                    self.service,
                    f"host {host} does not tell the cluster that IAM needs",
                    "Set clusterIdentifier, or workgroupName for Redshift Serverless",
                )
            client = session.client("redshift", endpoint_url=config.end_point_url)
            made = client.get_cluster_credentials(
                DbUser=self.username, DbName=self.database, ClusterIdentifier=identifier
            )
            return {"user": made["DbUser"], "password": made["DbPassword"]}

    def _translated(self, error: Exception) -> WarehouseError:
        said = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        text = f"{said.get('C', '')} {said.get('M', '')}" if said else f"{error}"
        return translated(
            self.service,
            f"{type(error).__name__} {text}",
            _FAULTS,
            {
                "user": self.username,
                "address": self.host_port,
                "views": f"the {self.system_tables} history",
            },
            (self.auth_type.password, *self.connection_arguments.values()),
            (
                "Redshift refused",
                "Run the same login and a SELECT on SYS_QUERY_HISTORY in the query editor to see "
                "more",
            ),
        )


class _TablesRead:
    """Which tables queries scanned, as Redshift recorded it, for as long as it tells."""

    def __init__(self, service: str, cursor: Any | None) -> None:
        self._service = service
        self._cursor = cursor

    def of(self, query_ids: Sequence[int]) -> dict[int, list[dict[str, Any]] | None]:
        """Tables by query, null where none was recorded."""
        read: dict[int, list[dict[str, Any]] | None] = dict.fromkeys(query_ids)
        if self._cursor is None or not read:
            return read
        from redshift_connector.error import Error

        places = {f"q{place}": query for place, query in enumerate(read)}
        ids = ", ".join(f"%({name})s" for name in places)
        try:
            self._cursor.execute(_TABLES_READ.format(ids=ids), places)
            rows = self._cursor.fetchall()
        except Error as error:
            _log.warning(
                "%s: SYS_QUERY_DETAIL cannot be read (%s), tables are told from the texts",
                self._service,
                type(error).__name__,
            )
            self._cursor = None
            return read
        for query, tables in groupby(sorted(rows), lambda row: row[0]):
            read[query] = _tables(name for _, name in tables)
        return read


def _tables(names: Iterable[str]) -> list[dict[str, Any]] | None:
    """Tables by their parts; null if a name with dots inside leaves that open.

    Work tables of Redshift's own have names of fewer parts, or are in schemas of its own.
    """
    tables = []
    for name in names:
        parts = name.split(".")
        if len(parts) > 3:
            return None
        if len(parts) == 3 and not parts[1].startswith(("pg_", "information_schema")):
            table = dict(zip(("database", "schema", "table"), parts, strict=True))
            tables.append({**table, "columns": None})
    return tables or None


def _rows(
    rows: Sequence[Sequence[Any]], users: Mapping[int, str], tables: _TablesRead
) -> list[tuple[Any, ...]]:
    """Rows of ours as those of ``STATEMENTS``."""
    read = tables.of([row[8] for row in rows if row[8] is not None])
    listed = []
    for text, database, email, user_id, executions, first, last, sample, was_read in rows:
        user = email or users.get(user_id, "").lower()
        listed.append(
            (
                _unescaped(text),
                database,
                None,
                [user] if user else [],
                executions,
                in_utc(first),
                in_utc(last),
                str(sample),
                read.get(was_read),
            )
        )
    return listed


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), text)


def _literal(pattern: str) -> str:
    """A pattern as a string in which a backslash escapes; ours mean the same if it does not."""
    return "'" + pattern.replace("\\", "\\\\") + "'"


_FAULTS = (
    fault(
        r"\b28(?:P01|000)\b|password authentication failed|no pg_hba.conf entry",
        "Redshift rejected the login of user {user}",
        "Check username, authType and database",
    ),
    fault(
        r"\b(?:42P01|42703|42883)\b",
        "{views} is not there",
        "Set systemTables to STL on an old cluster, or to SYS on Redshift Serverless",
    ),
    fault(
        r"\b42501\b|permission denied",
        "{views} cannot be read by user {user}",
        "GRANT ROLE sys:monitor TO {user}",
    ),
    fault(
        r"\b57014\b|statement timeout|canceled on user|cancelled",
        "Redshift stopped the statement on {views} before its end",
        "Raise statementTimeoutSeconds, or give the user a larger WLM queue",
    ),
    fault(
        r"Result size exceeds LISTAGG|\b54000\b",
        "Redshift cannot join a text of {views}",
        "Report it: a text has more chunks than it should",
    ),
    fault(
        r"InterfaceError|TimeoutError|timed out|refused|gaierror|ssl|certificate|closed",
        "Redshift at {address} did not answer",
        "Check hostPort, sslMode, and that the security group lets this machine in",
        transient=True,
    ),
)
"""Known failures, the first that fits counts (PostgreSQL documentation, appendix A)."""
