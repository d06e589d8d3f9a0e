"""From a name in a statement to a table of the catalog, or to the reason why not."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from enum import Enum
from hashlib import sha256
from itertools import takewhile
from typing import TYPE_CHECKING

from hex_assets.lineage.columns import Derived
from hex_assets.lineage.names import (
    Folding,
    Name,
    Session,
    TableName,
    common_text,
    fold,
    has_two_levels,
    is_system,
    table_folding,
)
from hex_assets.openmetadata import fqn

if TYPE_CHECKING:
    # Parser processes import this module, and would take twice as long to start.
    import polars as pl


class Reason(str, Enum):
    """Why a reference was not linked. The set is closed."""

    NOT_IN_CATALOG = "not in the catalog"
    """The name is complete, or completed by the session, and OpenMetadata has no such table."""

    OUTSIDE_PREFIXES = "outside the prefixes"
    """The name is of a database or schema that ``dbServicePrefixes`` leaves out."""

    NO_SESSION_SCHEMA = "no session schema"
    """The name is incomplete, what completes it is unknown, and it fits several tables."""

    AMBIGUOUS = "ambiguous"
    """The name is complete and yet fits several tables."""

    WILDCARD = "wildcard"
    """The name is a pattern that fits several tables, or none."""

    COMPUTED_NAME = "computed name"
    """The name is a variable or an expression of the statement."""

    OTHER_SYSTEM = "other system"
    """The statement reads through a function that asks another database."""

    BUILT_BY_JINJA = "name built by Jinja"
    """The name is rendered when the cell runs; what it renders to is in no cell."""

    UNMAPPED_CONNECTION = "unmapped data connection"
    """It is not known which database service the cell's data connection reads."""

    NOT_PARSED = "not parsed"
    """The statement, or one statement of the script, was not understood."""


class Resolution(str, Enum):
    """How sure a link is."""

    EXACT = "exact"
    """The name and the session give service, database, schema and table."""

    INFERRED = "inferred"
    """A part was unknown, and only one table within the prefixes fits the rest."""

    TOLERANT = "tolerant"
    """The statement was not understood; the name stood behind FROM or JOIN, and is a table's."""

    def surer_than(self, other: Resolution) -> bool:
        order = list(Resolution)
        return order.index(self) < order.index(other)


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """One table of the catalog."""

    service: str
    database: str
    schema: str
    table: str
    table_fqn: str
    table_id: str
    columns: tuple[str, ...] = ()

    def __hash__(self) -> int:
        # Tables key everything that is gathered; hashing all columns would cost most of the time.
        return hash(self.table_id)


@dataclass(frozen=True)
class Resolved:
    """The table that a reference names.

    Attributes:
        table: the table.
        resolution: how sure that is.
        metadata: whether the reference names a table that tells about this one.
    """

    table: CatalogTable
    resolution: Resolution
    metadata: bool = False

    @property
    def columns(self) -> Sequence[str] | Derived:
        """What can be read by that name; none of the table's columns if it tells about it."""
        return Derived(()) if self.metadata else self.table.columns


@dataclass(frozen=True)
class Unresolved:
    """Why a reference names no table of the catalog.

    Attributes:
        reason: one of a closed set.
        detail: candidates or what else helps to mend it; empty when there is nothing to add.
        provisional: whether tables of the place that it names were not read.
    """

    reason: Reason
    detail: str = ""
    provisional: bool = False


ANY_NAME = "*"
"""Stands for all names of tables, where a pattern is looked up or schemas were not read."""

DEFAULT_CATALOGS = {
    "athena": frozenset({"awsdatacatalog"}),
    "databricks": frozenset({"hive_metastore", "spark_catalog"}),
}
"""Catalogs whose tables OpenMetadata may file below a database of another name."""

_NAMELESS_DATABASE = "default"
"""What OpenMetadata calls the database of a service that was given none."""

_HAS_METADATA_TABLES = frozenset({"athena", "presto", "trino"})
"""``"t$partitions"`` and its like tell about the table ``t`` (Trino, Iceberg connector)."""


class TableIndex:
    """The catalog's tables by name, built once and asked for each reference.

    Args:
        catalog_tables: rows of the frame ``catalog_tables``.
        prefixes: ``dbServicePrefixes``: ``service``, ``service.database`` or
            ``service.database.schema``. Letter case counts; empty means no restriction.
        catalog_schemas: rows of the frame ``catalog_schemas``: all schemas within the prefixes,
            those too whose tables were not read. None means that all tables are there.

    Raises:
        ValueError: a prefix is malformed.
    """

    def __init__(
        self,
        catalog_tables: pl.DataFrame,
        prefixes: Sequence[str],
        catalog_schemas: pl.DataFrame | None = None,
    ) -> None:
        self._prefixes = [tuple(fqn.split(prefix)) for prefix in prefixes]
        self._by_table: dict[tuple[str, str], list[CatalogTable]] = {}
        self._by_schema: dict[tuple[str, str, str], list[CatalogTable]] = {}
        self._databases: dict[tuple[str, str], set[str]] = {}
        self._schemas: dict[tuple[str, str], set[str]] = {}
        self._databases_of: dict[str, set[str]] = {}
        self._sorted: list[tuple[str, str, str, CatalogTable]] = []
        self._unread: dict[tuple[str, str | None], dict[str, str]] = {}
        if catalog_schemas is not None:
            self._know(catalog_schemas)
        names = ["service", "database", "schema", "table", "table_fqn", "table_id", "columns"]
        for row in catalog_tables.select(names).iter_rows(named=True):
            table = CatalogTable(**{**row, "columns": tuple(row["columns"] or ())})
            service, name, schema = table.service, table.table.lower(), table.schema.lower()
            self._by_table.setdefault((service, name), []).append(table)
            self._by_schema.setdefault((service, schema, name), []).append(table)
            self._spell(service, table.database, table.schema)
        self._by_id = {table.table_id: table for same in self._by_table.values() for table in same}
        self._digests: dict[tuple[str, str], bytes] = {}

    def _know(self, catalog_schemas: pl.DataFrame) -> None:
        names = ["service", "database", "schema", "schema_fqn", "read_at"]
        for service, database, schema, name, read_at in catalog_schemas.select(names).iter_rows():
            self._spell(service, database, schema)
            if read_at is None:
                for key in ((service, schema.lower()), (service, None)):
                    self._unread.setdefault(key, {})[database] = name

    def _spell(self, service: str, database: str, schema: str) -> None:
        self._schemas.setdefault((service, schema.lower()), set()).add(schema)
        self._databases.setdefault((service, database.lower()), set()).add(database)
        self._databases_of.setdefault(service, set()).add(database)

    def by_id(self, table_id: str) -> CatalogTable:
        """The table with that id.

        Raises:
            KeyError: there is none.
        """
        return self._by_id[table_id]

    def digest(self, service: str, names: Sequence[str]) -> str:
        """A hash of all that decides how names resolve, and of the columns of what they may name.

        Args:
            service: database service that the statement runs on.
            names: of tables, in lower case and sorted; ``*`` for the pattern of a name.
        """
        digest = sha256(self._digest_of_places(service))
        for name in names:
            digest.update(self._digest_of_name(service, name))
        return digest.hexdigest()

    def _digest_of_places(self, service: str) -> bytes:
        """Of the spellings of databases and schemas, and of the prefixes."""
        known = self._digests.get((service, ""))
        if known is None:
            schemas = (names for (own, _), names in self._schemas.items() if own == service)
            spelled = sorted(name for names in schemas for name in names)
            places = (sorted(self.databases(service)), spelled, sorted(self._prefixes))
            known = self._digests[service, ""] = sha256(repr(places).encode()).digest()
        return known

    def _digest_of_name(self, service: str, name: str) -> bytes:
        known = self._digests.get((service, name))
        if known is None:
            alike = (
                [t for (own, _), same in self._by_table.items() if own == service for t in same]
                if name == ANY_NAME
                else self._by_table.get((service, name), [])
            )
            found = sorted((table.table_fqn, table.table_id, table.columns) for table in alike)
            unread = self._unread.get((service, None), {}) if name == ANY_NAME else {}
            all_of_it = (name, found, sorted(unread.items()))
            known = self._digests[service, name] = sha256(repr(all_of_it).encode()).digest()
        return known

    def resolve(
        self, service: str, dialect: str, table: TableName, session: Session
    ) -> Resolved | Unresolved | None:
        """The table that a statement run on that service names.

        The result is None for the warehouse's own tables, such as INFORMATION_SCHEMA, that the
        catalog does not have: there is nothing to mend.

        Raises:
            ValueError: sqlglot knows no such dialect.
        """
        answer = _Search(self, service, dialect, table, session).answer()
        if isinstance(answer, Unresolved) and is_system(table, dialect):
            return None
        return answer

    def looked_up(self, dialect: str, table: TableName) -> set[str]:
        """The names, see ``digest``, of which ``resolve`` looks at tables."""
        name = table.parts[-1].text.lower()
        if dialect == "bigquery" and name.endswith("*"):
            return {ANY_NAME}
        if dialect in _HAS_METADATA_TABLES:
            return {name, name.partition("$")[0]}
        return {name}

    def permits(self, service: str, database: str | None = None, schema: str | None = None) -> bool:
        """Whether tables there can be within the prefixes; None stands for any."""
        place = (service, database, schema)
        return not self._prefixes or any(
            all(part in (None, wanted) for wanted, part in zip(prefix, place, strict=False))
            for prefix in self._prefixes
        )

    def tables(self, service: str, schema: str | None, table: str) -> list[CatalogTable]:
        """Tables of that name in any letter case, in that schema if one is given."""
        if schema is None:
            return self._by_table.get((service, table.lower()), [])
        return self._by_schema.get((service, schema.lower(), table.lower()), [])

    def beginning_with(self, service: str, schema: str, beginning: str) -> list[CatalogTable]:
        """Tables of a schema whose names begin so; letter case counts."""
        if not self._sorted:
            every = (table for tables in self._by_table.values() for table in tables)
            self._sorted = sorted(
                ((table.service, table.schema, table.table, table) for table in every),
                key=lambda entry: entry[:3],
            )
        first = bisect_left(self._sorted, (service, schema, beginning), key=lambda e: e[:3])
        found = takewhile(
            lambda entry: entry[:2] == (service, schema) and entry[2].startswith(beginning),
            (self._sorted[place] for place in range(first, len(self._sorted))),
        )
        return [entry[3] for entry in found]

    def unread(self, service: str, database: str | None, schema: str | None) -> str | None:
        """A schema there, of that name in any letter case, whose tables were not read.

        Args:
            database: None for any.
            schema: None for any.
        """
        there = self._unread.get((service, None if schema is None else schema.lower()), {})
        return next(iter(there.values()), None) if database is None else there.get(database)

    def databases(self, service: str, name: str | None = None) -> Set[str]:
        """Databases of the service, or how those of that name are spelled."""
        if name is None:
            return self._databases_of.get(service, set())
        return self._databases.get((service, name.lower()), set())

    def schemas(self, service: str, name: str) -> Set[str]:
        """How the schemas of that name are spelled."""
        return self._schemas.get((service, name.lower()), set())


def _spelled(name: Name, folding: Folding, stored: Set[str]) -> str:
    """How the catalog spells a name, if it has it; else how the warehouse would store it.

    Args:
        stored: the catalog's names that are equal but for letter case.
    """
    if folding is not Folding.INSENSITIVE:
        return fold(name, folding)
    # Names that differ by case alone mean that the warehouse was told to heed quotes.
    wanted = name.text if name.quoted else name.text.lower()
    if wanted in stored:
        return wanted
    return next(iter(stored)) if len(stored) == 1 else name.text.lower()


class _Search:
    """One reference being looked up: each part of its place is a stored name, or None."""

    def __init__(
        self, index: TableIndex, service: str, dialect: str, table: TableName, session: Session
    ) -> None:
        self.index = index
        self.service = service
        self.dialect = dialect
        self.folding = table_folding(dialect)
        self.parts = table.parts
        self.table = table.parts[-1]
        self.schemas: list[str | None]
        if len(table.parts) > 1:
            name = table.parts[-2]
            self.schemas = [_spelled(name, self.folding, index.schemas(service, name.text))]
            self.assumed = 0
        else:
            self.schemas = [
                self._of_session(schema, index.schemas(service, schema))
                for schema in session.schemas
            ] or [None]
            self.assumed = session.assumed
        self.database, self.any_database = self._place(session)

    def _of_session(self, name: str, stored: Set[str]) -> str:
        """Logs give names as stored; what a person wrote into a recipe is folded."""
        return name if name in stored else _spelled(Name(name), self.folding, stored)

    def _place(self, session: Session) -> tuple[str | None, bool]:
        """The database, and whether any will do because the warehouse has no such level."""
        databases = self.index.databases(self.service)
        defaults = DEFAULT_CATALOGS.get(self.dialect, frozenset())
        if len(self.parts) > 2:
            name = self.parts[-3]
            stored = self.index.databases(self.service, name.text)
            database: str | None = _spelled(name, self.folding, stored)
        elif has_two_levels(self.dialect):
            return None, True
        elif session.database:
            stored = self.index.databases(self.service, session.database)
            database = self._of_session(session.database, stored)
        else:
            database = "awsdatacatalog" if self.dialect == "athena" else None
        if database in defaults and database not in databases:
            if len(databases) == 1:
                return None, True
            if _NAMELESS_DATABASE in databases:
                return _NAMELESS_DATABASE, False
        return database, False

    def answer(self) -> Resolved | Unresolved:
        if not self.index.permits(self.service):
            return Unresolved(Reason.OUTSIDE_PREFIXES, f"service {self.service}")
        if len(self.parts) > 3:
            return Unresolved(Reason.NOT_IN_CATALOG, "a name of four parts is on another server")
        for schema in self.schemas:
            if unread := self.index.unread(self.service, self.database, schema):
                # Among tables of which some are missing, one could seem to be the only one.
                detail = f"{unread} was not read: materialize catalog_tables again"
                return Unresolved(Reason.NOT_IN_CATALOG, detail, provisional=True)
        if self.dialect == "bigquery" and self.table.text.endswith("*"):
            return self._wildcard()
        answer = self._look_up()
        if self.dialect in _HAS_METADATA_TABLES and isinstance(answer, Unresolved):
            base, sign, _ = self.table.text.partition("$")
            if base and sign:
                self.table = Name(base, self.table.quoted)
                answer = self._look_up()
                if isinstance(answer, Resolved):
                    return replace(answer, metadata=True)
        return answer

    def _look_up(self) -> Resolved | Unresolved:
        known_database = self.database is not None or self.any_database
        for place, schema in enumerate(self.schemas):
            found = self._found(schema)
            if schema is None or not known_database:
                found = [table for table in found if self._permitted(table)]
            if len(found) == 1:
                if not self._permitted(found[0]):
                    return Unresolved(Reason.OUTSIDE_PREFIXES, found[0].table_fqn)
                sure = schema is not None and known_database
                sure = sure and place < len(self.schemas) - self.assumed
                return Resolved(found[0], Resolution.EXACT if sure else Resolution.INFERRED)
            if found:
                complete = schema is not None and known_database
                reason = Reason.AMBIGUOUS if complete else Reason.NO_SESSION_SCHEMA
                return Unresolved(reason, _listed(found))
        if not any(
            self.index.permits(self.service, self.database, schema) for schema in self.schemas
        ):
            place_text = ".".join(part for part in (self.database, self.schemas[0]) if part)
            return Unresolved(Reason.OUTSIDE_PREFIXES, place_text)
        return Unresolved(Reason.NOT_IN_CATALOG, self._hint())

    def _found(self, schema: str | None) -> list[CatalogTable]:
        """Tables of exactly that name there."""
        tables = [
            table
            for table in self.index.tables(self.service, schema, self.table.text)
            if self._in_database(table) and schema in (None, table.schema)
        ]
        wanted = _spelled(self.table, self.folding, {table.table for table in tables})
        exactly = [table for table in tables if table.table == wanted]
        return tables if self.folding is Folding.INSENSITIVE and not exactly else exactly

    def _in_database(self, table: CatalogTable) -> bool:
        return self.database in (None, table.database)

    def _permitted(self, table: CatalogTable) -> bool:
        return self.index.permits(self.service, table.database, table.schema)

    def _wildcard(self) -> Resolved | Unresolved:
        """A pattern that fits one table is that table; one that fits more is not fanned out."""
        schema = self.schemas[0]
        if schema is None:
            return Unresolved(Reason.WILDCARD)
        beginning = self.table.text[:-1]
        found = [
            table
            for table in self.index.beginning_with(self.service, schema, beginning)
            if self._in_database(table) and self._permitted(table)
        ]
        if len(found) == 1:
            return Resolved(found[0], Resolution.INFERRED)
        return Unresolved(Reason.WILDCARD, _listed(found))

    def _hint(self) -> str:
        """What the catalog has instead."""
        for schema in self.schemas:
            alike = self.index.tables(self.service, schema, self.table.text)
            if alike and schema is not None:
                return f"similar: {_listed(alike)}"
        elsewhere = self.index.tables(self.service, None, self.table.text)
        return f"elsewhere: {_listed(elsewhere)}" if elsewhere else ""


def _listed(tables: Sequence[CatalogTable]) -> str:
    return common_text(sorted(table.table_fqn for table in tables))
