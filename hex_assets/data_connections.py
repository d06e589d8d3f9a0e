"""Which OpenMetadata database service a Hex data connection reads.

The recipe's ``hexAssets.dataConnections`` decides. Else a connection is matched by its type and
its account, host or project against the services of ``dbServicePrefixes``. What fits several, or
cannot be compared, is left open and told, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hex_assets.hex.models import DataConnection
from hex_assets.hex.namespaces import default_namespace

_SERVICE_TYPES: Mapping[str, frozenset[str]] = {
    "alloydb": frozenset({"postgres"}),
    "athena": frozenset({"athena"}),
    "bigquery": frozenset({"bigquery"}),
    "clickhouse": frozenset({"clickhouse"}),
    "cloudsql__mysql": frozenset({"mysql"}),
    "cloudsql__postgres": frozenset({"postgres"}),
    "cloudsql__sqlserver": frozenset({"mssql"}),
    "databricks": frozenset({"databricks", "unitycatalog"}),
    "mariadb": frozenset({"mariadb", "mysql"}),
    "mysql": frozenset({"mysql", "mariadb"}),
    "postgres": frozenset({"postgres"}),
    "presto": frozenset({"presto"}),
    "redshift": frozenset({"redshift"}),
    "snowflake": frozenset({"snowflake"}),
    "sqlserver": frozenset({"mssql"}),
    "starburst": frozenset({"trino"}),
    "trino": frozenset({"trino"}),
}
"""Hex's type to OpenMetadata's ``serviceType``, lower case."""

_SNOWFLAKE_HOST = ".snowflakecomputing.com"
_AWS_REGION = re.compile(r"\b[a-z]{2}(?:-[a-z]+)+-\d\b")


@dataclass(frozen=True)
class Service:
    """A database service that a connection may read.

    Attributes:
        name: as in OpenMetadata.
        type: OpenMetadata's ``serviceType``.
        config: its connection, with OpenMetadata's field names; empty when unknown.
    """

    name: str
    type: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Mapped:
    """What the connections read.

    Attributes:
        services: database service by connection id.
        open_questions: a sentence per connection that may read one of the services, with what to
            add to the recipe.
        outside: names of connections that read none of the services.
        unknown_keys: keys of ``hexAssets.dataConnections`` that name no listed connection.
    """

    services: Mapping[str, str]
    open_questions: tuple[str, ...]
    outside: tuple[str, ...]
    unknown_keys: tuple[str, ...]


def map_connections(
    connections: Sequence[DataConnection], services: Sequence[Service], recipe: Mapping[str, str]
) -> Mapped:
    """Find the service of each connection.

    Args:
        services: those of ``dbServicePrefixes``.
        recipe: ``hexAssets.dataConnections``, from id or name to service.
    """
    by_key = {key.strip().lower(): service for key, service in recipe.items()}
    used: set[str] = set()
    found: dict[str, str] = {}
    questions: list[str] = []
    outside: list[str] = []
    for connection in connections:
        name = connection.name or connection.id
        told = next((key for key in (connection.id, name.strip().lower()) if key in by_key), None)
        if told is not None:
            used.add(told)
            found[connection.id] = by_key[told]
            continue
        fitting, comparable = _fitting(connection, services)
        if len(fitting) == 1 and comparable:
            found[connection.id] = fitting[0].name
        elif fitting:
            names = ", ".join(service.name for service in fitting)
            why = "fits several services" if comparable else "cannot be compared"
            questions.append(
                f"{name} ({connection.type}) {why}: add {connection.id} to "
                f"hexAssets.dataConnections with one of {names}, or another service"
            )
        else:
            outside.append(name)
    # Connections of one project are in no listing, so any id may be meant.
    found.update({key: by_key[key] for key in by_key if key not in used and _is_id(key)})
    unknown = tuple(sorted(key for key in recipe if key.strip().lower() not in {*used, *found}))
    return Mapped(found, tuple(questions), tuple(outside), unknown)


def _fitting(connection: DataConnection, services: Sequence[Service]) -> tuple[list[Service], bool]:
    """The services that the connection may read, and whether their addresses say so."""
    types = _SERVICE_TYPES.get(connection.type, frozenset())
    same_type = [service for service in services if service.type.lower() in types]
    details = (connection.connection_details or {}).get(connection.type)
    address = _address_in_hex(connection.type, details if isinstance(details, Mapping) else {})
    addresses = {service.name: _address_of(service) for service in same_type}
    same = [one for one in same_type if address and addresses[one.name] == address]
    if same:
        database = (default_namespace(connection)[0] or "").lower()
        narrower = [one for one in same if str(one.config.get("database")).lower() == database]
        return (narrower if len(same) > 1 and narrower else same), True
    unknown = [one for one in same_type if not address or not addresses[one.name]]
    return unknown, False


def _address_in_hex(kind: str, details: Mapping[str, Any]) -> str:
    if kind == "snowflake":
        return _account(details.get("accountName"))
    if kind == "bigquery":
        return _lower(details.get("projectId"))
    if kind == "databricks":
        return _host(_lower(details.get("jdbcUrl")).removeprefix("jdbc:").partition(";")[0])
    if kind == "athena":
        return _region(details.get("hostname"))
    return _host(details.get("hostname") or details.get("host"))


def _address_of(service: Service) -> str:
    config, kind = service.config, service.type.lower()
    if kind == "snowflake":
        return _account(config.get("account"))
    if kind == "bigquery":
        credentials = config.get("credentials")
        gcp = credentials.get("gcpConfig") if isinstance(credentials, Mapping) else None
        project = gcp.get("projectId") if isinstance(gcp, Mapping) else config.get("projectId")
        return _lower(project)
    if kind == "athena":
        aws = config.get("awsConfig")
        return _region(aws.get("awsRegion") if isinstance(aws, Mapping) else None)
    return _host(config.get("hostPort"))


def _account(value: Any) -> str:
    """An account identifier; Snowflake takes ``_`` and ``-`` for the same in host names."""
    text = _lower(value).removeprefix("https://").rstrip("/").removesuffix(_SNOWFLAKE_HOST)
    return text.replace("_", "-")


def _host(value: Any) -> str:
    text = _lower(value)
    try:
        return urlsplit(text if "://" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""


def _region(value: Any) -> str:
    found = _AWS_REGION.search(_lower(value))
    return found.group() if found else ""


def _lower(value: Any) -> str:
    return value.strip().lower() if isinstance(value, str) else ""


def _is_id(key: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", key))
