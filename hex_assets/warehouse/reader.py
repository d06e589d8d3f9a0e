"""What every reader of a query history delivers, however its warehouse keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

import polars as pl

from hex_assets.frames import INSTANT

MARKER = r"(?i)hex query metadata"
"""Pattern of the texts that may hold a Hex comment."""

STATEMENTS: Mapping[str, tuple[Any, str]] = {
    "query_text": (pl.String, "one whole text as the warehouse logged it, with its Hex comment"),
    "database": (pl.String, "session database at execution; null when unknown"),
    "schema": (pl.String, "session schema at execution; null when unknown"),
    "user": (pl.String, "warehouse user; null when unknown"),
    "executions": (pl.Int64, "how often it ran, 1 from a reader that does not group"),
    "first_seen": (INSTANT, "first execution"),
    "last_seen": (INSTANT, "last execution"),
    "sample_query_id": (pl.String, "warehouse id of the last execution; null when unknown"),
}
"""Columns of a batch. Texts may be grouped if they are equal but for the comment's trace id."""

STATEMENT_TYPES = {column: dtype for column, (dtype, _) in STATEMENTS.items()}

TRACE_ID = "trace_id[^0-9a-z]{1,8}[0-9a-f]{32}"
"""Pattern of what differs in the comments of equal runs; Snowflake and Polars read it alike."""


@dataclass(frozen=True)
class Window:
    """A half-open time window: ``start <= time < end``, both aware, kept in UTC.

    Raises:
        ValueError: a bound is naive, or the window is empty.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a window needs aware datetimes")
        if self.start >= self.end:
            raise ValueError(f"window is empty: {self.start} to {self.end}")
        object.__setattr__(self, "start", self.start.astimezone(timezone.utc))
        object.__setattr__(self, "end", self.end.astimezone(timezone.utc))


@dataclass(frozen=True)
class HistoryBatch:
    """A part of what a reader found.

    Attributes:
        rows: the columns of ``STATEMENTS``.
        cut: executions whose text the warehouse cut at its limit, which takes the comment away,
            so that nobody can say whether Hex sent them.
        gaps: what could not be read, in words.
    """

    rows: pl.DataFrame
    cut: int = 0
    gaps: tuple[str, ...] = ()


class HistoryReader(Protocol):
    """Reads the successful statements with a Hex comment from one database service."""

    @property
    def service(self) -> str:
        """OpenMetadata name of the database service."""

    @property
    def dialect(self) -> str:
        """Dialect of the statements by its sqlglot name."""

    def read(self, window: Window) -> Iterator[HistoryBatch]:
        """The statements that started within the window, in batches of bounded size.

        Raises:
            WarehouseError: the history could not be read to its end.
        """

    def check(self) -> str:
        """Whether the history can be read, by a small read: what was found, in one line.

        Raises:
            WarehouseError: it cannot be read.
        """


def grouped(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``STATEMENTS``, those that differ only in trace id and time made one."""
    return (
        rows.lazy()
        .sort("last_seen", "sample_query_id", nulls_last=False)
        .group_by(
            pl.col("query_text").str.replace_all(TRACE_ID, "trace_id").alias("text"),
            "database",
            "schema",
            "user",
            maintain_order=True,
        )
        .agg(
            pl.col("query_text").last(),
            pl.col("executions").sum(),
            pl.col("first_seen").min(),
            pl.col("last_seen").max(),
            pl.col("sample_query_id").drop_nulls().last(),
        )
        .select(*STATEMENT_TYPES)
        .collect()
    )
