"""The history that one read of everything gives, to compare with."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hex_assets.frames import Frame
from hex_assets.warehouse.history import (
    HistoryFigures,
    StoreSql,
    merged,
    read_window,
    statements_frame,
)
from hex_assets.warehouse.reader import HistoryReader, Window


@dataclass(frozen=True)
class QueryHistory:
    frame: Frame
    figures: HistoryFigures


def read_query_history(
    readers: Iterable[HistoryReader],
    window: Window,
    project_ids: Collection[str] | None = None,
    *,
    store_sql: StoreSql = "masked",
) -> QueryHistory:
    reads = [read_window(reader, window, project_ids, store_sql) for reader in readers]
    gaps = [gap for read in reads for gap in read.gaps]
    frame = statements_frame(merged([read.rows for read in reads]), gaps)
    return QueryHistory(frame, sum((read.figures for read in reads), HistoryFigures()))
