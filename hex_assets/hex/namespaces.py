"""Where a query of a data connection looks for tables that it does not qualify."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hex_assets.hex.models import DataConnection, storable

_DATABASE_FIELDS: Mapping[str, str] = {
    "athena": "catalog",
    "bigquery": "projectId",
    "postgres": "database",
    "redshift": "database",
    "snowflake": "database",
    "trino": "catalog",
}
_SCHEMA_FIELDS: Mapping[str, str] = {"snowflake": "schema", "trino": "schema"}
_FIXED_SCHEMAS: Mapping[str, str] = {"postgres": "public", "redshift": "public"}


def default_namespace(connection: DataConnection) -> tuple[str | None, str | None]:
    """Database and schema in which a query of this connection looks for unqualified tables.

    Each type keeps them in fields of its own (Hex API, ListDataConnections); Databricks
    has them as ``ConnCatalog`` and ``ConnSchema`` in its JDBC URL, if at all.
    """
    kind = connection.type
    details = (connection.connection_details or {}).get(kind)
    if not isinstance(details, Mapping):
        details = {}
    if kind == "databricks":
        options = _jdbc_options(_text(details, "jdbcUrl") or "")
        return _text(options, "conncatalog"), _text(options, "connschema")
    database = _text(details, _DATABASE_FIELDS.get(kind))
    schema = _text(details, _SCHEMA_FIELDS.get(kind))
    return database, schema or _FIXED_SCHEMAS.get(kind)


def _text(fields: Mapping[str, Any], name: str | None) -> str | None:
    value = fields.get(name) if name else None
    return (storable(value).strip() or None) if isinstance(value, str) else None


def _jdbc_options(url: str) -> dict[str, str]:
    options: Iterable[tuple[str, str, str]] = (part.partition("=") for part in url.split(";"))
    return {name.strip().lower(): value for name, _, value in options}
