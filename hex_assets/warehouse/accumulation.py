"""The query history as it grows from run to run, each execution counted once.

Time is divided per database service at the watermark, ``settled_until``. What lies before it was
read for good and is never read again. What lies after it is the tail: rows that may still be
joined by late ones. A run settles what has become old enough, by a window of its own, and reads
the tail anew in place of the one before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta

import polars as pl
from upath import UPath

from hex_assets.errors import FrameError, HexAssetsError
from hex_assets.frame_files import read_table, write_table
from hex_assets.frames import Frame
from hex_assets.warehouse.history import (
    STATEMENT_ROWS,
    HistoryFigures,
    StoreSql,
    WindowRead,
    merged,
    read_window,
    statements_frame,
)
from hex_assets.warehouse.reader import HistoryReader, Window
from hex_assets.warehouse.shapes import masked_statement
from hex_assets.warehouse.texts import Texts

_STATE_KEY = "hex_assets.query_history"
_VERSION = 1
_SETTLED = "settled"
_GAPS_NAMED = 3
_STATE_ROWS = {**STATEMENT_ROWS, _SETTLED: pl.Boolean}


@dataclass(frozen=True)
class Coverage:
    """Which times of one database service have been read.

    Attributes:
        since: start of what was read.
        settled_until: the watermark; before it nothing is read again.
        read_until: end of the last complete read.
        failing_since: when the service was first not read to its end; None when it last was.
        problem: why, without secrets; empty when it was read.
    """

    since: datetime
    settled_until: datetime
    read_until: datetime
    failing_since: datetime | None = None
    problem: str = ""


@dataclass(frozen=True)
class HistoryState:
    """All that is kept of a workspace's query history between runs.

    Attributes:
        rows: ``STATEMENT_ROWS`` and ``settled``: whether the row is of before the watermark.
        coverage: by database service.
        store_sql: what the column ``sql`` holds.
    """

    rows: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_STATE_ROWS))
    coverage: Mapping[str, Coverage] = field(default_factory=dict)
    store_sql: StoreSql = "masked"

    def without(self, services: Collection[str]) -> HistoryState:
        """Without what is known of these services, which are then read anew."""
        return replace(
            self,
            rows=self.rows.filter(~pl.col("service").is_in(list(services))),
            coverage={name: known for name, known in self.coverage.items() if name not in services},
        )

    def storing(self, store_sql: StoreSql) -> HistoryState:
        """With the column ``sql`` as the setting wants it now; literals leave at once."""
        if store_sql == self.store_sql:
            return self
        rows = self.rows
        if store_sql == "none":
            rows = rows.with_columns(sql=pl.lit(None, pl.String))
        elif self.store_sql == "full":
            texts = rows.select("dialect", "sql").iter_rows()
            masked = [
                None if sql is None else masked_statement(sql, dialect) for dialect, sql in texts
            ]
            rows = rows.with_columns(sql=pl.Series("sql", masked, pl.String))
        return replace(self, rows=rows, store_sql=store_sql)


def read_state(path: UPath) -> HistoryState | None:
    """The stored state; None when there is none, or of another version.

    Raises:
        OSError: it is there but cannot be read.
    """
    try:
        rows, metadata = read_table(path)
    except FileNotFoundError:
        return None
    stored = json.loads(metadata.get(_STATE_KEY, "{}"))
    if stored.get("version") != _VERSION or dict(rows.schema) != _STATE_ROWS:
        return None
    coverage = {
        service: Coverage(
            datetime.fromisoformat(known["since"]),
            datetime.fromisoformat(known["settled_until"]),
            datetime.fromisoformat(known["read_until"]),
            known["failing_since"] and datetime.fromisoformat(known["failing_since"]),
            known["problem"],
        )
        for service, known in stored["coverage"].items()
    }
    return HistoryState(rows, coverage, stored["store_sql"])


def write_state(path: UPath, state: HistoryState) -> None:
    """Store rows and watermarks in one file, so that no kill can part them."""
    if dict(state.rows.schema) != _STATE_ROWS:
        raise FrameError("the query history has other columns than its state")
    stored = {
        "version": _VERSION,
        "store_sql": state.store_sql,
        "coverage": {service: asdict(known) for service, known in state.coverage.items()},
    }
    text = json.dumps(stored, default=datetime.isoformat)
    write_table(path, state.rows, {_STATE_KEY: text})


@dataclass(frozen=True)
class ServiceRead:
    """What one run read of one service.

    Attributes:
        windows: what was asked for, the oldest first.
        figures: what came of it.
    """

    windows: tuple[Window, ...]
    figures: HistoryFigures


@dataclass(frozen=True)
class Accumulated:
    """The state after a run, what it read, and what failed.

    Attributes:
        failures: the error of each service that was not read.
    """

    state: HistoryState
    read: Mapping[str, ServiceRead]
    failures: Mapping[str, HexAssetsError]


Opened = Mapping[str, HistoryReader | HexAssetsError]
"""A reader of each database service, or why there is none."""


def accumulate(
    state: HistoryState,
    readers: Opened,
    now: datetime,
    *,
    look_back: timedelta,
    retention: timedelta,
    project_ids: Collection[str] | None = None,
    projects_complete: bool = True,
    reset: Collection[str] = (),
    texts: Texts | None = None,
    log: Callable[[str], None] = lambda message: None,
) -> Accumulated:
    """Read what is new of each service and add it.

    A service that fails keeps what is known of it, and the others go on. What was read with gaps
    is used but not settled: the next run reads it again.

    Args:
        state: what earlier runs left, with the ``storing`` that is wanted.
        readers: by service.
        now: end of what is read; aware.
        look_back: how far back a first run reads. A longer one than before reads the older part,
            too.
        retention: statements unseen for longer leave; never shorter than the look-back.
        project_ids: the workspace's projects, lower case; None keeps all.
        projects_complete: whether those are all; if not, nothing is settled.
        reset: services that are read anew over the whole look-back; what is known of one leaves
            only when it has been read.
        texts: what is known of texts already, to which this run adds; None knows nothing.
        log: receives one line per service.
    """
    texts = texts or Texts()
    read: dict[str, ServiceRead] = {}
    failures: dict[str, HexAssetsError] = {}
    for service, reader in readers.items():
        kept = state.without([service]) if service in reset else state
        known = kept.coverage.get(service)
        try:
            if isinstance(reader, HexAssetsError):
                raise reader
            windows = _windows(known, now, look_back, reader.latency)
            reads = {
                window: read_window(reader, window, project_ids, state.store_sql, texts)
                for window in windows
            }
            state = _advanced(kept, service, windows, reads, known, projects_complete)
            figures = sum((one.figures for one in reads.values()), HistoryFigures())
            read[service] = ServiceRead(tuple(reads), figures)
        except HexAssetsError as error:
            failures[service] = error
            state = _failed(state, service, now, look_back, error)
            log(f"{service}: not read. {error}")
        else:
            log(_line(service, read[service]))
    oldest = now - max(retention, look_back)
    recent = state.rows.filter(pl.col("last_seen") >= oldest)
    return Accumulated(replace(state, rows=recent), read, failures)


def history_frame(state: HistoryState, services: Sequence[str]) -> Frame:
    """The state as ``WAREHOUSE_QUERY_HISTORY``, with a gap for each service that is behind.

    Args:
        services: those of the recipe; rows of others are left out.
    """
    rows = state.rows.filter(pl.col("service").is_in(list(services)))
    gaps = [
        f"{service} was not read to its end since {known.failing_since:%Y-%m-%d %H:%M} UTC; "
        f"known until {known.read_until:%Y-%m-%d %H:%M}. {known.problem}"
        for service, known in state.coverage.items()
        if service in services and known.failing_since is not None
    ]
    return statements_frame(merged([rows.select(*STATEMENT_ROWS)]), gaps)


@dataclass(frozen=True)
class _Windows:
    """What to read of one service; None for what needs no reading.

    Attributes:
        older: a part before what is known, after the look-back became longer.
        due: from the watermark to where no late row is expected any more.
        tail: from there to now.
    """

    older: Window | None
    due: Window | None
    tail: Window | None

    def __iter__(self) -> Iterator[Window]:
        return (one for one in (self.older, self.due, self.tail) if one is not None)


def _windows(
    known: Coverage | None, now: datetime, look_back: timedelta, latency: timedelta
) -> _Windows:
    first = now - look_back
    since = known.since if known else first
    settled_until = known.settled_until if known else first
    settle_until = max(settled_until, now - latency)
    # A clock that was set back must not shorten the tail.
    end = max(now, known.read_until) if known else now
    return _Windows(
        older=Window(first, since) if first < since else None,
        due=Window(settled_until, settle_until) if settled_until < settle_until else None,
        tail=Window(settle_until, end) if settle_until < end else None,
    )


def _advanced(
    state: HistoryState,
    service: str,
    windows: _Windows,
    reads: Mapping[Window, WindowRead],
    known: Coverage | None,
    may_settle: bool,
) -> HistoryState:
    """The state with one service read up to now.

    Everything but the tail is settled if it was read without a gap.
    """
    if not reads:
        return state

    def settles(window: Window | None) -> bool:
        return window is not None and may_settle and not reads[window].gaps

    older, due = windows.older, windows.due
    settling = [one for one in (older, due) if one is not None and settles(one)]
    start, end = min(one.start for one in reads), max(one.end for one in reads)
    before = known or Coverage(start, start, start)
    own = pl.col("service") == service
    settled = [state.rows.filter(own, pl.col(_SETTLED)).select(*STATEMENT_ROWS)]
    settled += [reads[window].rows for window in settling]
    unsettled = [one.rows for window, one in reads.items() if window not in settling]
    if due is None and windows.tail is None:
        # Nothing from the watermark on was read, so what is known of it stays.
        unsettled.append(state.rows.filter(own, ~pl.col(_SETTLED)).select(*STATEMENT_ROWS))
    gaps = [gap for one in reads.values() for gap in one.gaps]
    coverage = Coverage(
        since=older.start if older is not None and settles(older) else before.since,
        settled_until=due.end if due is not None and settles(due) else before.settled_until,
        read_until=max(end, before.read_until),
        failing_since=(before.failing_since or end) if gaps else None,
        problem="; ".join(gaps[:_GAPS_NAMED]),
    )
    parts = [_marked(merged(settled), True), _marked(merged(unsettled), False)]
    return replace(
        state,
        rows=pl.concat([state.rows.filter(~own), *parts]),
        coverage={**state.coverage, service: coverage},
    )


def _failed(
    state: HistoryState,
    service: str,
    now: datetime,
    look_back: timedelta,
    error: HexAssetsError,
) -> HistoryState:
    never_read = now - look_back
    known = state.coverage.get(service) or Coverage(never_read, never_read, never_read)
    failing = replace(known, failing_since=known.failing_since or now, problem=str(error))
    return replace(state, coverage={**state.coverage, service: failing})


def _marked(rows: pl.DataFrame, settled: bool) -> pl.DataFrame:
    return rows.with_columns(pl.lit(settled).alias(_SETTLED))


def _line(service: str, read: ServiceRead) -> str:
    if not read.windows:
        return f"{service}: nothing new to read"
    figures = read.figures
    start, end = read.windows[0].start, read.windows[-1].end
    line = (
        f"{service}: {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {figures.rows} rows, "
        f"{figures.executions} executions of {figures.texts} texts"
    )
    for count, meaning in (
        (figures.foreign, "by projects of other workspaces"),
        (figures.unreadable, "with an unreadable Hex comment"),
        (figures.cut, "of texts that the warehouse cut, which may be Hex's"),
    ):
        if count:
            line += f", {count} {meaning}"
    return line
