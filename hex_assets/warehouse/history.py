"""From what one reader delivers for a window to rows by distinct statement."""

from __future__ import annotations

import hashlib
import math
import sys
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import polars as pl

from hex_assets.frames import INSTANT, NAMES, TABLES_READ, WAREHOUSE_QUERY_HISTORY, Frame
from hex_assets.warehouse.comment import split_comments
from hex_assets.warehouse.reader import HistoryBatch, HistoryReader, Window
from hex_assets.warehouse.texts import FOREIGN, UNREADABLE, Texts

KEY = ["service", "dialect", "database", "schema", "project_id", "cell_id", "sql_key"]
"""What makes a row of the history: the same statement in the same place."""

BUCKETS = pl.List(pl.UInt16)
"""Users as bucket numbers, see ``_with_buckets``."""

STATEMENT_ROWS: dict[str, Any] = {
    **dict.fromkeys(KEY, pl.String),
    "sql": pl.String,
    "executions": pl.Int64,
    "first_seen": INSTANT,
    "last_seen": INSTANT,
    "contexts": NAMES,
    "user_buckets": BUCKETS,
    "sample_query_id": pl.String,
    "resolved": TABLES_READ,
}
"""One row per ``KEY``; the other columns are those of ``WAREHOUSE_QUERY_HISTORY``."""

_ROWS_WITH_USERS: dict[str, Any] = {
    "users" if name == "user_buckets" else name: NAMES if name == "user_buckets" else dtype
    for name, dtype in STATEMENT_ROWS.items()
}

StoreSql = Literal["full", "masked", "none"]

_BUCKETS = 65_536

_ROWS_AT_ONCE, _BYTES_AT_ONCE = 20_000, 32 * 2**20
"""Small batches are worked on together up to so much."""

_COMPACT_ABOVE = 20_000
"""Rows of partial results at which equal ones are made one, to bound memory; with more distinct
rows than that, their number decides, so that no row is merged again and again."""


@dataclass(frozen=True)
class HistoryFigures:
    """What was read and what came of it.

    Attributes:
        rows: rows that the warehouse sent.
        executions: executions by projects of this workspace.
        foreign: executions by projects that are not of this workspace.
        unreadable: executions whose comment names no project, because it is cut or damaged.
        cut: executions of the longest texts, which the warehouse cut; Hex's or not, unknown.
        texts: distinct texts before masking, but for trace id and user; added up over the batches.
        bytes_read: bytes that the warehouse says it read, or bills; 0 where it does not tell.
    """

    rows: int = 0
    executions: int = 0
    foreign: int = 0
    unreadable: int = 0
    cut: int = 0
    texts: int = 0
    bytes_read: int = 0

    def __add__(self, other: HistoryFigures) -> HistoryFigures:
        return HistoryFigures(
            **{
                field.name: getattr(self, field.name) + getattr(other, field.name)
                for field in fields(self)
            }
        )


@dataclass(frozen=True)
class WindowRead:
    """What one reader delivered for one window.

    Attributes:
        rows: the columns of ``STATEMENT_ROWS``.
        figures: what went into them and what did not.
        gaps: what could not be read, in words; empty when the read was complete.
    """

    rows: pl.DataFrame
    figures: HistoryFigures
    gaps: tuple[str, ...]


def read_window(
    reader: HistoryReader,
    window: Window,
    project_ids: Collection[str] | None = None,
    store_sql: StoreSql = "masked",
    texts: Texts | None = None,
) -> WindowRead:
    """One row per distinct masked statement, session and Hex cell.

    Args:
        reader: of one database service.
        window: which executions count, by their start.
        project_ids: the workspace's projects, lower case; those of others are dropped and
            counted. None keeps all.
        store_sql: what the column ``sql`` holds: the masked statement, the last full one
            without its Hex comment, or nothing. The key is always that of the masked one.
        texts: what is known of texts already, to which this read adds; None knows nothing.

    Raises:
        WarehouseError: the reader did not read to its end.
    """
    texts = texts or Texts()
    whole = pl.DataFrame(schema=_ROWS_WITH_USERS)
    parts: list[pl.DataFrame] = []
    figures = HistoryFigures()
    gaps: list[str] = []
    for batch in _in_larger_parts(reader.read(window)):
        part, of_batch = _statements(reader, batch, project_ids, store_sql, texts)
        figures += of_batch + HistoryFigures(
            rows=batch.rows.height, cut=batch.cut, bytes_read=batch.bytes_read
        )
        gaps += batch.gaps
        parts.append(part)
        if sum(part.height for part in parts) > max(_COMPACT_ABOVE, whole.height):
            whole, parts = _merged(pl.concat([whole, *parts]), "users"), []
    rows = _with_buckets(_merged(pl.concat([whole, *parts]), "users"))
    return WindowRead(rows, figures, tuple(gaps))


def _in_larger_parts(batches: Iterable[HistoryBatch]) -> Iterator[HistoryBatch]:
    """The batches, small ones together, since each costs what a few hundred rows do.

    ClickHouse, for one, delivers the groups of a large result in 256 blocks.
    """
    waiting: list[HistoryBatch] = []
    for batch in batches:
        if waiting and waiting[-1].single != batch.single:
            yield _together(waiting)
            waiting = []
        waiting.append(batch)
        rows = sum(one.rows.height for one in waiting)
        if rows >= _ROWS_AT_ONCE or sum(map(_bytes, waiting)) >= _BYTES_AT_ONCE:
            yield _together(waiting)
            waiting = []
    if waiting:
        yield _together(waiting)


def _bytes(batch: HistoryBatch) -> int:
    return int(batch.rows.estimated_size())


def _together(batches: Sequence[HistoryBatch]) -> HistoryBatch:
    return HistoryBatch(
        pl.concat([one.rows for one in batches]),
        sum(one.cut for one in batches),
        tuple(gap for one in batches for gap in one.gaps),
        sum(one.bytes_read for one in batches),
    )


def merged(parts: Collection[pl.DataFrame]) -> pl.DataFrame:
    """Rows of ``STATEMENT_ROWS`` with equal keys made one, in the order of their keys."""
    whole = pl.concat([pl.DataFrame(schema=STATEMENT_ROWS), *parts])
    return _merged(whole, "user_buckets").select(*STATEMENT_ROWS)


def _merged(rows: pl.DataFrame, users: str) -> pl.DataFrame:
    """Equal keys made one; ``users`` is the column that lists the users."""
    return (
        rows.lazy()
        .sort("last_seen", "sample_query_id", nulls_last=False)
        .group_by(KEY, maintain_order=True)
        .agg(
            pl.col("sql").last(),
            pl.col("executions").sum(),
            pl.col("first_seen").min(),
            pl.col("last_seen").max(),
            pl.col("contexts").explode().drop_nulls().unique().sort(),
            pl.col(users).explode().drop_nulls().unique().sort(),
            pl.col("sample_query_id").drop_nulls().last(),
            pl.col("resolved").drop_nulls().last(),
        )
        .sort(KEY)
        .collect()
    )


def statements_frame(rows: pl.DataFrame, gaps: Sequence[str] = ()) -> Frame:
    """Merged rows of ``STATEMENT_ROWS`` as ``WAREHOUSE_QUERY_HISTORY``."""
    users = [_user_count(filled) for filled in rows["user_buckets"].list.len()]
    table = rows.with_columns(pl.Series("users", users, pl.Int64))
    return WAREHOUSE_QUERY_HISTORY.frame(table.select(*WAREHOUSE_QUERY_HISTORY.columns), gaps)


def _user_count(filled: int) -> int:
    """How many users fill so many buckets (linear counting, Whang et al. 1990)."""
    return filled if filled >= _BUCKETS else round(-_BUCKETS * math.log(1 - filled / _BUCKETS))


def _statements(
    reader: HistoryReader,
    batch: HistoryBatch,
    project_ids: Collection[str] | None,
    store_sql: StoreSql,
    texts: Texts,
) -> tuple[pl.DataFrame, HistoryFigures]:
    """One batch, decoded, filtered and masked."""
    dialect = reader.sql_dialect
    read = texts.read(batch.rows["query_text"], dialect, project_ids)
    rows = batch.rows.hstack(read).drop("query_text").with_row_index("text")
    users = pl.col("users").explode()
    if batch.single:
        users = pl.coalesce("user_email", pl.col("user").str.to_lowercase())
        rows = rows.rename({"query_id": "sample_query_id", "started_at": "last_seen"})
        rows = rows.with_columns(first_seen="last_seen", executions=pl.lit(1, pl.Int64))
    ours = rows.filter(pl.col("meaning") > UNREADABLE)
    by_meaning = (
        ours.lazy()
        .sort("last_seen", "sample_query_id", nulls_last=False)
        .group_by("database", "schema", "meaning", maintain_order=True)
        .agg(
            pl.col("text").last(),
            pl.col("executions").sum(),
            pl.col("first_seen").min(),
            pl.col("last_seen").max(),
            users.drop_nulls().unique().sort().alias("users"),
            pl.col("sample_query_id").drop_nulls().last(),
            pl.col("resolved").drop_nulls().last(),
        )
        .collect()
    )
    sql = {"masked": pl.col("masked"), "none": pl.lit(None, pl.String)}.get(store_sql)
    if sql is None:
        last_texts = batch.rows["query_text"].gather(by_meaning["text"])
        sql = pl.lit(split_comments(last_texts)["statement"])
    part = by_meaning.hstack(texts.meanings(dialect)[by_meaning["meaning"]]).select(
        pl.lit(reader.service).alias("service"),
        pl.lit(dialect).alias("dialect"),
        "database",
        "schema",
        "project_id",
        "cell_id",
        "sql_key",
        sql.alias("sql"),
        "executions",
        "first_seen",
        "last_seen",
        pl.concat_list("context").alias("contexts"),
        "users",
        "sample_query_id",
        "resolved",
    )
    executions, meaning = pl.col("executions"), pl.col("meaning")
    total, foreign, counted = rows.select(
        total=executions.sum(),
        foreign=executions.filter(meaning == FOREIGN).sum(),
        counted=executions.filter(meaning > UNREADABLE).sum(),
    ).row(0)
    figures = HistoryFigures(
        executions=counted,
        foreign=foreign,
        unreadable=total - foreign - counted,
        texts=ours["head"].n_unique(),
    )
    return part, figures


def _with_buckets(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``STATEMENT_ROWS``, of rows that list the users themselves.

    The users of one statement become numbers of 65,536 buckets. Which user falls into which bucket
    differs from statement to statement, so that the numbers neither name a user nor tell what else
    the same user ran. They serve to count: the union over windows is exact until two users of one
    statement share a bucket (for 30 users, by a chance below 1 in 100).
    """
    users = rows.select("sql_key", "users").with_row_index("row")
    digests = bytearray()
    encoded: dict[str, bytes] = {}
    for _, shape, names in users.iter_rows():
        key = hashlib.blake2b(shape.encode(), digest_size=32).digest()
        keyed = hashlib.blake2b(digest_size=2, key=key)
        for name in names:
            if (user := encoded.get(name)) is None:
                user = encoded[name] = name.lower().encode()
            digest = keyed.copy()
            digest.update(user)
            digests += digest.digest()
    buckets = array("H", bytes(digests))
    if sys.byteorder == "little":
        buckets.byteswap()
    lists = (
        users.select("row", "users")
        .explode("users")
        .filter(pl.col("users").is_not_null())
        .select("row", user_buckets=pl.Series(buckets, dtype=pl.UInt16))
        .group_by("row")
        .agg(pl.col("user_buckets").unique().sort())
    )
    found = users.join(lists, on="row", how="left", maintain_order="left")["user_buckets"]
    return rows.with_columns(found.fill_null([]).cast(BUCKETS)).select(*STATEMENT_ROWS)
