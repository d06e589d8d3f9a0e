"""What runs read of a server's catalog, kept for the next ones, of whatever workspace."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from upath import UPath

from hex_assets.frame_files import read_known, write_table
from hex_assets.frames import INSTANT, NAMES

_VERSION_KEY, _VERSION = "hex_assets.catalog_copy", "1"
_LISTINGS: Mapping[str, Any] = {
    "scope": pl.String,
    "listed_at": INSTANT,
    "schema_id": pl.String,
    "schema_fqn": pl.String,
}
_TABLES: Mapping[str, Any] = {
    "schema_fqn": pl.String,
    "read_at": INSTANT,
    "table_id": pl.String,
    "table_fqn": pl.String,
    "updated_at": pl.Int64,
    "columns": NAMES,
}


def server_key(host_port: str) -> str:
    """A name for files about that server, which does not tell its host.

    Args:
        host_port: the recipe's ``hostPort``.
    """
    return hashlib.sha256(host_port.rstrip("/").lower().encode()).hexdigest()[:16]


@dataclass(frozen=True)
class SchemaListing:
    """All schemas below a prefix.

    Attributes:
        listed_at: when they were listed.
        ids: fully qualified name by id.
    """

    listed_at: datetime
    ids: Mapping[str, str]


@dataclass(frozen=True)
class CopiedTable:
    """A table as a listing told it.

    Attributes:
        updated_at: in milliseconds since the epoch; None when the server does not tell it.
        columns: as OpenMetadata spells them.
    """

    id: str
    fqn: str
    updated_at: int | None
    columns: tuple[str, ...]


@dataclass(frozen=True)
class SchemaTables:
    """All tables of a schema, from a listing that came to its end."""

    read_at: datetime
    tables: tuple[CopiedTable, ...]


@dataclass(frozen=True)
class CatalogCopy:
    """What is known of one server.

    Attributes:
        listings: by the prefix that they are below.
        schemas: tables by the fully qualified name of their schema.
    """

    listings: Mapping[str, SchemaListing] = field(default_factory=dict)
    schemas: Mapping[str, SchemaTables] = field(default_factory=dict)

    def younger(self, now: datetime, days: int) -> CatalogCopy:
        """What was read less than so many days ago."""
        oldest = now - timedelta(days=days)
        return CatalogCopy(
            {name: one for name, one in self.listings.items() if one.listed_at > oldest},
            {name: one for name, one in self.schemas.items() if one.read_at > oldest},
        )


@dataclass(frozen=True)
class CatalogFiles:
    """Where the copy is kept: two Parquet files, of which either may lag behind the other.

    Each is written whole. Of two runs that write at once the last wins, and what the other read is
    read again. A file that is of another version, damaged or absent means that nothing is known.
    """

    listings: UPath
    tables: UPath

    def load(self) -> CatalogCopy:
        return CatalogCopy(self._listings(), self._schemas())

    def save(self, copy: CatalogCopy) -> None:
        listings = [row for scope, one in copy.listings.items() for row in _of_listing(scope, one)]
        tables = [row for name, one in copy.schemas.items() for row in _of_schema(name, one)]
        for path, rows, schema in (
            (self.listings, listings, _LISTINGS),
            (self.tables, tables, _TABLES),
        ):
            frame = pl.DataFrame(rows, schema=schema, orient="row")
            write_table(path, frame, {_VERSION_KEY: _VERSION})

    def _listings(self) -> dict[str, SchemaListing]:
        found: dict[str, SchemaListing] = {}
        ids: dict[str, dict[str, str]] = {}
        for scope, listed_at, schema_id, schema_fqn in _read(self.listings, _LISTINGS).iter_rows():
            of_scope = ids.setdefault(scope, {})
            found.setdefault(scope, SchemaListing(listed_at, of_scope))
            if schema_id is not None:
                of_scope[schema_id] = schema_fqn
        return found

    def _schemas(self) -> dict[str, SchemaTables]:
        read_at: dict[str, datetime] = {}
        tables: dict[str, list[CopiedTable]] = {}
        for name, at, table_id, *rest in _read(self.tables, _TABLES).iter_rows():
            read_at[name] = at
            of_schema = tables.setdefault(name, [])
            if table_id is not None:
                table_fqn, updated_at, columns = rest
                of_schema.append(CopiedTable(table_id, table_fqn, updated_at, tuple(columns)))
        return {name: SchemaTables(at, tuple(tables[name])) for name, at in read_at.items()}


def _read(path: UPath, schema: Mapping[str, Any]) -> pl.DataFrame:
    return read_known(path, schema, _VERSION_KEY, _VERSION)


def _of_listing(scope: str, listing: SchemaListing) -> Iterable[tuple[object, ...]]:
    if not listing.ids:
        yield scope, listing.listed_at, None, None
    for schema_id, schema_fqn in listing.ids.items():
        yield scope, listing.listed_at, schema_id, schema_fqn


def _of_schema(name: str, schema: SchemaTables) -> Iterable[tuple[object, ...]]:
    if not schema.tables:
        yield name, schema.read_at, None, None, None, None
    for table in schema.tables:
        yield name, schema.read_at, table.id, table.fqn, table.updated_at, list(table.columns)
