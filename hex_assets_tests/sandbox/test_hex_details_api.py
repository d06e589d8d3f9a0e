"""The double's answers about one project (exports, tables, runs, images), and directories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import yaml

from hex_assets.sandbox.faults import Fault, FaultInjector
from hex_assets.sandbox.hex_api import HexState, create_hex_api
from hex_assets.sandbox.server import serve
from hex_assets.sandbox.world import HexWorkspace, WireObject, build_world
from hex_assets_tests.sandbox.test_hex_api import Clock, connected, listed, pages


@pytest.fixture(scope="module")
def growth() -> HexWorkspace:
    return build_world().workspaces[0]


@pytest.fixture(scope="module")
def api(growth: HexWorkspace) -> Iterator[httpx.Client]:
    with connected(growth.token, HexState([growth])) as client:
        yield client


def published(workspace: HexWorkspace) -> list[WireObject]:
    return [one for one in workspace.projects if one["lastPublishedAt"] is not None]


def unpublished(workspace: HexWorkspace) -> WireObject:
    return next(one for one in workspace.projects if one["lastPublishedAt"] is None)


def exported(api: httpx.Client, project: WireObject, **asked: Any) -> WireObject:
    answer = api.post("/projects/export", json={"projectId": project["id"], **asked})
    assert answer.status_code == 200, answer.text
    document: WireObject = yaml.safe_load(answer.json()["content"])
    return document


def all_cells(cells: list[WireObject]) -> Iterator[WireObject]:
    for cell in cells:
        yield cell
        yield from all_cells((cell["config"] or {}).get("cells") or [])


def test_an_export_is_yaml_with_sections_imports_and_connections(
    api: httpx.Client, growth: HexWorkspace
) -> None:
    kinds: set[str] = set()
    components: set[str] = set()
    connections: set[str] = set()
    for project in published(growth):
        document = exported(api, project, version="latest")
        assert document["schemaVersion"] == 3
        assert document["meta"]["projectId"] == project["id"]
        connections |= {
            one["dataConnectionId"] for one in document["sharedAssets"]["dataConnections"]
        }
        for cell in all_cells(document["cells"]):
            kinds.add(cell["cellType"])
            if component := (cell["config"] or {}).get("component"):
                components.add(component["id"])
    assert {"SQL", "MARKDOWN", "COLLAPSIBLE", "COMPONENT_IMPORT", "CHARTV2"} <= kinds
    assert components <= {one["id"] for one in growth.projects if one["type"] == "COMPONENT"}
    assert components
    assert connections


def test_the_draft_differs_from_the_published_version(
    api: httpx.Client, growth: HexWorkspace
) -> None:
    differing = [
        project
        for project in published(growth)
        if exported(api, project, version="latest")["cells"] != exported(api, project)["cells"]
    ]
    assert differing
    assert exported(api, differing[0], version=1)["cells"]


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"projectId": 7}', '{"projectId": "no uuid"}', "not json"]
)
def test_a_bad_export_request_is_refused_in_the_newer_shape(api: httpx.Client, body: str) -> None:
    answer = api.post("/projects/export", content=body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "message", "issues"}


@pytest.mark.parametrize("version", ["newest", "1", 0, -1, True, None, 1.5, []])
def test_a_version_is_a_positive_integer_draft_or_latest(
    api: httpx.Client, growth: HexWorkspace, version: Any
) -> None:
    asked = {"projectId": published(growth)[0]["id"], "version": version}
    assert api.post("/projects/export", json=asked).status_code == 400


def test_an_export_tells_connections_of_the_project_from_shared_ones_and_names_them_in_comments(
    api: httpx.Client, growth: HexWorkspace
) -> None:
    names = {one["id"]: one["name"] for one in growth.data_connections}
    own = {one["id"] for one in growth.unlisted_connections}
    seen: set[str] = set()
    for project in growth.projects:
        content = api.post("/projects/export", json={"projectId": project["id"]}).json()["content"]
        assets = yaml.safe_load(content)
        shared, its_own = (
            {one["dataConnectionId"] for one in assets[part]["dataConnections"]}
            for part in ("sharedAssets", "projectAssets")
        )
        assert its_own <= own
        assert not shared & own
        for known in shared & set(names):
            assert f"dataConnectionId: {known} # {names[known]}\n" in content
        seen |= its_own
    assert seen == own


def test_exports_of_unpublished_projects_and_switched_off_exports(growth: HexWorkspace) -> None:
    state = HexState([growth])
    with connected(growth.token, state) as api:
        asked = {"projectId": unpublished(growth)["id"], "version": "latest"}
        assert api.post("/projects/export", json=asked).status_code == 400
        assert api.post("/projects/export", json={**asked, "version": "draft"}).status_code == 200
        state.put_workspace(replace(growth, exports_enabled=False))
        assert api.post("/projects/export", json=asked).status_code == 403


def test_queried_tables_are_of_mixed_depth_and_case_with_junk(
    api: httpx.Client, growth: HexWorkspace
) -> None:
    names = [
        row["tableName"]
        for project in published(growth)
        for row in listed(api, f"/projects/{project['id']}/queriedTables")
    ]
    assert {name.count(".") for name in names if name != "count(*)"} >= {1, 2}
    assert any(name.isupper() for name in names)
    assert any(name.islower() for name in names)
    assert "count(*)" in names


def test_more_queried_tables_than_a_page_holds(growth: HexWorkspace) -> None:
    project = published(growth)[0]
    rows = tuple({"dataConnectionId": "x", "tableName": f"s.t{number}"} for number in range(60))
    many = replace(growth, queried_tables={project["id"]: rows})
    with connected(growth.token, HexState([many])) as api:
        path = f"/projects/{project['id']}/queriedTables"
        assert [len(page["values"]) for page in pages(api, path)] == [25, 25, 10]
        assert [one["tableName"] for one in listed(api, path)] == [one["tableName"] for one in rows]


def test_queried_tables_need_enterprise_and_a_publication(growth: HexWorkspace) -> None:
    state = HexState([growth])
    with connected(growth.token, state) as api:
        answer = api.get(f"/projects/{unpublished(growth)['id']}/queriedTables")
        assert (answer.status_code, set(answer.json())) == (422, {"reason", "traceId"})
        state.put_workspace(replace(growth, enterprise=False))
        answer = api.get(f"/projects/{published(growth)[0]['id']}/queriedTables")
        assert answer.status_code == 403


def test_runs_have_all_outcomes_and_triggers_newest_first(
    api: httpx.Client, growth: HexWorkspace
) -> None:
    statuses, triggers, versions = set(), set(), set()
    for project in published(growth):
        runs = api.get(f"/projects/{project['id']}/runs", params={"limit": 100}).json()["runs"]
        started = [run["startTime"] for run in runs if run["startTime"]]
        assert started == sorted(started, reverse=True)
        statuses |= {run["status"] for run in runs}
        triggers |= {run["runTrigger"] for run in runs}
        versions |= {run["projectVersion"] for run in runs}
    assert {"COMPLETED", "ERRORED"} <= statuses
    assert {"SCHEDULED", "API"} <= triggers
    assert versions


def test_runs_are_paged_by_offset_and_filtered(growth: HexWorkspace) -> None:
    project = published(growth)[0]
    run = {
        "projectId": project["id"],
        "projectVersion": "draft",
        "startTime": None,
        "endTime": None,
        "elapsedTime": None,
    }
    statuses = ("PENDING", "RUNNING", "ERRORED", "COMPLETED", "KILLED", "UNABLE_TO_ALLOCATE_KERNEL")
    runs = tuple(
        {
            **run,
            "runId": f"{n}",
            "status": statuses[n % 6],
            "runTrigger": ("API", "SCHEDULED")[n % 2],
        }
        for n in range(60)
    )
    with connected(growth.token, HexState([replace(growth, runs={project["id"]: runs})])) as api:
        path = f"/projects/{project['id']}/runs"
        first = api.get(path).json()
        assert (len(first["runs"]), first["previousPage"]) == (25, None)
        last = api.get(path, params={"limit": 40, "offset": 40}).json()
        assert (len(last["runs"]), last["nextPage"]) == (20, None)
        scheduled = api.get(path, params={"runTriggerFilter": "SCHEDULED", "limit": 100}).json()
        assert {one["runTrigger"] for one in scheduled["runs"]} == {"SCHEDULED"}
        killed = api.get(path, params={"statusFilter": "KILLED"}).json()["runs"]
        assert {one["status"] for one in killed} == {"KILLED"}
        assert api.get(f"{path}/7").json() == runs[7]
        assert api.get(f"{path}/unknown").status_code == 422
        for bad in ({"runTriggerFilter": "CRON"}, {"offset": "-1"}, {"limit": "0"}):
            assert api.get(path, params=bad).status_code == 400


def test_an_unpublished_project_has_no_runs(api: httpx.Client, growth: HexWorkspace) -> None:
    assert api.get(f"/projects/{unpublished(growth)['id']}/runs").status_code == 422


def test_chart_images_are_small_and_limited_more_tightly(growth: HexWorkspace) -> None:
    chart, project_id = next(
        (cell, project_id)
        for project_id, cells in growth.cells.items()
        for cell in cells
        if cell["cellType"] in ("CHART", "VEGA_CHART")
    )
    text = next(
        cell for cells in growth.cells.values() for cell in cells if cell["cellType"] == "MARKDOWN"
    )
    settings = {"clock": Clock(), "requests_per_minute": 30, "general_requests_per_minute": 100}
    run = {"projectId": project_id, "runId": "r", "runTrigger": "API"}
    runs = {
        project_id: ({**run, "status": "COMPLETED"}, {**run, "runId": "e", "status": "ERRORED"})
    }
    with connected(growth.token, HexState([replace(growth, runs=runs)]), **settings) as api:
        image = api.get(f"/cells/{chart['id']}/image").json()
        assert image["mimeType"] == "image/png"
        assert image["imageBase64"].startswith("iVBOR")
        assert api.get(f"/cells/{text['id']}/image").status_code == 404
        of_run = f"/projects/{project_id}/runs/r/cells/{chart['staticId']}/image"
        assert api.get(of_run).json()["runId"] == "r"
        assert api.get(of_run.replace("/r/", "/e/")).status_code == 404
        # Four were asked for, and twenty a minute are allowed.
        answers = [api.get(of_run).status_code for _ in range(17)]
    assert answers == [200] * 16 + [429]


def test_directories_are_listed_in_pages(api: httpx.Client, growth: HexWorkspace) -> None:
    assert len(listed(api, "/collections")) == len(growth.collections)
    assert any(one["description"] for one in listed(api, "/collections"))
    groups = listed(api, "/groups", {"sortBy": "NAME", "sortDirection": "ASC"})
    names = [one["name"] for one in groups]
    assert names == sorted(names)
    assert len(set(names)) < len(names), "two groups may bear one name"
    assert len(listed(api, "/users", {"limit": "10"})) == len(growth.users)


@pytest.mark.parametrize(
    ("path", "scope"),
    [("/collections", "Collections: Read"), ("/groups", "Groups: Read"), ("/users", "Users: Read")],
)
def test_directories_need_their_scope(growth: HexWorkspace, path: str, scope: str) -> None:
    scopes = tuple(one for one in growth.scopes if one != scope)
    with connected(growth.token, HexState([replace(growth, scopes=scopes)])) as api:
        assert api.get(path).status_code == 403


def test_a_token_may_expire_and_a_project_be_edited_between_two_pages(growth: HexWorkspace) -> None:
    clock = Clock()
    state = HexState([replace(growth, token_expires_at=clock.now + 60)])
    edited = growth.projects[-1]["id"]
    faults = FaultInjector(
        create_hex_api(
            state, clock=clock, requests_per_minute=1000, general_requests_per_minute=1000
        )
    )
    with serve(faults) as url:
        headers = {"Authorization": f"Bearer {growth.token}"}
        with httpx.Client(base_url=f"{url}/api/v1", headers=headers, trust_env=False) as api:
            faults.faults.append(
                Fault(
                    r"GET /api/v1/projects\?.*after",
                    "act",
                    act=lambda: state.change_project(growth.name, edited, title="New title"),
                )
            )
            found = listed(api, "/projects", {"limit": 5, "includeComponents": "true"})
            assert len({one["id"] for one in found}) == len(found)
            assert api.get(f"/projects/{edited}").json()["title"] == "New title"
            clock.now += 61
            answer = api.get("/projects")
    assert (answer.status_code, answer.text) == (401, "Unauthorized")
