"""Lineage edges: replaced by PUT, checked column by column, gone with their ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from hex_assets.sandbox.catalog.releases import OPENMETADATA_2_0
from hex_assets_tests.sandbox.catalog_api import (
    ORDERS,
    PATCH,
    Stage,
    add_chart,
    add_service,
    ok,
    put_dashboard,
    refused,
)

EVENTS = "snow.SHOP.RAW.EVENTS"
SLASHED = 'snow.SHOP.PUBLIC."a/b.c"'

REFUSES_COLUMNS = replace(OPENMETADATA_2_0, refuse_unknown_columns=True)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage.open() as opened:
        yield opened


@pytest.fixture
def api(stage: Stage, tmp_path: Path) -> Iterator[httpx.Client]:
    with stage.catalog(tmp_path / "catalog.db") as client:
        publish(client)
        yield client


def publish(api: httpx.Client) -> None:
    add_service(api)
    add_chart(api, "c1")
    add_chart(api, "unlinked")
    put_dashboard(api, charts=["hex.c1"], status=201)


def table(api: httpx.Client, fqn: str) -> dict[str, str]:
    return {"id": ok(api.get(f"/tables/name/{quote(fqn, safe='')}"))["id"], "type": "table"}


def dashboard(api: httpx.Client, name: str = "d1") -> dict[str, str]:
    params = {"include": "all"}
    found = ok(api.get(f"/dashboards/name/hex.{name}", params=params))
    return {"id": found["id"], "type": "dashboard"}


def put_edge(api: httpx.Client, fqn: str = ORDERS, **details: Any) -> httpx.Response:
    edge = {"fromEntity": table(api, fqn), "toEntity": dashboard(api), "lineageDetails": details}
    return api.put("/lineage", json={"edge": edge})


def edge_path(api: httpx.Client, fqn: str = ORDERS) -> str:
    return f"/lineage/table/{table(api, fqn)['id']}/dashboard/{dashboard(api)['id']}"


def get_edge(api: httpx.Client, fqn: str = ORDERS) -> Any:
    ends = f"{table(api, fqn)['id']}/{dashboard(api)['id']}"
    return ok(api.get(f"/lineage/getLineageEdge/{ends}"))["edge"]


def upstream(api: httpx.Client) -> list[str]:
    answer = ok(api.get(f"/lineage/dashboard/{dashboard(api)['id']}"))
    return sorted(node["fullyQualifiedName"] for node in answer["nodes"])


def test_put_replaces_the_whole_edge(api: httpx.Client) -> None:
    written = put_edge(api, source="DashboardLineage", sqlQuery="select 1", description="seen")
    assert written.status_code == 200
    assert written.content == b""
    first = get_edge(api)
    assert first["sqlQuery"] == "select 1"
    assert first["createdBy"] == first["updatedBy"] == "ingestion-bot"
    ok(put_edge(api))
    second = get_edge(api)
    assert second["source"] == "Manual"
    assert "sqlQuery" not in second
    assert "description" not in second


def test_both_ends_must_live(api: httpx.Client) -> None:
    unknown = {"id": "00000000-0000-4000-8000-000000000000", "type": "table"}
    edge = {"fromEntity": unknown, "toEntity": dashboard(api)}
    assert "table instance" in refused(api.put("/lineage", json={"edge": edge}), 404)
    mistyped = {**dashboard(api), "type": "chart"}
    edge = {"fromEntity": table(api, ORDERS), "toEntity": mistyped}
    refused(api.put("/lineage", json={"edge": edge}), 404)
    ok(api.delete("/dashboards/name/hex.d1"))
    refused(put_edge(api), 404)


def test_the_body_is_checked(api: httpx.Client) -> None:
    refused(put_edge(api, source="Guess"), 400)
    refused(put_edge(api, colour="red"), 400)
    pipeline = {"id": "00000000-0000-4000-8000-000000000000", "type": "pipeline"}
    refused(put_edge(api, pipeline=pipeline), 404)
    refused(api.put("/lineage", json={}), 400)


def test_column_lineage_ends_at_linked_charts(api: httpx.Client) -> None:
    def mapping(to: str, *columns: str) -> dict[str, Any]:
        return {"fromColumns": [f"{ORDERS}.{column}" for column in columns], "toColumn": to}

    written = put_edge(
        api,
        columnsLineage=[
            mapping("hex.c1", "ID", "Total", "TOTAL"),
            mapping("hex.c1", "nothing"),
            mapping("hex.unlinked", "ID"),
            mapping("hex.d1.x", "ID"),
        ],
    )
    assert written.status_code == 200
    assert get_edge(api)["columnsLineage"] == [mapping("hex.c1", "ID", "Total")]


def test_column_lineage_ends_at_data_model_columns(api: httpx.Client) -> None:
    model = {
        "name": "m",
        "service": "hex",
        "dataModelType": "SupersetDataModel",
        "columns": [
            {"name": "s", "dataType": "STRUCT", "children": [{"name": "x", "dataType": "INT"}]}
        ],
    }
    created = ok(api.put("/dashboard/datamodels", json=model), 201)
    to_entity = {"id": created["id"], "type": "dashboardDataModel"}
    good = {"fromColumns": [f"{ORDERS}.ID"], "toColumn": "hex.model.m.s.x"}
    bad = {"fromColumns": [f"{ORDERS}.ID"], "toColumn": "hex.model.m.y"}
    edge = {
        "fromEntity": table(api, ORDERS),
        "toEntity": to_entity,
        "lineageDetails": {"columnsLineage": [good, bad]},
    }
    ok(api.put("/lineage", json={"edge": edge}))
    ends = f"{edge['fromEntity']['id']}/{created['id']}"
    stored = ok(api.get(f"/lineage/getLineageEdge/{ends}"))["edge"]
    assert stored["columnsLineage"] == [good]


@pytest.mark.parametrize(
    "mapping",
    [
        {"fromColumns": [f"{ORDERS}.total"], "toColumn": "hex.c1"},
        {"fromColumns": [f"{ORDERS}.ID"], "toColumn": "hex.unlinked"},
    ],
)
def test_an_older_server_refuses_unknown_columns(
    stage: Stage, tmp_path: Path, mapping: dict[str, Any]
) -> None:
    with stage.catalog(tmp_path / "catalog.db", release=REFUSES_COLUMNS) as api:
        publish(api)
        assert "Invalid column name" in refused(put_edge(api, columnsLineage=[mapping]), 400)
        assert upstream(api) == []
        good = {"fromColumns": [f"{ORDERS}.ID"], "toColumn": "hex.c1"}
        ok(put_edge(api, columnsLineage=[good]))
        assert get_edge(api)["columnsLineage"] == [good]


def test_around_by_id_and_name(api: httpx.Client) -> None:
    ok(put_edge(api, source="DashboardLineage"))
    chain = {"fromEntity": table(api, EVENTS), "toEntity": table(api, ORDERS)}
    ok(api.put("/lineage", json={"edge": chain}))
    here = dashboard(api)
    near = ok(api.get(f"/lineage/dashboard/{here['id']}?upstreamDepth=1&downstreamDepth=0"))
    assert near["entity"]["fullyQualifiedName"] == "hex.d1"
    assert [node["fullyQualifiedName"] for node in near["nodes"]] == [ORDERS]
    assert near["downstreamEdges"] == []
    (edge,) = near["upstreamEdges"]
    assert edge["fromEntity"] == table(api, ORDERS)["id"]
    assert edge["toEntity"] == here["id"]
    assert edge["lineageDetails"]["source"] == "DashboardLineage"

    far = ok(api.get("/lineage/dashboard/name/hex.d1", params={"upstreamDepth": 2}))
    assert {node["fullyQualifiedName"] for node in far["nodes"]} == {ORDERS, EVENTS}
    assert len(far["upstreamEdges"]) == 2
    down = ok(api.get(f"/lineage/table/name/{EVENTS}", params={"downstreamDepth": 3}))
    assert len(down["downstreamEdges"]) == 2
    none = ok(api.get("/lineage/dashboard/name/hex.d1", params={"upstreamDepth": 0}))
    assert none["nodes"] == none["upstreamEdges"] == []
    refused(api.get("/lineage/dashboard/name/hex.d1", params={"upstreamDepth": 4}), 400)
    refused(api.get("/lineage/dashboard/name/hex.none"), 404)


def test_circles_end(api: httpx.Client) -> None:
    there = {"fromEntity": table(api, EVENTS), "toEntity": table(api, ORDERS)}
    back = {"fromEntity": there["toEntity"], "toEntity": there["fromEntity"]}
    for edge in (there, back):
        ok(api.put("/lineage", json={"edge": edge}))
    answer = ok(api.get(f"/lineage/table/name/{ORDERS}", params={"upstreamDepth": 3}))
    assert len(answer["upstreamEdges"]) == 2
    assert len(answer["nodes"]) == 1


def test_patch_changes_details(api: httpx.Client) -> None:
    path = edge_path(api)
    operations = [{"op": "add", "path": "/sqlQuery", "value": "select 2"}]
    refused(api.patch(path, json=operations, headers=PATCH), 404)
    ok(put_edge(api, source="DashboardLineage", description="seen"))
    ok(api.patch(path, json=operations, headers=PATCH))
    edge = get_edge(api)
    assert edge["sqlQuery"] == "select 2"
    assert edge["description"] == "seen"
    bad = [{"op": "add", "path": "/colour", "value": "red"}]
    refused(api.patch(path, json=bad, headers=PATCH), 400)


def test_edges_by_name(api: httpx.Client) -> None:
    ends = f"table/name/{quote(SLASHED, safe='')}/dashboard/name/hex.d1"
    refused(api.get(f"/lineage/getLineageEdge/{ends}"), 404)
    ok(api.put(f"/lineage/{ends}", json={"source": "DashboardLineage"}))
    assert upstream(api) == [SLASHED]
    change = [{"op": "add", "path": "/description", "value": "seen"}]
    ok(api.patch(f"/lineage/{ends}", json=change, headers=PATCH))
    edge = ok(api.get(f"/lineage/getLineageEdge/{ends}"))["edge"]
    assert edge["description"] == "seen"
    ok(api.delete(f"/lineage/{ends}"))
    refused(api.delete(f"/lineage/{ends}"), 404)
    assert upstream(api) == []


def test_delete_one_edge(api: httpx.Client) -> None:
    ok(put_edge(api))
    ok(put_edge(api, EVENTS))
    ok(api.delete(edge_path(api)))
    refused(api.delete(edge_path(api)), 404)
    assert upstream(api) == [EVENTS]


@pytest.mark.parametrize("by_name", [True, False])
def test_delete_by_source_leaves_other_sources(api: httpx.Client, by_name: bool) -> None:
    ok(put_edge(api, source="DashboardLineage"))
    ok(put_edge(api, SLASHED, source="DashboardLineage"))
    ok(put_edge(api, EVENTS, source="Manual"))
    here = dashboard(api)["id"]
    place = "source/name/dashboard/hex.d1" if by_name else f"dashboard/{here}"
    ok(api.delete(f"/lineage/{place}/type/DashboardLineage"))
    assert upstream(api) == [EVENTS]


def test_edges_stay_with_a_soft_delete_and_go_with_a_hard_one(api: httpx.Client) -> None:
    ok(put_edge(api))
    ok(api.delete("/dashboards/name/hex.d1"))
    assert upstream(api) == [ORDERS]
    ok(api.delete("/dashboards/name/hex.d1", params={"hardDelete": "true"}))
    answer = ok(api.get(f"/lineage/table/name/{ORDERS}"))
    assert answer["nodes"] == answer["downstreamEdges"] == []
