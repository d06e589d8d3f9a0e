"""What PUT, PATCH, bulk, DELETE and restore do to dashboards and charts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from hex_assets.sandbox.catalog.releases import OPENMETADATA_1_6, OPENMETADATA_2_0
from hex_assets_tests.sandbox.catalog_api import (
    PATCH,
    Stage,
    add_chart,
    add_service,
    add_tags,
    get_dashboard,
    label,
    names,
    ok,
    owner,
    put_dashboard,
    refused,
)

LETS_BOTS_RENAME = replace(OPENMETADATA_2_0, bot_may_rename=True)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage.open() as opened:
        yield opened


@pytest.fixture
def api(stage: Stage, tmp_path: Path) -> Iterator[httpx.Client]:
    seconds = itertools.count(1_800_000_000)
    with stage.catalog(tmp_path / "catalog.db", clock=lambda: float(next(seconds))) as client:
        add_service(client)
        yield client


@pytest.fixture
def person(stage: Stage, tmp_path: Path) -> Iterator[httpx.Client]:
    """A caller who is no bot."""
    with stage.catalog(tmp_path / "person.db", bot=False) as client:
        add_service(client)
        yield client


def patch(api: httpx.Client, operations: list[dict[str, Any]], name: str = "d1") -> httpx.Response:
    return api.patch(f"/dashboards/name/hex.{name}", json=operations, headers=PATCH)


def bulk(api: httpx.Client, rows: list[dict[str, Any]], override: bool = False) -> Any:
    params = {"async": "false", "overrideMetadata": str(override).lower()}
    return ok(api.put("/dashboards/bulk", json=rows, params=params))


def tag_names(dashboard: Any) -> list[str]:
    return [tag["tagFQN"] for tag in dashboard["tags"]]


def test_only_a_change_makes_a_new_version(api: httpx.Client) -> None:
    first = put_dashboard(api, sourceUrl="https://a", sourceHash="1", status=201)
    assert first["version"] == 0.1
    again = put_dashboard(api, sourceUrl="https://a", sourceHash="1")
    assert again == first
    changed = put_dashboard(api, sourceUrl="https://b", sourceHash="2")
    assert changed["version"] == 0.2
    assert changed["updatedAt"] > first["updatedAt"]
    assert changed["updatedBy"] == "ingestion-bot"


def test_project_alone_is_not_stored(api: httpx.Client) -> None:
    put_dashboard(api, project="a", sourceHash="1", status=201)
    assert put_dashboard(api, project="b", sourceHash="1")["project"] == "a"
    assert put_dashboard(api, project="b", sourceHash="2")["project"] == "b"


def test_a_bot_keeps_descriptions(api: httpx.Client) -> None:
    put_dashboard(api, status=201)
    assert put_dashboard(api, description="first")["description"] == "first"
    assert put_dashboard(api, description="second")["description"] == "first"
    assert put_dashboard(api)["description"] == "first"


def test_a_person_replaces_descriptions(person: httpx.Client) -> None:
    put_dashboard(person, description="first", status=201)
    assert put_dashboard(person, description="second")["description"] == "second"
    assert "description" not in put_dashboard(person)


def test_a_bot_may_name_but_not_rename(api: httpx.Client) -> None:
    put_dashboard(api, status=201)
    assert put_dashboard(api, displayName="Sales")["displayName"] == "Sales"
    assert put_dashboard(api, displayName="Revenue")["displayName"] == "Sales"
    renaming = [{"op": "replace", "path": "/displayName", "value": "Revenue"}]
    assert "EditDisplayName" in refused(patch(api, renaming), 403)
    assert get_dashboard(api)["displayName"] == "Sales"


def test_an_older_server_lets_bots_rename(stage: Stage, tmp_path: Path) -> None:
    with stage.catalog(tmp_path / "catalog.db", release=LETS_BOTS_RENAME) as api:
        add_service(api)
        put_dashboard(api, displayName="Sales", status=201)
        assert put_dashboard(api, displayName="Revenue")["displayName"] == "Revenue"
        assert "displayName" not in put_dashboard(api)


def test_owners_are_replaced_but_not_removed(api: httpx.Client) -> None:
    ana, ben = owner(api, "ana"), owner(api, "ben.o")
    put_dashboard(api, owners=[ana], status=201)
    assert names(put_dashboard(api)["owners"]) == ["ana"]
    assert names(put_dashboard(api, owners=[ben])["owners"]) == ["ben.o"]
    chart = {"id": add_chart(api, "c1")["id"], "type": "chart"}
    body = {"name": "d1", "service": "hex", "owners": [chart]}
    refused(api.put("/dashboards", json=body), 400)


def test_tags_are_united(api: httpx.Client) -> None:
    add_tags(api, "Draft", "Done")
    put_dashboard(api, tags=[label("HexStatus.Draft", labelType="Manual")], status=201)
    united = put_dashboard(api, tags=[label("HexStatus.Done"), label("HexStatus.Draft")])
    assert tag_names(united) == ["HexStatus.Done", "HexStatus.Draft"]
    assert united["tags"][1]["labelType"] == "Manual"
    assert tag_names(put_dashboard(api, tags=[])) == ["HexStatus.Done", "HexStatus.Draft"]


def test_charts_and_data_models_are_replaced(api: httpx.Client) -> None:
    add_chart(api, "c1")
    add_chart(api, "c2")
    model = {
        "name": "m",
        "service": "hex",
        "dataModelType": "SupersetDataModel",
        "columns": [{"name": "a.b", "dataType": "INT"}],
    }
    created = ok(api.put("/dashboard/datamodels", json=model), 201)
    assert created["fullyQualifiedName"] == "hex.model.m"
    assert created["columns"][0]["fullyQualifiedName"] == 'hex.model.m."a.b"'
    assert ok(api.put("/dashboard/datamodels", json=model)) == created

    made = put_dashboard(api, charts=["hex.c1", "hex.c2"], dataModels=["hex.model.m"], status=201)
    assert names(made["charts"]) == ["c1", "c2"]
    assert names(made["dataModels"]) == ["m"]
    reordered = put_dashboard(api, charts=["hex.c2", "hex.c1"], dataModels=["hex.model.m"])
    assert reordered["version"] == made["version"]
    assert names(put_dashboard(api, charts=["hex.c2"])["charts"]) == ["c2"]
    emptied = put_dashboard(api)
    assert emptied["charts"] == emptied["dataModels"] == []


def test_a_chart_put_replaces_its_dashboards(api: httpx.Client) -> None:
    add_chart(api, "c1")
    put_dashboard(api, charts=["hex.c1"], status=201)
    kept = {"name": "c1", "service": "hex", "dashboards": ["hex.d1"]}
    assert names(ok(api.put("/charts", json=kept))["dashboards"]) == ["d1"]
    ok(api.put("/charts", json={"name": "c1", "service": "hex"}))
    assert get_dashboard(api)["charts"] == []


def test_source_url_and_hash_follow_the_request(api: httpx.Client) -> None:
    put_dashboard(api, sourceUrl="https://a", sourceHash="1", status=201)
    cleared = put_dashboard(api)
    assert "sourceUrl" not in cleared
    assert "sourceHash" not in cleared


def test_life_cycle_keeps_the_newest_events(api: httpx.Client) -> None:
    def events(**timestamps: int) -> Any:
        return {name: {"timestamp": at} for name, at in timestamps.items()}

    put_dashboard(api, lifeCycle=events(created=10, updated=50), status=201)
    assert put_dashboard(api)["lifeCycle"] == events(created=10, updated=50)
    newer = put_dashboard(api, lifeCycle=events(updated=40, accessed=60))
    assert newer["lifeCycle"] == events(created=10, updated=50, accessed=60)


def test_post_does_not_overwrite(api: httpx.Client) -> None:
    body = {"name": "d1", "service": "hex"}
    made = ok(api.post("/dashboards", json=body), 201)
    assert ok(api.get(f"/dashboards/{made['id']}"))["name"] == "d1"
    assert refused(api.post("/dashboards", json=body), 409) == "Entity already exists"


def test_soft_delete_and_restore(api: httpx.Client) -> None:
    for chart in ("mine", "shared"):
        add_chart(api, chart)
    put_dashboard(api, "d2", charts=["hex.shared"], status=201)
    made = put_dashboard(api, charts=["hex.mine", "hex.shared"], status=201)
    soft = {"recursive": "true", "hardDelete": "false"}
    assert ok(api.delete(f"/dashboards/{made['id']}", params=soft))["deleted"] is True

    assert "not found" in refused(api.get("/dashboards/name/hex.d1"), 404)
    refused(api.get(f"/dashboards/{made['id']}"), 404)
    by_include = {
        include: names(ok(api.get("/dashboards", params={"include": include}))["data"])
        for include in ("non-deleted", "deleted", "all")
    }
    assert by_include == {"non-deleted": ["d2"], "deleted": ["d1"], "all": ["d1", "d2"]}
    assert names(ok(api.get("/charts"))["data"]) == ["shared"]

    version = get_dashboard(api)["version"]
    assert ok(api.delete(f"/dashboards/{made['id']}", params=soft))["version"] == version
    restored = ok(api.put("/dashboards/restore", json={"id": made["id"]}))
    assert restored["deleted"] is False
    assert names(ok(api.get("/charts"))["data"]) == ["mine", "shared"]
    refused(api.put("/dashboards/restore", json={"id": made["id"]}), 404)


def test_put_restores(api: httpx.Client) -> None:
    made = put_dashboard(api, description="kept", status=201)
    ok(api.delete("/dashboards/name/hex.d1"))
    restored = put_dashboard(api)
    assert (restored["id"], restored["deleted"]) == (made["id"], False)
    assert restored["description"] == "kept"
    assert restored["version"] > made["version"]


def test_a_chart_that_went_with_its_dashboard_must_be_put_first(api: httpx.Client) -> None:
    add_chart(api, "c1")
    put_dashboard(api, charts=["hex.c1"], status=201)
    ok(api.delete("/dashboards/name/hex.d1"))
    body = {"name": "d1", "service": "hex", "charts": ["hex.c1"]}
    assert "chart instance for hex.c1" in refused(api.put("/dashboards", json=body), 404)
    ok(api.put("/charts", json={"name": "c1", "service": "hex"}))
    assert names(put_dashboard(api, charts=["hex.c1"])["charts"]) == ["c1"]


def test_hard_delete_leaves_nothing(api: httpx.Client) -> None:
    add_chart(api, "c1")
    made = put_dashboard(api, charts=["hex.c1"], status=201)
    ok(api.delete("/dashboards/name/hex.d1", params={"hardDelete": "true"}))
    for collection in ("dashboards", "charts"):
        assert ok(api.get(f"/{collection}", params={"include": "all"}))["data"] == []
    refused(api.delete(f"/dashboards/{made['id']}"), 404)
    assert put_dashboard(api, status=201)["id"] != made["id"]


def test_patch_overwrites_what_put_keeps(api: httpx.Client) -> None:
    add_tags(api, "Draft", "Done")
    both = [label("HexStatus.Draft"), label("HexStatus.Done")]
    made = put_dashboard(api, description="old", tags=both, owners=[owner(api, "ana")], status=201)
    changed = ok(
        patch(
            api,
            [
                {"op": "test", "path": "/tags/1/tagFQN", "value": "HexStatus.Draft"},
                {"op": "remove", "path": "/tags/1"},
                {"op": "replace", "path": "/description", "value": "new"},
                {"op": "remove", "path": "/owners/0"},
                {"op": "replace", "path": "/name", "value": "other"},
                {"op": "replace", "path": "/fullyQualifiedName", "value": "hex.other"},
            ],
        )
    )
    assert tag_names(changed) == ["HexStatus.Done"]
    assert changed["description"] == "new"
    assert changed["owners"] == []
    assert changed["name"] == "d1"
    assert changed["fullyQualifiedName"] == "hex.d1"
    assert changed["version"] == round(made["version"] + 0.1, 1)
    assert get_dashboard(api) == changed


@pytest.mark.parametrize(
    ("operations", "status"),
    [
        ([{"op": "test", "path": "/name", "value": "other"}], 400),
        ([{"op": "replace", "path": "/description", "value": "x"}], 400),
        ([{"op": "add", "path": "/colour", "value": "red"}], 400),
        ([{"op": "add", "path": "/charts/-", "value": {"name": "c"}}], 400),
        ([{"op": "add", "path": "/tags/-", "value": {"tagFQN": "HexStatus.Draft"}}], 400),
        ([{"op": "add", "path": "/tags/-", "value": label("HexStatus.Unknown")}], 404),
        ([{"op": "add", "path": "/sourceHash", "value": 5}], 400),
        ([{"op": "spin", "path": "/name"}], 400),
        ([{"path": "/name"}], 400),
        ({"op": "remove", "path": "/name"}, 400),
    ],
)
def test_a_bad_patch_changes_nothing(api: httpx.Client, operations: Any, status: int) -> None:
    made = put_dashboard(api, sourceUrl="https://a", status=201)
    first: list[Any] = [{"op": "replace", "path": "/sourceUrl", "value": "https://b"}]
    refused(patch(api, first + operations if isinstance(operations, list) else operations), status)
    assert get_dashboard(api) == made


def test_a_patch_needs_its_media_type(api: httpx.Client) -> None:
    put_dashboard(api, status=201)
    refused(api.patch("/dashboards/name/hex.d1", json=[]), 415)


def test_bulk_reports_each_row(api: httpx.Client) -> None:
    result = bulk(
        api,
        [
            {"name": "good", "service": "hex"},
            {"name": "lost", "service": "hex", "charts": ["hex.none"]},
            {"name": "bad::name", "service": "hex"},
            {"service": "hex"},
        ],
    )
    assert result["status"] == "partialSuccess"
    assert result["numberOfRowsProcessed"] == 4
    assert result["numberOfRowsPassed"] == 1
    assert result["numberOfRowsFailed"] == 3
    assert result["successRequest"] == [{"request": "hex.good", "status": 200}]
    first = result["failedRequest"][0]
    assert first["request"] == "hex.lost"
    assert first["status"] == 400
    assert first["message"] == "chart instance for hex.none not found"
    assert names(ok(api.get("/dashboards"))["data"]) == ["good"]
    assert bulk(api, [{"name": "x", "service": "none"}])["status"] == "failure"
    assert bulk(api, [])["status"] == "success"


def test_a_bulk_body_that_cannot_be_read_fails_as_a_whole(api: httpx.Client) -> None:
    good = {"name": "good", "service": "hex"}
    bad: list[Any] = [[good, {**good, "colour": "red"}], [good, 3], good, [{**good, "tags": "x"}]]
    for body in bad:
        refused(api.put("/dashboards/bulk", json=body), 400)
    assert ok(api.get("/dashboards"))["data"] == []


def test_bulk_skips_rows_whose_hash_is_known(api: httpx.Client) -> None:
    row = {"name": "d1", "service": "hex", "sourceUrl": "https://a", "sourceHash": "1"}
    bulk(api, [row])
    other = {**row, "sourceUrl": "https://b"}
    assert bulk(api, [other])["numberOfRowsPassed"] == 1
    assert get_dashboard(api)["sourceUrl"] == "https://a"
    ok(api.delete("/dashboards/name/hex.d1"))
    bulk(api, [other])
    assert get_dashboard(api, include="non-deleted")["sourceUrl"] == "https://b"
    bulk(api, [row, row])
    assert get_dashboard(api)["sourceUrl"] == "https://a"
    bulk(api, [other], override=True)
    assert get_dashboard(api)["sourceUrl"] == "https://b"


def test_bulk_override(api: httpx.Client) -> None:
    add_tags(api, "Draft", "Done")
    row = {"name": "d1", "service": "hex"}
    full = {**row, "displayName": "Sales", "description": "old", "owners": [owner(api, "ana")]}
    bulk(api, [{**full, "tags": [label("HexStatus.Draft")]}])
    bulk(api, [{**row, "displayName": "Revenue", "tags": [label("HexStatus.Done")]}], override=True)
    dashboard = get_dashboard(api)
    assert dashboard["displayName"] == "Revenue"
    assert "description" not in dashboard
    assert names(dashboard["owners"]) == ["ana"]
    assert tag_names(dashboard) == ["HexStatus.Done"]
    bulk(api, [row], override=True)
    assert tag_names(get_dashboard(api)) == ["HexStatus.Done"]


def test_an_older_server_has_no_bulk(stage: Stage, tmp_path: Path) -> None:
    with stage.catalog(tmp_path / "catalog.db", release=OPENMETADATA_1_6) as api:
        for collection in ("dashboards", "charts"):
            refused(api.put(f"/{collection}/bulk", json=[]), 405)


def delete_stale(api: httpx.Client, collection: str = "dashboards", **body: Any) -> Any:
    scope = {"scopeFqn": "hex", "scopeEntityType": "service"}
    return ok(api.request("DELETE", f"/{collection}/deleteStale", json={**scope, **body}))


def live(api: httpx.Client) -> list[str]:
    return names(ok(api.get("/dashboards"))["data"])


def test_what_was_not_seen_is_deleted_with_its_charts(api: httpx.Client) -> None:
    for name in ("d1", "d.2", "d3"):
        add_chart(api, f"c-{name[-1]}")
        put_dashboard(api, name, 201, charts=[f"hex.c-{name[-1]}"])
    seen = ["hex.d1", 'hex."d.2"']
    planned = delete_stale(api, seenFqns=seen, dryRun=True)
    assert (planned["dryRun"], planned["successRequest"]) == (
        True,
        [{"request": "hex.d3", "status": 200}],
    )
    assert live(api) == ["d.2", "d1", "d3"]

    assert delete_stale(api, seenFqns=seen)["numberOfRowsPassed"] == 1
    assert live(api) == ["d.2", "d1"]
    assert get_dashboard(api, "d3")["deleted"]
    assert names(ok(api.get("/charts"))["data"]) == ["c-1", "c-2"]
    assert delete_stale(api, seenFqns=seen)["numberOfRowsProcessed"] == 0
    delete_stale(api, seenFqns=['hex."d1"'], hardDelete=True)
    assert names(ok(api.get("/dashboards", params={"include": "all"}))["data"]) == ["d1", "d3"]


def test_stale_deletion_spares_what_it_cannot_be_sure_of(api: httpx.Client) -> None:
    put_dashboard(api, status=201)
    assert delete_stale(api, seenFqns=[])["numberOfRowsProcessed"] == 0
    assert delete_stale(api, seenFqns=["x"], scopeFqn="other")["numberOfRowsProcessed"] == 0
    assert delete_stale(api, "charts", seenFqns=["hex.x"])["numberOfRowsProcessed"] == 0
    assert live(api) == ["d1"]
    for body in (
        {"scopeEntityType": "service", "seenFqns": ["hex.x"]},
        {"scopeFqn": "hex", "seenFqns": ["hex.x"]},
        {"scopeFqn": "hex", "scopeEntityType": "table", "seenFqns": ["hex.x"]},
        {"scopeFqn": "hex", "scopeEntityType": "service", "seen": ["hex.x"]},
    ):
        refused(api.request("DELETE", "/dashboards/deleteStale", json=body), 400)
    assert live(api) == ["d1"]


def test_an_older_server_takes_stale_deletion_for_an_id(stage: Stage, tmp_path: Path) -> None:
    with stage.catalog(tmp_path / "catalog.db", release=OPENMETADATA_1_6) as api:
        body = {"scopeFqn": "hex", "scopeEntityType": "service", "seenFqns": ["hex.x"]}
        refused(api.request("DELETE", "/dashboards/deleteStale", json=body), 404)
