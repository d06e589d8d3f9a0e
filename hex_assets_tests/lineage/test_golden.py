"""The corpus of ``benchmarks/lineage/statements``: SQL, session and catalog to edges."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from upath import UPath

from benchmarks.lineage.corpus import SERVICE, Statement, catalog_of, own_statements
from hex_assets.frames import CATALOG_TABLES
from hex_assets.lineage.edges import build_edges
from hex_assets.lineage.parse_store import ParseStore
from hex_assets.lineage.parser_processes import ParserProcesses
from hex_assets.warehouse.masking import mask_literals
from hex_assets_tests.lineage.catalogs import history, ran

STATEMENTS = own_statements()


def check(statement: Statement, sql: str) -> set[str]:
    """Compare what the text reads with the truth, and return the tables that are inferred."""
    built = build_edges(
        history(
            ran(
                sql,
                service=SERVICE,
                dialect=statement.dialect,
                database=statement.database,
                schema=statement.schema,
            )
        ),
        catalog_of(statement),
        [SERVICE],
    )
    edges = built.edges.rows.rows(named=True)
    read = {
        edge["table_fqn"]: {c["name"]: frozenset(c["usage"]) for c in edge["columns"]}
        for edge in edges
    }
    assert read == statement.reads
    assert tuple(sorted(built.unresolved.rows["reason"])) == statement.unresolved
    return {edge["table_fqn"] for edge in edges if edge["resolution"] == "inferred"}


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.id)
def test_what_a_statement_reads(statement: Statement) -> None:
    assert check(statement, statement.sql) == statement.inferred


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.id)
def test_masking_changes_nothing(statement: Statement) -> None:
    # A schema that a masked string names is unknown, and what it completes no longer sure.
    assert check(statement, mask_literals(statement.sql, statement.dialect)) >= statement.inferred


def test_neither_processes_nor_the_store_change_anything(tmp_path: Path) -> None:
    """All statements at once, each dialect a service of its own."""
    catalogs = {statement.dialect: statement for statement in STATEMENTS}
    tables = CATALOG_TABLES.frame(
        [
            {**row, "service": dialect, "table_id": f"{dialect} {row['table_id']}"}
            for dialect, statement in catalogs.items()
            for row in catalog_of(statement).rows.rows(named=True)
        ]
    )
    ours = history(
        *(
            ran(
                statement.sql,
                service=statement.dialect,
                dialect=statement.dialect,
                database=statement.database,
                schema=statement.schema,
                project_id=statement.id,
            )
            for statement in STATEMENTS
        )
    )
    with ParserProcesses(small_batch=len(STATEMENTS)) as serial:
        expected = build_edges(ours, tables, [], processes=serial)
    with ParserProcesses(processes=2, small_batch=0) as parallel:
        found = [build_edges(ours, tables, [], processes=parallel)]
    for _ in ("parsed", "stored"):
        store = ParseStore(UPath(tmp_path / "parsed.parquet"))
        found.append(build_edges(ours, tables, [], store=store))
    for built in found:
        assert built.edges.rows.equals(expected.edges.rows)
        assert built.unresolved.rows.equals(expected.unresolved.rows)
        assert built.figures == expected.figures


def test_names_are_unique_and_every_dialect_has_twenty_statements() -> None:
    assert max(Counter(statement.id for statement in STATEMENTS).values()) == 1
    per_dialect = Counter(statement.dialect for statement in STATEMENTS)
    assert len(per_dialect) == 11
    assert min(per_dialect.values()) >= 20
