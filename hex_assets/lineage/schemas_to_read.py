"""Which schemas of the catalog can hold what is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from hex_assets.lineage.names import has_two_levels
from hex_assets.lineage.resolve import DEFAULT_CATALOGS

_MOST_PARTS = 3
"""A longer name is on another server, and never looked up."""


def schemas_to_read(references: pl.DataFrame, schemas: pl.DataFrame) -> set[str]:
    """Schemas without which a ``TableIndex`` could not answer as it does with all of them.

    Names are compared by lower case, whatever the dialect: a schema too many costs a request, one
    too few would make a name unresolved.

    Args:
        references: rows of ``TABLE_REFERENCES``.
        schemas: rows of ``CATALOG_SCHEMAS``, all within the prefixes.

    Returns:
        Fully qualified names.
    """
    places = _Places(schemas)
    scopes = references.filter(pl.col("name").list.len() <= _MOST_PARTS).select(
        "service", "dialect", "database", "schemas", qualifiers=_all_but_last("name")
    )
    return {found for row in scopes.unique().iter_rows() for found in places.of(*row)}


def _all_but_last(name: str) -> pl.Expr:
    return pl.col(name).list.head(pl.col(name).list.len() - 1)


class _Places:
    """Schemas by service and name, each with its database in lower case."""

    def __init__(self, schemas: pl.DataFrame) -> None:
        self._by_name: dict[tuple[str, str | None], list[tuple[str, str]]] = {}
        names = ["service", "database", "schema", "schema_fqn"]
        for service, database, schema, schema_fqn in schemas.select(names).iter_rows():
            for key in ((service, schema.lower()), (service, None)):
                self._by_name.setdefault(key, []).append((database.lower(), schema_fqn))

    def of(
        self,
        service: str,
        dialect: str,
        session_database: str | None,
        session_schemas: Sequence[str],
        qualifiers: Sequence[str],
    ) -> Iterator[str]:
        """Where a name with these qualifiers is looked up.

        Args:
            qualifiers: the parts of the name before the table.
        """
        named: Sequence[str | None] = [*qualifiers[-1:]] or [*session_schemas] or [None]
        database = self._database(dialect, session_database, qualifiers)
        for schema in named:
            key = (service, None if schema is None else schema.lower())
            for found, schema_fqn in self._by_name.get(key, ()):
                if database in (None, found):
                    yield schema_fqn

    @staticmethod
    def _database(
        dialect: str, session_database: str | None, qualifiers: Sequence[str]
    ) -> str | None:
        """The database in lower case; None for any."""
        if len(qualifiers) > 1:
            database: str | None = qualifiers[-2]
        elif has_two_levels(dialect):
            return None
        else:
            database = session_database or None
        # Which database stands for a default catalog depends on which databases there are.
        if database is None or database.lower() in DEFAULT_CATALOGS.get(dialect, ()):
            return None
        return database.lower()
