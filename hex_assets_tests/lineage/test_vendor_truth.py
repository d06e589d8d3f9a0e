"""The truth about vendors' own texts, whose texts are no part of this repository."""

from __future__ import annotations

from collections import Counter

from benchmarks.lineage.corpus import vendor_statements


def test_it_names_columns_of_its_catalogs_and_each_text_once() -> None:
    statements = vendor_statements(None)  # raises where a column or a usage does not exist
    assert max(Counter(statement.id for statement in statements).values()) == 1
    per_dialect = Counter(statement.dialect for statement in statements)
    assert min(per_dialect[d] for d in ("clickhouse", "duckdb", "mysql")) >= 25
    assert min(per_dialect[d] for d in ("postgres", "presto", "trino")) >= 25
