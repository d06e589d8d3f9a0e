"""Reading the catalog's schemas that can hold what is named, once, and again by change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import polars as pl
import pytest
from upath import UPath

from hex_assets.errors import RecipeError, ServerFailed
from hex_assets.frames import TABLE_REFERENCES, Frame
from hex_assets.http import Retry
from hex_assets.openmetadata.catalog_copy import CatalogFiles, server_key
from hex_assets.openmetadata.client import OpenMetadataClient
from hex_assets.openmetadata.tables import CatalogRead, read_catalog
from hex_assets.sandbox.catalog.seed import seed
from hex_assets.sandbox.faults import Fault
from hex_assets.sandbox.world import CatalogTable, DatabaseService, World
from hex_assets_tests.openmetadata.catalogs import WORLD, Catalog

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
PUBLIC, RAW, DOTTED = "snow.SHOP.PUBLIC", "snow.SHOP.RAW", 'snow."My.Db".PUBLIC'
SEARCH, LISTING = "GET /api/v1/search/query", "GET /api/v1/tables?"


def named(*names: Sequence[str], gaps: Sequence[str] = ()) -> Frame:
    """References on the service snow in a session without database or schema."""
    rows = [
        {
            "service": "snow",
            "dialect": "snowflake",
            "database": None,
            "schemas": [],
            "name": list(name),
            "statements": 1,
        }
        for name in names
    ]
    return TABLE_REFERENCES.frame(rows, gaps)


IN_PUBLIC = named(["SHOP", "PUBLIC", "T0"])
IN_RAW = named(["SHOP", "RAW", "T0"])
ANYWHERE = named(["T0"])


@dataclass
class Reader:
    """Runs over one catalog that keep what they read in one place."""

    catalog: Catalog
    folder: Path
    database: Path
    days: int = 7
    now: datetime = NOON
    world: World = field(default=WORLD)

    @property
    def files(self) -> CatalogFiles:
        return CatalogFiles(UPath(self.folder / "s.parquet"), UPath(self.folder / "t.parquet"))

    def read(
        self,
        references: Frame = ANYWHERE,
        *prefixes: str,
        reconcile: bool = False,
        client: OpenMetadataClient | None = None,
    ) -> CatalogRead:
        with client or self.catalog.client() as opened:
            return read_catalog(
                opened,
                prefixes or ("snow",),
                references,
                self.files,
                reconcile_days=self.days,
                reconcile=reconcile,
                clock=lambda: self.now,
            )

    def requests(self) -> list[str]:
        """What was asked since this was asked last, without what narrows a search."""
        asked = [unquote(line.partition("&")[0]) for line in self.catalog.faults.requests]
        self.catalog.faults.requests.clear()
        return asked

    def ingest(self, change: Callable[[tuple[CatalogTable, ...]], Sequence[CatalogTable]]) -> None:
        """What ingestion does when tables are new or have other columns in the warehouse."""
        snow, *others = self.world.database_services
        tables = tuple(change(snow.tables))
        services = (DatabaseService(snow.name, snow.service_type, tables), *others)
        self.world = replace(self.world, database_services=services)
        seed(self.database, self.world)

    def person(self, method: str, path: str, **options: Any) -> None:
        self.catalog.person.request(method, path, **options).raise_for_status()


@pytest.fixture
def reader(catalog: Catalog, tmp_path: Path) -> Reader:
    return Reader(catalog, tmp_path / "state", tmp_path / "catalog.sqlite")


def with_column(tables: Sequence[CatalogTable]) -> list[CatalogTable]:
    return [
        replace(one, columns=(*one.columns, ("NEW", "TEXT"))) if one.name == "T3" else one
        for one in tables
    ]


def with_table(tables: Sequence[CatalogTable]) -> list[CatalogTable]:
    return [*tables, CatalogTable("SHOP", "PUBLIC", "FRESH", (("ID", "NUMBER"),))]


def names(read: CatalogRead) -> list[str]:
    return read.tables.rows["table_fqn"].to_list()


def read_schemas(read: CatalogRead) -> set[str]:
    rows = read.schemas.rows
    return set(rows.filter(rows["read_at"].is_not_null())["schema_fqn"])


@pytest.mark.parametrize(
    ("prefixes", "schemas", "tables"),
    [
        (["snow"], 3, 12),
        (["snow.SHOP"], 2, 11),
        (["snow.SHOP.PUBLIC"], 1, 10),
        (['snow."My.Db"'], 1, 1),
        (['"snow"."My.Db".PUBLIC'], 1, 1),
        (["snow.SHOP.RAW", 'snow."My.Db"'], 2, 2),
        (["snow.SHOP.RAW", "snow.SHOP.RAW", "snow.SHOP", "snow"], 3, 12),
        (["empty"], 0, 0),
    ],
)
def test_a_prefix_of_any_depth_is_read(
    reader: Reader, prefixes: list[str], schemas: int, tables: int
) -> None:
    for _ in range(2):
        read = reader.read(ANYWHERE, *prefixes)
        assert read.tables.complete
        assert read.schemas.complete
        assert read.schemas.rows.height == schemas
        assert read.tables.rows.height == read.tables.rows["table_id"].n_unique() == tables


def test_names_come_unquoted_and_decoded_and_the_fqn_as_it_is(reader: Reader) -> None:
    for _ in range(2):
        by_fqn = {row["table_fqn"]: row for row in reader.read().tables.rows.to_dicts()}
        slashed = by_fqn['snow.SHOP.RAW."a/b.c"']
        assert (slashed["schema"], slashed["table"]) == ("RAW", "a/b.c")
        assert slashed["columns"] == ["ID", 'X"Y']
        dotted = by_fqn['snow."My.Db".PUBLIC.EVENTS']
        assert (dotted["service"], dotted["database"]) == ("snow", "My.Db")
        assert dotted["table_id"] == reader.catalog.table_id('snow."My.Db".PUBLIC.EVENTS')


def test_only_schemas_that_can_hold_a_name_are_read(reader: Reader) -> None:
    read = reader.read(IN_RAW)
    assert names(read) == ['snow.SHOP.RAW."a/b.c"']
    assert read_schemas(read) == {RAW}
    assert set(read.schemas.rows["schema_fqn"]) == {PUBLIC, RAW, DOTTED}
    assert reader.requests() == [
        "GET /api/v1/databases?service=snow",
        'GET /api/v1/databaseSchemas?database=snow."My.Db"',
        "GET /api/v1/databaseSchemas?database=snow.SHOP",
        "GET /api/v1/tables?databaseSchema=snow.SHOP.RAW",
    ]


def test_a_database_of_which_every_schema_is_needed_is_listed_at_once(reader: Reader) -> None:
    everything = reader.read()
    listed = [line for line in reader.requests() if LISTING in line]
    assert listed == [f"{LISTING}databaseSchema={DOTTED}", f"{LISTING}database=snow.SHOP"]
    kept = reader.files.load().schemas
    assert {name: len(one.tables) for name, one in kept.items()} == {PUBLIC: 10, RAW: 1, DOTTED: 1}
    reader.read(ANYWHERE, PUBLIC, RAW, reconcile=True)
    listed = [line for line in reader.requests() if LISTING in line]
    assert listed == [f"{LISTING}databaseSchema={name}" for name in (PUBLIC, RAW)]
    assert names(reader.read()) == names(everything)


def test_an_unchanged_catalog_costs_two_requests(reader: Reader) -> None:
    first = reader.read()
    reader.requests()
    second = reader.read()
    assert [line.partition("?")[0] for line in reader.requests()] == [SEARCH, SEARCH]
    assert second.tables.rows.equals(first.tables.rows)
    assert second.schemas.rows.equals(first.schemas.rows)
    assert second.schemas_listed_now == 0


def test_another_workspace_reads_only_what_is_missing(reader: Reader) -> None:
    reader.read(IN_PUBLIC)
    reader.requests()
    assert read_schemas(reader.read(named(["SHOP", "PUBLIC", "T1"], ["RAW", "X"]))) == {PUBLIC, RAW}
    listed = [line for line in reader.requests() if "/search/" not in line]
    assert listed == [f"{LISTING}databaseSchema=snow.SHOP.RAW"]
    assert read_schemas(reader.read(IN_RAW)) == {RAW}
    assert names(reader.read(IN_RAW)) == ['snow.SHOP.RAW."a/b.c"']


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (with_column, lambda tables: ["ID", "NEW"] in tables["columns"].to_list()),
        (with_table, lambda tables: "FRESH" in tables["table"]),
    ],
)
def test_what_ingestion_changes_is_read_again_with_its_schema_only(
    reader: Reader, change: Any, seen: Callable[[Any], bool]
) -> None:
    assert not seen(reader.read().tables.rows)
    reader.requests()
    reader.ingest(change)
    assert seen(reader.read().tables.rows)
    listed = [line for line in reader.requests() if "/search/" not in line]
    assert listed == [f"{LISTING}databaseSchema=snow.SHOP.PUBLIC"]
    reader.read()
    assert all("/search/" in line for line in reader.requests())


@pytest.mark.parametrize("hard", [False, True])
def test_a_table_that_is_deleted_goes_and_comes_back_when_restored(
    reader: Reader, hard: bool
) -> None:
    everything = names(reader.read())
    table_id = reader.catalog.table_id("snow.SHOP.PUBLIC.T4")
    reader.person("DELETE", f"/tables/{table_id}", params={"hardDelete": str(hard).lower()})
    assert set(everything) - set(names(reader.read())) == {"snow.SHOP.PUBLIC.T4"}
    if hard:
        reader.ingest(lambda tables: tables)
    else:
        reader.person("PUT", "/tables/restore", json={"id": table_id})
    assert names(reader.read()) == everything


def test_a_table_that_is_renamed_is_read_under_its_new_name(reader: Reader) -> None:
    reader.read()
    reader.person("DELETE", "/tables/name/snow.SHOP.PUBLIC.T4", params={"hardDelete": "true"})
    reader.ingest(
        lambda tables: [replace(one, name="T4b") if one.name == "T4" else one for one in tables]
    )
    tables = reader.read().tables.rows["table"].to_list()
    assert "T4b" in tables
    assert "T4" not in tables


@pytest.mark.parametrize(
    "path", ["/databaseSchemas/name/snow.SHOP.RAW", "/databases/name/snow.SHOP"]
)
def test_a_schema_or_database_that_is_deleted_goes_with_its_tables(
    reader: Reader, path: str
) -> None:
    reader.read()
    reader.person("DELETE", path, params={"recursive": "true"})
    read = reader.read()
    below = path.removeprefix("/databaseSchemas/name/").removeprefix("/databases/name/")
    assert not [name for name in names(read) if name.startswith(f"{below}.")]
    assert not [name for name in read.schemas.rows["schema_fqn"] if name.startswith(below)]
    assert names(read)
    kept = reader.files.load().schemas
    assert kept.keys() == read_schemas(read)


def test_a_new_schema_is_listed_and_read_when_it_can_hold_a_name(reader: Reader) -> None:
    reader.read(IN_PUBLIC)
    reader.ingest(lambda tables: [*tables, CatalogTable("NEW", "PUBLIC", "T0", ())])
    assert read_schemas(reader.read(named(["NEW", "PUBLIC", "T0"]))) == {"snow.NEW.PUBLIC"}
    assert read_schemas(reader.read(named(["PUBLIC", "T0"]))) == {PUBLIC, DOTTED, "snow.NEW.PUBLIC"}


def test_what_is_old_is_read_again_and_reconciling_reads_all(reader: Reader) -> None:
    assert reader.read().schemas_listed_now == 3
    reader.now += timedelta(days=6)
    assert reader.read().schemas_listed_now == 0
    assert reader.read(reconcile=True).schemas_listed_now == 3
    reader.now += timedelta(days=7)
    assert reader.read().schemas_listed_now == 3
    reader.days = 0
    assert reader.read().schemas_listed_now == 3


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_without_a_search_index_all_is_listed_in_each_run(reader: Reader, status: int) -> None:
    first = reader.read()
    reader.catalog.faults.faults.append(Fault("GET /api/v1/search", status=status))
    reader.ingest(with_column)
    reader.requests()
    read = reader.read()
    assert str(status) in read.index_problem
    assert read.schemas_listed_now == 3
    assert ["ID", "NEW"] in read.tables.rows["columns"].to_list()
    assert names(read) == names(first)
    assert sum("/search/" in line for line in reader.requests()) == 1


@pytest.mark.parametrize(
    ("spoil", "listed"),
    [
        (lambda hits: hits[1:], 1),
        (lambda hits: [], 3),
        (lambda hits: [{"_source": {**hit["_source"], "updatedAt": 1}} for hit in hits], 3),
        (lambda hits: [*hits, hits[0]], 0),
    ],
)
def test_a_schema_on_which_the_index_disagrees_is_listed_again(
    reader: Reader, spoil: Callable[[list[Any]], list[Any]], listed: int
) -> None:
    reader.read()
    with spoilt(reader.catalog, spoil) as client:
        read = reader.read(client=client)
    assert read.schemas_listed_now == listed
    assert len(names(read)) == 12
    assert read.index_problem == ""


@contextmanager
def spoilt(
    catalog: Catalog, spoil: Callable[[list[Any]], list[Any]]
) -> Iterator[OpenMetadataClient]:
    """A client whose searches of tables answer something else than the server says."""
    with httpx.Client(trust_env=False) as real:

        def handler(request: httpx.Request) -> httpx.Response:
            response = real.send(request)
            if request.url.params.get("index") != "table_search_index":
                return response
            body = json.loads(response.content)
            body["hits"]["hits"] = spoil(body["hits"]["hits"])
            return httpx.Response(200, json=body)

        yield catalog.client(transport=httpx.MockTransport(handler))


def test_a_change_that_the_index_learns_of_late_is_seen_by_a_later_run(reader: Reader) -> None:
    reader.read()
    before: list[Any] = []

    def remember(hits: list[Any]) -> list[Any]:
        before.extend(hits)
        return hits

    with spoilt(reader.catalog, remember) as client:
        reader.read(client=client)
    reader.ingest(with_column)
    with spoilt(reader.catalog, lambda hits: before) as client:
        assert ["ID", "NEW"] not in reader.read(client=client).tables.rows["columns"].to_list()
    assert ["ID", "NEW"] in reader.read().tables.rows["columns"].to_list()


def test_a_listing_that_breaks_leaves_no_part_for_the_whole(reader: Reader) -> None:
    reader.catalog.faults.faults.append(Fault("GET /api/v1/tables", nth=2))
    with pytest.raises(ServerFailed, match=r"listing tables of snow\.SHOP"):
        reader.read()
    assert len(reader.files.load().schemas) == 1
    reader.catalog.faults.faults.clear()
    reader.requests()
    read = reader.read()
    assert len(names(read)) == 12
    assert [line for line in reader.requests() if LISTING in line] == [
        f"{LISTING}database=snow.SHOP"
    ]


@pytest.mark.parametrize(
    ("prefix", "says"),
    [
        ("Snow", "no database service Snow"),
        ("snow.shop", r"no database snow\.shop"),
        ("snow.SHOP.Raw", r"no schema snow\.SHOP\.Raw"),
        ("snow.SHOP.RAW.T", "has 4 parts"),
        ("snow..RAW", "not a fully qualified name"),
        ('snow."SHOP', "not a fully qualified name"),
    ],
)
def test_a_prefix_that_names_nothing_is_told_with_its_key(
    reader: Reader, prefix: str, says: str
) -> None:
    for _ in range(2):
        with pytest.raises(RecipeError, match=rf"lineageInformation\.dbServicePrefixes: .*{says}"):
            reader.read(ANYWHERE, prefix)


@pytest.mark.parametrize("prefix", ["snow.SHOP.RAW", "snow.SHOP"])
def test_a_prefix_that_vanishes_is_told_though_it_is_kept(reader: Reader, prefix: str) -> None:
    reader.read(ANYWHERE, prefix)
    kind = "databases" if prefix == "snow.SHOP" else "databaseSchemas"
    reader.person("DELETE", f"/{kind}/name/{prefix}", params={"recursive": "true"})
    with pytest.raises(RecipeError, match=f"has no .* {prefix}"):
        reader.read(ANYWHERE, prefix)


def test_a_damaged_or_foreign_file_is_read_as_none(reader: Reader) -> None:
    reader.read()
    for path in (reader.folder / "s.parquet", reader.folder / "t.parquet"):
        path.write_bytes(b"PAR1 not really")
    assert reader.read().schemas_listed_now == 3


def test_servers_have_keys_that_do_not_tell_their_host() -> None:
    key = server_key("https://Catalog.example/api")
    assert key == server_key("https://catalog.example/api/")
    assert key != server_key("https://catalog.example:8585/api")
    assert "example" not in key


@pytest.mark.parametrize(
    ("others", "where", "gaps"), [((), "s.d.p", 3), ((("6", "s.d.q"), ("7", "s.d.r")), "s.d", 2)]
)
def test_a_name_that_cannot_be_taken_apart_is_a_gap(
    tmp_path: Path, others: Sequence[tuple[str, str]], where: str, gaps: int
) -> None:
    tables: list[dict[str, Any]] = [
        {"id": "1", "name": "ok", "fullyQualifiedName": "s.d.p.ok", "columns": None},
        {"id": "2", "name": "odd", "fullyQualifiedName": 's.d.p.o"dd'},
        {"id": "3", "name": "short", "fullyQualifiedName": "s.short"},
    ]

    def handler(request: httpx.Request) -> httpx.Response:
        if "/tables" not in request.url.path:
            named = ("4", "s.d.p"), ("5", 's.d"p'), *others
            schemas = [{"id": key, "name": "p", "fullyQualifiedName": name} for key, name in named]
            return httpx.Response(200, json={"data": schemas})
        assert request.url.params["database" if others else "databaseSchema"] == where
        page, after = (tables[:2], "x") if "after" not in request.url.params else (tables[2:], None)
        return httpx.Response(200, json={"data": page, "paging": {"total": 3, "after": after}})

    client = OpenMetadataClient(
        "https://om/api",
        lambda: "jwt",
        retry=Retry(attempts=1),
        transport=httpx.MockTransport(handler),
    )
    files = CatalogFiles(UPath(tmp_path / "s.parquet"), UPath(tmp_path / "t.parquet"))
    references = TABLE_REFERENCES.frame(named(["ok"]).rows.with_columns(service=pl.lit("s")))
    read = read_catalog(client, ["s.d"], references, files, reconcile_days=7)
    assert read.tables.rows["table"].to_list() == ["ok"]
    assert read.tables.rows["columns"].to_list() == [[]]
    assert len(read.tables.gaps) == gaps
    assert any('table 2: s.d.p.o"dd' in gap for gap in read.tables.gaps)
    assert read.schemas.gaps == ('schema 5: s.d"p has not three parts',)
