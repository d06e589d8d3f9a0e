"""Snowflake's query history, ``ACCOUNT_USAGE.QUERY_HISTORY``, grouped where it is.

Rows appear there up to 45 minutes after execution and stay for 365 days; texts are cut at
100,000 characters (Snowflake documentation, "QUERY_HISTORY view").
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from pydantic import SecretStr

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.warehouse.reader import STATEMENT_TYPES, TRACE_ID, HistoryBatch, Window

_TEXT_LIMIT = 100_000
_ROWS_PER_BATCH = 10_000
_IDENTIFIER = re.compile(
    r'(?:[A-Za-z_][\w$]*|"(?:[^"]|"")+")(?:\.(?:[A-Za-z_][\w$]*|"(?:[^"]|"")+"))?'
)

# The marker is two joined literals, so that this statement does not find itself in the history.
# Texts that differ only in the comment's trace id are one group; their comments say the same, so
# any of them stands for all. Texts without a marker come along only if they were cut: as a count.
_HISTORY = """
WITH logged AS (
  SELECT query_id, query_text, database_name, schema_name, user_name, start_time,
         CONTAINS(LOWER(query_text), 'hex query ' || 'metadata') AS marked
  FROM {schema}.QUERY_HISTORY
  WHERE start_time >= %(start)s AND start_time < %(end)s AND execution_status = 'SUCCESS'
), kept AS (
  SELECT query_id, IFF(marked, query_text, NULL) AS text, database_name, schema_name, user_name,
         start_time
  FROM logged
  WHERE marked OR LENGTH(query_text) >= %(limit)s
)
SELECT MAX_BY(text, start_time), database_name, schema_name, user_name, COUNT(*),
       MIN(start_time), MAX(start_time), MAX_BY(query_id, start_time)
FROM kept
GROUP BY SHA2(REGEXP_REPLACE(text, '{trace_id}', 'trace_id'), 256),
         database_name, schema_name, user_name
"""

_CHECK = """
SELECT COUNT(*) FROM {schema}.QUERY_HISTORY
WHERE start_time >= DATEADD(hour, -24, CURRENT_TIMESTAMP())
"""


@dataclass(frozen=True, kw_only=True)
class SnowflakeReader:
    """Reads the query history of one Snowflake account.

    The first of these that is given logs in: private key, OAuth token, password, else the
    ``authenticator`` of ``connection_arguments``.

    Attributes:
        service: OpenMetadata name of the database service.
        account: account identifier, for example ``xyz1234.us-east-1.gcp``.
        username: user that reads.
        password: password or programmatic access token.
        private_key: PEM text of a key pair; line breaks may be escaped.
        private_key_passphrase: of an encrypted private key.
        oauth_token: OAuth access token.
        role: role of the session; by default the user's.
        warehouse: warehouse that runs the statement; by default the user's.
        database: database of the session.
        account_usage_schema: schema that holds QUERY_HISTORY.
        query_tag: QUERY_TAG of the session.
        client_session_keep_alive: keep the session alive beyond four hours.
        session_parameters: further parameters of the session.
        connection_arguments: further arguments of ``snowflake.connector.connect``.
    """

    service: str
    account: str
    username: str
    password: SecretStr | None = None
    private_key: SecretStr | None = None
    private_key_passphrase: SecretStr | None = None
    oauth_token: SecretStr | None = None
    role: str | None = None
    warehouse: str | None = None
    database: str | None = None
    account_usage_schema: str = "SNOWFLAKE.ACCOUNT_USAGE"
    query_tag: str = "hex-assets"
    client_session_keep_alive: bool = False
    session_parameters: Mapping[str, str] = field(default_factory=dict)
    connection_arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def dialect(self) -> str:
        return "snowflake"

    def read(self, window: Window) -> Iterator[HistoryBatch]:
        """See ``HistoryReader.read``; rows are grouped by Snowflake."""
        values = {"start": window.start, "end": window.end, "limit": _TEXT_LIMIT}
        with self._cursor() as cursor:
            cursor.execute(self._statement(_HISTORY), values)
            while rows := cursor.fetchmany(_ROWS_PER_BATCH):
                yield _batch(rows)

    def check(self) -> str:
        """See ``HistoryReader.check``."""
        with self._cursor() as cursor:
            cursor.execute(self._statement(_CHECK))
            (count,) = cursor.fetchone()
        return f"readable, {count} statements in the last 24 hours"

    def _statement(self, template: str) -> str:
        if not _IDENTIFIER.fullmatch(self.account_usage_schema):
            raise WarehouseError(
                self.service,
                f"accountUsageSchema {self.account_usage_schema!r} is not a schema name",
                "Write it as DATABASE.SCHEMA, by default SNOWFLAKE.ACCOUNT_USAGE",
            )
        return template.format(schema=self.account_usage_schema, trace_id=TRACE_ID)

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
                **self.session_parameters,
                "QUERY_TAG": self.query_tag,
                "TIMEZONE": "UTC",
            },
        }
        if self.private_key:
            arguments |= {"authenticator": "SNOWFLAKE_JWT", "private_key": self._key()}
        elif self.oauth_token:
            arguments |= {"authenticator": "OAUTH", "token": self.oauth_token.get_secret_value()}
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

        key, passphrase = self.private_key, self.private_key_passphrase
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
        text = f"{getattr(error, 'errno', '')} {getattr(error, 'sqlstate', '')} {error}"
        known = next((fault for fault in _FAULTS if fault.pattern.search(text)), None)
        if known is None:
            return WarehouseError(
                self.service,
                f"Snowflake refused: {self._without_secrets(str(error))}",
                "Run the same login and the view in a Snowflake worksheet to see more",
            )
        names = {
            "user": self.username,
            "role": self.role or "the user's default role",
            "warehouse": self.warehouse or "",
            "account": self.account,
            "view": f"{self.account_usage_schema}.QUERY_HISTORY",
        }
        return WarehouseError(
            self.service,
            known.problem.format(**names),
            known.hint.format(**names),
            transient=known.transient,
        )

    def _without_secrets(self, text: str) -> str:
        secrets = [self.password, self.private_key, self.private_key_passphrase, self.oauth_token]
        values = [secret.get_secret_value() for secret in secrets if secret]
        values += [value for value in self.connection_arguments.values() if isinstance(value, str)]
        for value in filter(None, values):
            text = text.replace(value, "***")
        return " ".join(text.split())[:300]


def _batch(rows: list[tuple[Any, ...]]) -> HistoryBatch:
    table = pl.DataFrame(rows, schema=STATEMENT_TYPES, orient="row")
    cut = table.filter(pl.col("query_text").is_null())
    return HistoryBatch(
        table.filter(pl.col("query_text").is_not_null()), cut=int(cut["executions"].sum())
    )


@dataclass(frozen=True)
class _Fault:
    """A failure that users can mend.

    Attributes:
        pattern: what the connector's error number, SQL state and text hold.
        problem: what is wrong.
        hint: what mends it.
        transient: whether it may be gone next time.
    """

    pattern: re.Pattern[str]
    problem: str
    hint: str
    transient: bool = False


def _fault(pattern: str, problem: str, hint: str, transient: bool = False) -> _Fault:
    return _Fault(re.compile(pattern, re.IGNORECASE), problem, hint, transient)


_FAULTS = (
    _fault(
        r"not allowed to access Snowflake|network policy|\b390422\b",
        "a network policy of account {account} keeps this machine out",
        "Add its address to the policy's allowed list",
    ),
    _fault(
        r"\b390189\b|\brole\b.*(?:does not exist|not authorized|not been granted)",
        "user {user} may not use {role}",
        "GRANT ROLE {role} TO USER {user}, or correct `role`",
    ),
    _fault(
        r"\b39\d{4}\b|incorrect username or password|JWT token|invalid.{0,20}token|"
        r"authentication|password is empty",
        "Snowflake rejected the login of user {user}",
        "Check account, username, and whichever of privateKey, oauthToken and password is given",
    ),
    _fault(
        r"no active warehouse|\b57P03\b|\b606\b|\bwarehouse\b.*(?:does not exist|not authorized)",
        "no warehouse runs the statement (warehouse is {warehouse!r})",
        "Set `warehouse`, and GRANT USAGE ON WAREHOUSE to the role of the session",
    ),
    _fault(
        r"\b57014\b|\b604\b|\b630\b|statement timeout|reached its .*timeout",
        "Snowflake stopped the statement on {view} before its end",
        "Raise STATEMENT_TIMEOUT_IN_SECONDS of the warehouse, take a larger one, or lower "
        "hexAssets.lookBackDays",
    ),
    _fault(
        r"\b42S02\b|\b42501\b|\b02000\b|\b2003\b|\b3001\b|insufficient privileges|"
        r"does not exist or not authorized",
        "{view} cannot be read by {role}",
        "GRANT DATABASE ROLE SNOWFLAKE.GOVERNANCE_VIEWER TO ROLE <role>, or correct "
        "`accountUsageSchema`",
    ),
    _fault(
        r"\bHYT00\b|\b08\d{3}\b|timed out|timeout|connect|resolve|\b25000\d\b|\b25100\d\b",
        "Snowflake account {account} did not answer",
        "Check `account`, the network and its proxy",
        transient=True,
    ),
)
"""Known failures, the first that fits counts (Snowflake documentation, error codes)."""
