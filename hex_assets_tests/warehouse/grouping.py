"""What a warehouse groups, grouped by us instead, to compare the two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from hex_assets.warehouse.comment import MARKER, USER_EMAIL, anonymous
from hex_assets.warehouse.reader import STATEMENT_TYPES, HistoryBatch, Window


@dataclass(frozen=True)
class Executions:
    """A reader that delivers the given rows of ``STATEMENTS``."""

    service: str
    sql_dialect: str
    rows: pl.DataFrame
    latency: timedelta = timedelta(hours=1)

    def read(self, window: Window) -> Iterator[HistoryBatch]:
        yield HistoryBatch(self.rows)

    def check(self) -> str:
        return ""


def statements(batch: HistoryBatch) -> pl.DataFrame:
    """The rows of a batch as ``STATEMENTS``."""
    return grouped(batch.rows) if batch.single else batch.rows


def grouped(executions: pl.DataFrame) -> pl.DataFrame:
    """Single executions (``EXECUTIONS``) as rows of ``STATEMENTS``.

    What a warehouse groups itself has to come out as this would make it: executions are one group
    if database, schema, the text before the first marker and, without trace ids and users, the
    text from it on are equal.
    """
    text = pl.col("query_text")
    comment = pl.col("comment")
    place, octets = text.str.find(MARKER), text.cast(pl.Binary).bin
    return (
        executions.lazy()
        .with_columns(place=place.fill_null(0), marked=place.is_not_null())
        .with_columns(
            body=pl.when("marked").then(octets.slice(0, "place").cast(pl.String)).otherwise(text),
            comment=pl.when("marked").then(octets.slice("place").cast(pl.String)),
        )
        .sort("started_at", "query_id", nulls_last=False)
        .group_by(
            "body",
            anonymous(comment).alias("comment_of_all"),
            "database",
            "schema",
            maintain_order=True,
        )
        .agg(
            pl.col("query_text").last(),
            pl.coalesce(comment.str.extract(USER_EMAIL), "user")
            .str.to_lowercase()
            .drop_nulls()
            .unique()
            .sort()
            .alias("users"),
            pl.len().cast(pl.Int64).alias("executions"),
            pl.col("started_at").min().alias("first_seen"),
            pl.col("started_at").max().alias("last_seen"),
            pl.col("query_id").drop_nulls().last().alias("sample_query_id"),
            pl.col("resolved").drop_nulls().last(),
        )
        .select(*STATEMENT_TYPES)
        .collect()
    )
