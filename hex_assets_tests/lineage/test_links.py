"""Links of an earlier run count exactly as long as the catalog would give them again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from hex_assets.frames import CATALOG_SCHEMAS, CATALOG_TABLES, Frame
from hex_assets.lineage import edges
from hex_assets.lineage.edges import Lineage, build_edges
from hex_assets.lineage.links import LinkStore
from hex_assets.lineage.parse_store import ParseStore
from hex_assets.lineage.resolve import TableIndex
from hex_assets_tests.lineage.catalogs import NOON, catalog, history, ran

DAY = date(2026, 11, 20)
CATALOG = {"ORDERS": ["ID", "AMOUNT"], "USERS": ["ID", "NAME"]}
NAMES = ["snow.DB.SCH.ORDERS", "snow.DB.SCH.USERS"]
STATEMENTS = [
    ran("select * from orders"),
    ran("select name from users where id = 1"),
    ran("select o.amount, u.name from orders o join users u using (id)", cell_id="d"),
    ran("select * from absent", project_id="q"),
]


def same(found: Lineage, expected: Lineage) -> bool:
    frames = ("edges", "unresolved", "disagreements")
    return found.figures == expected.figures and all(
        getattr(found, name).rows.equals(getattr(expected, name).rows) for name in frames
    )


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that are linked from now on."""
    linked: list[str] = []
    link = edges._link

    def counting(row: Any, *others: Any) -> Any:
        linked.append(row["sql"])
        return link(row, *others)

    monkeypatch.setattr(edges, "_link", counting)
    return linked


class Store:
    def __init__(self, folder: Path) -> None:
        self.links = UPath(folder / "links.parquet")
        self.scripts = UPath(folder / "parsed.parquet")
        self.day = DAY

    def build(self, tables: Frame, *rows: dict[str, Any]) -> Lineage:
        return build_edges(
            history(*rows),
            tables,
            ["snow"],
            store=ParseStore(self.scripts, lambda: self.day),
            links=LinkStore(self.links, lambda: self.day),
        )


def test_an_unchanged_run_links_nothing_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tables = Store(tmp_path), catalog(*NAMES, columns=CATALOG)
    first = store.build(tables, *STATEMENTS)
    before = store.links.read_bytes()
    store.scripts.write_bytes(b"not read")
    linked = counted(monkeypatch)
    assert same(store.build(tables, *STATEMENTS), first)
    assert linked == []
    assert store.links.read_bytes() == before


@pytest.mark.parametrize(
    ("names", "columns", "linked_again"),
    [
        (NAMES, {**CATALOG, "USERS": ["ID", "NAME", "AGE"]}, {1, 2}),
        (["snow.DB.SCH.ORDERS"], CATALOG, {1, 2}),
        ([*NAMES, "snow.DB.SCH.OTHER"], CATALOG, set()),
        ([*NAMES, "snow.DB.SCH.ABSENT"], CATALOG, {3}),
        # A schema more may change how any name is spelled.
        ([*NAMES, "snow.DB.NEW.OTHER"], CATALOG, {0, 1, 2, 3}),
        ([*NAMES, "snow2.DB.NEW.ORDERS"], CATALOG, set()),
    ],
)
def test_a_changed_table_unlinks_what_read_it(
    names: list[str],
    columns: dict[str, list[str]],
    linked_again: set[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store(tmp_path)
    store.build(catalog(*NAMES, columns=CATALOG), *STATEMENTS)
    changed = catalog(*names, columns=columns)
    expected = build_edges(history(*STATEMENTS), changed, ["snow"])
    linked = counted(monkeypatch)
    assert same(store.build(changed, *STATEMENTS), expected)
    assert set(linked) == {STATEMENTS[place]["sql"] for place in linked_again}


def test_a_new_session_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, tables = Store(tmp_path), catalog(*NAMES, columns=CATALOG)
    store.build(tables, *STATEMENTS)
    linked = counted(monkeypatch)
    other = ran("select * from orders", schema=None)
    built = store.build(tables, *STATEMENTS, other)
    assert linked == [other["sql"]]
    assert same(built, build_edges(history(*STATEMENTS, other), tables, ["snow"]))


def test_a_damaged_file_counts_for_nothing(tmp_path: Path) -> None:
    store, tables = Store(tmp_path), catalog(*NAMES, columns=CATALOG)
    first = store.build(tables, *STATEMENTS)
    store.links.write_bytes(b"PAR1 cut")
    assert same(store.build(tables, *STATEMENTS), first)


def test_what_is_long_unused_leaves_and_what_is_used_stays(tmp_path: Path) -> None:
    store, tables = Store(tmp_path), catalog(*NAMES, columns=CATALOG)
    store.build(tables, *STATEMENTS)
    for _ in range(4):
        store.day += timedelta(days=30)
        store.build(tables, *STATEMENTS[:1])
    assert LinkStore(store.links).valid(TableIndex(tables.rows, ["snow"])).height == 1
    # The script of a statement that is linked is kept with it.
    assert len(ParseStore(store.scripts)._stored) == 1


def test_a_link_made_while_a_schema_was_not_read_ends_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = UPath(tmp_path / "links.parquet")
    tables = catalog("snow.DB.SCH.ORDERS")
    rows = ran("select * from raw.absent"), ran("select * from orders")
    place = {"service": "snow", "database": "DB"}

    def build(read_at: datetime | None) -> Lineage:
        schemas = CATALOG_SCHEMAS.frame(
            {**place, "schema": name, "schema_fqn": f"snow.DB.{name}", "read_at": at}
            for name, at in (("SCH", NOON), ("RAW", read_at))
        )
        links = LinkStore(path)
        return build_edges(history(*rows), tables, [], catalog_schemas=schemas, links=links)

    (unread,) = build(None).unresolved.rows["detail"]
    assert unread == "snow.DB.RAW was not read: materialize catalog_tables again"
    linked = counted(monkeypatch)
    assert build(NOON).unresolved.rows["detail"].to_list() == [None]
    assert linked == [rows[0]["sql"]]


SERVICES = {
    "snow": "snowflake",
    "bq": "bigquery",
    "trino": "trino",
    "pg": "postgres",
    "my": "mysql",
}
PART = st.sampled_from(["a", "A", "b", "B", "default", "t_1"])
TABLES = st.lists(
    st.tuples(st.sampled_from([*SERVICES]), PART, PART, PART, st.sampled_from(["", "x", "x y"])),
    max_size=8,
    unique_by=lambda table: table[:4],
)
WRITTEN = [
    "{t}",
    "{s}.{t}",
    "{d}.{s}.{t}",
    '"{t}"',
    "`{d}.{s}.t_*`",
    '"{t}$partitions"',
    "{t}$files",
]


@st.composite
def statements(draw: st.DrawFn) -> dict[str, Any]:
    service = draw(st.sampled_from([*SERVICES]))
    parts = {name: draw(PART) for name in "dst"}
    name = draw(st.sampled_from(WRITTEN)).format(**parts)
    sql = draw(st.sampled_from(["select * from {n}", "select x from {n} where y = 1"]))
    return ran(
        sql.format(n=name),
        service=service,
        dialect=SERVICES[service],
        database=draw(st.none() | PART),
        schema=draw(st.none() | PART),
        project_id=draw(st.sampled_from("pq")),
    )


def frame_of(tables: list[tuple[str, ...]]) -> Frame:
    return CATALOG_TABLES.frame(
        [
            {
                "service": service,
                "database": database,
                "schema": schema,
                "table": table,
                "table_fqn": f"{service}.{database}.{schema}.{table}",
                "table_id": f"id of {service}.{database}.{schema}.{table}",
                "columns": columns.split(),
            }
            for service, database, schema, table, columns in tables
        ]
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("links")


def schemas_of(tables: list[tuple[str, ...]], unread: set[str]) -> Frame:
    """The schemas of these tables, and an empty one of each service."""
    places = {table[:3] for table in tables} | {(service, "a", "empty") for service in SERVICES}
    return CATALOG_SCHEMAS.frame(
        {
            "service": service,
            "database": database,
            "schema": schema,
            "schema_fqn": f"{service}.{database}.{schema}",
            "read_at": None if schema in unread else NOON,
        }
        for service, database, schema in sorted(places)
    )


RUN = st.tuples(TABLES, st.lists(statements(), max_size=6), st.none() | st.sets(PART, max_size=2))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    st.lists(RUN, min_size=2, max_size=4),
    st.lists(st.sampled_from(["snow", "bq.a", "trino.a.b", "pg", "my"]), max_size=2),
)
def test_whatever_the_catalog_becomes(
    folders: Path,
    runs: list[tuple[list[tuple[str, ...]], list[dict[str, Any]], set[str] | None]],
    prefixes: list[str],
) -> None:
    path = UPath(folders / "any.parquet")
    path.unlink(missing_ok=True)
    for tables, rows, unread in runs:
        # What ran in one run comes again in the next.
        ours = history(
            *{tuple(map(str, row.values())): row for row in [*rows, *runs[0][1]]}.values()
        )
        schemas = None if unread is None else schemas_of(tables, unread)
        known = frame_of([table for table in tables if table[2] not in (unread or ())])
        kept = build_edges(ours, known, prefixes, catalog_schemas=schemas, links=LinkStore(path))
        assert same(kept, build_edges(ours, known, prefixes, catalog_schemas=schemas))
