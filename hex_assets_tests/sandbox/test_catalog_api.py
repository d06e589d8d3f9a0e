"""The catalog's door: tokens, error bodies, services, tags, people, listings, search."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from hex_assets.sandbox.catalog.releases import OPENMETADATA_1_6
from hex_assets_tests.sandbox.catalog_api import (
    ORDERS,
    PATCH,
    WORLD,
    Stage,
    add_chart,
    add_service,
    add_tags,
    get_dashboard,
    label,
    names,
    ok,
    put_dashboard,
    refused,
)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage.open() as opened:
        yield opened


@pytest.fixture
def api(stage: Stage, tmp_path: Path) -> Iterator[httpx.Client]:
    with stage.catalog(tmp_path / "catalog.db") as client:
        yield client


def test_version_needs_no_token(api: httpx.Client) -> None:
    del api.headers["authorization"]
    version = ok(api.get("/system/version"))
    assert version.keys() == {"version", "revision", "timestamp"}
    assert version["version"] == "2.0.7"


@pytest.mark.parametrize("header", [None, "Bearer wrong", "a-long-lived-token", "Bearer"])
def test_everything_else_needs_the_token(api: httpx.Client, header: str | None) -> None:
    del api.headers["authorization"]
    headers = {} if header is None else {"authorization": header}
    for path in ("/dashboards", "/no/such/route", "/users/name/ana"):
        assert "Not Authorized!" in refused(api.get(path, headers=headers), 401)


def test_unknown_routes_and_methods(api: httpx.Client) -> None:
    refused(api.get("/no/such/route"), 404)
    refused(api.get("/dashboards/not-a-uuid"), 404)
    refused(api.delete("/dashboards"), 405)
    refused(api.put("/tables", json={}), 405)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "d", "service": "hex", "colour": "red"}, 'Unrecognized field "colour"'),
        ({"name": "d"}, "service"),
        ({"name": "a::b", "service": "hex"}, "name must match"),
        ({"name": "a>b", "service": "hex"}, "name must match"),
        ({"name": "", "service": "hex"}, "name"),
        ({"name": "x" * 257, "service": "hex"}, "name"),
        ({"name": "d", "service": "hex", "sourceHash": "x" * 33}, "sourceHash"),
        ({"name": "d", "service": "hex", "dashboardType": "Notebook"}, "dashboardType"),
        ({"name": "d", "service": "hex", "tags": [{"tagFQN": "a.b"}]}, "tags.0.source"),
        ({"name": "d", "service": "hex", "extension": {"views": 3}}, "Unknown custom field"),
    ],
)
def test_a_body_that_breaks_the_schema_is_refused(
    api: httpx.Client, fields: dict[str, Any], words: str
) -> None:
    add_service(api)
    assert words in refused(api.put("/dashboards", json=fields), 400)
    assert ok(api.get("/dashboards"))["paging"]["total"] == 0


def test_bodies_that_are_not_json(api: httpx.Client) -> None:
    json_type = {"content-type": "application/json"}
    refused(api.put("/dashboards", content=b"{", headers=json_type), 400)
    refused(api.put("/dashboards", content=b"[]", headers=json_type), 400)
    for unrepeatable in (b'{"name": "half a pair \\ud800"}', b'{"name": NaN}'):
        refused(api.put("/dashboards", content=unrepeatable, headers=json_type), 400)
    refused(api.put("/dashboards", content=b"{}", headers={"content-type": "text/plain"}), 415)


def test_references_must_exist(api: httpx.Client) -> None:
    add_service(api)
    nobody = {"id": "00000000-0000-4000-8000-000000000000", "type": "user"}
    dashboard = {"name": "d", "service": "hex"}
    faults: list[tuple[dict[str, Any], str]] = [
        ({"service": "other"}, "dashboardService instance for other not found"),
        ({"charts": ["hex.c"]}, "chart instance for hex.c not found"),
        ({"dataModels": ["hex.model.m"]}, "dashboardDataModel instance for hex.model.m not found"),
        ({"tags": [label("HexStatus.Draft")]}, "tag instance for HexStatus.Draft not found"),
        ({"owners": [nobody]}, f"user instance for {nobody['id']} not found"),
        ({"domains": ["Sales"]}, "domain instance for Sales not found"),
    ]
    for fields, missing in faults:
        assert refused(api.put("/dashboards", json={**dashboard, **fields}), 404) == missing


def test_service_life(api: httpx.Client) -> None:
    path = "/services/dashboardServices"
    body = {"name": "my.hex", "serviceType": "Hex"}
    created = ok(api.post(path, json=body), 201)
    assert created["fullyQualifiedName"] == '"my.hex"'
    refused(api.post(path, json=body), 409)
    for name in ("my.hex", '"my.hex"'):
        assert ok(api.get(f"{path}/name/{quote(name, safe='')}"))["id"] == created["id"]
    ok(api.put("/dashboards", json={"name": "d", "service": "my.hex"}), 201)
    dashboard = ok(api.get('/dashboards/name/"my.hex".d'))
    assert dashboard["service"]["fullyQualifiedName"] == '"my.hex"'
    assert dashboard["serviceType"] == "Hex"

    assert "not empty" in refused(api.delete(f"{path}/{created['id']}"), 400)
    everything = {"recursive": "true", "hardDelete": "true"}
    ok(api.delete(f"{path}/{created['id']}", params=everything))
    assert ok(api.get("/dashboards", params={"include": "all"}))["data"] == []


def test_a_service_keeps_its_connection_and_type(api: httpx.Client) -> None:
    path = "/services/dashboardServices"
    config = {"type": "Hex", "hostPort": "https://app.hex.tech/", "token": "hxtp_secret"}
    with_connection = {"name": "hex", "serviceType": "Hex", "connection": {"config": config}}
    ok(api.put(path, json=with_connection), 201)
    refused(api.put(path, json={"name": "hex", "serviceType": "Hex"}), 400)
    changed = ok(api.put(path, json={**with_connection, "serviceType": "CustomDashboard"}))
    assert changed["serviceType"] == "Hex"
    assert changed["connection"]["config"]["token"] == "hxtp_secret"


def test_callers_who_are_no_bot_see_masked_secrets(stage: Stage, tmp_path: Path) -> None:
    connection = {"config": {"type": "Hex", "token": "hxtp_secret", "tokenType": "personal"}}
    service = {"name": "hex", "serviceType": "Hex", "connection": connection}
    with stage.catalog(tmp_path / "catalog.db", bot=False) as api:
        created = ok(api.put("/services/dashboardServices", json=service), 201)
        listed = ok(api.get("/services/dashboardServices"))["data"][0]
        for shown in (created, listed):
            config = shown["connection"]["config"]
            assert config == {"type": "Hex", "token": "*********", "tokenType": "personal"}


def test_an_older_server_does_not_know_hex(stage: Stage, tmp_path: Path) -> None:
    path = "/services/dashboardServices"
    with stage.catalog(tmp_path / "catalog.db", release=OPENMETADATA_1_6) as api:
        hex_service = {"name": "hex", "serviceType": "Hex"}
        assert "serviceType" in refused(api.put(path, json=hex_service), 400)
        ok(api.put(path, json={**hex_service, "serviceType": "CustomDashboard"}), 201)
        refused(api.put(path, json={"name": "x", "serviceType": "Nonsense"}), 400)
        definition = "/services/testConnectionDefinitions/name/Hex.testConnectionDefinition"
        refused(api.get(definition), 404)


def test_the_server_says_how_a_connection_to_hex_is_tested(api: httpx.Client) -> None:
    definitions = "/services/testConnectionDefinitions"
    (found,) = ok(api.get(definitions))["data"]
    assert found == ok(api.get(f"{definitions}/name/Hex.testConnectionDefinition"))
    assert [step["name"] for step in found["steps"]] == ["GetProjects"]


def test_tags_live_in_a_classification(api: httpx.Client) -> None:
    tag = {"name": "In.Review", "description": "-", "classification": "HexStatus"}
    refused(api.put("/tags", json=tag), 404)
    refused(api.put("/tags", json={"name": "x", "description": "-"}), 400)
    add_tags(api, "Draft", "Done")
    created = ok(api.put("/tags", json=tag), 201)
    assert created["fullyQualifiedName"] == 'HexStatus."In.Review"'
    assert created["classification"]["name"] == "HexStatus"
    assert ok(api.put("/tags", json=tag))["version"] == created["version"]
    ok(api.put("/classifications", json={"name": "Other", "description": "-"}), 201)
    ok(api.put("/tags", json={**tag, "classification": "Other"}), 201)

    listed = ok(api.get("/tags", params={"parent": "HexStatus"}))
    assert names(listed["data"]) == ["Done", "Draft", "In.Review"]
    fqn = quote('HexStatus."In.Review"', safe="")
    assert ok(api.get(f"/tags/name/{fqn}"))["id"] == created["id"]
    refused(api.put("/tags", json={"name": "x", "classification": "Other"}), 400)


def test_mutually_exclusive_tags(api: httpx.Client) -> None:
    add_service(api)
    add_tags(api, "Draft", "Done", exclusive=True)
    put_dashboard(api, tags=[label("HexStatus.Draft")], status=201)
    body = {"name": "d1", "service": "hex", "tags": [label("HexStatus.Done")]}
    assert "mutually exclusive" in refused(api.put("/dashboards", json=body), 400)
    replacement = [{"op": "replace", "path": "/tags/0", "value": label("HexStatus.Done")}]
    dashboard = get_dashboard(api)
    ok(api.patch(f"/dashboards/{dashboard['id']}", json=replacement, headers=PATCH))
    assert [tag["tagFQN"] for tag in get_dashboard(api)["tags"]] == ["HexStatus.Done"]


def test_people(api: httpx.Client) -> None:
    users = ok(api.get("/users", params={"limit": 1}))
    assert users["paging"]["total"] == len(WORLD.users)
    assert users["data"][0]["email"] == "Ana@shop.example"
    ben = ok(api.get("/users/name/ben.o"))
    assert ben["fullyQualifiedName"] == '"ben.o"'
    assert ok(api.get(f"/users/{ben['id']}")) == ben
    assert names(ok(api.get("/teams"))["data"]) == ["Organization"]


def test_databases_down_to_tables(api: httpx.Client) -> None:
    services = ok(api.get("/services/databaseServices"))["data"]
    assert [(one["name"], one["serviceType"]) for one in services] == [("snow", "Snowflake")]
    databases = ok(api.get("/databases", params={"service": "snow"}))["data"]
    assert [one["fullyQualifiedName"] for one in databases] == ["snow.SHOP"]
    schemas = ok(api.get("/databaseSchemas", params={"database": "snow.SHOP"}))["data"]
    assert names(schemas) == ["PUBLIC", "RAW"]
    tables = ok(api.get("/tables", params={"database": "snow.SHOP"}))["data"]
    assert names(tables) == ["EVENTS", "ORDERS", "a/b.c"]
    in_schema = ok(api.get("/tables", params={"databaseSchema": "snow.SHOP.PUBLIC"}))["data"]
    assert names(in_schema) == ["ORDERS", "a/b.c"]
    assert ok(api.get("/tables", params={"database": "snow.SHO"}))["data"] == []


def test_a_table_in_full(api: httpx.Client) -> None:
    table = ok(api.get(f"/tables/name/{ORDERS}"))
    assert [(one["name"], one["fullyQualifiedName"]) for one in table["columns"]] == [
        ("ID", f"{ORDERS}.ID"),
        ("Total", f"{ORDERS}.Total"),
    ]
    assert {table[field]["type"] for field in ("service", "database", "databaseSchema")} == {
        "databaseService",
        "database",
        "databaseSchema",
    }
    assert table["databaseSchema"]["fullyQualifiedName"] == "snow.SHOP.PUBLIC"
    refused(api.get(f"/tables/name/{ORDERS.lower()}"), 404)
    refused(api.get(f"/tables/name/{ORDERS}", params={"fields": "nonsense"}), 400)


def test_a_name_with_slash_and_dot_is_one_path_segment(api: httpx.Client) -> None:
    fqn = 'snow.SHOP.PUBLIC."a/b.c"'
    assert ok(api.get(f"/tables/name/{quote(fqn, safe='')}"))["fullyQualifiedName"] == fqn


def test_paging_forth_and_back(api: httpx.Client) -> None:
    add_service(api)
    add_service(api, "hexagon")
    ok(api.put("/dashboards", json={"name": "d00", "service": "hexagon"}), 201)
    for number in range(25):
        put_dashboard(api, f"d{number:02}", status=201)
    mine: dict[str, Any] = {"service": "hex"}
    first = ok(api.get("/dashboards", params=mine))
    assert len(first["data"]) == 10
    assert first["paging"].keys() == {"total", "after"}
    assert first["paging"]["total"] == 25

    seen, page = names(first["data"]), first
    while "after" in page["paging"]:
        page = ok(api.get("/dashboards", params={**mine, "after": page["paging"]["after"]}))
        seen += names(page["data"])
    assert seen == [f"d{number:02}" for number in range(25)]
    assert "before" in page["paging"]

    back = ok(api.get("/dashboards", params={**mine, "before": page["paging"]["before"]}))
    assert names(back["data"]) == seen[10:20]
    assert back["paging"].keys() == {"total", "before", "after"}
    start = ok(api.get("/dashboards", params={**mine, "before": back["paging"]["before"]}))
    assert names(start["data"]) == seen[:10]
    assert start["paging"].keys() == {"total", "after"}

    assert ok(api.get("/dashboards", params={"limit": 0}))["data"] == []
    assert ok(api.get("/dashboards", params={"limit": 1000}))["paging"] == {"total": 26}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"limit": "-1"}, 400),
        ({"limit": "1000001"}, 400),
        ({"limit": "ten"}, 404),
        ({"after": "nonsense"}, 400),
        ({"after": "bnVsbA=="}, 400),
        ({"after": "e30=", "before": "e30="}, 400),
        ({"include": "some"}, 400),
        ({"fields": "columns"}, 400),
    ],
)
def test_a_listing_refuses_odd_parameters(
    api: httpx.Client, query: dict[str, str], status: int
) -> None:
    refused(api.get("/dashboards", params=query), status)


def test_fields_on_demand(api: httpx.Client) -> None:
    add_service(api)
    add_chart(api, "c1")
    put_dashboard(api, charts=["hex.c1"], sourceHash="h", status=201)
    bare = ok(api.get("/dashboards"))["data"][0]
    assert bare.keys() == {
        *("id", "name", "fullyQualifiedName", "version", "updatedAt", "updatedBy", "deleted"),
        *("service", "serviceType", "sourceHash", "dashboardType"),
    }
    asked = ok(api.get("/dashboards", params={"fields": "charts,owners, tags"}))["data"][0]
    assert asked.keys() - bare.keys() == {"charts", "owners", "tags"}
    assert names(asked["charts"]) == ["c1"]
    chart = ok(api.get("/charts/name/hex.c1", params={"fields": "dashboards"}))
    assert names(chart["dashboards"]) == ["d1"]


def test_search_users_by_email_is_case_sensitive(api: httpx.Client) -> None:
    query = {"index": "user_search_index", "from": "0", "size": "1"}
    hits = ok(api.get("/search/query", params={**query, "q": "email.keyword:Ana@shop.example"}))
    assert hits["hits"]["total"] == {"value": 1, "relation": "eq"}
    assert hits["hits"]["hits"][0]["_source"]["fullyQualifiedName"] == "ana"
    missed = ok(api.get("/search/query", params={**query, "q": "email.keyword:ana@shop.example"}))
    assert missed["hits"]["hits"] == []
    refused(api.get("/search/query", params={**query, "q": "ana AND shop"}), 400)
    refused(api.get("/search/query", params={"q": "name:ana", "index": "nonsense"}), 404)


def test_search_tables_by_wildcard_whatever_the_case(api: httpx.Client) -> None:
    query = {"index": "table_search_index", "fieldName": "fullyQualifiedName", "deleted": "false"}
    hits = ok(api.get("/search/fieldQuery", params={**query, "fieldValue": "SNOW.*.orders"}))
    assert [hit["_source"]["fullyQualifiedName"] for hit in hits["hits"]["hits"]] == [ORDERS]
    page = ok(api.get("/search/fieldQuery", params={**query, "fieldValue": "*", "size": 2}))
    assert page["hits"]["total"]["value"] == 3
    assert len(page["hits"]["hits"]) == 2
    refused(api.get("/search/fieldQuery", params=query), 400)


def search(api: httpx.Client, index: str, *conditions: Any, **params: Any) -> list[Any]:
    should = {"query": {"bool": {"should": list(conditions), "minimum_should_match": 1}}}
    query = {"q": "*", "index": index, "query_filter": json.dumps(should), "deleted": "false"}
    found = ok(api.get("/search/query", params={**query, **params}))
    return [hit["_source"] for hit in found["hits"]["hits"]]


def test_search_what_lies_below_or_is_called_so_whatever_the_case(api: httpx.Client) -> None:
    below = {"prefix": {"fullyQualifiedName": "snow.shop.public."}}
    fields = ("id", "fullyQualifiedName", "updatedAt")
    wanted: dict[str, Any] = {
        "include_source_fields": fields,
        "sort_field": "fullyQualifiedName",
        "sort_order": "asc",
    }
    slashed, orders = search(api, "table_search_index", below, **wanted)
    table = ok(api.get(f"/tables/name/{ORDERS}"))
    assert orders == {name: table[name] for name in fields}
    assert slashed["fullyQualifiedName"] == 'snow.SHOP.PUBLIC."a/b.c"'
    assert search(api, "table_search_index", below, **wanted, **{"from": 1, "size": 1}) == [orders]
    named = {"term": {"fullyQualifiedName": "snow.shop.raw"}}
    (raw,) = search(api, "database_schema_search_index", named)
    assert raw["fullyQualifiedName"] == "snow.SHOP.RAW"
    assert (
        len(search(api, "table_search_index", below, {"prefix": {"fullyQualifiedName": ""}})) == 3
    )


def test_search_shows_what_changed_and_not_what_is_deleted(api: httpx.Client) -> None:
    below = {"prefix": {"fullyQualifiedName": "snow.shop.raw."}}
    ok(api.delete("/databaseSchemas/name/snow.SHOP.RAW", params={"recursive": "true"}))
    assert search(api, "table_search_index", below) == []
    schema_id = ok(api.get("/databaseSchemas/name/snow.SHOP.RAW?include=deleted"))["id"]
    ok(api.put("/databaseSchemas/restore", json={"id": schema_id}))
    (events,) = search(api, "table_search_index", below)
    table = ok(api.get("/tables/name/snow.SHOP.RAW.EVENTS"))
    assert events["updatedAt"] == table["updatedAt"]


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"query_filter": "{"}, 400),
        ({"query_filter": '{"query": {"match_all": {}}}'}, 400),
        ({"query_filter": '{"query": {"bool": {"should": [], "must": []}}}'}, 400),
        ({"sort_field": "name.keyword"}, 400),
        ({"from": 9_999, "size": 2}, 500),
    ],
)
def test_a_search_that_is_not_understood_is_refused(
    api: httpx.Client, params: dict[str, Any], status: int
) -> None:
    query = {"q": "*", "index": "table_search_index"}
    refused(api.get("/search/query", params={**query, **params}), status)


def test_everything_survives_a_restart(stage: Stage, tmp_path: Path) -> None:
    database = tmp_path / "catalog.db"
    with stage.catalog(database) as api:
        add_service(api)
        add_chart(api, "c1")
        made = put_dashboard(api, charts=["hex.c1"], displayName="Sales", status=201)
        table = ok(api.get(f"/tables/name/{ORDERS}"))
    with stage.catalog(database) as api:
        assert get_dashboard(api) == made
        assert ok(api.get(f"/tables/name/{ORDERS}")) == table


def test_parallel_writers_lose_nothing(api: httpx.Client) -> None:
    add_service(api)

    def write(writer: int) -> None:
        for number in range(5):
            put_dashboard(api, f"w{writer}-{number}", status=201)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert ok(api.get("/dashboards", params={"limit": 0}))["paging"]["total"] == 20
