"""The tables OpenMetadata knows within the recipe's prefixes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hex_assets.errors import RecipeError
from hex_assets.frames import CATALOG_TABLES, Frame
from hex_assets.openmetadata import fqn
from hex_assets.openmetadata.client import OpenMetadataClient
from hex_assets.openmetadata.models import Table

_KEY = "source.sourceConfig.config.lineageInformation.dbServicePrefixes"
_LEVELS_OF_A_TABLE = 4


def read_catalog_tables(client: OpenMetadataClient, prefixes: Sequence[str]) -> Frame:
    """Tables and views below the prefixes, each once, however often the prefixes overlap.

    Args:
        prefixes: ``service``, ``service.database`` or ``service.database.schema``; a part that
            contains a dot is written in quotes. Letter case counts.

    Raises:
        RecipeError: a prefix is malformed or names what OpenMetadata does not have.
        RequestError: a request failed; a part of the tables is never returned for the whole.
        IncompleteRead: the listing repeats itself.

    A table whose name cannot be taken apart is left out and told in the frame's gaps.
    """
    tables = {
        table.id: table
        for parts in _outermost([_parts(prefix) for prefix in prefixes])
        for page in _pages(client, parts)
        for table in page
    }
    rows, gaps = [], []
    for table in sorted(tables.values(), key=lambda table: table.fully_qualified_name):
        try:
            rows.append(_row(table))
        except ValueError:
            gaps.append(f"table {table.id}: {table.fully_qualified_name} has not four parts")
    return CATALOG_TABLES.frame(rows, gaps)


def _parts(prefix: str) -> tuple[str, ...]:
    try:
        parts = tuple(fqn.split(prefix))
    except ValueError as error:
        raise RecipeError(f"{_KEY}: {error}. Write a part that has a dot in quotes.") from error
    if len(parts) >= _LEVELS_OF_A_TABLE:
        raise RecipeError(
            f"{_KEY}: {prefix} has {len(parts)} parts; use service, service.database or "
            "service.database.schema."
        )
    return parts


def _outermost(prefixes: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The prefixes without those that another one contains."""
    kept: list[tuple[str, ...]] = []
    for parts in sorted(set(prefixes)):
        if not any(parts[: len(outer)] == outer for outer in kept):
            kept.append(parts)
    return kept


def _pages(client: OpenMetadataClient, parts: Sequence[str]) -> Iterator[list[Table]]:
    """Pages of the tables below one prefix.

    That the prefix exists is asked only when nothing was found below it: OpenMetadata answers an
    unknown filter value with an empty listing.
    """
    name = fqn.join(*parts)
    service, below = parts[0], len(parts)
    if below == 1:
        databases = client.databases(fqn.quote(service))
        if not databases and client.database_service(fqn.quote(service)) is None:
            raise _missing("database service", name)
        for database in databases:
            yield from client.tables_of_database(database.fully_qualified_name)
        return
    empty = True
    pages = client.tables_of_database(name) if below == 2 else client.tables_of_schema(name)
    for page in pages:
        empty = empty and not page
        yield page
    if empty and below == 2 and client.database(name) is None:
        raise _missing("database", name)
    if empty and below == 3 and client.database_schema(name) is None:
        raise _missing("schema", name)


def _missing(level: str, name: str) -> RecipeError:
    return RecipeError(
        f"{_KEY}: OpenMetadata has no {level} {name}. Letter case counts; run its metadata "
        "ingestion first if it is new."
    )


def _row(table: Table) -> dict[str, Any]:
    parts = [fqn.decode(part) for part in fqn.split(table.fully_qualified_name)]
    service, database, schema, name = parts
    return {
        "service": service,
        "database": database,
        "schema": schema,
        "table": name,
        "table_fqn": table.fully_qualified_name,
        "table_id": table.id,
        "columns": [fqn.decode(column.name) for column in table.columns],
    }
