"""How each warehouse compares names, and what its names are made of."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from typing import NamedTuple

from sqlglot.dialects.dialect import Dialect, NormalizationStrategy


class Folding(Enum):
    """What a warehouse does with the letter case of a name."""

    UPPER = "unquoted names become upper case, quoted ones stay"
    LOWER = "unquoted names become lower case, quoted ones stay"
    INSENSITIVE = "letter case never counts"
    EXACT = "letter case always counts"


class Name(NamedTuple):
    """One part of a name as the text writes it, without its quotes."""

    text: str
    quoted: bool = False


class TableName(NamedTuple):
    """A table as the text names it: one to four parts, the table last."""

    parts: tuple[Name, ...]

    def written(self, dialect: str) -> str:
        """The name as one would type it in that dialect."""
        quote = "`" if dialect in _BACKTICKS else '"'
        return ".".join(
            f"{quote}{part.text}{quote}" if part.quoted else part.text for part in self.parts
        )


class Session(NamedTuple):
    """Where unqualified names are looked up.

    Attributes:
        database: current database (BigQuery: project, Trino: catalog); None when unknown.
        schemas: current schema, or the search path in order; empty when unknown.
        assumed: how many schemas at the end are the warehouse's habit rather than known.
    """

    database: str | None = None
    schemas: tuple[str, ...] = ()
    assumed: int = 0


_FOLDINGS = {
    NormalizationStrategy.UPPERCASE: Folding.UPPER,
    NormalizationStrategy.LOWERCASE: Folding.LOWER,
    NormalizationStrategy.CASE_INSENSITIVE: Folding.INSENSITIVE,
    NormalizationStrategy.CASE_INSENSITIVE_UPPERCASE: Folding.INSENSITIVE,
    NormalizationStrategy.CASE_SENSITIVE: Folding.EXACT,
}

_BACKTICKS = frozenset(
    "bigquery clickhouse databricks doris hive mysql singlestore spark spark2 starrocks".split()
)

_TWO_LEVELS = frozenset("clickhouse doris hive mysql singlestore starrocks".split())
"""Warehouses whose databases OpenMetadata files as schemas below a single database."""

_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_ASCII_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


@cache
def table_folding(dialect: str) -> Folding:
    """How databases, schemas and tables compare.

    sqlglot knows it for each dialect; BigQuery's differs from its aliases (BigQuery, Lexical
    structure, Case sensitivity).

    Raises:
        ValueError: sqlglot knows no such dialect.
    """
    return Folding.EXACT if dialect == "bigquery" else alias_folding(dialect)


@cache
def alias_folding(dialect: str) -> Folding:
    """How aliases and the names of common table expressions compare.

    Raises:
        ValueError: sqlglot knows no such dialect.
    """
    return _FOLDINGS[Dialect.get_or_raise(dialect).normalization_strategy]


@cache
def column_folding(dialect: str) -> Folding:
    """How columns compare; MySQL heeds the case of tables, never that of columns.

    Raises:
        ValueError: sqlglot knows no such dialect.
    """
    if dialect in ("mysql", "singlestore", "doris", "starrocks"):
        return Folding.INSENSITIVE
    return alias_folding(dialect)


def fold(name: Name, folding: Folding) -> str:
    """Two names of a warehouse are the same if, and only if, they fold to the same text."""
    if folding is Folding.INSENSITIVE:
        return name.text.lower()
    if folding is Folding.EXACT or name.quoted:
        return name.text
    # Servers fold ASCII letters only; str.upper would even change the length of some names.
    return name.text.translate(_ASCII_UPPER if folding is Folding.UPPER else _ASCII_LOWER)


def has_two_levels(dialect: str) -> bool:
    """Whether ``a.b`` is all there is: database and table, no schema between them."""
    return dialect in _TWO_LEVELS


def session_of(dialect: str, database: str | None, schema: str | None) -> Session:
    """The session of a logged query, in OpenMetadata's levels.

    A warehouse with two levels may log its current database as either. Snowflake looks a name up
    in the current schema and then in PUBLIC (Snowflake, Object name resolution, SEARCH_PATH).
    """
    if has_two_levels(dialect):
        current = schema or database
        return Session(None, (current,) if current else ())
    if dialect == "snowflake" and schema and schema != "PUBLIC":
        return Session(database or None, (schema, "PUBLIC"), assumed=1)
    return Session(database or None, (schema,) if schema else ())


_SYSTEM_SCHEMAS: Mapping[str, frozenset[str]] = {
    "clickhouse": frozenset({"system"}),
    "mysql": frozenset({"mysql", "performance_schema", "sys"}),
    "postgres": frozenset({"pg_catalog", "pg_toast"}),
    "redshift": frozenset({"pg_catalog", "pg_internal"}),
    "tsql": frozenset({"sys"}),
}
_SYSTEM_TABLES: Mapping[str, tuple[str, ...]] = {
    "postgres": ("pg_",),
    "redshift": ("pg_", "stl_", "stv_", "svcs_", "svl_", "svv_", "sys_load_", "sys_query_"),
}
_SYSTEM_DATABASES: Mapping[str, frozenset[str]] = {
    "databricks": frozenset({"system"}),
    "duckdb": frozenset({"system"}),
    "presto": frozenset({"system"}),
    "snowflake": frozenset({"snowflake"}),
    "trino": frozenset({"system"}),
}


def is_system(table: TableName, dialect: str) -> bool:
    """Whether it is the warehouse's own view of itself, such as INFORMATION_SCHEMA."""
    parts = [part.text.lower() for part in table.parts]
    # sqlglot makes one part of BigQuery's INFORMATION_SCHEMA.TABLES.
    if parts[-1].startswith("information_schema."):
        return True
    if len(parts) == 1:
        return parts[0].startswith(_SYSTEM_TABLES.get(dialect, ()))
    if parts[-2] in {"information_schema", *_SYSTEM_SCHEMAS.get(dialect, ())}:
        return True
    return len(parts) > 2 and parts[-3] in _SYSTEM_DATABASES.get(dialect, ())


def listed_parts(name: str) -> list[str]:
    """The parts of a name as Hex lists it; a part with a dot is in quotes."""
    quoted = name.replace('"', "`").split("`")
    parts = [""]
    for place, text in enumerate(quoted):
        if place % 2:
            parts[-1] += text
            continue
        first, *others = text.split(".")
        parts[-1] += first
        parts += others
    return [part for part in parts if part][-3:]


def common_text(names: Sequence[str], limit: int = 5) -> str:
    """The first names and how many more there are."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
