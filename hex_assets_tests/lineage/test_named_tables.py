"""Which tables are named, before anything is known of the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import polars as pl
import pytest
from upath import UPath

from hex_assets.frame_files import read_table, write_table
from hex_assets.frames import (
    HEX_CELLS,
    HEX_COMPONENT_IMPORTS,
    HEX_DATA_CONNECTIONS,
    HEX_QUERIED_TABLES,
    Frame,
)
from hex_assets.lineage import parser_processes
from hex_assets.lineage.edges import build_edges
from hex_assets.lineage.names import Session, TableName
from hex_assets.lineage.parse_batches import ParseBatches
from hex_assets.lineage.parse_store import ParseStore
from hex_assets.lineage.parser_processes import ParserProcesses
from hex_assets.lineage.resolve import TableIndex
from hex_assets.lineage.table_references import (
    Evidence,
    TableReferences,
    new_texts,
    parse_batch,
    read_table_references,
)
from hex_assets_tests.conftest import Location
from hex_assets_tests.lineage.catalogs import history, ran
from hex_assets_tests.lineage.test_evidence import CONNECTION, cell

SNOW = ("snow", "snowflake")
HERE = ("DB", ("SCH", "PUBLIC"))
NOWHERE = (None, ())


def evidence(
    *runs: dict[str, Any],
    cells: Sequence[dict[str, Any]] = (),
    connections: Sequence[dict[str, Any]] = (CONNECTION,),
    imports: Sequence[tuple[str, str]] = (),
    queried: Sequence[tuple[str, str]] = (),
    gaps: Sequence[str] = (),
) -> Evidence:
    return Evidence(
        history(*runs, gaps=gaps),
        HEX_CELLS.frame(cells),
        HEX_DATA_CONNECTIONS.frame(connections),
        HEX_COMPONENT_IMPORTS.frame(
            {"project_id": p, "component_id": c, "cell_id": None, "component_version": None}
            for p, c in imports
        ),
        HEX_QUERIED_TABLES.frame(
            {"project_id": "p", "data_connection_id": connection, "table_name": name}
            for connection, name in queried
        ),
    )


def read(found: Evidence, folder: Path | UPath) -> TableReferences:
    root = UPath(folder)
    with ParserProcesses() as processes:
        return read_table_references(
            found,
            ParseStore(root / "parsed.parquet"),
            ParseBatches(root / "batches"),
            root / "known.parquet",
            processes,
        )


def named(frame: Frame) -> dict[tuple[str, str | None, tuple[str, ...], str], int]:
    """Service, session and name (parts joined by a slash) to what names it."""
    return {
        (service, database, tuple(schemas), "/".join(name)): count
        for service, _, database, schemas, name, count in frame.rows.iter_rows()
    }


def test_statements_are_read_in_each_of_their_sessions(tmp_path: Path) -> None:
    joined = "SELECT * FROM orders JOIN other.users USING (id)"
    found = read(
        evidence(
            ran(joined),
            ran(joined, project_id="q"),
            ran(joined, schema="PUBLIC"),
            ran(joined, service="snow_2", database=None, schema=None),
            ran('SELECT * FROM "Orders"'),
            ran("SELECT x FROM orders"),
            ran("USE SCHEMA raw; SELECT * FROM orders"),
            ran("CREATE TEMP TABLE t AS SELECT * FROM a.b.c; SELECT * FROM t"),
            ran("SELECT * FROM information_schema.tables, snowflake.account_usage.query_history"),
        ),
        tmp_path,
    )
    assert named(found.frame) == {
        ("snow", *HERE, "orders"): 2,
        ("snow", *HERE, "other/users"): 1,
        ("snow", "DB", ("PUBLIC",), "orders"): 1,
        ("snow", "DB", ("PUBLIC",), "other/users"): 1,
        ("snow_2", *NOWHERE, "orders"): 1,
        ("snow_2", *NOWHERE, "other/users"): 1,
        ("snow", *HERE, "Orders"): 1,
        ("snow", "DB", ("RAW", "PUBLIC"), "orders"): 1,
        ("snow", *HERE, "a/b/c"): 1,
        # A catalog may have system tables, too.
        ("snow", *HERE, "information_schema/tables"): 1,
        ("snow", *HERE, "snowflake/account_usage/query_history"): 1,
    }
    assert (found.texts, found.parsed, found.not_parsed, found.steps) == (6, 6, 0, 0)


def test_records_of_the_warehouse_are_names_without_a_session(tmp_path: Path) -> None:
    whole = {"database": "DB", "schema": "SCH", "table": "ORDERS", "columns": ["ID"]}
    bare = {"database": "", "schema": None, "table": "a.b", "columns": None}
    found = read(
        evidence(
            ran("SELECT 1", resolved=[whole, bare]),
            ran("SELECT 1", project_id="q", resolved=[whole]),
            ran("SELECT 2", resolved=[whole]),
            ran("SELECT 3", resolved=[]),
        ),
        tmp_path,
    )
    assert named(found.frame) == {
        ("snow", *NOWHERE, "DB/SCH/ORDERS"): 2,
        ("snow", *NOWHERE, "a.b"): 1,
    }


def test_of_cells_only_what_the_catalog_can_tell_is_named(tmp_path: Path) -> None:
    unmapped = {**CONNECTION, "id": "x", "service": None}
    found = read(
        evidence(
            cells=[
                cell("a", "SELECT * FROM orders", output_dataframe="Df"),
                cell("b", "SELECT * FROM df JOIN db.sch.df JOIN shared JOIN users", jinja_names=[]),
                cell("c", "SELECT * FROM built JOIN users", jinja_names=["BUILT"]),
                cell("d", "SELECT * FROM users", data_connection_id="x"),
                cell("e", "SELECT * FROM frames", data_connection_id=None),
                cell("f"),
                cell("a", "SELECT * FROM df", project_id="q", output_dataframe="df"),
                cell("z", "SELECT 1", project_id="component", output_dataframe="shared"),
            ],
            connections=[CONNECTION, unmapped],
            imports=[("p", "component")],
        ),
        tmp_path,
    )
    assert named(found.frame) == {
        ("snow", *HERE, "orders"): 1,
        ("snow", *HERE, "db/sch/df"): 1,
        ("snow", *HERE, "users"): 2,
        ("snow", *HERE, "df"): 1,
    }
    assert found.texts == 7


def test_entries_of_hexs_list_are_looked_up_where_their_connection_is(tmp_path: Path) -> None:
    found = read(
        evidence(
            ran("SELECT * FROM orders"),
            connections=[CONNECTION, {**CONNECTION, "id": "x", "service": None}],
            queried=[
                ("w", "orders"),
                ("w", 'DB."Sch.1".T'),
                ("w", ""),
                ("x", "users"),
                ("gone", "users"),
            ],
        ),
        tmp_path,
    )
    assert named(found.frame) == {
        ("snow", *HERE, "orders"): 2,
        ("snow", *HERE, "DB/Sch.1/T"): 1,
    }


def test_what_was_not_understood_is_counted_and_gaps_stay(tmp_path: Path) -> None:
    found = read(
        evidence(ran("SELEC x FROM orders WHERE (("), ran("SELECT * FROM users"), gaps=["half"]),
        tmp_path,
    )
    assert (found.texts, found.not_parsed) == (2, 1)
    assert found.frame.gaps == ("half",)
    assert {name for *_, name in named(found.frame)} == {"orders", "users"}


def test_nothing_names_nothing(tmp_path: Path) -> None:
    assert read(evidence(), tmp_path).frame.rows.is_empty()


def test_known_statements_are_not_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = evidence(
        ran("SELECT * FROM orders"), ran("SELEC (("), cells=[cell("a", "SELECT * FROM users")]
    )
    first = read(ours, tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_: object) -> NoReturn:
        raise AssertionError("a script was looked at")

    with monkeypatch.context() as patch:
        patch.setattr(ParseStore, "get", fail)
        patch.setattr(parser_processes, "parse", fail)
        second = read(ours, tmp_path)
    assert second.frame.rows.equals(first.frame.rows)
    assert (second.texts, second.parsed, second.not_parsed) == (3, 0, 1)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files

    # In another session it names something else, and is not parsed again for it.
    monkeypatch.setattr(parser_processes, "parse", fail)
    moved = read(evidence(ran("SELECT * FROM orders", schema="PUBLIC")), tmp_path)
    assert named(moved.frame) == {("snow", "DB", ("PUBLIC",), "orders"): 1}


@pytest.mark.parametrize("damaged", ["known.parquet", "parsed.parquet"])
def test_a_damaged_file_costs_work_only(tmp_path: Path, damaged: str) -> None:
    ours = evidence(ran("SELECT * FROM orders"), ran("SELECT * FROM users"))
    first = read(ours, tmp_path)
    (tmp_path / damaged).write_bytes(b"PAR1 cut")
    again = read(ours, tmp_path)
    assert again.frame.rows.equals(first.frame.rows)
    assert again.parsed == (2 if damaged == "parsed.parquet" else 0)
    assert read(ours, tmp_path).parsed == 0


def test_a_damaged_script_is_parsed_anew(tmp_path: Path) -> None:
    ours = evidence(ran("SELECT * FROM orders"))
    read(ours, tmp_path)
    (tmp_path / "known.parquet").unlink()
    path = UPath(tmp_path / "parsed.parquet")
    rows, metadata = read_table(path)
    write_table(path, rows.with_columns(script=pl.lit(b"no script")), metadata)
    assert read(ours, tmp_path).parsed == 1
    (key,) = ParseStore(path).entries
    assert ParseStore(path).get(key) is not None


@pytest.mark.parametrize("protocol", ["", "memory://"])
def test_batches_find_what_one_step_finds(tmp_path: Path, protocol: str) -> None:
    ours = evidence(*(ran(f"SELECT * FROM t{number}") for number in range(7)), ran("SELECT (("))
    expected = read(ours, tmp_path / "one")
    folder = UPath(f"{protocol}{tmp_path}/many")
    batches = ParseBatches(folder / "batches")
    frames = ours.history.rows, ours.cells.rows, ours.connections.rows
    texts = new_texts(*frames, ParseStore(folder / "parsed.parquet"))
    names = batches.write(texts, 3)
    assert names == ["0", "1", "2"]
    with ParserProcesses() as processes:
        # One is parsed twice, one is gone, as after kills and beside other runs.
        for name in ("0", "1", "0", "gone"):
            parse_batch(batches, name, processes)
    (folder / "batches" / ".part-2.parquet.draft").write_bytes(b"cut")
    (folder / "batches" / "part-3.parquet").write_bytes(b"PAR1 cut")
    found = read(ours, folder)
    assert found.frame.rows.equals(expected.frame.rows)
    assert (found.texts, found.parsed, found.not_parsed, found.steps) == (8, 8, 1, 2)
    assert not (folder / "batches").exists() or list((folder / "batches").iterdir()) == []
    assert new_texts(*frames, ParseStore(folder / "parsed.parquet")) == []


def test_all_that_is_asked_of_the_catalog_is_named_and_nothing_else(
    location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = set()
    resolve = TableIndex.resolve

    def watched(
        self: TableIndex, service: str, dialect: str, table: TableName, session: Session
    ) -> Any:
        name = tuple(part.text for part in table.parts)
        asked.add((service, dialect, session.database, session.schemas, name))
        return resolve(self, service, dialect, table, session)

    for workspace in ("hex_growth", "hex_finance"):
        frames = location.run(workspace).frames
        ours = Evidence(
            frames["warehouse_query_history"],
            frames["hex_cells"],
            frames["hex_data_connections"],
            frames["hex_component_imports"],
            frames["hex_queried_tables"],
        )
        named_tables = read(ours, tmp_path / workspace).frame.rows
        asked.clear()
        with monkeypatch.context() as patch:
            patch.setattr(TableIndex, "resolve", watched)
            build_edges(
                ours.history,
                frames["catalog_tables"],
                [],
                cells=ours.cells,
                connections=ours.connections,
                imports=ours.imports,
                queried_tables=ours.queried_tables,
            )
        assert len(asked) > 20
        assert {
            (service, dialect, database, tuple(schemas), tuple(name))
            for service, dialect, database, schemas, name, _ in named_tables.iter_rows()
        } == asked
        assert frames["table_references"].rows.equals(named_tables)
