"""Batches give what each text gives by itself."""

from __future__ import annotations

import hashlib

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hex_assets.warehouse import shapes
from hex_assets.warehouse.comment import split_comment
from hex_assets.warehouse.masking import mask_literals
from hex_assets.warehouse.shapes import Shapes, decoded
from hex_assets_tests.warehouse.comments import CELL, PROJECT, comment

DIALECTS = (
    "snowflake bigquery databricks redshift clickhouse mysql athena trino presto postgres duckdb "
    "tsql"
).split()

PIECES = (
    "SELECT |FROM |JOIN |IN |IN (|INTO |AS |EXECUTE IMMEDIATE |QUERY => |TO |(|)|, |,|.| |\n|;|-"
    "|--|-- it's\n|# it's\n|// it's\n|/*|*/|/* it's */|'|''|'''|\"|`|\\|$|$$|$a$|@|@s/2024/|::|"
    "::regclass|'a'|'b'|'it''s'|'a\\'b'|'x.csv'|'s3://k:p@b/x'|'(1)'|E'a\\n'|r'\\'|b'a'|U&'a'|N'a'|\"a\"|\"2\"|`a`|"
    "0|1|2|12|1.5|2.5|.5|1.|0x1F|1e5|1_000|1L|5abc|t_2024|t.2024|my-proj-123.d.t|-1|- 1|+2|é|²|a|b|"
    "IDENTIFIER(|TABLE(|dictGet(|remote(|s3(|dblink(|UNLOAD (|read_csv(|DECIMAL(|DECIMAL(10, 2)|"
    "::INT(|AS INT(5)|NULL|TRUE|=|>|+|%|?|:|:1|{x:UInt8}|[1]|=> |\t|\x01|\x1c"
).split("|")

HEX = [comment(), comment(cell=None), comment(context=None), comment(user_email=None)]
COMMENT_PIECES = [
    *HEX,
    *HEX,
    comment(project_name='a "b" \\ c\n'),
    comment(project_name='"project_id": "x"'),
    comment(project_name="Hex query metadata: {}"),
    comment().replace('"project_id"', '"project_id": null, "project_id"'),
    comment().replace('"project_id"', '"project_id": "x", "project_id"'),
    comment().replace('"status"', '"project_id": null, "status"'),
    comment().replace(PROJECT, "", 1),
    comment().replace(PROJECT, PROJECT.upper()),
    comment()[:80],
    comment()[:-1],
    comment().replace("-- ", "---"),
    comment().replace("-- ", "/* ") + " */",
    comment().replace("Hex query metadata", "hex QUERY metadata"),
    "Hex query metadata: ",
    "-- Hex query metadata: {}",
    "SELECT 1",
    "-- a\n",
    "/* a */",
    "\n",
    ";",
    " ",
    " FORMAT Native",
    "é",
    "",
]


def by_itself(text: str) -> tuple[str | None, ...]:
    statement, said = split_comment(text)
    if said is None:
        return statement, None, None, None, None
    return statement, said.project_id, said.cell_id, said.context, said.user_email


def masked(texts: list[str], dialect: str) -> list[tuple[str, str]]:
    return Shapes().masked(pl.Series(texts, dtype=pl.String), dialect).rows()


def masked_by_itself(text: str, dialect: str) -> tuple[str, str]:
    alone = mask_literals(text, dialect).strip(" \t\r\n;")
    return alone, hashlib.sha256(alone.encode()).hexdigest()


@given(st.lists(st.lists(st.sampled_from(COMMENT_PIECES), max_size=5).map("".join), max_size=8))
def test_comments_of_a_batch(texts: list[str]) -> None:
    batch = decoded(pl.Series(texts, dtype=pl.String))
    assert batch.rows() == [by_itself(text) for text in texts]


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=40)
@given(texts=st.lists(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), max_size=12))
def test_masks_of_a_batch(dialect: str, texts: list[str]) -> None:
    assert masked(texts, dialect) == [masked_by_itself(text, dialect) for text in texts]


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=40)
@given(
    template=st.lists(
        st.one_of(st.sampled_from(PIECES), st.sampled_from(["<s>", "<n>"])), max_size=10
    ),
    literals=st.lists(
        st.tuples(
            st.sampled_from(
                ["'a'", "'bc'", "''", "'it''s'", "'x.csv'", "'@s'", "'SELECT 1'", "'é'"]
            ),
            st.sampled_from(["1", "22", "3.5", "0", "007"]),
        ),
        min_size=2,
        max_size=4,
    ),
)
def test_masks_of_texts_that_differ_in_literals(
    dialect: str, template: list[str], literals: list[tuple[str, str]]
) -> None:
    text = "".join(template)
    texts = [text.replace("<s>", string).replace("<n>", number) for string, number in literals]
    assert masked(texts, dialect) == [masked_by_itself(text, dialect) for text in texts]


@pytest.mark.parametrize("dialect", [dialect for dialect in DIALECTS if dialect != "tsql"])
def test_rendered_texts_share_a_shape(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    masks: list[str] = []

    def counting(sql: str, dialect: str) -> str:
        masks.append(sql)
        return mask_literals(sql, dialect)

    monkeypatch.setattr(shapes, "mask_literals", counting)
    texts = [
        f"WITH q AS (SELECT CAST(a AS DECIMAL(10, 2)) AS a FROM t_2024 WHERE d >= '2024-01-{n:02}' "
        f"AND r IN ({', '.join(map(str, range(n)))}) AND s IN ({', '.join([repr('x')] * n)}))\n"
        f"SELECT a, ROUND(a, {n}) FROM q LIMIT {n}00"
        for n in range(1, 10)
    ]
    kept = Shapes()
    batch = kept.masked(pl.Series(texts), dialect)
    assert batch.unique().height == 1
    assert len(masks) == 1
    kept.masked(pl.Series(texts[::-1]), dialect)
    assert len(masks) == 1


def test_the_common_comment_is_read_without_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "split_comment", None)
    texts = pl.Series([f"SELECT 1\n{comment()}", f"SELECT 1;\n{comment(cell=None)} FORMAT Native"])
    assert decoded(texts).rows() == [
        ("SELECT 1", PROJECT, CELL, "SCHEDULED_RUN", "alice@mail.com"),
        ("SELECT 1", PROJECT, None, "SCHEDULED_RUN", "alice@mail.com"),
    ]
