"""What the ``hex-assets`` command prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from hex_assets.connections import Check
    from hex_assets.openmetadata.plan_file import WorkspacePlan
    from hex_assets.runs import WorkspaceRun

_MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "failed": "[red]✗[/]"}
_REASONS_SHOWN = 5
_SIGNS = {
    "create": ("+", "green"),
    "restore": ("+", "green"),
    "delete": ("-", "red"),
    "skip": ("!", "dim"),
}
_NOT_REACHED = "-"
_CHECKS = (
    *("_complete", "_present", "_few", "_published"),
    *("_lasts", "_current", "_healthy"),
)
"""How the names of check steps end."""


@contextmanager
def printed_events(console: Console, workspace: str) -> Iterator[Callable[[str, str], None]]:
    """Print what happens in a run: a spinner on the step at work, a line for each one done."""
    started: dict[str, float] = {}
    console.print(f"\n[bold]{escape(workspace)}[/]")
    with console.status("loading") as status:

        def event(kind: str, text: str) -> None:
            if kind == "start":
                started[text] = monotonic()
                status.update(escape(text))
            elif kind == "log":
                console.print(f"    [dim]{escape(text)}[/]", soft_wrap=True)
            elif not text.split(".")[0].endswith(_CHECKS):
                mark = _MARKS["ok" if kind == "done" else "failed"]
                console.print(f"  {mark} {escape(text)} {monotonic() - started[text]:.1f} s")

        yield event


def print_checks(console: Console, recipe: str, checks: Sequence[Check]) -> None:
    """One line per connection, and below a failed one what to do."""
    console.print(f"\n[bold]{escape(recipe)}[/]")
    for check in checks:
        console.print(
            f"  {_MARKS[check.status]} {escape(check.name)}: {escape(check.found)}", soft_wrap=True
        )
        if check.advice:
            console.print(f"      {escape(check.advice)}", soft_wrap=True)


def print_plan(console: Console, workspace: str, plan: WorkspacePlan) -> None:
    """The changes as a diff: what, why, and what it was and will be."""
    console.print(f"\n[bold]{escape(workspace)}[/]")
    for change in plan.changes:
        sign, style = _SIGNS.get(change.action, ("~", "yellow"))
        line = f"{sign} {change.action} {change.kind} {change.fqn}"
        console.print(f"[{style}]{escape(line)}[/]", soft_wrap=True)
        console.print(f"    {escape(change.reason)}", style="dim", soft_wrap=True)
        if change.before:
            console.print(f"    [red]- {escape(change.before)}[/]", soft_wrap=True)
        if change.after:
            console.print(f"    [green]+ {escape(change.after)}[/]", soft_wrap=True)
    counts = Counter(change.action for change in plan.changes)
    told = ", ".join(f"{counts[action]} to {action}" for action in sorted(counts))
    console.print(f"{told or 'nothing to change'}; {plan.unchanged} unchanged")


def print_summary(console: Console, runs: Sequence[WorkspaceRun]) -> None:
    """Totals per workspace, then what was not linked, what failed and what deserves a look."""
    totals = Table(title="What happened", title_justify="left", title_style="bold")
    totals.add_column("")
    for run in runs:
        totals.add_column(escape(run.workspace), justify="right")
    figures = [_figures(run) for run in runs]
    for name in figures[0] if figures else ():
        if any(figure[name] != _NOT_REACHED for figure in figures):
            totals.add_row(name, *(figure[name] for figure in figures))
    console.print()
    console.print(totals)
    for run in runs:
        _print_unresolved(console, run)
        for step, failure in run.failures.items():
            console.print(
                f"\n[red]✗ {escape(run.workspace)} {escape(step)}[/]: {escape(failure)}",
                soft_wrap=True,
            )
        for name, description in run.warnings.items():
            console.print(
                f"[yellow]! {escape(run.workspace)} {escape(name)}[/]: {escape(description)}",
                soft_wrap=True,
            )


def _figures(run: WorkspaceRun) -> dict[str, str]:
    def rows(name: str) -> pl.DataFrame | None:
        return run.frames[name].rows if name in run.frames else None

    def show(frame: pl.DataFrame | None, count: Callable[[pl.DataFrame], int]) -> str:
        return _NOT_REACHED if frame is None else f"{count(frame):,}"

    projects, history = rows("hex_projects"), rows("warehouse_query_history")
    edges, entities = rows("lineage_edges"), rows("openmetadata_entities")
    component = pl.col("type") == "COMPONENT"
    unchanged = pl.col("outcome") == "unchanged"
    done = pl.col("outcome") == "done"
    return {
        "projects": show(projects, lambda frame: frame.filter(~component).height),
        "components": show(projects, lambda frame: frame.filter(component).height),
        "queries executed": show(history, lambda frame: int(frame["executions"].sum())),
        "distinct statements": show(history, lambda frame: frame["sql_key"].n_unique()),
        "tables read": show(edges, lambda frame: frame["table_fqn"].n_unique()),
        "lineage edges": show(
            edges, lambda frame: frame.unique(["project_id", "table_fqn"]).height
        ),
        "references not linked": show(rows("unresolved_references"), pl.DataFrame.__len__),
        "entities written": show(entities, lambda frame: frame.filter(done).height),
        "entities unchanged": show(entities, lambda frame: frame.filter(unchanged).height),
        "seconds": f"{sum(run.seconds.values()):.1f}",
    }


def _print_unresolved(console: Console, run: WorkspaceRun) -> None:
    if "unresolved_references" not in run.frames:
        return
    unresolved = run.frames["unresolved_references"].rows
    if unresolved.is_empty():
        return
    console.print(f"\n[bold]{escape(run.workspace)}: not linked[/]")
    reasons = (
        unresolved.group_by("reason")
        .agg(pl.len(), pl.col("reference").unique().sort())
        .sort(["len", "reason"], descending=[True, False])
    )
    for reason, count, references in reasons.iter_rows():
        shown = ", ".join(references[:_REASONS_SHOWN])
        more = f" and {len(references) - _REASONS_SHOWN} more" if len(references) > 5 else ""
        console.print(f"  {count} {escape(reason)}: {escape(shown)}{more}", soft_wrap=True)
