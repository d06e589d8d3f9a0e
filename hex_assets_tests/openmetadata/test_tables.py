"""Reading the catalog's tables within prefixes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hex_assets.errors import RecipeError, ServerFailed
from hex_assets.frames import Frame
from hex_assets.http import Retry
from hex_assets.openmetadata.client import OpenMetadataClient
from hex_assets.openmetadata.tables import read_catalog_tables
from hex_assets.sandbox.faults import Fault
from hex_assets_tests.openmetadata.catalogs import Catalog


def read(catalog: Catalog, *prefixes: str) -> Frame:
    with catalog.client() as client:
        return read_catalog_tables(client, prefixes)


@pytest.mark.parametrize(
    ("prefixes", "count"),
    [
        (["snow"], 12),
        (["snow.SHOP"], 11),
        (["snow.SHOP.PUBLIC"], 10),
        (['snow."My.Db"'], 1),
        (['"snow"."My.Db".PUBLIC'], 1),
        (["snow.SHOP.RAW", 'snow."My.Db"'], 2),
        (["snow.SHOP.RAW", "snow.SHOP.RAW", "snow.SHOP", "snow"], 12),
        (["empty"], 0),
        ([], 0),
    ],
)
def test_a_prefix_of_any_depth_is_read(catalog: Catalog, prefixes: list[str], count: int) -> None:
    frame = read(catalog, *prefixes)
    assert frame.complete
    assert frame.rows.height == count
    assert frame.rows["table_id"].n_unique() == count


def test_names_come_unquoted_and_decoded_and_the_fqn_as_it_is(catalog: Catalog) -> None:
    by_fqn = {row["table_fqn"]: row for row in read(catalog, "snow").rows.to_dicts()}
    slashed = by_fqn['snow.SHOP.RAW."a/b.c"']
    assert (slashed["schema"], slashed["table"]) == ("RAW", "a/b.c")
    assert slashed["columns"] == ["ID", 'X"Y']
    dotted = by_fqn['snow."My.Db".PUBLIC.EVENTS']
    assert (dotted["service"], dotted["database"]) == ("snow", "My.Db")
    assert dotted["table_id"] == catalog.table_id('snow."My.Db".PUBLIC.EVENTS')


def test_overlapping_prefixes_are_read_once(catalog: Catalog) -> None:
    read(catalog, "snow", "snow.SHOP", "snow.SHOP.RAW")
    assert sum("/tables" in line for line in catalog.faults.requests) == 2


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
    catalog: Catalog, prefix: str, says: str
) -> None:
    with pytest.raises(RecipeError, match=rf"lineageInformation\.dbServicePrefixes: .*{says}"):
        read(catalog, prefix)


def test_a_listing_that_breaks_raises(catalog: Catalog) -> None:
    catalog.faults.faults.append(Fault("GET /api/v1/tables", nth=2))
    with pytest.raises(ServerFailed, match=r"listing tables of snow\.SHOP"):
        read(catalog, "snow")


def test_a_table_whose_name_cannot_be_taken_apart_is_a_gap() -> None:
    tables: list[dict[str, Any]] = [
        {"id": "1", "name": "ok", "fullyQualifiedName": "s.d.p.ok", "columns": None},
        {"id": "2", "name": "odd", "fullyQualifiedName": 's.d.p.o"dd'},
        {"id": "3", "name": "short", "fullyQualifiedName": "s.short"},
    ]

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.params["databaseSchema"] == "s.d.p"
        page, after = (tables[:2], "x") if "after" not in request.url.params else (tables[2:], None)
        return httpx.Response(200, json={"data": page, "paging": {"total": 3, "after": after}})

    client = OpenMetadataClient(
        "https://om/api",
        lambda: "jwt",
        retry=Retry(attempts=1),
        transport=httpx.MockTransport(handler),
    )
    frame = read_catalog_tables(client, ["s.d.p"])
    assert frame.rows["table"].to_list() == ["ok"]
    assert frame.rows["columns"].to_list() == [[]]
    assert len(frame.gaps) == 2
    assert 'table 2: s.d.p.o"dd' in frame.gaps[0]
