"""The tables that names can mean, of those OpenMetadata knows within the recipe's prefixes.

Schemas are listed, and of those that can hold what is named all tables. Both are kept for the next
run, which asks the search index whether they are still the same: it tells id and time of change of
thousands of tables in one answer, where a listing tells all columns of one schema's. OpenMetadata's
change events would be the feed for that, yet servers do not record all changes as events: not those
that ingestion makes in bulk (1.13 and 2.0, issue 32092), nor deletions made in its UI (issue
29261), nor the children of what is deleted. The index knows of those too. It may lag, so that a
change is seen by the next run; a schema on which it does not agree with what is kept, table by
table, is listed again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from hex_assets.errors import (
    NotFound,
    PermissionMissing,
    RecipeError,
    RequestRejected,
    ServerFailed,
    UnreadableAnswer,
)
from hex_assets.frames import CATALOG_SCHEMAS, CATALOG_TABLES, Frame
from hex_assets.lineage.schemas_to_read import schemas_to_read
from hex_assets.openmetadata import fqn
from hex_assets.openmetadata.catalog_copy import (
    CatalogCopy,
    CatalogFiles,
    CopiedTable,
    SchemaListing,
    SchemaTables,
)
from hex_assets.openmetadata.client import IndexedKind, OpenMetadataClient
from hex_assets.openmetadata.models import Container, Indexed, Table

_KEY = "source.sourceConfig.config.lineageInformation.dbServicePrefixes"
_LEVELS_OF_A_SCHEMA = 3

_NO_INDEX = (NotFound, PermissionMissing, RequestRejected, ServerFailed, UnreadableAnswer)
"""What a server answers whose search index is absent, broken or not for this user."""

_MOST_NAMES, _MOST_CHARACTERS, _MOST_TABLES = 100, 3000, 5000
"""Bounds of one search: conditions, their length (servers refuse URLs above 8 KiB), and tables
expected (nothing beyond 10,000 hits is shown)."""


@dataclass(frozen=True)
class CatalogRead:
    """What the catalog has, and what was done to know it.

    Attributes:
        tables: a frame of ``CATALOG_TABLES``: all tables of the schemas that were read.
        schemas: a frame of ``CATALOG_SCHEMAS``: all schemas within the prefixes.
        schemas_listed_now: those of them whose tables were listed just now.
        index_problem: why the search index could not be asked; empty when it could, or need not.
    """

    tables: Frame
    schemas: Frame
    schemas_listed_now: int
    index_problem: str


def read_catalog(
    client: OpenMetadataClient,
    prefixes: Sequence[str],
    references: Frame,
    files: CatalogFiles,
    *,
    reconcile_days: int,
    reconcile: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> CatalogRead:
    """Tables and views of the schemas that can hold what is named, and all schemas.

    What was read to its end is kept, also when a later request fails.

    Args:
        prefixes: ``service``, ``service.database`` or ``service.database.schema``; a part that
            contains a dot is written in quotes. Letter case counts.
        references: a frame of ``TABLE_REFERENCES``.
        files: what earlier runs read of this server.
        reconcile_days: what was listed longer ago is listed again.
        reconcile: list all anew.

    Raises:
        RecipeError: a prefix is malformed or names what OpenMetadata does not have.
        RequestError: a request failed; a part of the tables is never returned for the whole.
        IncompleteRead: the listing repeats itself.

    A schema or table whose name cannot be taken apart is left out and told in the frame's gaps.
    """
    scopes = [fqn.join(*parts) for parts in _outermost([_parts(prefix) for prefix in prefixes])]
    now = clock()
    known = files.load()
    trusted = CatalogCopy() if reconcile else known.younger(now, reconcile_days)
    index = _Index(client)
    listings = _listings(client, scopes, trusted, index, now)
    ids = {schema_id: name for one in listings.values() for schema_id, name in one.ids.items()}
    schemas = {name: schema_id for schema_id, name in ids.items()}
    rows, gaps = _schema_rows(schemas)
    wanted = schemas_to_read(references.rows, CATALOG_SCHEMAS.frame(rows).rows)
    read = {
        name: trusted.schemas[name]
        for name in index.unchanged({name: trusted.schemas.get(name) for name in wanted})
    }
    missing = wanted - read.keys()
    try:
        for whole in _listed(client, missing, schemas, scopes, clock):
            read |= whole
    finally:
        kept = {
            name: one
            for name, one in known.schemas.items()
            if name in schemas or not _within(name, scopes)
        }
        new = CatalogCopy({**known.listings, **listings}, {**kept, **read})
        if new != known:
            files.save(new)
    for row in rows:
        one = read.get(row["schema_fqn"])
        row["read_at"] = None if one is None else one.read_at
    tables, odd = _table_rows(read)
    return CatalogRead(
        tables=CATALOG_TABLES.frame(tables, [*gaps, *odd]),
        schemas=CATALOG_SCHEMAS.frame(rows, gaps),
        schemas_listed_now=len(missing),
        index_problem=index.problem,
    )


class _Index:
    """The search index, as far as it agrees with what is kept.

    Attributes:
        problem: why it could not be asked; empty when it could.
    """

    def __init__(self, client: OpenMetadataClient) -> None:
        self._client = client
        self.problem = ""

    def same_listings(self, listings: Mapping[str, SchemaListing]) -> set[str]:
        """The scopes below which it knows exactly the schemas that are listed there.

        An empty listing is never the same: only OpenMetadata itself tells whether the scope exists.
        """
        kept = {scope: one for scope, one in listings.items() if one.ids}
        depths = {scope: len(fqn.split(scope)) for scope in kept}
        named = [scope for scope, depth in depths.items() if depth == _LEVELS_OF_A_SCHEMA]
        below = [scope for scope, depth in depths.items() if depth < _LEVELS_OF_A_SCHEMA]
        if not kept or (found := self._found("schema", below, named)) is None:
            return set()
        return {
            scope
            for scope, one in kept.items()
            if one.ids
            == {
                hit.id: hit.fully_qualified_name
                for hit in found
                if _within(hit.fully_qualified_name, [scope])
            }
        }

    def unchanged(self, schemas: Mapping[str, SchemaTables | None]) -> list[str]:
        """The schemas of which it knows exactly the tables that are kept, all of them unchanged.

        Args:
            schemas: what is kept of them; None when nothing is.
        """
        kept = {name: one for name, one in sorted(schemas.items()) if one is not None}
        same = []
        for batch in _batches(kept):
            found = self._found("table", list(batch), [])
            if found is None:
                break
            by_schema: dict[str, set[tuple[str, str, int | None]]] = {name: set() for name in batch}
            for hit in found:
                of_schema = by_schema.get(_parent(hit.fully_qualified_name))
                if of_schema is not None:
                    of_schema.add((hit.id, hit.fully_qualified_name, hit.updated_at))
            same += [
                name
                for name, one in batch.items()
                if by_schema[name]
                == {(table.id, table.fqn, table.updated_at) for table in one.tables}
            ]
        return same

    def _found(
        self, kind: IndexedKind, below: Sequence[str], named: Sequence[str]
    ) -> list[Indexed] | None:
        if self.problem:
            return None
        try:
            return self._client.indexed(kind, below=below, named=named)
        except _NO_INDEX as error:
            self.problem = str(error)
            return None


def _batches(schemas: Mapping[str, SchemaTables]) -> Iterator[dict[str, SchemaTables]]:
    batch: dict[str, SchemaTables] = {}
    characters = tables = 0
    for name, one in schemas.items():
        full = (
            len(batch) == _MOST_NAMES
            or characters + len(name.encode()) > _MOST_CHARACTERS
            or tables + len(one.tables) > _MOST_TABLES
        )
        if batch and full:
            yield batch
            batch, characters, tables = {}, 0, 0
        batch[name] = one
        characters += len(name.encode())
        tables += len(one.tables)
    if batch:
        yield batch


def _listings(
    client: OpenMetadataClient,
    scopes: Sequence[str],
    trusted: CatalogCopy,
    index: _Index,
    now: datetime,
) -> dict[str, SchemaListing]:
    kept = {scope: trusted.listings[scope] for scope in scopes if scope in trusted.listings}
    same = index.same_listings(kept)
    return {
        scope: kept[scope]
        if scope in same
        else SchemaListing(now, {one.id: one.fully_qualified_name for one in _below(client, scope)})
        for scope in scopes
    }


def _below(client: OpenMetadataClient, scope: str) -> list[Container]:
    """Schemas of one scope.

    That it exists is asked only when nothing was found below it: OpenMetadata answers an unknown
    filter value with an empty listing.
    """
    depth = len(fqn.split(scope))
    if depth == _LEVELS_OF_A_SCHEMA:
        schema = client.database_schema(scope)
        if schema is None:
            raise _missing("schema", scope)
        return [schema]
    if depth == _LEVELS_OF_A_SCHEMA - 1:
        schemas = client.database_schemas(scope)
        if not schemas and client.database(scope) is None:
            raise _missing("database", scope)
        return schemas
    databases = client.databases(scope)
    if not databases and client.database_service(scope) is None:
        raise _missing("database service", scope)
    return [
        schema
        for database in databases
        for schema in client.database_schemas(database.fully_qualified_name)
    ]


def _listed(
    client: OpenMetadataClient,
    missing: Collection[str],
    schemas: Iterable[str],
    scopes: Sequence[str],
    clock: Callable[[], datetime],
) -> Iterator[dict[str, SchemaTables]]:
    """Tables of the missing ones of these schemas, as listings come to their end.

    A database of which all schemas are missing is listed at once, for a page holds tables of many.
    """
    by_database: dict[str, list[str]] = {}
    for name in sorted(schemas):
        by_database.setdefault(_parent(name), []).append(name)
    for database, names in by_database.items():
        wanted = [name for name in names if name in missing]
        now = clock()
        if len(wanted) > 1 and wanted == names and _within(database, scopes):
            by_schema: dict[str, list[CopiedTable]] = {name: [] for name in names}
            for table in _copied(client.tables_of_database(database)):
                place = _parent(table.fqn) or _prefix_of(table.fqn, names)
                # A schema that came after the schemas were listed is the next run's.
                if place in by_schema:
                    by_schema[place].append(table)
            yield {name: SchemaTables(now, tuple(found)) for name, found in by_schema.items()}
            continue
        for name in wanted:
            tables = _copied(client.tables_of_schema(name))
            yield {name: SchemaTables(now, tuple(tables))}


def _copied(pages: Iterable[Sequence[Table]]) -> list[CopiedTable]:
    """The tables of all pages, each once."""
    by_id = {
        table.id: CopiedTable(
            table.id,
            table.fully_qualified_name,
            table.updated_at,
            tuple(column.name for column in table.columns),
        )
        for page in pages
        for table in page
    }
    return list(by_id.values())


def _parts(prefix: str) -> tuple[str, ...]:
    try:
        parts = tuple(fqn.split(prefix))
    except ValueError as error:
        raise RecipeError(f"{_KEY}: {error}. Write a part that has a dot in quotes.") from error
    if len(parts) > _LEVELS_OF_A_SCHEMA:
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


def _within(name: str, scopes: Sequence[str]) -> bool:
    return any(name == scope or name.startswith(f"{scope}.") for scope in scopes)


def _prefix_of(name: str, schemas: Iterable[str]) -> str:
    """The schema of a table whose name cannot be taken apart; empty when it begins with none."""
    return next((schema for schema in schemas if _within(name, [schema])), "")


def _parent(name: str) -> str:
    """The container of what is so called; empty when the name cannot be taken apart."""
    try:
        return fqn.join(*fqn.split(name)[:-1])
    except ValueError:
        return ""


def _missing(level: str, name: str) -> RecipeError:
    return RecipeError(
        f"{_KEY}: OpenMetadata has no {level} {name}. Letter case counts; run its metadata "
        "ingestion first if it is new."
    )


def _schema_rows(schemas: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of ``CATALOG_SCHEMAS``, none of them read, and gaps.

    Args:
        schemas: ids by fully qualified name.
    """
    rows, gaps = [], []
    for name, schema_id in sorted(schemas.items()):
        try:
            service, database, schema = (fqn.decode(part) for part in fqn.split(name))
        except ValueError:
            gaps.append(f"schema {schema_id}: {name} has not three parts")
            continue
        rows.append(
            {
                "service": service,
                "database": database,
                "schema": schema,
                "schema_fqn": name,
                "read_at": None,
            }
        )
    return rows, gaps


def _table_rows(schemas: Mapping[str, SchemaTables]) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of ``CATALOG_TABLES`` by name, and gaps."""
    rows, gaps = [], []
    tables = (table for one in schemas.values() for table in one.tables)
    for table in sorted(tables, key=lambda table: table.fqn):
        try:
            service, database, schema, name = (fqn.decode(part) for part in fqn.split(table.fqn))
        except ValueError:
            gaps.append(f"table {table.id}: {table.fqn} has not four parts")
            continue
        rows.append(
            {
                "service": service,
                "database": database,
                "schema": schema,
                "table": name,
                "table_fqn": table.fqn,
                "table_id": table.id,
                "columns": [fqn.decode(column) for column in table.columns],
            }
        )
    return rows, gaps
