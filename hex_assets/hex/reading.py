"""Reads the details that are due, stores each answer at once, and puts the frames together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any

import polars as pl

from hex_assets.errors import (
    ConnectionFailed,
    HexAssetsError,
    IncompleteRead,
    NotFound,
    PermissionMissing,
    RateLimited,
    RequestError,
    RequestRejected,
    ServerFailed,
    TokenRejected,
)
from hex_assets.frames import (
    HEX_CELLS,
    HEX_COMPONENT_IMPORTS,
    HEX_COVERAGE,
    HEX_QUERIED_TABLES,
    HEX_RUNS,
    INSTANT,
    Frame,
    FrameSchema,
)
from hex_assets.hex.client import HexClient
from hex_assets.hex.components import credit_inlined_cells
from hex_assets.hex.details import KINDS, Detail, Details, Kind, StoredDetails
from hex_assets.hex.export import Notebook, NotebookCell, UnreadableExport, parse_export
from hex_assets.hex.incremental import Due, applies, is_current, mark_of, plan_reading
from hex_assets.hex.models import Cell, CellContents, MarkdownCell, SqlCell
from hex_assets.hex.reader import Mask, notebook_cell_row
from hex_assets.hex.run_history import SCHEDULED, run_rows

_log = logging.getLogger(__name__)

_FAILURES_IN_A_ROW = 3
"""So many projects that fail one after another mean that Hex itself is in trouble."""

_REFUSALS_TO_SETTLE = 2
"""One project may refuse its export to a personal token; two without any success mean all do."""

_RUNS_ASKED = 100

_SCHEMAS: Mapping[Kind, FrameSchema] = {
    "cells": HEX_CELLS,
    "queried_tables": HEX_QUERIED_TABLES,
    "runs": HEX_RUNS,
}


@dataclass(frozen=True)
class ReadingLimits:
    """How much one run may read.

    Attributes:
        refresh_in_runs: unchanged projects are all read again within so many runs; 0 for never.
        seconds: after so many no further project is begun; None for no limit.
        runs: latest runs that success rate and duration are taken from, 1 to 100.
    """

    refresh_in_runs: int = 14
    seconds: float | None = None
    runs: int = _RUNS_ASKED


@dataclass(frozen=True)
class Progress:
    """How far the reading is.

    Attributes:
        done: projects read.
        total: projects that are due.
        requests_left: that may be sent at once within Hex's limit.
        seconds_left: estimate for the rest; None before the first project is done.
    """

    done: int
    total: int
    requests_left: int
    seconds_left: float | None


@dataclass(frozen=True)
class HexDetails:
    """The frames, and what reading them took.

    Attributes:
        changed: projects that were new or changed.
        in_turn: unchanged projects of the rotating slice.
        progress: how far the reading came.
        requests: sent in this run.
        out_of_time: whether the time budget ended the reading.
        left_out: rows of queried tables and runs that were unreadable; Hex is known to send some.
    """

    cells: Frame
    component_imports: Frame
    queried_tables: Frame
    runs: Frame
    coverage: Frame
    changed: int
    in_turn: int
    progress: Progress
    requests: int
    out_of_time: bool
    left_out: int


@dataclass
class _Refusals:
    """What the token or the plan was found not to allow, in this run."""

    exports_refused: int = 0
    exports_read: int = 0
    cell_listings: PermissionMissing | None = None
    kinds: dict[Kind, str] = field(default_factory=dict)
    problems: dict[tuple[str, Kind], str] = field(default_factory=dict)

    @property
    def no_exports(self) -> bool:
        return not self.exports_read and self.exports_refused >= _REFUSALS_TO_SETTLE


def read_details(
    client: HexClient,
    projects: Frame,
    connections: Frame,
    mask: Mask,
    stored: StoredDetails,
    *,
    kinds: Sequence[Kind] = KINDS,
    limits: ReadingLimits = ReadingLimits(),
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    clock: Callable[[], float] = time.monotonic,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> HexDetails:
    """Read what changed since the stored copy, what was never read, and the rotating slice.

    Published projects are read as published where Hex allows exports, else as drafts. What could
    not be read is a gap of its frame and keeps the rows of the stored copy, marked as stale.

    Args:
        projects: ``HEX_PROJECTS`` of this run.
        connections: ``HEX_DATA_CONNECTIONS``, which tells the dialect of a cell's SQL.
        mask: applied to the SQL of every cell before it is stored.
        stored: the copy; each answer is put into it at once.
        kinds: what to read; of the others the stored copy is given back.
        now: UTC, for the time of reading.
        clock: seconds that never go back, for the time budget.
        progress: called before each project and at the end.

    Raises:
        TokenRejected, ConnectionFailed, RateLimited: Hex cannot be read at all.
        RequestError, IncompleteRead: several projects failed one after another.
    """
    rows = projects.rows.to_dicts()
    plan = plan_reading(rows, stored.details, kinds, limits.refresh_in_runs, now())
    reader = _DetailReader(client, connections, mask, limits.runs, now, stored)
    started, sent_before = clock(), client.requests_sent
    done = in_a_row = 0
    out_of_time = False

    def so_far(spent: float) -> Progress:
        total = len(plan.due)
        left = spent / done * (total - done) if done else None if total else 0.0
        return Progress(done, total, client.requests_left, left)

    for due in plan.due:
        spent = clock() - started
        if limits.seconds is not None and spent >= limits.seconds:
            out_of_time = True
            break
        progress(so_far(spent))
        failure = _read_project(reader, due, stored)
        in_a_row = 0 if failure is None else in_a_row + 1
        if failure is not None and in_a_row >= _FAILURES_IN_A_ROW:
            raise failure
        done += 1
    reached = so_far(clock() - started)
    progress(reached)
    if projects.complete:
        stored.keep(row["id"] for row in rows)
    else:
        stored.compact()
    frames = _Frames(projects, stored.details, reader.refusals, out_of_time)
    cells, imports = frames.cells()
    return HexDetails(
        cells=cells,
        component_imports=imports,
        queried_tables=frames.frame("queried_tables"),
        runs=frames.frame("runs"),
        coverage=frames.coverage(),
        changed=len(plan.changed),
        in_turn=len(plan.in_turn),
        progress=reached,
        requests=client.requests_sent - sent_before,
        out_of_time=out_of_time,
        left_out=frames.left_out(),
    )


def _read_project(reader: _DetailReader, due: Due, stored: StoredDetails) -> HexAssetsError | None:
    """Read and store what is due of one project; the first failure if nothing could be read."""
    failure: HexAssetsError | None = None
    succeeded = False
    for kind in due.kinds:
        if kind in reader.refusals.kinds:
            continue
        key = due.project["id"], kind
        try:
            stored.put(reader.read(due.project, kind))
            succeeded = True
        except (TokenRejected, ConnectionFailed, RateLimited):
            raise
        except PermissionMissing as error:
            if kind == "cells" and not reader.refusals.no_exports:
                # Other projects may still be exported.
                reader.refusals.problems[key] = str(error)
                continue
            reader.refusals.kinds[kind] = str(error)
            _log.info("%s are not read: %s", kind.replace("_", " "), error)
        except NotFound:
            reader.refusals.problems[key] = "vanished before it was read"
        except (RequestError, IncompleteRead) as error:
            reader.refusals.problems[key] = str(error)
            failure = failure or error
    return None if succeeded else failure


class _DetailReader:
    """Asks Hex for one detail of one project."""

    def __init__(
        self,
        client: HexClient,
        connections: Frame,
        mask: Mask,
        runs: int,
        now: Callable[[], datetime],
        stored: StoredDetails,
    ) -> None:
        self._client = client
        self._stored = stored
        self._types = dict(connections.rows.select("id", "type").iter_rows())
        self._mask = mask
        self._runs = runs
        self._now = now
        self.refusals = _Refusals()

    def read(self, project: Mapping[str, Any], kind: Kind) -> Detail:
        read = {
            "cells": self._cells,
            "queried_tables": self._queried_tables,
            "runs": self._run_history,
        }[kind]
        return read(project, Detail(project["id"], kind, mark_of(project, kind), self._now(), ()))

    def _cells(self, project: Mapping[str, Any], empty: Detail) -> Detail:
        project_id = project["id"]
        published = project["last_published_at"] is not None
        mark = empty.mark
        try:
            notebook = self._exported(project_id, published)
        except ServerFailed as error:
            if (project_id, "cells") in self._stored.details:
                raise
            # Better a draft than nothing, but the next run is to try again.
            self.refusals.problems[project_id, "cells"] = f"read as a draft: {error}"
            notebook, mark = None, ""
        exported = notebook is not None
        if notebook is None:
            notebook = self._listed(project_id)
        version = "published" if exported and published else "draft"
        return replace(
            empty,
            mark=mark,
            version=version,
            rows=tuple(
                notebook_cell_row(project_id, cell, self._types, self._mask, version)
                for cell in notebook.cells
            ),
            imports=tuple(
                {
                    "project_id": project_id,
                    "component_id": cell.component_id,
                    "cell_id": cell.cell_id,
                    "component_version": cell.component_version,
                }
                for cell in notebook.cells
                if cell.component_id is not None
            ),
            malformed=notebook.malformed,
            inlined=not exported,
        )

    def _listed(self, project_id: str) -> Notebook:
        if self.refusals.cell_listings is not None:
            raise self.refusals.cell_listings
        try:
            listing = self._client.cells(project_id)
        except PermissionMissing as error:
            self.refusals.cell_listings = error
            raise
        return Notebook(tuple(map(_listed_cell, listing.items)), listing.malformed)

    def _exported(self, project_id: str, published: bool) -> Notebook | None:
        """The export, which tells more in as many requests; None where it cannot be had."""
        if self.refusals.no_exports:
            return None
        try:
            content = self._client.export(project_id, "latest" if published else "draft")
        except PermissionMissing as error:
            self.refusals.exports_refused += 1
            _log.warning("Project %s is read as a draft: %s", project_id, error)
            return None
        except (TokenRejected, ConnectionFailed, RateLimited, NotFound, ServerFailed):
            raise
        except RequestError as error:
            _log.warning("Project %s is read as a draft: %s", project_id, error)
            return None
        self.refusals.exports_read += 1
        try:
            return parse_export(content)
        except UnreadableExport as error:
            _log.warning("Project %s is read as a draft: %s", project_id, error)
            return None

    def _queried_tables(self, project: Mapping[str, Any], empty: Detail) -> Detail:
        try:
            listing = self._client.queried_tables(project["id"])
        except RequestRejected as error:
            if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
                raise
            return empty
        rows = [
            {
                "project_id": project["id"],
                "data_connection_id": table.data_connection_id,
                "table_name": table.table_name,
            }
            for table in listing.items
            if table.names_a_table
        ]
        junk = tuple(
            f"queried table {table.table_name} is no table"
            for table in listing.items
            if not table.names_a_table
        )
        return replace(empty, rows=tuple(rows), malformed=listing.malformed + junk)

    def _run_history(self, project: Mapping[str, Any], empty: Detail) -> Detail:
        try:
            runs, malformed = self._client.runs(project["id"], self._runs)
            if (
                project["schedules"]
                and len(runs) + len(malformed) >= self._runs
                and all(run.run_trigger != SCHEDULED for run in runs)
            ):
                # Other triggers fill the page, so the scheduled runs lie further back.
                scheduled, more = self._client.runs(project["id"], self._runs, SCHEDULED)
                runs, malformed = runs + scheduled, malformed + more
        except RequestRejected as error:
            if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
                raise
            return empty
        rows = run_rows(project["id"], runs)
        return replace(empty, rows=tuple(map(_plain, rows)), malformed=malformed)


class _Frames:
    """The frames of a stored copy, with what they lack."""

    def __init__(
        self, projects: Frame, details: Details, refusals: _Refusals, out_of_time: bool
    ) -> None:
        self._projects = projects
        self._rows = projects.rows.filter(pl.col("trashed_at").is_null()).sort("id").to_dicts()
        self._details = details
        self._refusals = refusals
        self._out_of_time = out_of_time

    def frame(self, kind: Kind) -> Frame:
        rows = [row for detail in self._of(kind) for row in detail.rows]
        return _framed(_SCHEMAS[kind], rows, self._gaps(kind))

    def cells(self) -> tuple[Frame, Frame]:
        details = list(self._of("cells"))
        gaps = self._gaps("cells")
        gaps += [
            f"project {detail.project_id}: {fault}"
            for detail in details
            for fault in detail.malformed
        ]
        components = {row["id"] for row in self._rows if row["type"] == "COMPONENT"}
        rows, imports = credit_inlined_cells(details, components)
        return (
            _framed(HEX_CELLS, rows, gaps),
            _framed(HEX_COMPONENT_IMPORTS, imports, gaps),
        )

    def left_out(self) -> int:
        kinds: tuple[Kind, ...] = ("queried_tables", "runs")
        return sum(len(detail.malformed) for kind in kinds for detail in self._of(kind))

    def coverage(self) -> Frame:
        rows = [self._coverage_row(project, kind) for project in self._rows for kind in KINDS]
        return HEX_COVERAGE.frame(rows, self._projects.gaps)

    def _of(self, kind: Kind) -> list[Detail]:
        found = (
            self._details.get((project["id"], kind))
            for project in self._rows
            if applies(project, kind)
        )
        return [detail for detail in found if detail is not None]

    def _coverage_row(self, project: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
        key = project["id"], kind
        detail = self._details.get(key) if applies(project, kind) else None
        problem = self._refusals.problems.get(key)
        if not applies(project, kind):
            state = "not applicable"
        elif kind in self._refusals.kinds:
            state, problem = "not available", self._refusals.kinds[kind]
        elif detail is None:
            state = "never read"
        elif problem is None and is_current(project, kind, self._details):
            state = "current"
        else:
            state = "stale"
        return {
            "project_id": project["id"],
            "detail": kind,
            "state": state,
            "read_at": detail and detail.read_at,
            "version": detail and detail.version,
            "problem": problem,
        }

    def _gaps(self, kind: Kind) -> list[str]:
        what = kind.replace("_", " ")
        gaps = list(self._projects.gaps)
        if kind in self._refusals.kinds:
            # An Enterprise feature that the workspace does not have is not missing from it.
            if kind == "cells":
                waiting = sum(
                    applies(row, kind) and not is_current(row, kind, self._details)
                    for row in self._rows
                )
                gaps.append(
                    f"{what} of {waiting} projects were not read: {self._refusals.kinds[kind]}"
                )
            return gaps
        unreached = {"stale": 0, "never read": 0}
        for project in self._rows:
            row = self._coverage_row(project, kind)
            if row["problem"]:
                gaps.append(f"{what} of project {project['id']}: {row['problem']}")
            elif row["state"] in unreached:
                unreached[row["state"]] += 1
        reason = "the time budget ended first" if self._out_of_time else "not asked for"
        for state, count in unreached.items():
            if count:
                gaps.append(f"{what} of {count} projects are {state}: {reason}")
        return gaps


def _framed(schema: FrameSchema, rows: Sequence[Mapping[str, Any]], gaps: Sequence[str]) -> Frame:
    instants = [name for name, dtype in schema.types.items() if dtype == INSTANT]
    parsed = [
        {**row, **{name: _instant(row[name]) for name in instants}} if instants else row
        for row in rows
    ]
    return schema.frame(parsed, tuple(dict.fromkeys(gaps)))


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as it is stored, with instants as text."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _listed_cell(cell: Cell) -> NotebookCell:
    contents = cell.contents or CellContents()
    sql = contents.sql_cell or SqlCell()
    markdown = contents.markdown_cell or MarkdownCell()
    return NotebookCell(
        cell_id=cell.static_id,
        type=cell.cell_type,
        label=cell.label,
        data_connection_id=cell.data_connection_id,
        sql=sql.source,
        output_dataframe=sql.output_dataframe,
        markdown=markdown.source if cell.cell_type == "MARKDOWN" else None,
    )
