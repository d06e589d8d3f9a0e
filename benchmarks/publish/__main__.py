"""Prints the table of README.md: first run, unchanged run and 1 % changed, against the sandbox.

Command: ``uv run python -m benchmarks.publish``
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send
from upath import UPath

from hex_assets.frames import CATALOG_TABLES, HEX_CELLS, HEX_COMPONENT_IMPORTS, Frame
from hex_assets.openmetadata.client import OpenMetadataClient
from hex_assets.openmetadata.publish import Sources, publish
from hex_assets.openmetadata.published import PublishedFiles
from hex_assets.sandbox.catalog.app import create_catalog
from hex_assets.sandbox.catalog.releases import OPENMETADATA_1_6, OPENMETADATA_2_0, Release
from hex_assets.sandbox.catalog.seed import seed
from hex_assets.sandbox.faults import FaultInjector
from hex_assets.sandbox.server import serve
from hex_assets.sandbox.world import CatalogTable, CatalogUser, DatabaseService, World
from hex_assets_tests.openmetadata.workspaces import edge, edges, project, projects, recipe, rows

JWT = "a-long-lived-token"
LATENCY_SECONDS = 0.005
EDGES = 8_000
TABLES = 400
SIZES = (500, 2_000)
SCHEMA = "snow.SHOP.PUBLIC"
RELEASES = {one.version: one for one in (OPENMETADATA_2_0, OPENMETADATA_1_6)}


class Latency:
    """Answers each request later than the app would."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(LATENCY_SECONDS)
        await self._app(scope, receive, send)


def catalogued() -> World:
    """One warehouse with tables of two columns, and the people of OpenMetadata."""
    columns = (("ID", "NUMBER"), ("AT", "TIMESTAMP"))
    tables = tuple(CatalogTable("SHOP", "PUBLIC", f"T{n}", columns) for n in range(TABLES))
    return World(
        workspaces=(),
        database_services=(DatabaseService("snow", "Snowflake", tables),),
        users=tuple(CatalogUser(f"u{n}", f"u{n}@shop.example", f"U {n}") for n in range(50)),
    )


def workspace(dashboards: int, changed: int, table_ids: Sequence[str]) -> Sources:
    """Projects with as many tables each as make 8,000 edges, each table read by a cell of its own.

    Args:
        changed: this many projects are renamed and read one table in place of another.
    """
    per_project = EDGES // dashboards
    reads, cells = [], []
    for number in range(1, dashboards + 1):
        for position in range(per_project):
            moved = number <= changed and position == 0
            table = (number * 7 + position + (per_project if moved else 0)) % TABLES
            cell = f"c0000000-0000-4000-8000-{position:012x}"
            columns = [{"name": "ID", "usage": ["output"]}]
            name = f"{SCHEMA}.T{table}"
            read = edge(number, name, table_ids[table], cell_id=cell, columns=columns)
            reads.append(read)
            cells.append({"project_id": read["project_id"], "cell_id": cell, "label": name})
    hex_projects = [
        project(
            number,
            title=f"Project {number}{' renamed' if number <= changed else ''}",
            owner_email=f"u{number % 50}@shop.example",
        )
        for number in range(1, dashboards + 1)
    ]
    tables = [
        {"table_fqn": f"{SCHEMA}.T{n}", "table_id": table_ids[n], "columns": ["ID", "AT"]}
        for n in range(TABLES)
    ]
    return Sources(
        projects(*hex_projects),
        edges(*reads),
        rows(HEX_CELLS, *cells),
        HEX_COMPONENT_IMPORTS.empty(),
        rows(CATALOG_TABLES, *tables),
    )


def measure(dashboards: int, release: Release, folder: Path) -> None:
    """Print the lines of one size, against one release of OpenMetadata."""
    database = folder / "catalog.sqlite"
    seed(database, catalogued())
    faults = FaultInjector(create_catalog(database, jwt=JWT, release=release))
    files = PublishedFiles(UPath(folder / "edges.parquet"), UPath(folder / "views.parquet"))
    by = recipe({"deletionGuardPercent": 100})
    with (
        serve(Latency(faults)) as url,
        OpenMetadataClient(f"{url}/api", lambda: JWT) as client,
    ):
        found = {
            table.fully_qualified_name: table.id
            for page in client.tables_of_schema(SCHEMA)
            for table in page
        }
        ids = [found[f"{SCHEMA}.T{number}"] for number in range(TABLES)]
        for name, changed in (
            ("first", 0),
            ("unchanged", 0),
            ("1 % changed", dashboards // 100),
            ("reconcile", dashboards // 100),
        ):
            sources = workspace(dashboards, changed, ids)
            faults.requests.clear()
            started = time.perf_counter()
            frame: Frame = publish(
                client,
                by,
                sources,
                files,
                reconcile=name == "reconcile",
                clock=lambda: datetime(2026, 11, 2, tzinfo=timezone.utc),
            )
            seconds = time.perf_counter() - started
            written = frame.rows.filter(frame.rows["outcome"] == "done").height
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"| {release.version} | {dashboards:,} | {name} | {frame.rows.height:,} "
                f"| {written:,} | {len(faults.requests):,} | {len(faults.writes()):,} "
                f"| {seconds:.1f} | {peak:.0f} |",
                flush=True,
            )


def main() -> None:
    """Print a Markdown table; each size in a process of its own, for its peak of memory."""
    if len(sys.argv) > 1:
        with tempfile.TemporaryDirectory() as folder:
            measure(int(sys.argv[1]), RELEASES[sys.argv[2]], Path(folder))
        return
    print("| server | dashboards | run | entities | written | requests | of them writes ", end="")
    print("| seconds | MB |\n|---|---:|---|---:|---:|---:|---:|---:|---:|", flush=True)
    for version in RELEASES:
        for size in SIZES:
            command = [sys.executable, "-m", "benchmarks.publish", str(size), version]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
