"""What the last run left in OpenMetadata, so that an unchanged one need not ask for it.

Dashboards, charts and tags are listed by the thousand in every run. Edges cannot be listed: they
cost a request per dashboard. So those of a dashboard are remembered, and read again only when they
are about to change, when they were read ``reconcileDays`` ago, or when a run did not end well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from upath import UPath

from hex_assets.frame_files import read_table, write_table
from hex_assets.frames import INSTANT
from hex_assets.openmetadata.models import LineageDetails
from hex_assets.openmetadata.usage import Views

_VERSION = "1"
_EDGES: Mapping[str, Any] = {
    "dashboard_id": pl.String,
    "read_at": INSTANT,
    "table_id": pl.String,
    "table_fqn": pl.String,
    "details": pl.String,
}
_VIEWS: Mapping[str, Any] = {
    "project_id": pl.String,
    "day": pl.Date,
    "before": pl.Int64,
    "sent": pl.Int64,
}


@dataclass(frozen=True)
class Upstream:
    """All edges into one dashboard.

    Attributes:
        read_at: when OpenMetadata was asked for them, or the dashboard was made.
        edges: by the id of the table.
        tables: fully qualified names of the tables, by id.
    """

    read_at: datetime
    edges: Mapping[str, LineageDetails] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LastPublished:
    """What the last run left.

    Attributes:
        upstream: by the id of the dashboard.
        views: by the id of the project.
    """

    upstream: Mapping[str, Upstream] = field(default_factory=dict)
    views: Mapping[str, Views] = field(default_factory=dict)

    def trusted(self, now: datetime, days: int) -> dict[str, Upstream]:
        """The edges that need not be read again yet."""
        oldest = now - timedelta(days=days)
        return {name: one for name, one in self.upstream.items() if one.read_at > oldest}


@dataclass(frozen=True)
class PublishedFiles:
    """Where it is kept: two Parquet files.

    A file of another version, or none, means that everything is read from OpenMetadata.
    """

    edges: UPath
    views: UPath

    def load(self) -> LastPublished:
        return LastPublished(self._upstream(), self._views())

    def save_upstream(self, upstream: Mapping[str, Upstream]) -> None:
        rows = [row for key, one in upstream.items() for row in _edge_rows(key, one)]
        frame = pl.DataFrame(rows, schema=_EDGES, orient="row")
        write_table(self.edges, frame, {"version": _VERSION})

    def save_views(self, views: Mapping[str, Views]) -> None:
        rows = [(key, one.day, one.before, one.sent) for key, one in views.items()]
        frame = pl.DataFrame(rows, schema=_VIEWS, orient="row")
        write_table(self.views, frame, {"version": _VERSION})

    def _upstream(self) -> dict[str, Upstream]:
        frame = _read(self.edges)
        if frame is None:
            return {}
        edges: dict[str, dict[str, LineageDetails]] = {}
        tables: dict[str, dict[str, str]] = {}
        read_at: dict[str, datetime] = {}
        for dashboard_id, at, table_id, table_fqn, details in frame.iter_rows():
            read_at[dashboard_id] = at
            if table_id is not None:
                edge = LineageDetails.model_validate(json.loads(details))
                edges.setdefault(dashboard_id, {})[table_id] = edge
                tables.setdefault(dashboard_id, {})[table_id] = table_fqn
        return {
            key: Upstream(at, edges.get(key, {}), tables.get(key, {}))
            for key, at in read_at.items()
        }

    def _views(self) -> dict[str, Views]:
        frame = _read(self.views)
        if frame is None:
            return {}
        return {key: Views(day, before, sent) for key, day, before, sent in frame.iter_rows()}


def _read(path: UPath) -> pl.DataFrame | None:
    try:
        frame, metadata = read_table(path)
    except FileNotFoundError:
        return None
    return frame if metadata.get("version") == _VERSION else None


def _edge_rows(dashboard_id: str, upstream: Upstream) -> Iterable[tuple[object, ...]]:
    if not upstream.edges:
        yield dashboard_id, upstream.read_at, None, None, None
    for table_id, details in upstream.edges.items():
        yield (
            dashboard_id,
            upstream.read_at,
            table_id,
            upstream.tables.get(table_id, table_id),
            details.model_dump_json(by_alias=True, exclude_none=True),
        )
