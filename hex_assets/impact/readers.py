"""Which projects and cells read a table or column, in the order of who would notice a change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from hex_assets.impact.lookup import Target
from hex_assets.impact.stored import StoredWorkspaces


@dataclass(frozen=True)
class ReadingCell:
    """One cell, or the project as such when the evidence names no cell.

    Attributes:
        cell_id: static id; None when the evidence names none.
        label: as shown in Hex; None when it has none.
        target: the table or column that is read.
        usage: output, filter, join, group, order; empty when unknown, or for a whole table
            whose columns are unknown.
        certain: False when the columns that the cell reads of the table are unknown, so that it
            may or may not read the column that was asked for.
        evidence: what shows it.
        component: title of the component through which the project reads it; None when it does
            so itself.
        executions: executions seen.
        users: people who ran it, at least.
        last_seen: latest execution seen; None without query history.
        via: tables between the one that was asked for and the one that is read, nearest first;
            empty when it is read itself.
    """

    cell_id: str | None
    label: str | None
    target: Target
    usage: tuple[str, ...]
    certain: bool
    evidence: tuple[str, ...]
    component: str | None
    executions: int
    users: int
    last_seen: datetime | None
    via: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A table or column whose readers are wanted.

    Attributes:
        via: tables through which it comes from what was asked for first, that one included.
        certain: whether what comes from there is known to the column.
    """

    target: Target
    via: tuple[str, ...] = ()
    certain: bool = True


@dataclass(frozen=True)
class ReadingProject:
    """One project with its reading cells, the most executed first.

    Attributes:
        state: published, draft, archived or trashed.
        last_run: trigger and outcome of the latest run; None when none is known.
    """

    workspace: str
    project_id: str
    title: str
    type: str
    state: str
    owner_email: str | None
    url: str | None
    schedules: tuple[str, ...]
    views_30_days: int
    last_viewed_at: datetime | None
    last_run: str | None
    cells: tuple[ReadingCell, ...]

    @property
    def executions(self) -> int:
        return sum(cell.executions for cell in self.cells)

    @property
    def users(self) -> int:
        """People who ran any of its cells, at least."""
        return max((cell.users for cell in self.cells), default=0)

    @property
    def last_seen(self) -> datetime | None:
        return max((cell.last_seen for cell in self.cells if cell.last_seen), default=None)

    @property
    def certain(self) -> bool:
        return any(cell.certain for cell in self.cells)


def readers_of(stored: StoredWorkspaces, asked: Iterable[Asked]) -> list[ReadingProject]:
    """The projects that read anything that was asked for, those first that would notice a change.

    Live and certain ones come first, then the scheduled and published, then by views of the last
    30 days, by people, by executions, and by the latest execution.
    """
    wanted: dict[str, dict[str | None, Asked]] = {}
    for one in asked:
        wanted.setdefault(one.target.table_fqn, {}).setdefault(one.target.column, one)
    edges = stored.edges.filter(pl.col("table_fqn").is_in(list(wanted)))
    labels = _labels(stored.cells, edges)
    titles = {row[0]: row[1] for row in stored.projects.select("id", "title").iter_rows()}
    cells: dict[tuple[str, str], list[ReadingCell]] = {}
    for edge in edges.iter_rows(named=True):
        for one in wanted[edge["table_fqn"]].values():
            cell = _reading_cell(edge, one, labels, titles)
            if cell is not None:
                cells.setdefault((edge["workspace"], edge["project_id"]), []).append(cell)
    return sorted(_projects(stored, cells), key=_who_would_notice)


def tables_read_by(stored: StoredWorkspaces, workspace: str, project_id: str) -> ReadingProject:
    """The reverse: one project, with a cell for each table that it or a cell of it reads."""
    own = (pl.col("workspace") == workspace) & (pl.col("project_id") == project_id)
    edges = stored.edges.filter(own)
    labels = _labels(stored.cells, edges)
    titles = {row[0]: row[1] for row in stored.projects.select("id", "title").iter_rows()}
    cells = [
        _reading_cell(edge, Asked(Target(edge["table_fqn"])), labels, titles)
        for edge in edges.iter_rows(named=True)
    ]
    found = {(workspace, project_id): [cell for cell in cells if cell is not None]}
    (project,) = _projects(stored, found)
    return project


def _labels(cells: pl.DataFrame, edges: pl.DataFrame) -> Mapping[tuple[str, str, str], str | None]:
    key = ["workspace", "project_id", "cell_id"]
    named = cells.join(edges.select(key).unique(), on=key, how="semi").select(*key, "label")
    return {(row[0], row[1], row[2]): row[3] for row in named.iter_rows()}


def _reading_cell(
    edge: Mapping[str, Any],
    asked: Asked,
    labels: Mapping[tuple[str, str, str], str | None],
    titles: Mapping[str, str],
) -> ReadingCell | None:
    """How the edge reads what was asked for; None when it reads other columns only."""
    column = asked.target.column
    read: Sequence[Mapping[str, Any]] = edge["columns"]
    usage = {use for one in read if column in (None, one["name"]) for use in one["usage"]}
    certain = column is None or any(one["name"] == column for one in read)
    if not certain and read:
        return None
    component = edge["component_id"]
    return ReadingCell(
        edge["cell_id"],
        labels.get((edge["workspace"], edge["project_id"], edge["cell_id"])),
        asked.target,
        tuple(use for use in ("output", "filter", "join", "group", "order") if use in usage),
        certain and asked.certain,
        tuple(edge["evidence"]),
        titles.get(component, component) if component else None,
        edge["executions"],
        edge["users"] or 0,
        edge["last_seen"],
        asked.via,
    )


def _projects(
    stored: StoredWorkspaces, cells: Mapping[tuple[str, str], Sequence[ReadingCell]]
) -> Iterable[ReadingProject]:
    ids = [project_id for _, project_id in cells]
    known = {
        (row["workspace"], row["id"]): row
        for row in stored.projects.filter(pl.col("id").is_in(ids)).iter_rows(named=True)
    }
    runs = _latest_runs(stored.runs.filter(pl.col("project_id").is_in(ids)))
    for (workspace, project_id), reading in cells.items():
        # A project may have left Hex since its edge was stored.
        row = known.get((workspace, project_id), {})
        yield ReadingProject(
            workspace=workspace,
            project_id=project_id,
            title=row.get("title") or project_id,
            type=row.get("type") or "PROJECT",
            state=project_state(row),
            owner_email=row.get("owner_email") or row.get("creator_email"),
            url=row.get("url"),
            schedules=tuple(row.get("schedules") or ()),
            views_30_days=row.get("views_30_days") or 0,
            last_viewed_at=row.get("last_viewed_at"),
            last_run=runs.get((workspace, project_id)),
            cells=tuple(sorted(reading, key=_most_executed)),
        )


def project_state(project: Mapping[str, Any]) -> str:
    """Published, draft, archived or trashed, of a row of ``hex_projects``; gone without one."""
    if not project:
        return "gone"
    if project["trashed_at"] is not None:
        return "trashed"
    if project["archived_at"] is not None:
        return "archived"
    return "draft" if project["last_published_at"] is None else "published"


def _latest_runs(runs: pl.DataFrame) -> dict[tuple[str, str], str]:
    latest = runs.sort("started_at", nulls_last=False)
    return {
        (row["workspace"], row["project_id"]): f"{row['trigger']} {row['status']}"
        for row in latest.iter_rows(named=True)
    }


def _most_executed(cell: ReadingCell) -> tuple[Any, ...]:
    seen = cell.last_seen.timestamp() if cell.last_seen else 0.0
    return (not cell.certain, -cell.executions, -seen, str(cell.target), cell.cell_id or "")


def _who_would_notice(project: ReadingProject) -> tuple[Any, ...]:
    seen = project.last_seen.timestamp() if project.last_seen else 0.0
    return (
        project.state in ("trashed", "archived", "gone"),
        not project.certain,
        not (project.schedules or project.state == "published"),
        -project.views_30_days,
        -project.users,
        -project.executions,
        -seen,
        project.title.casefold(),
        project.project_id,
    )
