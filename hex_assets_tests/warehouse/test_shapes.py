"""Batches give what each text gives by itself."""

from __future__ import annotations

import hashlib

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hex_assets.warehouse import shapes
from hex_assets.warehouse.masking import mask_literals
from hex_assets.warehouse.shapes import Shapes

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
    "_TABLE_SUFFIX |BETWEEN |"
    "::INT(|AS INT(5)|NULL|TRUE|=|>|+|%|?|:|:1|{x:UInt8}|[1]|=> |\t|\x01|\x1c"
).split("|")


def masked(texts: list[str], dialect: str) -> list[tuple[str, str]]:
    return Shapes().masked(pl.Series(texts, dtype=pl.String), dialect).rows()


def masked_by_itself(text: str, dialect: str) -> tuple[str, str]:
    alone = mask_literals(text, dialect).strip(" \t\r\n;")
    return alone, hashlib.sha256(alone.encode()).hexdigest()


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(texts=st.lists(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), max_size=12))
def test_masks_of_a_batch(dialect: str, texts: list[str]) -> None:
    assert masked(texts, dialect) == [masked_by_itself(text, dialect) for text in texts]


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=40, deadline=None, derandomize=True)
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
