"""What must not change the tables that a text reads."""

from __future__ import annotations

import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from hex_assets.lineage.parse import table_references

DIALECTS = (
    "snowflake bigquery databricks redshift clickhouse mysql athena trino presto postgres duckdb"
).split()
TABLES = ["a", "b", "s.c", "d.s.e"]


@st.composite
def queries(draw: st.DrawFn, depth: int = 3) -> tuple[str, frozenset[str]]:
    """A query that all dialects understand, and the tables it reads."""
    if depth == 0:
        table = draw(st.sampled_from(TABLES))
        return f"SELECT x FROM {table}", frozenset({table})
    inner, inner_tables = draw(queries(depth=depth - 1))
    other, other_tables = draw(queries(depth=draw(st.integers(0, depth - 1))))
    both = inner_tables | other_tables
    shape = draw(st.integers(0, 6))
    match_shape = {
        0: (inner, inner_tables),
        1: (f"SELECT q.x FROM ({inner}) AS q", inner_tables),
        2: (f"SELECT q.x FROM ({inner}) AS q JOIN ({other}) AS r ON q.x = r.x", both),
        3: (f"SELECT q.x FROM ({inner}) AS q WHERE EXISTS ({other})", both),
        4: (f"SELECT q.x FROM ({inner}) AS q WHERE q.x IN ({other})", both),
        5: (f"SELECT q.x FROM ({inner}) AS q UNION ALL SELECT r.x FROM ({other}) AS r", both),
        6: (f"WITH q AS ({inner}), r AS ({other}) SELECT q.x FROM q JOIN r ON q.x = r.x", both),
    }
    return match_shape[shape]


def read(sql: str, dialect: str) -> frozenset[str]:
    references = table_references(sql, dialect)
    assert references.unread == ()
    return frozenset(
        ".".join(part.text for part in reference.table.parts) for reference in references.tables
    )


@given(queries(), st.sampled_from(DIALECTS))
def test_all_tables_are_read_and_no_other(query: tuple[str, frozenset[str]], dialect: str) -> None:
    sql, tables = query
    assert read(sql, dialect) == tables


@given(queries(), st.sampled_from(DIALECTS), st.sampled_from(["a", "b", "q", "zz"]))
def test_renaming_an_alias_changes_nothing(
    query: tuple[str, frozenset[str]], dialect: str, alias: str
) -> None:
    sql, tables = query
    renamed = sql.replace(" q", f" {alias}").replace("q.", f"{alias}.")
    ctes_hide_tables = alias in "ab" and "WITH" in sql
    if not ctes_hide_tables:
        assert read(renamed, dialect) == tables


@given(queries(), st.sampled_from(DIALECTS))
def test_naming_an_expression_after_the_table_it_reads_changes_nothing(
    query: tuple[str, frozenset[str]], dialect: str
) -> None:
    sql, tables = query
    assert read(f"WITH a AS (SELECT x FROM a) SELECT x FROM a WHERE x IN ({sql})", dialect) == (
        tables | {"a"}
    )


@given(queries(), st.sampled_from(DIALECTS))
def test_wrapping_in_an_expression_changes_nothing(
    query: tuple[str, frozenset[str]], dialect: str
) -> None:
    sql, tables = query
    assert read(f"WITH w AS ({sql}) SELECT x FROM w", dialect) == tables
    assert read(f"WITH v AS (WITH w AS ({sql}) SELECT x FROM w) SELECT x FROM v", dialect) == tables
    assert read(f"SELECT x FROM ({sql}) AS w", dialect) == tables


@given(queries(), st.sampled_from(DIALECTS), st.data())
def test_formatting_and_comments_change_nothing(
    query: tuple[str, frozenset[str]], dialect: str, data: st.DataObject
) -> None:
    sql, tables = query
    blanks = st.sampled_from(
        [" ", "\n", "\t \r\n", " /* from z; it's */ ", " -- from z; it's \"\n"]
    )
    scattered = "".join(data.draw(blanks) if c == " " else c for c in sql)
    assert read(scattered, dialect) == tables
    assert read(sql.lower(), dialect) == tables
    assert read(f"{sql} ;\n", dialect) == tables


@given(queries(), st.sampled_from(DIALECTS))
def test_the_generator_of_sqlglot_changes_nothing(
    query: tuple[str, frozenset[str]], dialect: str
) -> None:
    sql, tables = query
    pretty = sqlglot.parse_one(sql, read=dialect).sql(dialect, pretty=True)
    assert read(pretty, dialect) == tables


@given(st.permutations(["a", "b", "c"]), queries(), st.sampled_from(DIALECTS))
def test_the_order_of_statements_and_tables_changes_nothing(
    order: list[str], query: tuple[str, frozenset[str]], dialect: str
) -> None:
    sql, tables = query
    statements = [*(f"SELECT x FROM {table}" for table in order), sql]
    assert read("; ".join(statements), dialect) == tables | set(order)
    assert read(f"SELECT 1 FROM {', '.join(order)}", dialect) == set(order)


@given(queries(), st.sampled_from(DIALECTS))
def test_writing_somewhere_changes_nothing(query: tuple[str, frozenset[str]], dialect: str) -> None:
    sql, tables = query
    assert read(f"INSERT INTO target {sql}", dialect) == tables
    assert read(f"CREATE TABLE target AS {sql}", dialect) == tables
    assert read(f"CREATE VIEW target AS {sql}; SELECT * FROM target", dialect) == tables
    assert read(f"EXPLAIN {sql}", dialect) == tables


@given(queries(), st.sampled_from(DIALECTS))
def test_quoting_names_as_they_are_stored_changes_nothing(
    query: tuple[str, frozenset[str]], dialect: str
) -> None:
    sql, tables = query
    tree = sqlglot.parse_one(sql, read=dialect)
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("quoted", True)
    assert read(tree.sql(dialect), dialect) == tables
