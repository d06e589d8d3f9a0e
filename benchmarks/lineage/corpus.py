"""SQL with a catalog and the truth about what it reads.

Our own corpus is ``statements/*.yaml``, a file per dialect. Each query says what it reads: table to
usage to columns, a column without usage as ``unused``. ``unresolved`` lists reasons, ``inferred``
tables whose names the session does not complete, ``named_as`` how the text names a table otherwise
than the catalog, and ``also_named`` what it names besides: information schemas, tables it writes.

TPC-H and TPC-DS come from a folder that is not part of this repository: ``*.jsonl``, per line ``id,
dialect, db, schema, sql, tables, columns, catalog``, and ``*_schemas.json``, catalog to table to
column to type.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hex_assets.lineage.queries import USAGES

_FOLDER = Path(__file__).parent / "statements"
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
    found = []
    for file in sorted(_FOLDER.glob("*.yaml")):
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        catalog = {name: tuple(columns.split()) for name, columns in document["catalog"].items()}
        for query in document["queries"]:
            session = query.get("session", document["session"])
            found.append(
                Statement(
                    name=query["name"],
                    dialect=document["dialect"],
                    sql=query["sql"],
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
            )
    return found


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
