"""One question each of the command line, from stored frames to what is printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from hex_assets.errors import NameAmbiguous, NameNotFound
from hex_assets.impact.changed import Removed, read_change
from hex_assets.impact.lookup import KnownTables, Target, find_project
from hex_assets.impact.readers import Asked, ReadingProject, readers_of, tables_read_by
from hex_assets.impact.show import as_json, as_markdown, flat, print_impact, print_project
from hex_assets.impact.stored import StoredWorkspaces, read_stored

Derive = Callable[[Target], Sequence[Asked]]
"""Tells what is made of a table or column."""


def nothing_derived(target: Target) -> Sequence[Asked]:
    """For who asks what reads a table itself."""
    return ()


def who_reads(
    root: str,
    workspace: str | None,
    name: str,
    form: str,
    console: Console,
    derived: Derive = nothing_derived,
) -> None:
    """Print which projects read a table or column, or what is derived from it.

    Raises:
        NothingStored, FrameError, NameNotFound, NameAmbiguous: see there.
    """
    stored = read_stored(root, workspace)
    tables = _known(stored)
    target = tables.find(name)
    projects = readers_of(stored, [Asked(target), *derived(target)])
    if schema := tables.unread_schema(target):
        gap = f"nothing names a table of {schema}, so it is not known whether {target} exists"
        stored = replace(stored, gaps=(*stored.gaps, gap))
    if not _printed(form, str(target), projects, stored, console):
        print_impact(console, str(target), projects)
        _print_gaps(stored, console)


def what_project_reads(
    root: str, workspace: str | None, name: str, form: str, console: Console
) -> None:
    """Print what one project reads.

    Raises:
        NothingStored, FrameError, NameNotFound, NameAmbiguous: see there.
    """
    stored = read_stored(root, workspace)
    project = tables_read_by(stored, *find_project(name, stored.projects))
    if not _printed(form, project.title, [project], stored, console):
        print_project(console, project)
        _print_gaps(stored, console)


def what_breaks(
    root: str,
    workspace: str | None,
    changed: Sequence[Path],
    form: str,
    console: Console,
    derived: Derive = nothing_derived,
) -> bool:
    """Print which projects read what a change removes, or what is derived; whether any does.

    Raises:
        NothingStored, FrameError, ChangeUnreadable: see there.
    """
    stored = read_stored(root, workspace)
    known, unknown = _targets(read_change(changed), _known(stored))
    asked = {
        change: [one for target in targets for one in (Asked(target), *derived(target))]
        for change, targets in known.items()
    }
    found = {change: readers_of(stored, some) for change, some in asked.items()}
    broken = any(found.values())
    if form == "markdown":
        _write(console, as_markdown(found, unknown))
        return broken
    of_broken = [one for change, some in asked.items() if found[change] for one in some]
    projects = readers_of(stored, of_broken)
    if not _printed(form, ", ".join(map(str, found)), projects, stored, console):
        for change, some in found.items():
            console.print(f"{change}: {change.reason}", markup=False, soft_wrap=True)
            print_impact(console, str(change), some)
        for change in unknown:
            console.print(f"{change}: not known to the catalog", markup=False, soft_wrap=True)
        _print_gaps(stored, console)
    return broken


def _known(stored: StoredWorkspaces) -> KnownTables:
    return KnownTables.of(stored.edges, stored.tables, stored.schemas)


def _targets(
    changes: Iterable[Removed], tables: KnownTables
) -> tuple[dict[Removed, list[Target]], list[Removed]]:
    """The targets of each change that are known, and the changes that are not.

    A list names a table or column in one text. A manifest may name a database that the catalog
    leaves out or calls otherwise, so that a name fits by its longest end that only one table has.
    A change that fits several tables hits each of them: one warning too many does less harm here
    than one too few.
    """
    known: dict[Removed, list[Target]] = {}
    unknown: list[Removed] = []
    for change in changes:
        found = _found(change, tables)
        if found:
            known[change] = found
        else:
            unknown.append(change)
    return known, unknown


def _found(change: Removed, tables: KnownTables) -> list[Target]:
    if change.listed:
        try:
            return [tables.find(change.table[0])]
        except NameNotFound:
            return []
        except NameAmbiguous as error:
            return [tables.find(candidate) for candidate in error.candidates]
    for start in range(len(change.table)):
        fitting = tables.ending_in(change.table[start:])
        if fitting:
            return [
                Target(name, None if change.column is None else tables.column(name, change.column))
                for name in fitting
            ]
    return []


def _printed(
    form: str,
    subject: str,
    projects: Sequence[ReadingProject],
    stored: StoredWorkspaces,
    console: Console,
) -> bool:
    """Print a form for machines; whether it was one."""
    if form == "json":
        _write(console, as_json(subject, projects, stored.gaps))
    elif form == "csv":
        _write(console, flat(projects).write_csv().rstrip("\n"))
    return form in ("json", "csv")


def _write(console: Console, text: str) -> None:
    """Text that must arrive as it is."""
    console.out(text, highlight=False)


def _print_gaps(stored: StoredWorkspaces, console: Console) -> None:
    for gap in stored.gaps:
        console.print(f"Not complete: {gap}", style="yellow", markup=False, soft_wrap=True)
