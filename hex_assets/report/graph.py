"""The lineage graph as the page's script reads it: short, because a page holds all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from hex_assets.report.findings import ProjectFacts
from hex_assets.report.stored import ReportFrames

_USES = ("output", "filter", "join", "group", "order")


class _Numbers:
    """Gives each distinct value a number, in the order of appearance."""

    def __init__(self, known: Iterable[Any] = ()) -> None:
        self._numbers = {value: number for number, value in enumerate(dict.fromkeys(known))}

    def of(self, value: Any) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> list[Any]:
        return list(self._numbers)


def graph_data(frames: ReportFrames, projects: Sequence[ProjectFacts]) -> dict[str, Any]:
    """Nodes and edges, JSON-able; whatever repeats stands once and is named by its number.

    ``projects`` are objects. ``tables`` are qualified names, those without a reader too.
    ``cells`` are ``[project, static id, label]``. Each of ``edges`` is ``[project, table, cell or
    -1, component or -1, evidence bits, executions, epoch seconds of the latest or 0, columns]``,
    where columns alternate the number of a name and the bits of its usage.
    """
    catalogued = frames.tables["table_fqn"].unique().sort()
    tables = _Numbers([*frames.edges["table_fqn"].unique().sort(), *catalogued])
    numbers = _Numbers((one.workspace, one.id) for one in projects)
    titles = {(one.workspace, one.id): one.title for one in projects}
    labels = {
        (row[0], row[1], row[2]): row[3]
        for row in frames.cells.select("workspace", "project_id", "cell_id", "label").iter_rows()
    }
    columns, cells, components, evidence = _Numbers(), _Numbers(), _Numbers(), _Numbers()
    edges = []
    for row in frames.edges.iter_rows(named=True):
        workspace, cell_id, component = row["workspace"], row["cell_id"], row["component_id"]
        project = (workspace, row["project_id"])
        read: list[int] = []
        for column in row["columns"]:
            read += [columns.of(column["name"]), _bits(map(_USES.index, column["usage"]))]
        edges.append(
            [
                numbers.of(project),
                tables.of(row["table_fqn"]),
                -1 if cell_id is None else cells.of((*project, cell_id)),
                -1
                if component is None
                else components.of(titles.get((workspace, component), component)),
                _bits(map(evidence.of, row["evidence"])),
                row["executions"],
                _epoch(row["last_seen"]),
                read,
            ]
        )
    known = {(one.workspace, one.id): one for one in projects}
    return {
        "workspaces": list(frames.workspaces),
        "uses": list(_USES),
        "evidence": evidence.values,
        "projects": [_project(known.get(key), *key) for key in numbers.values],
        "tables": tables.values,
        "columns": columns.values,
        "components": components.values,
        "cells": [
            [numbers.of((workspace, project)), cell_id, labels.get((workspace, project, cell_id))]
            for workspace, project, cell_id in cells.values
        ],
        "edges": edges,
    }


def _project(facts: ProjectFacts | None, workspace: str, project_id: str) -> dict[str, Any]:
    if facts is None:  # it left Hex since its edge was stored
        gone = {"title": project_id, "type": "PROJECT", "state": "gone", "health": "well"}
        return {"workspace": workspace, "id": project_id, **gone}
    shown = {
        "workspace": workspace,
        "id": project_id,
        "title": facts.title,
        "type": facts.type,
        "state": facts.state,
        "health": facts.health,
        "owner": facts.owner,
        "status": facts.status,
        "url": facts.url,
        "schedules": "; ".join(facts.schedules),
        "views": facts.views_30_days,
        "viewed": _epoch(facts.last_viewed_at),
        "run": facts.last_run,
        "runAt": _epoch(facts.last_run_at),
        "problem": facts.problem,
        "unused": facts.unused,
    }
    return {name: value for name, value in shown.items() if value}


def _bits(numbers: Iterable[int]) -> int:
    return sum({1 << number for number in numbers})


def _epoch(instant: datetime | None) -> int:
    return 0 if instant is None else int(instant.timestamp())
