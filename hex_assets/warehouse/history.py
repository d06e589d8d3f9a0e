"""From what the readers deliver to the frame ``warehouse_query_history``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from hex_assets.frames import INSTANT, TABLES_READ, WAREHOUSE_QUERY_HISTORY, Frame
from hex_assets.warehouse.reader import HistoryReader, Window, grouped
from hex_assets.warehouse.shapes import Shapes, decoded

__all__ = ["HistoryFigures", "QueryHistory", "Window", "read_query_history"]

_KEY = ["service", "dialect", "database", "schema", "project_id", "cell_id", "sql_key"]
_COMPACT_ABOVE = 200_000
"""Rows of partial results at which equal ones are made one, to bound memory."""

_PARTIAL: dict[str, Any] = {
    **dict.fromkeys(_KEY, pl.String),
    "context": pl.String,
    "user": pl.String,
    "sql": pl.String,
    "executions": pl.Int64,
    "first_seen": INSTANT,
    "last_seen": INSTANT,
    "sample_query_id": pl.String,
}
"""One row per key, context and user."""


@dataclass(frozen=True)
class HistoryFigures:
    """What went into the frame and what did not, in executions.

    Attributes:
        executions: executions in the frame.
        foreign: executions by projects that are not of this workspace.
        unreadable: executions whose comment names no project, because it is cut or damaged.
        cut: executions of the longest texts, which the warehouse cut; Hex's or not, unknown.
        texts: distinct statements before masking, added up over the batches.
        statements: distinct statements after masking.
    """

    executions: int = 0
    foreign: int = 0
    unreadable: int = 0
    cut: int = 0
    texts: int = 0
    statements: int = 0


@dataclass(frozen=True)
class QueryHistory:
    """The frame and its figures."""

    frame: Frame
    figures: HistoryFigures


def read_query_history(
    readers: Iterable[HistoryReader],
    window: Window,
    project_ids: Collection[str] | None = None,
    *,
    store_sql: Literal["full", "masked", "none"] = "masked",
    log: Callable[[str], None] = lambda message: None,
) -> QueryHistory:
    """One row per distinct masked statement, database service, session and Hex cell.

    ``users`` counts the Hex users that the comments name; where a comment names none, the
    warehouse's user counts. ``sample_query_id`` is the last execution's.

    Args:
        readers: one per database service.
        window: which executions count, by their start.
        project_ids: the workspace's projects, lower case; those of others are dropped and
            counted. None keeps all.
        store_sql: what the column ``sql`` holds: the masked statement, the last full one
            without its Hex comment, or nothing. The key is always that of the masked one.
        log: receives one line per reader.

    Raises:
        WarehouseError: a reader did not read to its end.
    """
    shapes = Shapes()
    parts: list[pl.DataFrame] = []
    figures = HistoryFigures()
    gaps: list[str] = []
    for reader in readers:
        before = figures
        for batch in reader.read(window):
            gaps += batch.gaps
            figures = replace(figures, cut=figures.cut + batch.cut)
            part, figures = _partial(reader, batch.rows, project_ids, store_sql, shapes, figures)
            parts.append(part)
            if sum(part.height for part in parts) > _COMPACT_ABOVE:
                parts = [_compact(parts)]
        log(_line(reader.service, before, figures))
    partial = _compact(parts)
    figures = replace(figures, statements=partial["sql_key"].n_unique())
    return QueryHistory(WAREHOUSE_QUERY_HISTORY.frame(_final(partial), gaps), figures)


def _partial(
    reader: HistoryReader,
    rows: pl.DataFrame,
    project_ids: Collection[str] | None,
    store_sql: str,
    shapes: Shapes,
    figures: HistoryFigures,
) -> tuple[pl.DataFrame, HistoryFigures]:
    """One batch, decoded, filtered, masked, and the figures with it added."""
    texts = grouped(rows)
    split = texts.with_columns(decoded(texts["query_text"]).get_columns())
    readable = split.filter(pl.col("project_id").is_not_null())
    ours = readable
    if project_ids is not None:
        ours = readable.filter(pl.col("project_id").is_in(list(project_ids)))
    masked = ours.with_columns(shapes.masked(ours["statement"], reader.dialect).get_columns())
    stored = {"masked": pl.col("masked"), "full": pl.col("statement")}
    part = masked.select(
        pl.lit(reader.service).alias("service"),
        pl.lit(reader.dialect).alias("dialect"),
        "database",
        "schema",
        "project_id",
        "cell_id",
        "sql_key",
        "context",
        pl.coalesce("email", pl.col("user").str.to_lowercase()).alias("user"),
        stored.get(store_sql, pl.lit(None, pl.String)).alias("sql"),
        "executions",
        "first_seen",
        "last_seen",
        "sample_query_id",
    )
    total, named, counted = (int(one["executions"].sum()) for one in (split, readable, ours))
    figures = replace(
        figures,
        executions=figures.executions + counted,
        foreign=figures.foreign + named - counted,
        unreadable=figures.unreadable + total - named,
        texts=figures.texts + ours["statement"].n_unique(),
    )
    return _compact([part]), figures


def _compact(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Partial results with equal ones made one."""
    return (
        pl.concat([pl.DataFrame(schema=_PARTIAL), *parts])
        .lazy()
        .sort("last_seen", "sample_query_id", nulls_last=False)
        .group_by(*_KEY, "context", "user", maintain_order=True)
        .agg(*_MERGED)
        .select(*_PARTIAL)
        .collect()
    )


_MERGED = (
    pl.col("sql").last(),
    pl.col("executions").sum(),
    pl.col("first_seen").min(),
    pl.col("last_seen").max(),
    pl.col("sample_query_id").drop_nulls().last(),
)
"""Merges rows that are in the order of their last execution."""


def _final(partial: pl.DataFrame) -> pl.DataFrame:
    return (
        partial.lazy()
        .sort("last_seen", "sample_query_id", nulls_last=False)
        .group_by(_KEY, maintain_order=True)
        .agg(
            *_MERGED,
            pl.col("context").drop_nulls().unique().sort().alias("contexts"),
            pl.col("user").drop_nulls().n_unique().cast(pl.Int64).alias("users"),
            pl.lit(None, TABLES_READ).alias("resolved"),
        )
        .select(list(WAREHOUSE_QUERY_HISTORY.columns))
        .sort(_KEY)
        .collect()
    )


def _line(service: str, before: HistoryFigures, after: HistoryFigures) -> str:
    def added(name: str) -> int:
        return int(getattr(after, name) - getattr(before, name))

    line = f"{service}: {added('executions')} executions of {added('texts')} texts"
    for name, meaning in (
        ("foreign", "by projects of other workspaces"),
        ("unreadable", "with an unreadable Hex comment"),
        ("cut", "of texts that the warehouse cut, which may be Hex's"),
    ):
        if added(name):
            line += f", {added(name)} {meaning}"
    return line
