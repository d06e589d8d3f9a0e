"""What is not understood is part of the result: never an exception, never an empty answer."""

from __future__ import annotations

import logging

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from hex_assets.lineage.parse import References, parse, table_references
from hex_assets.lineage.resolve import Reason

DIALECTS = (
    "snowflake bigquery databricks redshift clickhouse mysql athena trino presto postgres duckdb"
).split()


def problems(references: References) -> list[str]:
    return [u.detail for u in references.unread if u.reason is Reason.NOT_PARSED]


@pytest.mark.parametrize(
    ("dialect", "sql", "detail"),
    [
        ("snowflake", "call p(1)", "CALL does not say what it reads"),
        ("postgres", "execute p", "EXECUTE does not say what it reads"),
        ("postgres", "do $$ begin perform 1 from t; end $$", "DO does not say what it reads"),
        ("postgres", "refresh materialized view v", "REFRESH does not say what it reads"),
        ("postgres", "fetch all from c", "FETCH does not say what it reads"),
        ("trino", "refresh materialized view v", "REFRESH does not say what it reads"),
        ("tsql", "exec p", "EXECUTE does not say what it reads"),
        ("snowflake", "execute immediate $v", "EXECUTE does not say what it reads"),
        ("redshift", "unload ('?') to 's3://b'", "the statement of UNLOAD is not in the text"),
        ("bigquery", "execute immediate '?'", "the statement of EXECUTE is not in the text"),
        ("bigquery", "create snapshot table a clone b", "CREATE does not say what it reads"),
        (
            "snowflake",
            "select * from {{ t }}",
            "line 1, column 15: Expected table name but got L_BRACE",
        ),
        ("snowflake", "select\n  1 +", "line 2, column 5: "),
        ("databricks", "t u", "this is no statement of the dialect"),
        # Faults of sqlglot itself
        ("trino", 'set search_path = ""), a', "sqlglot failed with ValueError"),
        ("trino", "from t |> union select 1) select 2", "sqlglot failed with AssertionError"),
        ("bigquery", "select * from t where x = {:}", "sqlglot failed with AttributeError"),
        ("snowflake", "select 'abc from t", "a quote or comment has no end"),
        ("snowflake", "select 1 /* abc from t", "a quote or comment has no end"),
        ("postgres", 'select "abc from t', "a quote or comment has no end"),
        ("postgres", "select $$ abc from t", "a quote or comment has no end"),
    ],
)
def test_a_text_that_is_not_understood(dialect: str, sql: str, detail: str) -> None:
    references = table_references(sql, dialect)
    assert all(reference.tolerant for reference in references.tables)
    (problem,) = problems(references)
    assert detail in problem
    assert not parse(sql, dialect).parsed


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select x y z from a join s.b on c", "a s.b"),
        ("with w as (select 1 from a) select x y z from w", "a"),
        ("select extract(day from x) + from t", "t"),
        ("select a is distinct from b c d from f(1) join t", "t"),
        ("select 'x' 'y' + from 'secret' join", ""),
    ],
)
def test_tables_of_a_statement_that_is_not_understood_are_marked(sql: str, tables: str) -> None:
    references = table_references(sql, "snowflake")
    assert problems(references)
    found = [r.table.written("snowflake") for r in references.tables]
    assert sorted(found) == sorted(tables.split())
    assert all(r.tolerant for r in references.tables)


def test_other_statements_of_the_script_are_read_all_the_same() -> None:
    references = table_references("select * from a; call p(); select * from b", "snowflake")
    assert [r.table.parts[0].text for r in references.tables] == ["a", "b"]
    assert problems(references) == ["statement 2: CALL does not say what it reads"]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from 'secret' join",
        "select * from t where x = 'secret",
        "select interval 'secret' year to from to",
        "create snapshot table x clone y comment = 'secret'",
        "call p('secret')",
        "select json_extract(x, '@secret'), x:secret, x -> '@secret' from t",
        "select * from t limit 'secret' 'secret' offset +",
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_problem_and_no_log_line_quotes_the_text(
    dialect: str, sql: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        references = table_references(sql, dialect)
    assert "secret" not in "".join(u.detail + u.reference for u in references.unread)
    assert "secret" not in caplog.text


def test_sqlglot_may_log_about_other_texts(caplog: pytest.LogCaptureFixture) -> None:
    parse("select 1", "snowflake")
    sqlglot.parse_one("create snapshot table x clone y", read="snowflake")
    assert "Falling back" in caplog.text


HOSTILE = {
    "parentheses": "select " + "(" * 5_000 + "1" + ")" * 5_000,
    "open parentheses": "(" * 100_000,
    "subqueries": "select * from " + "(select * from " * 5_000 + "t" + ")" * 5_000,
    "many subqueries": "select * from " + "(select * from " * 50_000 + "t" + ")" * 50_000,
    "joins in parentheses": "select * from " + "(" * 50_000 + "t" + " join u)" * 50_000,
    "nested types": "select cast(a as " + "array<" * 100_000 + "int" + ">" * 100_000 + ")",
    "case": "select " + "case when a then " * 5_000 + "1" + " end" * 5_000,
    "not": "select " + "not " * 5_000 + "a from t",
    "brackets": "select " + "[" * 5_000 + "]" * 5_000,
    "blocks": "begin " * 5_000,
    "joins without condition": "select * from t " + "join t " * 300,
    "no end of string": "select '" + "x" * 900_000,
    "too long": "select '" + "x" * 1_000_000 + "'",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_gives_a_problem(name: str) -> None:
    assert problems(table_references(HOSTILE[name], "snowflake"))


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select * from t where x in (" + ",".join(["0"] * 150_000) + ")", 1),
        ("select * from t where " + " or ".join(["x = 0"] * 20_000), 1),
        ("select " + "a + " * 50_000 + "b from t", 1),
        (" union all ".join(f"select * from t{i}" for i in range(2_000)), 2_000),
        ("select * from t where " + "exists (select 1 from u where " * 50 + "true" + ")" * 50, 2),
        (
            "with "
            + ", ".join(f"c{i} as (select * from t{i}, c{i - 1})" for i in range(1, 1_000))
            + " select * from c999",
            1_000,
        ),
        (";" * 50_000 + "select * from t", 1),
    ],
    ids=["list", "or", "sum", "union", "exists", "with", "semicolons"],
)
def test_large_text_is_read(sql: str, tables: int) -> None:
    references = table_references(sql, "snowflake")
    assert references.unread == ()
    assert len(references.tables) == tables


def test_the_longest_text_is_a_setting() -> None:
    assert problems(table_references("select * from t", "duckdb", max_characters=5)) == [
        "longer than 5 characters"
    ]


@pytest.mark.parametrize("sql", ["", ";", ";;", "-- nothing", "/* nothing */ ;", " \n\t"])
def test_nothing_reads_nothing(sql: str) -> None:
    assert table_references(sql, "snowflake") == References((), ())


def test_an_unknown_dialect_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="Unknown dialect"):
        table_references("select 1", "klingon")


WORDS = st.sampled_from(
    "\n \x00 \ud800 é".split(" ")
    + "select from where with as t u . , ( ) ' \" ` ; -- /* */ $$ case end begin if then union all "
    "join on lateral table identifier insert into update set delete merge using create view use "
    "execute immediate unload explain declare set @@ use search_path prepare $1 ? {{ }} "
    "@s = 1 'x' recursive in exists".split()
)


@given(st.lists(WORDS, max_size=30).map(" ".join), st.sampled_from(DIALECTS))
def test_no_text_raises(sql: str, dialect: str) -> None:
    """Whatever reads nothing says so itself, or was not understood."""
    references = table_references(sql, dialect)
    assert all(reference.table.parts for reference in references.tables)
    assert all(unread.detail for unread in references.unread)


@given(st.text(max_size=60), st.sampled_from(DIALECTS))
def test_no_characters_raise(sql: str, dialect: str) -> None:
    assert all(unread.detail for unread in table_references(sql, dialect).unread)
