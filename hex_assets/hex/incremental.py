"""What has to be read again: what changed, what was never read, and a rotating slice."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hex_assets.hex.details import KINDS, Details, Kind

_AT_REST = timedelta(days=1)
"""What was read within it is not read again in turn, however often the runs come."""


@dataclass(frozen=True)
class Due:
    """One project and what to read of it."""

    project: Mapping[str, Any]
    kinds: tuple[Kind, ...]


@dataclass(frozen=True)
class Plan:
    """What to read, in order.

    Attributes:
        changed: projects with something changed or never read, the most valuable first.
        in_turn: unchanged ones of the rotating slice, the longest unread first.
    """

    changed: tuple[Due, ...]
    in_turn: tuple[Due, ...]

    @property
    def due(self) -> tuple[Due, ...]:
        return self.changed + self.in_turn


def plan_reading(
    projects: Sequence[Mapping[str, Any]],
    stored: Details,
    kinds: Sequence[Kind],
    refresh_in_runs: int,
    now: datetime,
) -> Plan:
    """Compare the listing with the stored copy.

    A mark that differs in either direction is a change, so no clock has to be right.

    Args:
        projects: rows of ``HEX_PROJECTS``.
        kinds: what this run is to read.
        refresh_in_runs: the rotating slice is one part of so many; 0 for none.
    """
    changed: list[Due] = []
    others: list[tuple[timedelta, Due]] = []
    for project in projects:
        wanted = [kind for kind in KINDS if kind in kinds and applies(project, kind)]
        new = tuple(kind for kind in wanted if not is_current(project, kind, stored))
        if new:
            changed.append(Due(project, new))
        elif wanted:
            read = min(stored[project["id"], kind].read_at for kind in wanted)
            # Read in the future means that a clock was wrong, and nobody knows when it was.
            age = now - read if read <= now else timedelta.max
            others.append((age, Due(project, tuple(wanted))))
    slice_size = math.ceil((len(changed) + len(others)) / refresh_in_runs) if refresh_in_runs else 0
    rested = [(age, due) for age, due in others if age >= _AT_REST]
    rested.sort(key=lambda each: (-each[0].total_seconds(), each[1].project["id"]))
    changed.sort(key=lambda due: _value(due.project))
    return Plan(tuple(changed), tuple(due for _, due in rested[:slice_size]))


def applies(project: Mapping[str, Any], kind: Kind) -> bool:
    """Whether a project has such a detail.

    Hex keeps queried tables and runs of published items only, and components do not run
    (hex-api.md, sections 3.3 and 3.5: 422 otherwise).
    """
    if project["trashed_at"] is not None:
        return False
    published = project["last_published_at"] is not None
    if kind == "cells":
        return True
    if kind == "queried_tables":
        return published
    return published and project["type"] == "PROJECT" and project["archived_at"] is None


def mark_of(project: Mapping[str, Any], kind: Kind) -> str:
    """What of a listing's row moves when the detail may have changed."""
    columns = ["type", "last_edited_at", "last_published_at", "archived_at"]
    if kind == "runs":
        columns.append("results_updated_at")
    fields = [project[column] for column in columns]
    return json.dumps([*fields, list(project["schedules"])], default=datetime.isoformat)


def is_current(project: Mapping[str, Any], kind: Kind, stored: Details) -> bool:
    """Whether the stored copy is of the project as it was listed."""
    detail = stored.get((project["id"], kind))
    return detail is not None and detail.mark == mark_of(project, kind)


def _value(project: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sorts the published and most viewed first, the archived last."""
    return (
        project["archived_at"] is not None,
        project["last_published_at"] is None,
        -(project["views_30_days"] or 0),
        -(project["views_all_time"] or 0),
        project["type"] != "PROJECT",
        project["id"],
    )
