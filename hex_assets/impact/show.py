"""Impact as a terminal table, Markdown for a pull request, JSON and CSV."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hex_assets.impact.changed import Removed
from hex_assets.impact.readers import ReadingCell, ReadingProject

_CELLS_SHOWN = 3
_NOBODY = "-"

FLAT: Mapping[str, Any] = {
    "workspace": pl.String,
    "project_id": pl.String,
    "title": pl.String,
    "type": pl.String,
    "state": pl.String,
    "owner_email": pl.String,
    "url": pl.String,
    "schedules": pl.String,
    "views_30_days": pl.Int64,
    "last_viewed_at": pl.Datetime("us", "UTC"),
    "last_run": pl.String,
    "cell_id": pl.String,
    "cell_label": pl.String,
    "reads": pl.String,
    "usage": pl.String,
    "certain": pl.Boolean,
    "evidence": pl.String,
    "component": pl.String,
    "executions": pl.Int64,
    "users": pl.Int64,
    "last_seen": pl.Datetime("us", "UTC"),
    "via": pl.String,
}
"""Columns of the flat form: one row per project and reading cell, lists joined by a semicolon."""


def flat(projects: Sequence[ReadingProject]) -> pl.DataFrame:
    """One row per project and reading cell, in the order given, with the columns of ``FLAT``."""
    rows = []
    for project in projects:
        own = {
            name: getattr(project, name)
            for name in FLAT
            if name not in ("schedules", "executions", "users", "last_seen", "certain")
            and hasattr(project, name)
        }
        rows += [
            {
                **own,
                "schedules": "; ".join(project.schedules),
                "cell_id": cell.cell_id,
                "cell_label": cell.label,
                "reads": str(cell.target),
                "usage": "; ".join(cell.usage),
                "certain": cell.certain,
                "evidence": "; ".join(cell.evidence),
                "component": cell.component,
                "executions": cell.executions,
                "users": cell.users,
                "last_seen": cell.last_seen,
                "via": "; ".join(cell.via),
            }
            for cell in project.cells
        ]
    return pl.DataFrame(rows, schema=FLAT)


def as_json(subject: str, projects: Sequence[ReadingProject], gaps: Sequence[str]) -> str:
    """What was asked, the projects with their cells, and what is missing from the frames."""

    def plain(value: Any) -> Any:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    listed = []
    for project in projects:
        fields = {**dataclasses.asdict(project), "users": project.users}
        fields["cells"] = [
            {**dataclasses.asdict(cell), "target": str(cell.target)} for cell in project.cells
        ]
        listed.append(fields)
    answer = {"subject": subject, "projects": listed, "gaps": list(gaps)}
    return json.dumps(answer, default=plain, indent=2, ensure_ascii=False)


def print_impact(console: Console, subject: str, projects: Sequence[ReadingProject]) -> None:
    """A table of the projects, those who would notice first."""
    if not projects:
        console.print(f"No Hex project is known to read {escape(subject)}.", soft_wrap=True)
        return
    table = Table(title=escape(f"Reads {subject}"), title_justify="left", title_style="bold")
    numbers = ("views 30 d", "people", "runs")
    for name in ("project", "owner", "state", "schedule", *numbers, "last", "how"):
        table.add_column(name, justify="right" if name in numbers else "left")
    for project in projects:
        title = escape(project.title)
        table.add_row(
            f"[link={project.url}]{title}[/link]" if project.url else title,
            escape(project.owner_email or _NOBODY),
            project.state,
            escape("; ".join(project.schedules) or _NOBODY),
            f"{project.views_30_days:,}",
            _people(project.users),
            f"{project.executions:,}",
            _day(project.last_seen),
            escape("\n".join(_cell_lines(project.cells))),
        )
    console.print(table)
    maybe = sum(not project.certain for project in projects)
    console.print(f"{len(projects)} projects" + (f", {maybe} of them perhaps" if maybe else ""))


def print_project(console: Console, project: ReadingProject) -> None:
    """What one project reads."""
    facts = {
        "id": project.project_id,
        "workspace": project.workspace,
        "state": project.state,
        "owner": project.owner_email or _NOBODY,
        "schedule": "; ".join(project.schedules) or _NOBODY,
        "last run": project.last_run or _NOBODY,
        "views 30 d": f"{project.views_30_days:,}",
        "page": project.url or _NOBODY,
    }
    console.print(f"[bold]{escape(project.title)}[/] ({project.type.lower()})")
    for name, fact in facts.items():
        console.print(f"  {name:<11}{escape(fact)}", soft_wrap=True)
    if not project.cells:
        console.print("Reads no table that is known here.")
        return
    table = Table()
    for name in ("table", "cell", "how", "evidence", "runs", "last"):
        table.add_column(name, justify="right" if name == "runs" else "left", overflow="fold")
    for cell in sorted(project.cells, key=lambda one: (str(one.target), one.label or "")):
        table.add_row(
            escape(str(cell.target)),
            escape(_cell_name(cell)),
            ", ".join(cell.usage),
            ", ".join(cell.evidence),
            f"{cell.executions:,}",
            _day(cell.last_seen),
        )
    console.print(table)


def as_markdown(
    removed: Mapping[Removed, Sequence[ReadingProject]], unknown: Sequence[Removed]
) -> str:
    """A comment for a pull request: what breaks, and whom to ask.

    Args:
        removed: what is taken away and known here, with the projects that read it.
        unknown: what is taken away and not known here.
    """
    broken = {change: projects for change, projects in removed.items() if projects}
    titles = {(one.workspace, one.project_id) for some in broken.values() for one in some}
    if not broken:
        lines = ["### Hex: no project reads what this change removes", ""]
    else:
        lines = [f"### Hex: this change breaks {len(titles)} projects", ""]
    for change, projects in broken.items():
        lines += [
            f"**`{change}`**: {change.reason}",
            "",
            "| project | owner | state | schedule | views 30 d | people | runs | how |",
            "|---|---|---|---|---:|---:|---:|---|",
        ]
        for one in projects:
            title = _in_table(one.title)
            cells = (
                f"[{title}]({one.url})" if one.url else title,
                _in_table(one.owner_email or _NOBODY),
                one.state,
                _in_table("; ".join(one.schedules) or _NOBODY),
                str(one.views_30_days),
                _people(one.users),
                str(one.executions),
                _in_table("; ".join(_cell_lines(one.cells))),
            )
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    if unknown:
        named = ", ".join(f"`{change}`" for change in unknown)
        lines += [f"Not known to the catalog, so read by no project known here: {named}", ""]
    return "\n".join(lines)


def _cell_lines(cells: Sequence[ReadingCell]) -> list[str]:
    lines = []
    for cell in cells[:_CELLS_SHOWN]:
        how = ", ".join(cell.usage)
        if not cell.certain:
            how = "perhaps: columns unknown"
        if cell.via:
            how = f"{how} through {cell.target}".lstrip()
        lines.append(f"{_cell_name(cell)}: {how}" if how else _cell_name(cell))
    if len(cells) > _CELLS_SHOWN:
        lines.append(f"and {len(cells) - _CELLS_SHOWN} more cells")
    return lines


def _cell_name(cell: ReadingCell) -> str:
    name = cell.label or (f"cell {cell.cell_id[:8]}" if cell.cell_id else "the project")
    return f"{name} (component {cell.component})" if cell.component else name


def _people(users: int) -> str:
    """A count that is a lower bound as soon as there are two statements."""
    return f"{users:,}+" if users else _NOBODY


def _day(instant: datetime | None) -> str:
    return _NOBODY if instant is None else f"{instant:%Y-%m-%d}"


def _in_table(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
