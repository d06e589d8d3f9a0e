"""What every reader of a query history delivers, however its warehouse keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

import polars as pl

from hex_assets.errors import WarehouseError
from hex_assets.frames import INSTANT, NAMES, TABLES_READ

STATEMENTS: Mapping[str, tuple[Any, str]] = {
    "query_text": (pl.String, "one whole text as the warehouse logged it, with its Hex comment"),
    "database": (pl.String, "session database at execution; null when unknown"),
    "schema": (pl.String, "session schema at execution; null when unknown"),
    "users": (
        NAMES,
        "distinct users that ran it: of an execution the user_email of its comment, else the "
        "warehouse's user; empty when unknown. Only counted, never stored",
    ),
    "executions": (pl.Int64, "how often it ran"),
    "first_seen": (INSTANT, "first execution"),
    "last_seen": (INSTANT, "last execution"),
    "sample_query_id": (pl.String, "warehouse id of the last execution; null when unknown"),
    "resolved": (
        TABLES_READ,
        "tables and columns that the warehouse recorded for the last execution for which it did; "
        "null when it recorded none",
    ),
}
"""Columns of a batch.

Texts are grouped that are equal but for trace ids and users from the first marker on. The
same group may come up several times, in one batch or in several.
"""

STATEMENT_TYPES = {column: dtype for column, (dtype, _) in STATEMENTS.items()}

EXECUTIONS: Mapping[str, Any] = {
    "query_text": pl.String,
    "database": pl.String,
    "schema": pl.String,
    "user": pl.String,
    "started_at": INSTANT,
    "query_id": pl.String,
    "resolved": TABLES_READ,
}
"""Columns of single executions, as a source that cannot group delivers them; ``user`` is the
warehouse's."""


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
        rows: the columns of ``STATEMENTS``, or of ``EXECUTIONS`` where the source cannot group.
        cut: executions whose text the warehouse cut at its limit, which takes the comment away,
            so that nobody can say whether Hex sent them.
        gaps: what could not be read, in words.
        bytes_read: bytes that the warehouse says it read, or bills, for this part.
    """

    rows: pl.DataFrame
    cut: int = 0
    gaps: tuple[str, ...] = ()
    bytes_read: int = 0

    @property
    def single(self) -> bool:
        """Whether each row is one execution."""
        return "started_at" in self.rows.columns


class HistoryReader(Protocol):
    """Reads the successful statements with a Hex comment from one database service.

    See ``WarehouseConnection``, of which each warehouse is one.
    """

    @property
    def service(self) -> str: ...

    @property
    def sql_dialect(self) -> str: ...

    @property
    def latency(self) -> timedelta: ...

    def read(self, window: Window) -> Iterator[HistoryBatch]: ...

    def check(self) -> str: ...


def batch(rows: Iterable[Sequence[Any]]) -> HistoryBatch:
    """Rows in the order of ``STATEMENTS`` as a batch.

    A row without a text stands for executions whose text the warehouse cut.
    """
    table = pl.DataFrame(list(rows), schema=STATEMENT_TYPES, orient="row")
    cut = table.filter(pl.col("query_text").is_null())
    return HistoryBatch(
        table.filter(pl.col("query_text").is_not_null()), cut=int(cut["executions"].sum())
    )


def nothing_but(gap: str) -> HistoryBatch:
    """A batch that holds nothing but a gap."""
    return HistoryBatch(batch([]).rows, gaps=(gap,))


_LOGGED: Mapping[str, str] = {
    "query_text": "query_text",
    "start_time": "started_at",
    "database_name": "database",
    "schema_name": "schema",
    "user_name": "user",
    "query_id": "query_id",
}
"""Column of a statement that users write to that of ``EXECUTIONS``."""


def executions(service: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> pl.DataFrame:
    """What a statement that users wrote returned as ``EXECUTIONS``; other columns are left out.

    Letter case of the names does not count, and instants without a zone are in UTC.

    Raises:
        WarehouseError: query_text or start_time is missing, or a value is of another type.
    """
    places = {name.lower(): place for place, name in enumerate(names)}
    missing = [name for name in ("query_text", "start_time") if name not in places]
    hint = f"historyStatement has to return {', '.join(_LOGGED)}; the first two are required"
    if missing:
        raise WarehouseError(service, f"historyStatement returns no {', '.join(missing)}", hint)
    place = {ours: places[theirs] for theirs, ours in _LOGGED.items() if theirs in places}
    listed = []
    for row in rows:
        values = {ours: row[at] for ours, at in place.items()}
        started = values.pop("started_at")
        if not isinstance(started, datetime):
            problem = f"historyStatement returns {type(started).__name__} as start_time"
            raise WarehouseError(service, problem, "Make it a timestamp")
        texts = {name: None if text is None else str(text) for name, text in values.items()}
        listed.append({**texts, "started_at": in_utc(started)})
    return pl.DataFrame(listed, schema=EXECUTIONS, orient="row")


def in_utc(instant: datetime) -> datetime:
    """An instant in UTC; one without a zone is taken to be so."""
    if instant.tzinfo is None:
        return instant.replace(tzinfo=timezone.utc)
    return instant.astimezone(timezone.utc)
