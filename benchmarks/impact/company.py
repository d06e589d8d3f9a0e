"""Stored frames of a large company: 2,000 projects, 10,000 tables, 60,000 edges."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from upath import UPath

from hex_assets.frame_files import SCHEMAS, write_frame
from hex_assets.frames import FrameSchema

WORKSPACE = "large"
PROJECTS, TABLES, EDGES, COLUMNS = 2_000, 10_000, 60_000, 30
NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


def table(number: int) -> str:
    return f"snow.PROD.SCHEMA_{number % 40}.TABLE_{number}"


def project_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def write_company(root: Path) -> None:
    """Write the frames that impact answers and the report are made from."""
    columns = [f"COLUMN_{number}" for number in range(COLUMNS)]
    per_project = EDGES // PROJECTS
    frames: dict[str, list[dict[str, Any]]] = {
        "catalog_tables": [
            _row("catalog_tables", table_fqn=table(n), table_id=f"id {n}", columns=columns)
            for n in range(TABLES)
        ],
        "catalog_schemas": [],
        "hex_projects": [
            _row(
                "hex_projects",
                id=project_id(n),
                type="PROJECT",
                title=f"Project {n}",
                owner_email=f"owner{n % 90}@company.example",
                last_published_at=NOON,
                views_30_days=n % 500,
                schedules=["DAILY 06:00 +00:00"] if n % 3 == 0 else [],
                url=f"https://app.hex.tech/org/app/{project_id(n)}",
            )
            for n in range(PROJECTS)
        ],
        "hex_cells": [
            _row(
                "hex_cells",
                project_id=project_id(n),
                cell_id=f"cell {n} {cell}",
                type="SQL",
                label=f"Query {cell}",
                version="published",
            )
            for n in range(PROJECTS)
            for cell in range(per_project)
        ],
        "hex_runs": [
            _row(
                "hex_runs",
                project_id=project_id(n),
                trigger="SCHEDULED",
                status="COMPLETED" if n % 20 else "ERRORED",
                started_at=NOON - timedelta(hours=n % 100),
            )
            for n in range(0, PROJECTS, 3)
        ],
        "lineage_edges": [
            _row(
                "lineage_edges",
                project_id=project_id(n),
                cell_id=f"cell {n} {cell}",
                service="snow",
                table_fqn=table((n * 31 + cell * 577) % TABLES),
                table_id=f"id {(n * 31 + cell * 577) % TABLES}",
                columns=[
                    {"name": columns[(n + cell + at) % COLUMNS], "usage": ["output"]}
                    for at in range(6)
                ],
                evidence=["cell_sql", "query_history"],
                executions=n + cell,
                users=1 + n % 9,
                last_seen=NOON - timedelta(hours=cell),
                resolution="exact",
            )
            for n in range(PROJECTS)
            for cell in range(per_project)
        ],
    }
    for name, rows in frames.items():
        write_frame(UPath(root) / name / f"{WORKSPACE}.parquet", SCHEMAS[name].frame(rows))


def _row(frame: str, **given: Any) -> dict[str, Any]:
    schema: FrameSchema = SCHEMAS[frame]
    lists: dict[str, Any] = {
        name: [] for name, dtype in schema.types.items() if str(dtype).startswith("List")
    }
    return dict.fromkeys(schema.columns) | lists | given
