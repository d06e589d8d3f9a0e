"""Snowflake's query history, ``ACCOUNT_USAGE.QUERY_HISTORY``, grouped where it is.

Rows appear there up to 45 minutes after execution and stay for 365 days; texts are cut at
100,000 characters (Snowflake documentation, "QUERY_HISTORY view").
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.section import Secret, free_form, no_effect
from hex_assets.warehouse.comment import TRACE_ID, USER_EMAIL
from hex_assets.warehouse.connection import SqlWarehouse
from hex_assets.warehouse.faults import fault, translated
from hex_assets.warehouse.reader import HistoryBatch, Window, batch

_TEXT_LIMIT = 100_000
_PARTS_OF_A_TABLE = 3
_ROWS_PER_BATCH = 10_000
_IDENTIFIER = re.compile(
    r'(?:[A-Za-z_][\w$]*|"(?:[^"]|"")+")(?:\.(?:[A-Za-z_][\w$]*|"(?:[^"]|"")+"))?'
)

# The marker is two joined literals, so that this statement does not find itself in the history.
# Texts are grouped as ``reader.grouped`` does; their comments say the same but for trace id and
# user, so any of them stands for all. Texts without a marker come along only if they were cut: as
# a count.
_HISTORY = """
WITH logged AS (
  {logged}
), kept AS (
  SELECT query_id, IFF(marker > 0, query_text, NULL) AS text, database_name, schema_name,
         IFF(marker > 0, LEFT(query_text, marker - 1), '') AS body,
         IFF(marker > 0, SUBSTR(query_text, marker), '') AS comment, user_name, start_time
  FROM logged
  WHERE marker > 0 OR LENGTH(query_text) >= %(limit)s
), seen AS (
  SELECT k.query_id, k.text, k.database_name, k.schema_name, k.start_time,
         SHA2(k.body, 256) AS body,
         SHA2(REGEXP_REPLACE(REGEXP_REPLACE(k.comment, '{trace_id}', 'trace_id'), '{user}', 'user'),
              256) AS comment,
         LOWER(COALESCE(REGEXP_SUBSTR(k.comment, '{user}', 1, 1, 'e', 1), k.user_name)) AS user,
         {accessed} AS accessed
  FROM kept AS k {access}
)
SELECT MAX_BY(text, start_time), database_name, schema_name, ARRAY_AGG(DISTINCT user), COUNT(*),
       MIN(start_time), MAX(start_time), MAX_BY(query_id, start_time),
       MAX_BY(accessed, IFF(accessed IS NULL, NULL, start_time))
FROM seen
GROUP BY body, comment, database_name, schema_name
LIMIT {rows}
"""

_LOGGED = """
  SELECT query_id, query_text, database_name, schema_name, user_name, start_time,
         POSITION('hex query ' || 'metadata', LOWER(query_text)) AS marker
  FROM {source}
  WHERE start_time >= %(start)s AND start_time < %(end)s AND execution_status = 'SUCCESS'
"""

# The newest 10,000 statements of seven days, without delay (Snowflake documentation,
# "QUERY_HISTORY, QUERY_HISTORY_BY_*"); what ACCOUNT_USAGE has already is not taken twice.
_RECENT = """TABLE(INFORMATION_SCHEMA.QUERY_HISTORY(
  END_TIME_RANGE_START => %(start)s::TIMESTAMP_LTZ, RESULT_LIMIT => 10000))"""
_NOT_YET_THERE = """
  UNION ALL
  {recent}
  AND query_id NOT IN (
    SELECT query_id FROM {schema}.QUERY_HISTORY WHERE start_time >= %(start)s
  )
"""

# One row per statement, but nothing promises so. A statement that ran until after the window
# began may have begun before it: hence by id, and the bound only keeps the scan small.
_ACCESS = """
  LEFT JOIN (
    SELECT query_id, ANY_VALUE(direct_objects_accessed) AS direct_objects_accessed,
           ANY_VALUE(base_objects_accessed) AS base_objects_accessed
    FROM {schema}.ACCESS_HISTORY
    WHERE query_start_time >= %(start)s AND query_start_time < %(end)s
    GROUP BY query_id
  ) AS a ON a.query_id = k.query_id
"""
_ACCESSED = """'[' || COALESCE(TO_JSON(a.direct_objects_accessed), '[]') || ','
         || COALESCE(TO_JSON(a.base_objects_accessed), '[]') || ']'"""
_ACCESS_PROBE = "SELECT query_id, query_start_time FROM {schema}.ACCESS_HISTORY LIMIT 0"
_ACCESS_DOMAIN = re.compile("table|view", re.IGNORECASE)
_NAME_PART = re.compile(r'"((?:[^"]|"")*)"|([^.]+)')

_CHECK = """
SELECT COUNT(*) FROM {schema}.QUERY_HISTORY
WHERE start_time >= DATEADD(hour, -24, CURRENT_TIMESTAMP())
"""


class Snowflake(SqlWarehouse):
    """Reads the query history of one Snowflake account.

    The first of these that is given logs in: ``privateKey``, ``oauthToken``, ``password``, else
    the ``authenticator`` of ``connectionArguments``.
    """

    type: Literal["Snowflake"] = Field(description="Always Snowflake.")
    account: str = Field(
        min_length=1, description="Account identifier, for example xyz1234.us-east-1.gcp."
    )
    username: str = Field(min_length=1, description="User that reads the query history.")
    password: Secret | None = Field(
        default=None, description="Password or programmatic access token."
    )
    private_key: Secret | None = Field(
        default=None,
        description="Private key of a key pair, PEM text (line breaks may be written \\n).",
    )
    snowflake_privatekey_passphrase: Secret | None = Field(
        default=None, description="Passphrase of the private key."
    )
    oauth_token: Secret | None = Field(
        default=None, description="OAuth access token. Not one of OpenMetadata's fields."
    )
    programmatic_access_token: Secret | None = Field(
        default=None, description="Programmatic access token. Not one of OpenMetadata's fields."
    )
    role: str | None = Field(
        default=None, description="Role to use; needs GOVERNANCE_VIEWER on the SNOWFLAKE database."
    )
    warehouse: str = Field(min_length=1, description="Warehouse that runs the history query.")
    database: str | None = Field(default=None, description="Database of the session.")
    account_usage_schema: str = Field(
        default="SNOWFLAKE.ACCOUNT_USAGE",
        min_length=1,
        description="Schema that holds QUERY_HISTORY, if it is a copy or a share.",
    )
    use_access_history: bool = Field(
        default=True,
        description="Bring along the tables and columns that Snowflake itself recorded in "
        "ACCESS_HISTORY (Enterprise edition), where the role may read it.",
    )
    recent_from_information_schema: bool = Field(
        default=False,
        description="Take the latest hours, which ACCOUNT_USAGE does not have yet, from "
        "INFORMATION_SCHEMA: the newest 10,000 statements that the role may monitor. Needs "
        "`database`. Not one of OpenMetadata's fields.",
    )
    query_tag: str | None = Field(default=None, description="QUERY_TAG set on the session.")
    client_session_keep_alive: bool = Field(
        default=False, description="Keep the session alive beyond four hours of idling."
    )
    connection_options: dict[str, str] = free_form("Session parameters set when connecting.")
    connection_arguments: dict[str, Any] = free_form(
        "Further arguments of snowflake.connector.connect, for example authenticator."
    )

    scheme: Literal["snowflake"] = no_effect("snowflake")
    snowflake_source_host: str = no_effect("app.snowflake.com")
    credit_cost: float = no_effect(3.3)
    include_transient_tables: bool = no_effect(True)
    include_streams: bool = no_effect(False)
    include_stages: bool = no_effect(False)
    include_semantic_views: bool = no_effect(False)
    access_history_chunk_size: int = no_effect(2)

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        given = (
            self.private_key,
            self.oauth_token,
            self.programmatic_access_token,
            self.password,
        )
        if not any(given) and "authenticator" not in self.connection_arguments:
            raise ValueError(
                "has no way to log in; give privateKey, oauthToken, programmaticAccessToken or "
                "password, or connectionArguments.authenticator"
            )
        if self.recent_from_information_schema and self.database is None:
            raise ValueError("needs database for recentFromInformationSchema")
        return self

    @property
    def latency(self) -> timedelta:
        """That of ACCESS_HISTORY, three hours, and a margin."""
        return timedelta(hours=4)

    @property
    def sql_dialect(self) -> str:
        return "snowflake"

    def read_history(self, window: Window) -> Iterator[HistoryBatch]:
        """Rows are grouped by Snowflake."""
        values = {"start": window.start, "end": window.end, "limit": _TEXT_LIMIT}
        statement = self._history(
            access=self.use_access_history and self._has_access_history(),
            recent=self.recent_from_information_schema
            and window.end > datetime.now(timezone.utc) - self.latency,
        )
        for _, rows in self.execute(statement, values):
            yield batch(
                (*row[:3], json.loads(row[3] or "[]"), *row[4:8], _tables_read(row[8]))
                for row in rows
            )

    def check(self) -> str:
        """See ``WarehouseConnection.check``."""
        ((_, ((count,),)),) = self.execute(_CHECK.format(schema=self._schema), {})
        found = f"readable, {count} statements in the last 24 hours"
        if self.use_access_history and not self._has_access_history():
            found += "; ACCESS_HISTORY is not (it needs Enterprise edition and GOVERNANCE_VIEWER)"
        return found

    def _has_access_history(self) -> bool:
        try:
            list(self.execute(_ACCESS_PROBE.format(schema=self._schema), {}))
        except WarehouseError as error:
            if error.transient:
                raise
            return False
        return True

    @property
    def _schema(self) -> str:
        if not _IDENTIFIER.fullmatch(self.account_usage_schema):
            raise WarehouseError(
                self.service,
                f"accountUsageSchema {self.account_usage_schema!r} is not a schema name",
                "Write it as DATABASE.SCHEMA, by default SNOWFLAKE.ACCOUNT_USAGE",
            )
        return self.account_usage_schema

    def _history(self, *, access: bool, recent: bool) -> str:
        logged = _LOGGED.format(source=f"{self._schema}.QUERY_HISTORY")
        if recent:
            newest = _LOGGED.format(source=_RECENT)
            logged += _NOT_YET_THERE.format(recent=newest, schema=self._schema)
        return _HISTORY.format(
            logged=logged,
            accessed=f"IFF(a.query_id IS NULL, NULL, {_ACCESSED})" if access else "NULL",
            access=_ACCESS.format(schema=self._schema) if access else "",
            trace_id=TRACE_ID,
            user=USER_EMAIL.replace("\\", "\\\\"),
            rows=self.row_limit + 1,
        )

    def execute(
        self, statement: str, parameters: Mapping[str, Any]
    ) -> Iterator[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
        """See ``SqlWarehouse.execute``; parameters are written ``%(name)s``."""
        with self._cursor() as cursor:
            cursor.execute(statement, dict(parameters))
            names = [column[0] for column in cursor.description]
            rows = cursor.fetchmany(_ROWS_PER_BATCH)
            yield names, rows
            while rows := cursor.fetchmany(_ROWS_PER_BATCH):
                yield names, rows

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """A cursor of a new session; the connector's errors become ours."""
        # A probe of the cloud the client runs in, for the vendor's statistics: it asks metadata
        # services for credentials, which no login here needs.
        os.environ.setdefault("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
        # The log of the connector quotes statements and answers; failures reach us as exceptions.
        logging.getLogger("snowflake.connector").setLevel(logging.CRITICAL)
        try:
            import snowflake.connector as connector
        except ImportError:
            raise MissingExtra(self.service, "snowflake") from None
        arguments = self._arguments()
        try:
            with closing(connector.connect(**arguments)) as session, session.cursor() as cursor:
                yield cursor
        except connector.errors.Error as error:
            raise self._translated(error) from None
        except Exception as error:
            # What connector 5 raises when the stream of a result breaks is no more specific.
            if type(error) is not Exception:
                raise
            raise self._translated(error) from None

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "account": self.account,
            "user": self.username,
            "role": self.role,
            "warehouse": self.warehouse,
            "database": self.database,
            "application": "hex_assets",
            "client_session_keep_alive": self.client_session_keep_alive,
            # Without a value, connector 5 warns on each connect; no statement outlives a session.
            "enable_server_session_keep_alive_auto_detection": False,
            "client_memory_limit": 256,
            "client_prefetch_threads": 2,
            "session_parameters": {
                **self.connection_options,
                "QUERY_TAG": self.query_tag or "hex-assets",
                "TIMEZONE": "UTC",
                "STATEMENT_TIMEOUT_IN_SECONDS": str(self.statement_timeout_seconds),
            },
        }
        if self.private_key:
            arguments |= {"authenticator": "SNOWFLAKE_JWT", "private_key": self._key()}
        elif self.oauth_token:
            arguments |= {"authenticator": "OAUTH", "token": self.oauth_token.get_secret_value()}
        elif self.programmatic_access_token:
            arguments |= {
                "authenticator": "PROGRAMMATIC_ACCESS_TOKEN",
                "token": self.programmatic_access_token.get_secret_value(),
            }
        elif self.password:
            arguments["password"] = self.password.get_secret_value()
        arguments |= self.connection_arguments
        return {name: value for name, value in arguments.items() if value is not None}

    def _key(self) -> bytes:
        """The private key in the form that all versions of the connector take, DER."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
            load_pem_private_key,
        )

        key, passphrase = self.private_key, self.snowflake_privatekey_passphrase
        text = key.get_secret_value().replace("\\n", "\n") if key else ""
        secret = passphrase.get_secret_value().encode() if passphrase else None
        try:
            loaded = load_pem_private_key(text.encode(), secret)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise WarehouseError(
                self.service,
                "the private key cannot be read",
                "Give privateKey as PEM text (PKCS 8), and snowflakePrivatekeyPassphrase if and "
                "only if it is encrypted",
            ) from None
        return loaded.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def _translated(self, error: Exception) -> WarehouseError:
        """The connector's error in words that say what mends it."""
        return translated(
            self.service,
            f"{getattr(error, 'errno', '')} {getattr(error, 'sqlstate', '')} {error}",
            _FAULTS,
            {
                "user": self.username,
                "role": self.role or "the user's default role",
                "warehouse": self.warehouse or "",
                "account": self.account,
                "view": f"{self.account_usage_schema}.QUERY_HISTORY",
            },
            (
                self.password,
                self.private_key,
                self.snowflake_privatekey_passphrase,
                self.oauth_token,
                self.programmatic_access_token,
                *self.connection_arguments.values(),
            ),
            (
                "Snowflake refused",
                "Run the same login and the view in a Snowflake worksheet to see more",
            ),
        )


def _tables_read(accessed: str | None) -> list[dict[str, Any]] | None:
    """Tables and views with their columns out of ACCESS_HISTORY's two arrays, those behind a view
    included; None when the statement is not in it.
    """
    if accessed is None:
        return None
    columns: dict[tuple[str, ...], set[str]] = {}
    for item in itertools.chain.from_iterable(json.loads(accessed)):
        if _ACCESS_DOMAIN.search(item.get("objectDomain", "")):
            read = columns.setdefault(_parts(item["objectName"]), set())
            read.update(column["columnName"] for column in item.get("columns", ()))
    return [
        {"database": parts[0], "schema": parts[1], "table": parts[2], "columns": sorted(read)}
        for parts, read in sorted(columns.items())
        if len(parts) == _PARTS_OF_A_TABLE
    ]


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a name, of which Snowflake quotes those that need it."""
    return tuple(plain or quoted.replace('""', '"') for quoted, plain in _NAME_PART.findall(name))


_FAULTS = (
    fault(
        r"not allowed to access Snowflake|network policy|\b390422\b",
        "a network policy of account {account} keeps this machine out",
        "Add its address to the policy's allowed list",
    ),
    fault(
        r"\b390189\b|\brole\b.*(?:does not exist|not authorized|not been granted)",
        "user {user} may not use {role}",
        "GRANT ROLE {role} TO USER {user}, or correct `role`",
    ),
    fault(
        r"\b39\d{4}\b|incorrect username or password|JWT token|invalid.{0,20}token|"
        r"authentication|password is empty",
        "Snowflake rejected the login of user {user}",
        "Check account, username, and whichever of privateKey, oauthToken and password is given",
    ),
    fault(
        r"no active warehouse|\b57P03\b|\b606\b|\bwarehouse\b.*(?:does not exist|not authorized)",
        "no warehouse runs the statement (warehouse is {warehouse!r})",
        "Set `warehouse`, and GRANT USAGE ON WAREHOUSE to the role of the session",
    ),
    fault(
        r"\b57014\b|\b604\b|\b630\b|statement timeout|reached its .*timeout",
        "Snowflake stopped the statement on {view} before its end",
        "Raise STATEMENT_TIMEOUT_IN_SECONDS of the warehouse, take a larger one, or lower "
        "hexAssets.lookBackDays",
    ),
    fault(
        r"\b42S02\b|\b42501\b|\b02000\b|\b2003\b|\b3001\b|insufficient privileges|"
        r"does not exist or not authorized",
        "{view} cannot be read by {role}",
        "GRANT DATABASE ROLE SNOWFLAKE.GOVERNANCE_VIEWER TO ROLE <role>, or correct "
        "`accountUsageSchema`",
    ),
    fault(
        r"\bHYT00\b|\b08\d{3}\b|timed out|timeout|connect|resolve|\b25000\d\b|\b25100\d\b",
        "Snowflake account {account} did not answer",
        "Check `account`, the network and its proxy",
        transient=True,
    ),
)
"""Known failures, the first that fits counts (Snowflake documentation, error codes)."""
