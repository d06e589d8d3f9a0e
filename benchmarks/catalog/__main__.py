"""Prints the table of README.md: requests and seconds to read the catalog, against the sandbox.

Command: ``uv run python -m benchmarks.catalog``
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from upath import UPath

from hex_assets.frames import TABLE_REFERENCES, Frame
from hex_assets.openmetadata.catalog_copy import CatalogFiles
from hex_assets.openmetadata.client import OpenMetadataClient
from hex_assets.openmetadata.models import Table
from hex_assets.openmetadata.tables import read_catalog
from hex_assets.sandbox.catalog.app import create_catalog
from hex_assets.sandbox.catalog.releases import OPENMETADATA_1_6, OPENMETADATA_2_0, Release
from hex_assets.sandbox.catalog.seed import seed
from hex_assets.sandbox.faults import FaultInjector
from hex_assets.sandbox.server import serve
from hex_assets.sandbox.world import CatalogTable, DatabaseService, World

JWT = "a-long-lived-token"
DATABASES, SCHEMAS, TABLES, COLUMNS, READ = 20, 50, 40, 20, 30
"""Databases, schemas of each, tables of each, columns of each; schemas that are named."""


def catalogued(tables: Sequence[CatalogTable]) -> World:
    service = DatabaseService("snow", "Snowflake", tuple(tables))
    return World(workspaces=(), database_services=(service,), users=())


def all_tables() -> list[CatalogTable]:
    columns = tuple((f"COLUMN_{n}", "TEXT") for n in range(COLUMNS))
    return [
        CatalogTable(f"DB_{database}", f"SCHEMA_{schema}", f"TABLE_{table}", columns)
        for database in range(DATABASES)
        for schema in range(SCHEMAS)
        for table in range(TABLES)
    ]


def named(first: int, last: int) -> Frame:
    """References by full name into schemas with these numbers, spread over the databases."""
    rows = [
        {
            "service": "snow",
            "dialect": "snowflake",
            "database": "ANALYTICS",
            "schemas": ["PUBLIC"],
            "name": [f"DB_{n % DATABASES}", f"SCHEMA_{n}", "TABLE_0"],
            "statements": 1,
        }
        for n in range(first, last)
    ]
    return TABLE_REFERENCES.frame(rows)


@contextmanager
def server(database: Path, release: Release) -> Iterator[tuple[str, FaultInjector]]:
    app = FaultInjector(create_catalog(database, jwt=JWT, release=release))
    with serve(app) as url:
        yield url, app


def whole(client: OpenMetadataClient) -> int:
    """What a run read before, of each workspace: every table, 250 a request."""
    return sum(
        len(page)
        for database in client.databases("snow")
        for page in client._pages(
            "/v1/tables",
            Table,
            {"database": database.fully_qualified_name, "limit": 250},
            "listing tables",
        )
    )


def lines(folder: Path, release: Release) -> Iterator[str]:
    """A line of the table for each run."""
    database, tables = folder / "catalog.sqlite", all_tables()
    seed(database, catalogued(tables))
    files = CatalogFiles(UPath(folder / "schemas.parquet"), UPath(folder / "tables.parquet"))
    with server(database, release) as (url, requests):

        def client() -> OpenMetadataClient:
            requests.requests.clear()
            return OpenMetadataClient(f"{url}/api", lambda: JWT)

        def line(run: str, listed: int, rows: int, started: float) -> str:
            seconds = time.perf_counter() - started
            asked = len(requests.requests)
            return f"| {release.version} | {run} | {asked} | {listed} | {rows:,} | {seconds:.2f} |"

        started = time.perf_counter()
        with client() as opened:
            rows = whole(opened)
        yield line("all tables, as before", DATABASES * SCHEMAS, rows, started)
        changed = [
            replace(one, columns=(*one.columns, ("NEW", "TEXT")))
            if (one.database, one.schema, one.name) == ("DB_3", "SCHEMA_3", "TABLE_7")
            else one
            for one in tables
        ]
        runs = (
            ("first", (0, READ), tables),
            ("unchanged", (0, READ), tables),
            ("one column added", (0, READ), changed),
            ("another workspace, half of it new", (READ // 2, READ // 2 + READ), changed),
        )
        for run, schemas, seen in runs:
            seed(database, catalogued(seen))
            started = time.perf_counter()
            with client() as opened:
                read = read_catalog(opened, ["snow"], named(*schemas), files, reconcile_days=7)
            yield line(run, read.schemas_listed_now, read.tables.rows.height, started)


def main() -> None:
    """Print the table as Markdown."""
    print("| server | run | requests | schemas listed | tables | seconds |")
    print("|---|---|---:|---:|---:|---:|")
    for release in (OPENMETADATA_2_0, OPENMETADATA_1_6):
        with tempfile.TemporaryDirectory() as folder:
            for line in lines(Path(folder), release):
                print(line, flush=True)


if __name__ == "__main__":
    main()
