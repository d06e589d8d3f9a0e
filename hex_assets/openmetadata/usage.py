"""Views of a day, from the all-time views that Hex counts.

Hex tells how often an app was viewed ever, and OpenMetadata wants the views of each day. What was
added since the last run is counted for the day of this run; several runs on one day set that
day's number anew, each higher than the last. Nothing is told of the time before the first run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from hex_assets.openmetadata.changes import Change, SetUsage
from hex_assets.openmetadata.entities import Desired


@dataclass(frozen=True)
class Views:
    """What is known of the views of one dashboard.

    Attributes:
        day: of the latest look.
        before: views that were counted for earlier days.
        sent: views that OpenMetadata was told of this day.
    """

    day: date
    before: int
    sent: int


def views_today(
    projects: pl.DataFrame, last: Mapping[str, Views], today: date
) -> Iterator[tuple[str, Views, int]]:
    """Project, what to remember of it before anything is sent, and its views of today.

    Views that an interrupted run did not send are counted for the day on which they are.
    """
    for project_id, views in projects.select("id", "views_all_time").drop_nulls().iter_rows():
        known = last.get(project_id)
        if known is None:
            now = Views(today, views, 0)
        elif known.day == today:
            now = known
        else:
            now = Views(today, known.before + known.sent, 0)
        if views < now.before:  # Hex started to count anew
            now = Views(today, views, 0)
        yield project_id, now, views - now.before


def usage_changes(
    desired: Desired, counted: Iterable[tuple[str, Views, int]]
) -> Iterator[tuple[str, Change]]:
    """Project and change, for the dashboards whose number of the day is not told yet."""
    published = {dashboard.name for dashboard in desired.dashboards}
    for project_id, known, count in counted:
        if project_id not in published or count in (0, known.sent):
            continue
        dashboard_fqn = desired.fqn_of(project_id)
        day = known.day.isoformat()
        yield (
            project_id,
            Change(
                "usage",
                f"{dashboard_fqn} on {day}",
                "update" if known.sent else "create",
                "views counted since the last run",
                SetUsage(dashboard_fqn, day, count),
                (("dashboard", dashboard_fqn),),
                before=f"{known.sent} views" if known.sent else "",
                after=f"{count} views",
            ),
        )
