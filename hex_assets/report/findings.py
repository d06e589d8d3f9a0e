"""What the report lists: the most-read tables, troubled and unused projects, and what changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

import polars as pl

from hex_assets.hex.run_history import COMPLETED, UNDER_WAY
from hex_assets.hex.schedules import periods
from hex_assets.impact.readers import project_state
from hex_assets.openmetadata.changes import Kind
from hex_assets.report.stored import ReportFrames

_LIVE = ("published", "draft")
_PERIODS_UNTIL_STALE = 2
"""A schedule whose latest success is older than so many of its periods has missed one."""


@dataclass(frozen=True)
class ProjectFacts:
    """One project or component, as the report shows it.

    Attributes:
        state: published, draft, archived or trashed.
        owner: address of the owner, else of the creator; None when neither is known.
        status: the workspace's own status name; None when it has none.
        url: page in Hex, http or https only; None when unknown.
        last_run: trigger and outcome of the latest run; None when none is known.
        problem: why it is failing or stale, in words; None when it is neither.
        health: failing, stale or well.
        unused: published, live, and not viewed in the last 30 days.
        executions: executions of its statements that warehouses recorded.
    """

    workspace: str
    id: str
    title: str
    type: str
    state: str
    owner: str | None
    status: str | None
    url: str | None
    schedules: tuple[str, ...]
    views_30_days: int
    last_viewed_at: datetime | None
    last_run: str | None
    last_run_at: datetime | None
    last_success_at: datetime | None
    health: str
    problem: str | None
    unused: bool
    executions: int

    @property
    def live(self) -> bool:
        return self.state in _LIVE


@dataclass(frozen=True)
class TableFacts:
    """One table that is read.

    Attributes:
        projects: live projects that read it.
        cells: cells that do.
        columns: columns of it that are known to be read.
        executions: executions of the statements that read it.
    """

    fqn: str
    projects: int
    cells: int
    columns: int
    executions: int
    last_seen: datetime | None


@dataclass(frozen=True)
class UnresolvedFacts:
    """One reference that is linked to no table."""

    workspace: str
    project_id: str
    project: str
    reference: str
    reason: str
    detail: str
    executions: int


@dataclass(frozen=True)
class ChangedEntity:
    """One entity of the catalog that the last publication changed, or wanted to.

    Attributes:
        name: title of a dashboard, ``table → title`` of an edge, else the qualified name.
    """

    workspace: str
    kind: str
    name: str
    action: str
    reason: str
    outcome: str


def project_facts(frames: ReportFrames, now: datetime) -> list[ProjectFacts]:
    """Every project and component, in the order of the frames.

    Args:
        frames: what is stored.
        now: the present. Staleness is judged by when the runs were read, if that is known, so
            that an old frame does not make every project look stale.
    """
    runs = _runs(frames.runs)
    read = frames.coverage.filter(pl.col("detail") == "runs")
    read_at = dict(read.group_by("workspace").agg(pl.col("read_at").max()).iter_rows())
    known = read.filter(pl.col("state").is_in(["current", "stale"]))
    runs_known = set(known.select("workspace", "project_id").iter_rows())
    executions = frames.edges.group_by("workspace", "project_id").agg(pl.col("executions").max())
    executed = {(row[0], row[1]): row[2] for row in executions.iter_rows()}
    facts = []
    for row in frames.projects.iter_rows(named=True):
        key = (row["workspace"], row["id"])
        run = runs.get(key, {})
        state = project_state(row)
        as_of = read_at.get(row["workspace"]) or now
        health, problem = _health(row, run, as_of, key in runs_known)
        viewed = row["views_30_days"] or 0
        facts.append(
            ProjectFacts(
                workspace=row["workspace"],
                id=row["id"],
                title=row["title"],
                type=row["type"],
                state=state,
                owner=row["owner_email"] or row["creator_email"],
                status=row["status"],
                url=web_link(row["url"]),
                schedules=tuple(row["schedules"]),
                views_30_days=viewed,
                last_viewed_at=row["last_viewed_at"],
                last_run=f"{run['trigger']} {run['status']}" if run else None,
                last_run_at=run.get("started_at"),
                last_success_at=run.get("last_success_at"),
                health=health if state in _LIVE else "well",
                problem=problem if state in _LIVE else None,
                unused=state == "published" and row["type"] != "COMPONENT" and viewed == 0,
                executions=executed.get(key, 0),
            )
        )
    return facts


def troubled(projects: Iterable[ProjectFacts]) -> list[ProjectFacts]:
    """Live projects that fail or are stale: failing ones first, then by views."""
    found = [one for one in projects if one.health != "well"]
    return sorted(found, key=lambda one: (one.health, -one.views_30_days, one.title.casefold()))


def unused(projects: Iterable[ProjectFacts]) -> list[ProjectFacts]:
    """Those that nobody viewed, first those that still run, for these cost the most."""
    found = [one for one in projects if one.unused]
    return sorted(found, key=lambda one: (not one.schedules, -one.executions, one.title.casefold()))


def most_read_tables(frames: ReportFrames, projects: Iterable[ProjectFacts]) -> list[TableFacts]:
    """Tables that live projects read, those with the most readers first."""
    live = pl.DataFrame(
        [(one.workspace, one.id) for one in projects if one.live],
        schema={"workspace": pl.String, "project_id": pl.String},
        orient="row",
    )
    edges = frames.edges.join(live, on=["workspace", "project_id"], how="semi")
    columns = pl.col("columns").list.eval(pl.element().struct["name"])
    read = (
        edges.with_columns(columns)
        .group_by("table_fqn")
        .agg(
            pl.struct("workspace", "project_id").n_unique().alias("projects"),
            pl.struct("workspace", "project_id", "cell_id")
            .filter(pl.col("cell_id").is_not_null())
            .n_unique()
            .alias("cells"),
            pl.col("columns").explode().drop_nulls().n_unique(),
            pl.col("executions").sum(),
            pl.col("last_seen").max(),
        )
        .sort(["projects", "executions", "table_fqn"], descending=[True, True, False])
    )
    wanted = ("table_fqn", "projects", "cells", "columns", "executions", "last_seen")
    return [TableFacts(*row) for row in read.select(wanted).iter_rows()]


def unresolved_references(frames: ReportFrames) -> list[UnresolvedFacts]:
    """References that are linked to no table, the most executed first."""
    titles = _titles(frames)
    rows = frames.unresolved.sort(
        ["executions", "workspace", "reference"], descending=[True, False, False]
    )
    return [
        UnresolvedFacts(
            row["workspace"],
            row["project_id"],
            titles.get((row["workspace"], row["project_id"]), row["project_id"]),
            row["reference"],
            row["reason"],
            row["detail"] or "",
            row["executions"],
        )
        for row in rows.iter_rows(named=True)
    ]


def changed_entities(frames: ReportFrames) -> list[ChangedEntity]:
    """What the last publication of each workspace changed: failures first, then by kind."""
    titles = {project_id: title for (_, project_id), title in _titles(frames).items()}
    changed = frames.entities.filter(
        (pl.col("action") != "unchanged") & (pl.col("outcome") != "unchanged")
    )
    found = [
        ChangedEntity(
            row["workspace"],
            row["kind"],
            _entity_name(row["kind"], row["fqn"], titles),
            row["action"],
            row["reason"] or "",
            row["outcome"],
        )
        for row in changed.iter_rows(named=True)
    ]
    return sorted(found, key=_failed_first)


def web_link(url: str | None) -> str | None:
    """The URL, unless a browser would run it instead of following it."""
    return url if url and re.match("https?://", url, re.IGNORECASE) else None


def _runs(runs: pl.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    """The latest run of each project, with the latest success of any trigger."""
    key = ["workspace", "project_id"]
    latest = runs.sort("started_at", nulls_last=False).with_columns(
        pl.col("last_success_at").max().over(key)
    )
    return {(row["workspace"], row["project_id"]): row for row in latest.iter_rows(named=True)}


def _health(
    project: Mapping[str, Any], run: Mapping[str, Any], as_of: datetime, runs_known: bool
) -> tuple[str, str | None]:
    """Failing, stale or well, and the reason in words."""
    if run and run["status"] not in (COMPLETED, *UNDER_WAY):
        return "failing", f"latest run ended {run['status']}"
    known = periods(project["schedules"])
    if not project["schedules"] or not runs_known:
        return "well", None
    last = run.get("last_success_at")
    if last is None:
        return "stale", "is scheduled, and no run of it completed"
    if known and as_of - last > _PERIODS_UNTIL_STALE * min(known):
        return "stale", f"runs {project['schedules'][0]}, last completed {_ago(as_of - last)} ago"
    return "well", None


def _ago(duration: timedelta) -> str:
    hours = int(duration.total_seconds() // 3600)
    return f"{hours} hours" if hours < 48 else f"{hours // 24} days"


def _titles(frames: ReportFrames) -> dict[tuple[str, str], str]:
    rows = frames.projects.select("workspace", "id", "title").iter_rows()
    return {(workspace, key): title for workspace, key, title in rows}


def _entity_name(kind: str, name: str, titles: Mapping[str, str]) -> str:
    def dashboard(fqn: str) -> str:
        return titles.get(fqn[-36:], fqn)

    if kind == "dashboard":
        return dashboard(name)
    if kind == "edge":
        table, arrow, target = name.partition(" -> ")
        return f"{table} → {dashboard(target)}" if arrow else name
    return name


def _failed_first(one: ChangedEntity) -> tuple[Any, ...]:
    kinds: tuple[str, ...] = get_args(Kind)
    place = kinds.index(one.kind) if one.kind in kinds else len(kinds)
    return (one.outcome.startswith("done"), place, one.action, one.workspace, one.name.casefold())
