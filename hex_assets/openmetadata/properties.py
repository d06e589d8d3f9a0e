"""Custom properties of dashboards: what Hex says that OpenMetadata has no field for.

Only properties of these names are ever written; those of others on the same dashboard stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

Value = str | int


@dataclass(frozen=True)
class Property:
    """A custom property as it is registered.

    Attributes:
        type: name of OpenMetadata's field type.
    """

    name: str
    title: str
    description: str
    type: str = "string"


PROPERTIES = (
    Property("hexSchedules", "Hex schedules", "When Hex runs the project, in words."),
    Property("hexPublished", "Hex publication", "When the project was last published (UTC)."),
    Property("hexSharing", "Hex sharing", "Groups of Hex that may see the project."),
    Property("hexLastRun", "Hex latest run", "Outcome, time (UTC) and trigger of the latest run."),
    Property(
        "hexSuccessRate",
        "Hex success rate",
        "Percentage of the latest ended runs that completed, over all triggers.",
        "integer",
    ),
)


def properties_of(
    project: Mapping[str, Any], runs: pl.DataFrame, *, runs_complete: bool
) -> dict[str, Value | None]:
    """The properties of one project: None for one it has not, none at all for what is unknown.

    Args:
        project: a row of ``hex_projects``.
        runs: rows of ``hex_runs`` of that project.
        runs_complete: no runs means that it never ran.
    """
    found: dict[str, Value | None] = {
        "hexSchedules": "; ".join(project["schedules"] or ()) or None,
        "hexPublished": _minute(project["last_published_at"]),
        "hexSharing": ", ".join(project["groups"] or ()) or None,
    }
    if runs.is_empty():
        return found | (dict.fromkeys(("hexLastRun", "hexSuccessRate")) if runs_complete else {})
    latest = runs.sort("started_at", nulls_last=False).tail(1).to_dicts()[0]
    told = (latest["status"], _minute(latest["started_at"]), latest["trigger"])
    rated = runs.filter(pl.col("success_rate").is_not_null() & (pl.col("runs") > 0))
    completed = float((rated["success_rate"] * rated["runs"]).sum())
    ended = int(rated["runs"].sum())
    return {
        **found,
        "hexLastRun": " ".join(part for part in told if part),
        "hexSuccessRate": (round(100 * completed / ended) if ended else None),
    }


def property_patch(
    wanted: Mapping[str, Value | None], stored: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """The JSON Patch that gives a dashboard our properties, and takes away those it lost."""
    if stored is None:
        values = {name: value for name, value in wanted.items() if value is not None}
        return [{"op": "add", "path": "/extension", "value": values}] if values else []
    operations: list[dict[str, Any]] = []
    for name, value in wanted.items():
        path = f"/extension/{name}"
        if value is None and name in stored:
            operations.append({"op": "remove", "path": path})
        elif value is not None and stored.get(name) != value:
            operations.append({"op": "add", "path": path, "value": value})
    return operations


def _minute(instant: datetime | None) -> str | None:
    return f"{instant:%Y-%m-%d %H:%M}" if instant else None
