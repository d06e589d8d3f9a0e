"""What must not change the columns that a text uses, in all dialects."""

from __future__ import annotations

import re

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from benchmarks.lineage.corpus import Statement, own_statements
from hex_assets.lineage.names import session_of
from hex_assets.lineage.parse import parse
from hex_assets.warehouse.masking import mask_literals
from hex_assets_tests.lineage.test_columns import uses
from hex_assets_tests.lineage.test_properties import DIALECTS

PORTABLE = [
    ("select a from t where b > 1", "t.a:o t.b:f"),
    ("select t.a, sum(t.b) as s from t group by t.a having max(t.c) > 1", "t.a:og t.b:o t.c:f"),
    ("select a as q9 from t order by q9, b", "t.a:os t.b:s"),
    ("select x from t inner join u on t.id = u.id where a = 'x'", "u.x:o t.a:f t.id:j u.id:j"),
    ("select id, x from t left join u using (id)", "t.id:oj u.id:oj u.x:o"),
    ("select u.* from t cross join u", "u.id:o u.x:o u.y:o"),
    ("select a from t where exists (select * from u where u.id = t.id)", "t.a:o t.id:f u.id:f"),
    ("select a from t where b in (select x from u where y = 'a \"from v')",
     "t.a:o t.b:f u.x:f u.y:f"),
    ("select q9.a from (select a, b, c from t) as q9 where q9.b > 1", "t.a:o t.b:f t.c:"),
    ("with q9 as (select * from u) select x from q9 where y = 1", "u.x:o u.y:f u.id:"),
    ("with t as (select a, b from t) select b from t order by a", "t.b:o t.a:s"),
    ("with p9 as (select id from u), q9 as (select id from p9) select id from q9", "u.id:o"),
    ("select id from u union all select z from v", "u.id:o v.z:o"),
    ("select id from u except distinct select id from v", "u.id:o v.id:f"),
    (
        "select x, row_number() over (partition by id order by y) as n from u",
        "u.x:o u.id:o u.y:o",
    ),
    ("select case when a > 1 then b else (select max(z) from v) end as k from t",
     "t.a:o t.b:o v.z:o"),
    ("select count(*) as n from t", ""),
    ("insert into w select x from u where y = 1", "u.x:o u.y:f"),
    ("create view w as select x from u group by x", "u.x:og"),
]  # fmt: skip
CASES = [(dialect, sql, set(uses.split())) for sql, uses in PORTABLE for dialect in DIALECTS]
QUERIES = [case for case in CASES if re.match("select|with", case[1])]
BLANKS = st.sampled_from([" ", "\n", "\t \r\n", " /* t.gone, it's */ ", ' -- "x" it\'s\n'])

QUICKLY = settings(deadline=None, derandomize=True)


@pytest.mark.parametrize(("dialect", "sql", "expected"), CASES)
def test_all_dialects_agree(dialect: str, sql: str, expected: set[str]) -> None:
    assert uses(dialect, sql) == expected
    assert uses(dialect, mask_literals(sql, dialect)) == expected
    assert uses(dialect, f"{sql} ;\n") == expected


def scattered(sql: str, dialect: str, data: st.DataObject) -> str:
    """The text with other blanks and comments wherever it has blanks between its tokens."""
    # Athena's first token may say which grammar follows, and stand nowhere in the text.
    tokens = [token for token in sqlglot.tokenize(sql, read=dialect) if token.text]
    text = sql[: tokens[0].start]
    for token, then in zip(tokens, [*tokens[1:], None], strict=True):
        text += sql[token.start : token.end + 1]
        gap = sql[token.end + 1 : then.start if then else len(sql)]
        text += data.draw(BLANKS) if gap and gap.isspace() else gap
    return text


@QUICKLY
@given(st.sampled_from(CASES), st.data())
def test_formatting_and_comments_change_nothing(
    case: tuple[str, str, set[str]], data: st.DataObject
) -> None:
    dialect, sql, expected = case
    assert uses(dialect, scattered(sql, dialect, data)) == expected


@QUICKLY
@given(st.sampled_from(CASES))
def test_letter_case_of_words_changes_nothing(case: tuple[str, str, set[str]]) -> None:
    dialect, sql, expected = case
    words = {token.text for token in sqlglot.tokenize(sql, read=dialect) if token.text.isalpha()}
    keywords = words - {"a", "b", "c", "id", "k", "n", "s", "t", "u", "v", "w", "x", "y", "z", "it"}
    shouted = re.sub(
        r"\b(?:" + "|".join(sorted(keywords)) + r")\b", lambda word: word[0].upper(), sql
    )
    assert uses(dialect, shouted) == expected


@QUICKLY
@given(st.sampled_from(CASES))
def test_quoting_changes_nothing(case: tuple[str, str, set[str]]) -> None:
    """All names quoted, as the warehouse stores them."""
    dialect, sql, expected = case
    tree = sqlglot.parse_one(sql, read=dialect)
    for identifier in tree.find_all(exp.Identifier):
        stored = identifier.name.upper() if dialect == "snowflake" else identifier.name
        identifier.replace(exp.to_identifier(stored, quoted=True))
    assert uses(dialect, tree.sql(dialect)) == expected


@QUICKLY
@given(st.sampled_from(QUERIES))
def test_wrapping_changes_nothing(case: tuple[str, str, set[str]]) -> None:
    dialect, sql, expected = case
    assert uses(dialect, f"with w9 as ({sql}) select * from w9") == expected
    assert uses(dialect, f"select * from ({sql}) as w9") == expected
    assert uses(dialect, f"with w8 as (select 1 as one) select w9.* from ({sql}) as w9") == expected


@QUICKLY
@given(st.sampled_from(CASES), st.sampled_from(["u", "v", "zz", "order_items"]))
def test_renaming_an_alias_changes_nothing(case: tuple[str, str, set[str]], alias: str) -> None:
    dialect, sql, expected = case
    assert uses(dialect, re.sub(r"\bq9\b", alias, sql)) == expected


@QUICKLY
@given(st.lists(st.sampled_from(PORTABLE[:17]), min_size=1, max_size=4), st.sampled_from(DIALECTS))
def test_the_order_of_statements_changes_nothing(
    statements: list[tuple[str, str]], dialect: str
) -> None:
    texts = [sql for sql, _ in statements]
    forwards = uses(dialect, "; ".join(texts))
    assert forwards == uses(dialect, "; ".join(reversed(texts)))
    columns = {use.split(":")[0] for _, expected in statements for use in expected.split()}
    assert {use.split(":")[0] for use in forwards} == columns


@QUICKLY
@given(st.sampled_from(own_statements()), st.data())
def test_formatting_of_the_corpus_changes_nothing(
    statement: Statement, data: st.DataObject
) -> None:
    session = session_of(statement.dialect, statement.database, statement.schema)
    columns = {name.split(".")[-1].lower(): names for name, names in statement.catalog.items()}

    def read(sql: str) -> tuple[object, object, int]:
        script = parse(sql, statement.dialect)
        references = script.references(session)
        used, _ = script.columns(
            session, lambda found: columns.get(found.table.parts[-1].text.lower())
        )
        return references.tables, used, len(references.unread)

    assert read(scattered(statement.sql, statement.dialect, data)) == read(statement.sql)
