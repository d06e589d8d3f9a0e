"""SQL with a catalog and the truth about what it reads.

Our own corpus is ``statements/*.yaml``, a file per dialect. Each query says what it reads: table to
usage to columns, a column without usage as ``unused``. ``unresolved`` lists reasons, ``inferred``
tables whose names the session does not complete, ``named_as`` how the text names a table otherwise
than the catalog, and ``also_named`` what it names besides: information schemas, tables it writes.

Vendors' own texts are told by ``statements/vendors/*.yaml`` in the same way, but are not copied:
``text`` is the SHA-256 of a text in UTF-8, which stands in a folder that is not part of this
repository as ``<text>.sql``. ``source`` there tells repository, licence and paths.

TPC-H and TPC-DS come from a folder that is not part of this repository: ``*.jsonl``, per line ``id,
dialect, db, schema, sql, tables, columns, catalog``, and ``*_schemas.json``, catalog to table to
column to type.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hex_assets.frames import CATALOG_TABLES, Frame
from hex_assets.lineage.queries import USAGES

_FOLDER = Path(__file__).parent / "statements"
VENDORS = _FOLDER / "vendors"
SERVICE = "service"
"""The database service that the tables of all catalogs are of."""

_UNUSED = "unused"


@dataclass(frozen=True)
class Statement:
    """A text and the truth about it.

    Attributes:
        name: what it shows, unique within its dialect.
        dialect: sqlglot's name of the dialect.
        sql: one or more statements.
        database, schema: the session; None where it has none.
        catalog: ``database.schema.table`` to the names of its columns.
        reads: table of the catalog to column to its usages.
        inferred: tables among ``reads`` that are not told by name and session alone.
        unresolved: why other references are not linked, sorted.
        named_as: table among ``reads`` to how the text names it, where that differs.
        also_named: other tables that the text names, which an engine may tell or not.
    """

    name: str
    dialect: str
    sql: str
    database: str | None
    schema: str | None
    catalog: Mapping[str, tuple[str, ...]]
    reads: Mapping[str, Mapping[str, frozenset[str]]]
    inferred: frozenset[str]
    unresolved: tuple[str, ...]
    named_as: Mapping[str, str]
    also_named: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{self.dialect}: {self.name}"


def own_statements() -> list[Statement]:
    """Our own corpus, by dialect in the order of the files.

    Raises:
        ValueError: a query says that it uses a column that its catalog does not have, or names an
            unknown usage.
    """
    return [
        statement
        for file in sorted(_FOLDER.glob("*.yaml"))
        for statement in _statements(file, lambda query: str(query["sql"]))
    ]


def vendor_statements(texts: Path | None) -> list[Statement]:
    """The truth about vendors' own texts, in the order of the files.

    Args:
        texts: folder of ``<text>.sql``; statements whose text it lacks are left out. None leaves
            out none, and their ``sql`` is empty.

    Raises:
        ValueError: as `own_statements`; or a text is not the one that the truth was written for.
    """

    def sql_of(query: Mapping[str, Any]) -> str | None:
        if texts is None:
            return ""
        file = texts / f"{query['text']}.sql"
        if not file.exists():
            return None
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() != query["text"]:
            raise ValueError(f"{file.name} holds another text")
        return content.decode()

    return [
        statement
        for file in sorted(VENDORS.glob("*.yaml"))
        for statement in _statements(file, sql_of)
    ]


def catalog_of(statement: Statement, with_columns: bool = True) -> Frame:
    """The statement's catalog as ``catalog_tables``, of the service `SERVICE`.

    Args:
        with_columns: whether the catalog knows the columns of its tables.
    """
    rows = []
    for name, columns in statement.catalog.items():
        database, schema, table = name.split(".")
        rows.append(
            {
                "service": SERVICE,
                "database": database,
                "schema": schema,
                "table": table,
                "table_fqn": name,
                "table_id": name,
                "columns": list(columns) if with_columns else [],
            }
        )
    return CATALOG_TABLES.frame(rows)


def tpc_statements(folder: Path) -> Iterator[Statement]:
    """The corpus in a folder; it tells columns, not what they are used for."""
    schemas: dict[str, dict[str, list[str]]] = {}
    for file in sorted(folder.glob("*_schemas.json")):
        schemas |= json.loads(file.read_text(encoding="utf-8"))
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            case = json.loads(line)
            # Snowflake stores names in upper case; Athena's catalog is no part of a name.
            stored = str.upper if case["dialect"] == "snowflake" else str.lower
            database = case["db"] if case["dialect"] != "athena" else None
            place = f"{database or 'default'}.{case['schema']}"
            columns: dict[str, dict[str, frozenset[str]]] = {
                stored(f"{place}.{table}"): {} for table in case["tables"]
            }
            for table, column in case["columns"]:
                columns[stored(f"{place}.{table}")][stored(column)] = frozenset()
            yield Statement(
                name=case["id"],
                dialect=case["dialect"],
                sql=case["sql"],
                database=case["db"],
                schema=case["schema"],
                catalog={
                    stored(f"{place}.{table}"): tuple(map(stored, names))
                    for table, names in schemas[case["catalog"]].items()
                },
                reads=columns,
                inferred=frozenset(),
                unresolved=(),
                named_as={},
                also_named=(),
            )


def _statements(
    file: Path, sql_of: Callable[[Mapping[str, Any]], str | None]
) -> Iterator[Statement]:
    """The queries of a file, without those that have no text."""
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    catalog = {name: tuple(columns.split()) for name, columns in document["catalog"].items()}
    for query in document["queries"]:
        sql = sql_of(query)
        if sql is None:
            continue
        session = query.get("session", document["session"])
        yield Statement(
            name=query["name"],
            dialect=document["dialect"],
            sql=sql,
            database=session["database"],
            schema=session["schema"],
            catalog=catalog,
            reads={
                table: _usages(usages, catalog[table], f"{file.name}: {query['name']}")
                for table, usages in query["reads"].items()
            },
            inferred=frozenset(query.get("inferred", ())),
            unresolved=tuple(sorted(query.get("unresolved", ()))),
            named_as=query.get("named_as", {}),
            also_named=tuple(query.get("also_named", ())),
        )


def _usages(
    written: Mapping[str, Any], columns: tuple[str, ...], place: str
) -> dict[str, frozenset[str]]:
    by_column: dict[str, set[str]] = {}
    for usage, names in written.items():
        if usage not in (*USAGES, _UNUSED):
            raise ValueError(f"{place}: {usage} is no usage")
        for name in names.split():
            if name not in columns:
                raise ValueError(f"{place}: the table has no column {name}")
            by_column.setdefault(name, set()).update({usage} - {_UNUSED})
    return {name: frozenset(usages) for name, usages in by_column.items()}
