"""Stored frames of a small company to ask about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from upath import UPath

from hex_assets.frame_files import SCHEMAS, write_frame
from hex_assets.frames import (
    CATALOG_TABLES,
    HEX_CELLS,
    HEX_PROJECTS,
    HEX_RUNS,
    LINEAGE_EDGES,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
WORKSPACE = "hex_finance"
ORDERS = "snow.ANALYTICS.CORE.ORDERS"
RAW_ORDERS = "snow.RAW.SHOP.ORDERS"
CUSTOMERS = "snow.ANALYTICS.CORE.CUSTOMERS"
DOTTED = 'snow.ANALYTICS.CORE."daily.sales"'
TABLES: Mapping[str, Sequence[str]] = {
    ORDERS: ["ID", "AMOUNT", "REGION"],
    RAW_ORDERS: ["ID", "PAYLOAD"],
    CUSTOMERS: ["ID", "NAME", "Name"],
    DOTTED: ["DAY"],
}


def project(number: int, title: str, **over: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(HEX_PROJECTS.columns)
    lists = ("categories", "collections", "groups", "schedules")
    row |= {name: [] for name in (*lists, "category_descriptions", "collection_descriptions")}
    row |= {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "type": "PROJECT",
        "title": title,
        "owner_email": "ana@shop.example",
        "last_published_at": NOON,
        "views_30_days": 0,
        "url": f"https://app.hex.tech/org/app/{number}",
    }
    return row | over


def edge(
    number: int, table: str, columns: Mapping[str, list[str]] | None = None, **over: Any
) -> Any:
    row: dict[str, Any] = dict.fromkeys(LINEAGE_EDGES.columns)
    row |= {
        "project_id": f"00000000-0000-4000-8000-{number:012}",
        "cell_id": f"cell-{number}",
        "service": "snow",
        "table_fqn": table,
        "table_id": table,
        "columns": [{"name": name, "usage": use} for name, use in (columns or {}).items()],
        "evidence": ["query_history"],
        "executions": 1,
        "users": 2,
        "last_seen": NOON,
        "resolution": "exact",
    }
    return row | over


def cell(number: int, label: str) -> dict[str, Any]:
    return dict.fromkeys(HEX_CELLS.columns) | {
        "project_id": f"00000000-0000-4000-8000-{number:012}",
        "cell_id": f"cell-{number}",
        "type": "SQL",
        "label": label,
        "jinja_names": [],
        "version": "draft",
    }


def run(number: int, status: str, **over: Any) -> dict[str, Any]:
    return dict.fromkeys(HEX_RUNS.columns) | {
        "project_id": f"00000000-0000-4000-8000-{number:012}",
        "trigger": "SCHEDULED",
        "status": status,
        "started_at": NOON,
        **over,
    }


def store(root: Path, workspace: str = WORKSPACE, **frames: Any) -> str:
    """Stores frames, by default those of the company; gives the storage root."""
    tables = [
        dict.fromkeys(CATALOG_TABLES.columns) | {"table_fqn": name, "columns": list(columns)}
        for name, columns in TABLES.items()
    ]
    known: dict[str, list[dict[str, Any]]] = {
        "hex_projects": [
            project(1, "Weekly revenue", views_30_days=40, schedules=["DAILY 06:30 +00:00"]),
            project(2, "Scratch", last_published_at=None),
            project(3, "Old board", archived_at=NOON, views_30_days=900),
            project(4, "Customers | all"),
        ],
        "hex_cells": [cell(1, "orders by region"), cell(4, "names")],
        "hex_runs": [run(1, "ERRORED"), run(1, "COMPLETED", started_at=NOON - timedelta(days=1))],
        "lineage_edges": [
            edge(1, ORDERS, {"AMOUNT": ["output"], "REGION": ["filter", "group"]}, executions=30),
            edge(2, ORDERS, executions=99),
            edge(3, ORDERS, {"AMOUNT": ["output"]}),
            edge(4, CUSTOMERS, {"NAME": ["join"]}, executions=3),
            edge(4, ORDERS, {"ID": ["join"]}, cell_id=None),
        ],
        "catalog_tables": tables,
        "catalog_schemas": [],
    }
    for name, rows in (known | frames).items():
        if rows is not None:
            write_frame(UPath(root) / name / f"{workspace}.parquet", SCHEMAS[name].frame(rows))
    return str(root)
