"""Exactness on a corpus of queries with known answers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

from hex_assets.lineage.names import session_of
from hex_assets.lineage.parse import Reference, parse


@dataclass
class Score:
    """What one engine made of the corpus.

    Attributes:
        statements: how many.
        tables: those whose tables are exactly the true ones.
        columns: those whose columns are.
        found, wanted, right: columns found, true ones, and those in both.
        milliseconds: of each statement.
        wrong: ids of the statements whose tables or columns are not exact.
    """

    statements: int = 0
    tables: int = 0
    columns: int = 0
    found: int = 0
    wanted: int = 0
    right: int = 0
    milliseconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def row(self, engine: str) -> str:
        return (
            f"| {engine} | {self.tables}/{self.statements} | {self.columns}/{self.statements} "
            f"| {self.right / max(1, self.wanted):.4f} / {self.right / max(1, self.found):.4f} "
            f"| {mean(self.milliseconds):.2f} / {median(self.milliseconds):.2f} |"
        )


def load(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Mapping[str, Sequence[str]]]]:
    """Statements with their answers, and per catalog the columns of its tables.

    The folder holds ``*.jsonl`` (per line ``id, dialect, db, schema, sql, tables, columns,
    catalog``) and ``*_schemas.json`` (catalog to table to column to type).
    """
    statements = []
    for file in sorted(folder.glob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            statements += [json.loads(line) for line in lines]
    schemas: dict[str, Mapping[str, Sequence[str]]] = {}
    for file in sorted(folder.glob("*_schemas.json")):
        for name, tables in json.loads(file.read_text(encoding="utf-8")).items():
            schemas[name] = {table: list(columns) for table, columns in tables.items()}
    return statements, schemas


def score(
    statements: Sequence[Mapping[str, Any]],
    schemas: Mapping[str, Mapping[str, Sequence[str]]],
    with_schema: bool,
) -> Score:
    """Compare; the clock runs from text to columns."""
    result = Score()
    for case in statements:
        columns_of = schemas[case["catalog"]] if with_schema else {}

        def known(
            reference: Reference, columns_of: Mapping[str, Sequence[str]] = columns_of
        ) -> Sequence[str] | None:
            return columns_of.get(reference.table.parts[-1].text.lower())

        began = time.perf_counter()
        session = session_of(case["dialect"], case["db"], case["schema"])
        script = parse(case["sql"], case["dialect"])
        references = script.references(session)
        used, _ = script.columns(session, known)
        result.milliseconds.append((time.perf_counter() - began) * 1000)
        tables = {reference.table.parts[-1].text.lower() for reference in references.tables}
        columns = {
            (reference.table.parts[-1].text.lower(), column.lower())
            for reference, names in used.items()
            if isinstance(reference, Reference)
            for column in names
        }
        wanted = {(table.lower(), column.lower()) for table, column in case["columns"]}
        same_tables = tables == {table.lower() for table in case["tables"]}
        same_columns = columns == wanted
        result.statements += 1
        result.tables += same_tables
        result.columns += same_columns
        result.found += len(columns)
        result.wanted += len(wanted)
        result.right += len(columns & wanted)
        if not (same_tables and same_columns):
            result.wrong.append(case["id"])
    return result
