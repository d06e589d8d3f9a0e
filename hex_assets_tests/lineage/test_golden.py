"""The corpus of ``benchmarks/lineage/statements``: SQL, session and catalog to edges."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.lineage.corpus import Statement, own_statements
from hex_assets.frames import CATALOG_TABLES, Frame
from hex_assets.lineage.edges import build_edges
from hex_assets.warehouse.masking import mask_literals
from hex_assets_tests.lineage.catalogs import history, ran

SERVICE = "service"
STATEMENTS = own_statements()


def catalog_of(statement: Statement) -> Frame:
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
                "columns": list(columns),
            }
        )
    return CATALOG_TABLES.frame(rows)


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


def test_names_are_unique_and_every_dialect_has_twenty_statements() -> None:
    assert max(Counter(statement.id for statement in STATEMENTS).values()) == 1
    per_dialect = Counter(statement.dialect for statement in STATEMENTS)
    assert len(per_dialect) == 11
    assert min(per_dialect.values()) >= 20
