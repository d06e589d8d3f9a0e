"""Trino, Starburst and Presto: the MySQL event listener's table, else ``system.runtime.queries``.

The listener keeps every query with its session and what it read. ``system.runtime.queries`` is
the coordinator's memory: some 100 finished queries (``query.max-history``), gone after a restart,
without session (Trino documentation, "MySQL event listener", "System connector").
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.section import Secret, Section, no_effect
from hex_assets.warehouse.comment import TRACE_ID, USER_EMAIL
from hex_assets.warehouse.connection import SqlWarehouse
from hex_assets.warehouse.faults import fault, translated
from hex_assets.warehouse.reader import HistoryBatch, Window, batch
from hex_assets.warehouse.tables_read import tables_read

_log = logging.getLogger(__name__)

_ROWS_PER_BATCH = 1_000
_NAME = r'(?:[A-Za-z_][\w]*|"(?:[^"]|"")+")'
_TABLE = re.compile(rf"{_NAME}(?:\.{_NAME}){{0,2}}")
_MYSQL_TABLE = re.compile(r"\w+(?:\.\w+)?")

LOSSES = (
    "system.runtime.queries holds only what the coordinator remembers, without catalog and "
    "schema: runs between two reads may be missing"
)

# In all statements here, the marker is two joined literals, so that they do not find themselves.
# Texts are grouped as ``reader.grouped`` does.
_RUNTIME = """
WITH logged AS (
  SELECT query_id, query, "user" AS user_name, created,
         strpos(lower(query), concat('hex query ', 'metadata')) AS marker
  FROM {table}
  WHERE created >= from_iso8601_timestamp(?) AND created < from_iso8601_timestamp(?)
    AND state = 'FINISHED'
), kept AS (
  SELECT query_id, query, user_name, created,
         substr(query, 1, marker - 1) AS body, substr(query, marker) AS tag
  FROM logged
  WHERE marker > 0
), named AS (
  SELECT query_id, query, created, sha256(to_utf8(body)) AS body_key,
         sha256(to_utf8(regexp_replace(
           regexp_replace(tag, '{trace_id}', 'trace_id'), '{user}', 'user'))) AS tag_key,
         lower(coalesce(nullif(regexp_extract(tag, '{user}', 1), ''), user_name)) AS user_name
  FROM kept
)
SELECT max_by(query, created), array_agg(DISTINCT user_name), count(*),
       to_iso8601(min(created)), to_iso8601(max(created)), max_by(query_id, created)
FROM named
GROUP BY body_key, tag_key
"""

_RUNTIME_CHECK = "SELECT count(*) FROM {table} WHERE state = 'FINISHED'"

# Query ids start with the second of the query in UTC, so the primary key is the time filter; they
# sort by time too. Binary collation, or letter case would not count.
_LISTENER = """
WITH logged AS (
  SELECT query_id, `user` AS user_name, `catalog` AS session_catalog, `schema` AS session_schema,
         inputs_json, {text} COLLATE utf8mb4_bin AS text
  FROM {table}
  WHERE query_id >= %(start)s AND query_id < %(end)s AND query_state = 'FINISHED'
    AND (query LIKE CONCAT('%%hex query ', 'metadata%%')
         OR prepared_query LIKE CONCAT('%%hex query ', 'metadata%%'))
), kept AS (
  SELECT logged.*, LOCATE(CONCAT('hex query ', 'metadata'), LOWER(text)) AS marker FROM logged
), named AS (
  SELECT query_id, session_catalog, session_schema, inputs_json,
         SHA2(SUBSTRING(text, 1, marker - 1), 256) AS body_key,
         SHA2(REGEXP_REPLACE(REGEXP_REPLACE(
           SUBSTRING(text, marker), '{trace_id}', 'trace_id'), '{user}', 'user'), 256) AS tag_key,
         LOWER(COALESCE(NULLIF(REGEXP_REPLACE(
           REGEXP_SUBSTR(SUBSTRING(text, marker), '{user}'),
           '^user_email[^0-9a-zA-Z]{{1,8}}', ''), ''), user_name)) AS user_name
  FROM kept WHERE marker > 0
), found AS (
  SELECT session_catalog, session_schema, COUNT(*) AS executions,
         GROUP_CONCAT(DISTINCT user_name SEPARATOR '\n') AS users,
         MIN(query_id) AS first_id, MAX(query_id) AS last_id,
         MAX(CASE WHEN inputs_json <> '[]' THEN query_id END) AS resolved_id
  FROM named
  GROUP BY body_key, tag_key, session_catalog, session_schema
  LIMIT %(rows)s
)
SELECT {last_text}, session_catalog, session_schema, users, executions, first_id, last_id,
       resolving.inputs_json
FROM found
JOIN {table} last ON last.query_id = found.last_id
LEFT JOIN {table} resolving ON resolving.query_id = found.resolved_id
"""

# A prepared statement logs as EXECUTE, and its text apart.
_TEXT = (
    "CONVERT(CASE WHEN {of}prepared_query LIKE CONCAT('%%hex query ', 'metadata%%') "
    "THEN {of}prepared_query ELSE {of}query END USING utf8mb4)"
)

_LISTENER_CHECK = "SELECT MIN(query_id), MAX(query_id), COUNT(prepared_query) FROM {table}"


class TrinoLogin(Section):
    """``authType`` of Trino: a password or a JSON web token."""

    password: Secret | None = Field(default=None, description="Password.")
    jwt: Secret | None = Field(default=None, description="JSON web token.")
    azure_config: dict[str, Any] | None = Field(
        default=None, description="Refused: give a jwt instead.", repr=False
    )


class EventListener(Section):
    """The MySQL database into which Trino's MySQL event listener writes."""

    host_port: str = Field(min_length=1, description="Host and port of MySQL or MariaDB.")
    username: str = Field(min_length=1, description="User that may SELECT the table.")
    password: Secret | None = Field(default=None, description="Password.")
    database: str = Field(min_length=1, description="Database of the table.")
    table: str = Field(default="trino_queries", description="Table of the listener.")
    ssl_ca: str | None = Field(
        default=None, alias="sslCA", description="File of the server's certificate authority."
    )


class TrinoFamily(SqlWarehouse):
    """What Trino and Presto share."""

    username: str = Field(min_length=1, description="User that may see the queries of others.")
    host_port: str = Field(
        min_length=1, description="Host and port; https:// before it, or a login, means TLS."
    )
    catalog: str | None = Field(default=None, description="Catalog of the session.")
    database_schema: str | None = Field(default=None, description="Schema of the session.")
    verify: str | None = Field(
        default=None, description="File of the certificate authority, or false for no check."
    )
    query_history_table: str = Field(
        default='"system"."runtime"."queries"',
        description="Table with the columns of system.runtime.queries, if it is a copy.",
    )
    event_listener: EventListener | None = Field(
        default=None,
        description="The MySQL event listener's database, which is read in place of "
        "system.runtime.queries. Not one of OpenMetadata's fields.",
    )

    @property
    def latency(self) -> timedelta:
        """Nothing is read twice of what the coordinator forgets within minutes."""
        return timedelta() if self.event_listener is None else timedelta(hours=1)

    def read_history(self, window: Window) -> Iterator[HistoryBatch]:
        """Rows are grouped by the listener's MySQL, else by Trino."""
        if self.event_listener is not None:
            yield from self._read_listener(self.event_listener, window)
            return
        _log.warning("%s: %s", self.service, LOSSES)
        bounds = {
            name: at.isoformat(timespec="milliseconds")
            for name, at in (("start", window.start), ("end", window.end))
        }
        for _, rows in self.execute(self._runtime(_RUNTIME), bounds):
            yield batch(
                (
                    row[0],
                    None,
                    None,
                    [user for user in row[1] if user],
                    row[2],
                    _instant(row[3]),
                    _instant(row[4]),
                    row[5],
                    None,
                )
                for row in rows
            )

    def check(self) -> str:
        """See ``WarehouseConnection.check``."""
        if self.event_listener is not None:
            ((first, last, _),) = self._rows_of_listener(
                self.event_listener, _LISTENER_CHECK.format(table=self._listener_table()), {}
            )
            if last is None:
                return "event listener's table readable, empty"
            return f"event listener's table readable, queries from {first[:8]} to {last[:8]}"
        ((_, ((count,),)),) = self.execute(self._runtime(_RUNTIME_CHECK), {})
        return f"readable, {count} finished queries remembered; {LOSSES}"

    def execute(
        self, statement: str, parameters: Mapping[str, Any]
    ) -> Iterator[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
        """See ``SqlWarehouse.execute``; parameters are written ``?``, start before end."""
        with self._cursor() as cursor:
            cursor.execute(statement, list(parameters.values()) or None)
            rows = cursor.fetchmany(_ROWS_PER_BATCH)
            names = [column[0] for column in cursor.description]
            yield names, rows
            while rows := cursor.fetchmany(_ROWS_PER_BATCH):
                yield names, rows

    def _read_listener(self, listener: EventListener, window: Window) -> Iterator[HistoryBatch]:
        statement = _LISTENER.format(
            table=self._listener_table(),
            text=_TEXT.format(of=""),
            last_text=_TEXT.format(of="last."),
            trace_id=TRACE_ID,
            user=USER_EMAIL.replace("\\", "\\\\"),
        )
        values = {
            "start": f"{window.start:%Y%m%d_%H%M%S}",
            "end": f"{window.end:%Y%m%d_%H%M%S}",
            "rows": self.row_limit + 1,
        }
        held: list[Sequence[Any]] = []
        for row in self._rows_of_listener(listener, statement, values):
            text, catalog, schema, users, executions, first, last, inputs = row
            held.append(
                (
                    text,
                    catalog,
                    schema,
                    users.split("\n") if users else [],
                    executions,
                    _instant_of(first),
                    _instant_of(last),
                    last,
                    tables_read(inputs),
                )
            )
            if len(held) >= _ROWS_PER_BATCH:
                yield batch(held)
                held = []
        yield batch(held)

    def _runtime(self, template: str) -> str:
        if not _TABLE.fullmatch(self.query_history_table):
            raise WarehouseError(
                self.service,
                f"queryHistoryTable {self.query_history_table!r} is not a table name",
                'Write it as catalog.schema.table, by default "system"."runtime"."queries"',
            )
        return template.format(table=self.query_history_table, trace_id=TRACE_ID, user=USER_EMAIL)

    def _listener_table(self) -> str:
        table = self.event_listener.table if self.event_listener else ""
        if not _MYSQL_TABLE.fullmatch(table):
            raise WarehouseError(
                self.service,
                f"eventListener.table {table!r} is not a table name",
                "Write it as table or database.table, by default trino_queries",
            )
        return "`" + table.replace(".", "`.`") + "`"

    def _rows_of_listener(
        self, listener: EventListener, statement: str, values: Mapping[str, Any]
    ) -> Iterator[Sequence[Any]]:
        try:
            import pymysql
            from pymysql.cursors import SSCursor
        except ImportError:
            raise MissingExtra(self.service, "trino") from None
        host, port = _host_and_port(listener.host_port, 3306)
        password = listener.password.get_secret_value() if listener.password else ""
        try:
            with (
                closing(
                    pymysql.connect(
                        host=host,
                        port=port,
                        user=listener.username,
                        password=password,
                        database=listener.database,
                        charset="utf8mb4",
                        connect_timeout=10,
                        read_timeout=self.statement_timeout_seconds + 30,
                        ssl_ca=listener.ssl_ca,
                    )
                ) as session,
                session.cursor(SSCursor) as cursor,
            ):
                if "MariaDB" in session.get_server_info():
                    limit, seconds = "max_statement_time", self.statement_timeout_seconds
                else:
                    limit, seconds = "max_execution_time", 1000 * self.statement_timeout_seconds
                cursor.execute(
                    f"SET SESSION {limit} = %s, group_concat_max_len = 1048576", (seconds,)
                )
                cursor.execute(statement, values)
                yield from cursor
        except (pymysql.MySQLError, OSError) as error:
            code = error.args[0] if error.args else ""
            raise translated(
                self.service,
                f"{code} {error}",
                _LISTENER_FAULTS,
                {
                    "user": listener.username,
                    "table": f"{listener.database}.{listener.table}",
                    "host": listener.host_port,
                },
                (listener.password,),
                ("MySQL refused", "Run the same login in the mysql client to see more"),
            ) from None

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        try:
            import requests
            import trino
        except ImportError:
            raise MissingExtra(self.service, "trino") from None
        # The log of the client quotes statements.
        logging.getLogger("trino").setLevel(logging.CRITICAL)
        host, port = _host_and_port(self.host_port, 0)
        session = requests.Session()
        session.proxies.update(self._proxies())
        verify: Any = {"false": False, "true": True, None: True}.get(self.verify, self.verify)
        session.verify = verify
        self._adapt(session)
        auth = self._auth()
        tls = self.host_port.startswith("https://") or (
            auth is not None and not self.host_port.startswith("http://")
        )
        arguments: dict[str, Any] = {
            "host": host,
            "port": port or (443 if tls else 8080),
            "user": self.username,
            "catalog": self.catalog,
            "schema": self.database_schema,
            "http_scheme": "https" if tls else "http",
            "auth": auth,
            "source": "hex-assets",
            "client_tags": ["hex-assets"],
            "timezone": "UTC",
            "http_session": session,
            "max_attempts": 3,
            "session_properties": {
                "query_max_run_time": f"{self.statement_timeout_seconds}s",
                **self.connection_options,
            },
            **self._protocol(),
            **self.connection_arguments,
        }
        try:
            connect: Any = trino.dbapi.connect
            with closing(connect(**arguments)) as connection:
                cursor = connection.cursor()
                try:
                    yield cursor
                finally:
                    cursor.close()  # cancels what is still running
        except (
            trino.exceptions.Error,
            trino.exceptions.HttpError,
            requests.RequestException,
            ValueError,
        ) as error:
            secrets = (*self._secrets(), *self.connection_arguments.values())
            raise translated(
                self.service,
                f"{getattr(error, 'error_name', '')} {error}",
                _FAULTS,
                {
                    "user": self.username,
                    "host": self.host_port,
                    "table": self.query_history_table,
                    "seconds": str(self.statement_timeout_seconds),
                },
                secrets,
                (
                    f"{type(self).__name__} refused",
                    "Run the same login in its command line client to see more",
                ),
            ) from None

    def _auth(self) -> Any:
        return None

    def _secrets(self) -> tuple[Any, ...]:
        return ()

    def _proxies(self) -> Mapping[str, str]:
        return {}

    def _adapt(self, session: Any) -> None:
        """Make the client's HTTP session speak the server's protocol."""

    def _protocol(self) -> dict[str, Any]:
        return {"legacy_prepared_statements": False}


class Trino(TrinoFamily):
    """Reads the query history of a Trino or Starburst cluster."""

    type: Literal["Trino"] = Field(description="Always Trino, for Starburst too.")
    auth_type: TrinoLogin | Literal["OAuth2"] | None = Field(
        default=None, description="How to log in: {password}, {jwt}; absent: by name only."
    )
    proxies: dict[str, str] = Field(
        default_factory=dict, description="Proxy by URL scheme.", repr=False
    )
    scheme: Literal["trino"] = no_effect("trino")

    @property
    def sql_dialect(self) -> str:
        return "trino"

    def _auth(self) -> Any:
        from trino.auth import BasicAuthentication, JWTAuthentication

        if self.auth_type == "OAuth2":
            raise WarehouseError(
                self.service,
                "authType OAuth2 needs a browser, which a pipeline has not",
                "Give authType.password or authType.jwt",
            )
        if self.auth_type is None:
            return None
        if self.auth_type.azure_config is not None:
            raise WarehouseError(
                self.service,
                "authType.azureConfig is not supported",
                "Give the token as authType.jwt, or authType.password",
            )
        if self.auth_type.jwt:
            return JWTAuthentication(self.auth_type.jwt.get_secret_value())
        if self.auth_type.password:
            password = self.auth_type.password.get_secret_value()
            return BasicAuthentication(self.username, password)
        return None

    def _secrets(self) -> tuple[Any, ...]:
        login = self.auth_type if isinstance(self.auth_type, TrinoLogin) else TrinoLogin()
        return (login.password, login.jwt, *self.proxies.values())

    def _proxies(self) -> Mapping[str, str]:
        return self.proxies


class Presto(TrinoFamily):
    """Reads the query history of a Presto cluster, through Trino's client."""

    type: Literal["Presto"] = Field(description="Always Presto.")
    password: Secret | None = Field(default=None, description="Password.")
    protocol: str | None = Field(default=None, description="http or https.")
    scheme: Literal["presto"] = no_effect("presto")

    @property
    def sql_dialect(self) -> str:
        return "presto"

    def _auth(self) -> Any:
        from trino.auth import BasicAuthentication

        if self.password is None:
            return None
        return BasicAuthentication(self.username, self.password.get_secret_value())

    def _secrets(self) -> tuple[Any, ...]:
        return (self.password,)

    def _protocol(self) -> dict[str, Any]:
        known: dict[str, Any] = {"legacy_prepared_statements": True}
        return known | ({"http_scheme": self.protocol} if self.protocol else {})

    def _adapt(self, session: Any) -> None:
        """Presto's protocol is Trino's but for the names of the headers."""
        from requests.adapters import HTTPAdapter

        class PrestoHeaders(HTTPAdapter):
            def send(self, request: Any, *args: Any, **options: Any) -> Any:
                for name in [key for key in request.headers if key.startswith("X-Trino-")]:
                    request.headers[f"X-Presto-{name[8:]}"] = request.headers.pop(name)
                response = super().send(request, *args, **options)
                for name in [key for key in response.headers if key[:9].lower() == "x-presto-"]:
                    response.headers[f"X-Trino-{name[9:]}"] = response.headers[name]
                return response

        session.mount("http://", PrestoHeaders())
        session.mount("https://", PrestoHeaders())


def _host_and_port(address: str, default: int) -> tuple[str, int]:
    parts = urlsplit(address if "://" in address else f"//{address}")
    return parts.hostname or address, parts.port or default


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)


def _instant_of(query_id: str) -> datetime:
    """The second in which a query started, from its id."""
    return datetime.strptime(query_id[:15], "%Y%m%d_%H%M%S").replace(tzinfo=timezone.utc)


_FAULTS = (
    fault(
        r"\b401\b|unauthorized|authentication|credentials",
        "the login of user {user} was rejected",
        "Check username and authType; a password or token works over https only",
    ),
    fault(
        r"PERMISSION_DENIED|access denied|\b403\b",
        "user {user} may not read {table}",
        "Let the access control of the cluster show it catalog system and view the queries of "
        "all users (query rule `view`)",
    ),
    fault(
        r"TABLE_NOT_FOUND|CATALOG_NOT_FOUND|SCHEMA_NOT_FOUND|COLUMN_NOT_FOUND|does not exist",
        "{table} is not there, or has other columns",
        "Correct queryHistoryTable, or give historyStatement",
    ),
    fault(
        r"EXCEEDED_TIME_LIMIT|EXCEEDED_.*LIMIT|exceeded the maximum",
        "the statement on {table} was stopped at a limit of the cluster or after {seconds} s",
        "Raise statementTimeoutSeconds or the limit of the resource group",
    ),
    fault(
        r"connection|timed? ?out|max retries|\b50[234]\b|resolve|SSL",
        "{host} did not answer",
        "Check hostPort, http or https, `verify`, the network and its proxy",
        transient=True,
    ),
)
"""Known failures, the first that fits counts (Trino's StandardErrorCode)."""

_LISTENER_FAULTS = (
    fault(
        r"\b1045\b|\b1698\b",
        "the event listener's database rejected the login of {user}",
        "Check eventListener.username and eventListener.password",
    ),
    fault(
        r"\b1142\b|\b1044\b|\b1143\b",
        "{user} may not read {table}",
        "GRANT SELECT ON {table} TO '{user}'@'%'",
    ),
    fault(
        r"\b1146\b|\b1049\b|\b1054\b",
        "{table} is not there, or is not the table of Trino's MySQL event listener",
        "Correct eventListener.database and eventListener.table",
    ),
    fault(
        r"\b1969\b|\b3024\b",
        "the statement on {table} ran out of time",
        "Raise statementTimeoutSeconds, or delete old rows of the table",
    ),
    fault(
        r"\b2003\b|\b2006\b|\b2013\b|timed out|refused",
        "the event listener's database at {host} did not answer",
        "Check eventListener.hostPort and the network",
        transient=True,
    ),
)
