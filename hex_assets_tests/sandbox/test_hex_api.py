"""The double of the Hex API, spoken to over a real socket."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from hex_assets.sandbox.hex_api import HexState, create_hex_api
from hex_assets.sandbox.server import serve
from hex_assets.sandbox.world import HexWorkspace, WireObject, World, build_world

Parameters = Mapping[str, Any]


class Clock:
    """Epoch seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1_793_600_000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def connected(token: str, state: HexState, **settings: Any) -> Iterator[httpx.Client]:
    """A client of a served API, with the token; no rate limit unless the settings name one."""
    generous = {"requests_per_minute": 10_000, "general_requests_per_minute": 10_000}
    with (
        serve(create_hex_api(state, **{**generous, **settings})) as url,
        httpx.Client(
            base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, trust_env=False
        ) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def world() -> World:
    return build_world()


@pytest.fixture(scope="module")
def growth(world: World) -> HexWorkspace:
    return world.workspaces[0]


@pytest.fixture(scope="module")
def finance(world: World) -> HexWorkspace:
    return world.workspaces[1]


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[httpx.Client]:
    """The unchanged world, opened by the workspace token of ``hex_growth``."""
    with connected(world.workspaces[0].token, HexState(world.workspaces)) as client:
        yield client


def pages(api: httpx.Client, path: str, parameters: Parameters | None = None) -> list[WireObject]:
    """Every page of a listing, following ``after``."""
    found: list[WireObject] = []
    after: dict[str, str] = {}
    while True:
        answer = api.get(path, params={**(parameters or {}), **after})
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        if found[-1]["pagination"]["after"] is None:
            return found
        after = {"after": found[-1]["pagination"]["after"]}


def listed(api: httpx.Client, path: str, parameters: Parameters | None = None) -> list[WireObject]:
    return [item for page in pages(api, path, parameters) for item in page["values"]]


def ids(items: list[WireObject]) -> list[str]:
    return [item["id"] for item in items]


EVERYTHING = {"includeArchived": "true", "includeTrashed": "true", "includeComponents": "true"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer hxtw_unknown"},
        {"Authorization": "Bearer"},
    ],
)
def test_a_missing_or_bad_token_is_refused_in_plain_text(
    api: httpx.Client, headers: dict[str, str]
) -> None:
    answer = api.get("/projects", headers=headers)
    assert (answer.status_code, answer.text) == (401, "Unauthorized")
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_token_must_be_a_bearer_token(api: httpx.Client, growth: HexWorkspace) -> None:
    answer = api.get("/projects", headers={"Authorization": f"Basic {growth.token}"})
    assert answer.status_code == 401


def test_the_token_selects_the_workspace(
    api: httpx.Client, growth: HexWorkspace, finance: HexWorkspace
) -> None:
    assert api.get("/users/me").json()["org"] == {"id": growth.org_id}
    as_finance = {"Authorization": f"Bearer {finance.token}"}
    assert api.get("/users/me", headers=as_finance).json()["org"] == {"id": finance.org_id}
    project_id = growth.projects[0]["id"]
    assert api.get(f"/projects/{project_id}").status_code == 200
    assert api.get(f"/projects/{project_id}", headers=as_finance).status_code == 404


def test_an_expired_token_is_refused(growth: HexWorkspace) -> None:
    clock = Clock()
    state = HexState([replace(growth, token_expires_at=clock.now + 10)])
    with connected(growth.token, state, clock=clock) as api:
        assert api.get("/users/me").json()["token"] == {"exp": clock.now + 10}
        clock.now += 10
        assert api.get("/projects").status_code == 401


def test_a_missing_scope_is_refused_in_the_shape_of_the_operation(growth: HexWorkspace) -> None:
    with connected(growth.token, HexState([replace(growth, scopes=())])) as api:
        legacy = api.get("/projects")
        assert legacy.status_code == 403
        assert set(legacy.json()) == {"reason", "traceId"}
        project_id = growth.projects[0]["id"]
        for path in (
            f"/projects/{project_id}",
            f"/cells?projectId={project_id}",
            "/data-connections",
            f"/data-connections/{growth.data_connections[0]['id']}",
            "/users/me",
        ):
            newer = api.get(path)
            assert newer.status_code == 403, path
            assert set(newer.json()) == {"code", "message", "issues"}
            assert newer.json()["code"] == "FORBIDDEN"


def test_cells_can_be_closed_while_projects_are_open(growth: HexWorkspace) -> None:
    with connected(growth.token, HexState([replace(growth, scopes=("Projects: Read",))])) as api:
        assert api.get("/projects").status_code == 200
        answer = api.get("/cells", params={"projectId": growth.projects[0]["id"]})
        assert answer.status_code == 403


def test_a_workspace_token_is_told_only_org_and_token(
    api: httpx.Client, finance: HexWorkspace
) -> None:
    assert set(api.get("/users/me").json()) == {"org", "token"}
    person = api.get("/users/me", headers={"Authorization": f"Bearer {finance.token}"}).json()
    assert person["email"] == "ines.soler@larkfield.example"
    assert set(person) == {"id", "name", "email", "role", "lastLoginDate", "org", "token"}


def test_me_can_fail_for_workspace_tokens_only(world: World, growth: HexWorkspace) -> None:
    state = HexState(world.workspaces)
    with connected(growth.token, state, me_fails_for_workspace_tokens=True) as api:
        answer = api.get("/users/me")
        assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_SERVER_ERROR")
        finance = {"Authorization": f"Bearer {world.workspaces[1].token}"}
        assert api.get("/users/me", headers=finance).status_code == 200


def test_a_personal_token_sees_only_what_its_user_may(finance: HexWorkspace) -> None:
    hidden = next(each for each in finance.projects if each["title"] == "Board pack Q3")
    with connected(finance.token, HexState([finance])) as api:
        assert hidden["id"] not in ids(listed(api, "/projects", EVERYTHING))
        assert len(listed(api, "/projects", EVERYTHING)) == len(finance.projects) - 1
        assert api.get(f"/projects/{hidden['id']}").status_code == 404
        assert api.get("/cells", params={"projectId": hidden["id"]}).status_code == 404


def test_default_listing_hides_components_archived_trashed_and_sharing(
    api: httpx.Client, growth: HexWorkspace
) -> None:
    projects = listed(api, "/projects")
    assert set(ids(projects)) == {
        each["id"]
        for each in growth.projects
        if each["type"] == "PROJECT" and not each["archivedAt"] and not each["trashedAt"]
    }
    assert all("sharing" not in each for each in projects)


@pytest.mark.parametrize(
    ("flag", "adds"),
    [
        ("includeArchived", lambda each: each["archivedAt"] and each["type"] == "PROJECT"),
        ("includeTrashed", lambda each: each["trashedAt"]),
        ("includeComponents", lambda each: each["type"] == "COMPONENT" and not each["archivedAt"]),
    ],
)
def test_each_flag_adds_its_kind(
    api: httpx.Client, growth: HexWorkspace, flag: str, adds: Any
) -> None:
    added = set(ids(listed(api, "/projects", {flag: "true"}))) - set(ids(listed(api, "/projects")))
    assert added == {each["id"] for each in growth.projects if adds(each)}
    assert added


def test_sharing_is_sent_on_request(api: httpx.Client, growth: HexWorkspace) -> None:
    shared = listed(api, "/projects", {"includeSharing": "true"})
    expected = {each["id"]: each["sharing"] for each in growth.projects}
    assert all(each["sharing"] == expected[each["id"]] for each in shared)


def test_status_and_category_filters_repeat_their_key(api: httpx.Client) -> None:
    wanted = {"statuses": ["Endorsed", "Scratch"], "categories": ["Supply", "Scratchpad"]}
    found = listed(api, "/projects", wanted)
    assert found
    assert {each["status"]["name"] for each in found} == {"Endorsed", "Scratch"}
    for each in found:
        assert {category["name"] for category in each["categories"]} & {"Supply", "Scratchpad"}


def test_people_filters(api: httpx.Client) -> None:
    sam, hiro = "sam@two-rivers-consulting.example", "hiro.tanaka@larkfield.example"
    owned = listed(api, "/projects", {"ownerEmail": sam, "creatorEmail": hiro})
    assert [each["title"] for each in owned] == ["Supplier lead times"]
    assert listed(api, "/projects", {"ownerEmail": "nobody@larkfield.example"}) == []


def test_collection_filter_takes_an_id(api: httpx.Client, growth: HexWorkspace) -> None:
    chosen = next(each for each in growth.collections if each["name"] == "Customer circle")
    found = listed(api, "/projects", {"collectionId": chosen["id"]})
    assert set(ids(found)) == {
        each["id"]
        for each in growth.projects
        if {"name": "Customer circle"} in [c["collection"] for c in each["sharing"]["collections"]]
    }
    unknown = {"collectionId": "00000000-0000-4000-8000-000000000000"}
    assert listed(api, "/projects", unknown) == []


def test_newest_created_come_first_by_default(api: httpx.Client) -> None:
    created = [each["createdAt"] for each in listed(api, "/projects", EVERYTHING)]
    assert created == sorted(created, reverse=True)


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize(
    ("sort_by", "field"),
    [
        ("CREATED_AT", "createdAt"),
        ("LAST_EDITED_AT", "lastEditedAt"),
        ("LAST_PUBLISHED_AT", "lastPublishedAt"),
    ],
)
@pytest.mark.parametrize("limit", [1, 7])
def test_sorted_paging_visits_everything_once_nulls_last(
    api: httpx.Client,
    growth: HexWorkspace,
    sort_by: str,
    field: str,
    direction: str,
    limit: int,
) -> None:
    order = {"sortBy": sort_by, "sortDirection": direction, "limit": limit}
    found = listed(api, "/projects", {**EVERYTHING, **order})
    assert sorted(ids(found)) == sorted(ids(list(growth.projects)))
    instants = [each[field] for each in found]
    known = [instant for instant in instants if instant is not None]
    assert instants == sorted(known, reverse=direction == "DESC") + [None] * (
        len(instants) - len(known)
    )


def test_pages_are_25_by_default_and_the_last_one_ends_the_listing(api: httpx.Client) -> None:
    first, second = pages(api, "/projects", EVERYTHING)
    assert len(first["values"]) == 25
    assert first["pagination"]["before"] is not None
    assert second["pagination"]["after"] is None


def test_before_leads_back(api: httpx.Client) -> None:
    first, second, *_ = pages(api, "/projects", {**EVERYTHING, "limit": 10})
    back = {**EVERYTHING, "limit": 10, "before": second["pagination"]["before"]}
    assert api.get("/projects", params=back).json() == first


def test_an_empty_page_has_no_cursors(api: httpx.Client) -> None:
    (page,) = pages(api, "/projects", {"ownerEmail": "nobody@larkfield.example"})
    assert page == {"values": [], "pagination": {"after": None, "before": None}}


def test_cursors_are_unpadded_base64url_of_an_item(api: httpx.Client) -> None:
    page = api.get("/projects", params={"limit": 3}).json()
    for name, item in (("before", page["values"][0]), ("after", page["values"][-1])):
        cursor = page["pagination"][name]
        assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
        decoded = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        assert decoded.startswith("v2:")
        assert json.loads(decoded[3:]) == [item["createdAt"], item["id"]]


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


BAD_CURSORS = [
    "",
    "!!",
    "abc",
    encoded("v1:[]"),
    encoded('v1:["2026-01-01T00:00:00.000Z","x"]'),
    encoded("v2:"),
    encoded("v2:{}"),
    encoded('v2:["a"]'),
    encoded("v2:[1,2]"),
    encoded('v2:["a",null]'),
]


@pytest.mark.parametrize("cursor", BAD_CURSORS)
@pytest.mark.parametrize("name", ["after", "before"])
def test_a_bad_cursor_is_refused(api: httpx.Client, name: str, cursor: str) -> None:
    answer = api.get("/projects", params={name: cursor})
    assert answer.status_code == 400
    assert name in answer.json()["reason"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "-1"},
        {"limit": "many"},
        {"sortBy": "TITLE"},
        {"sortDirection": "asc"},
        {"includeArchived": "yes"},
    ],
)
def test_bad_parameters_are_refused_in_the_older_shape(
    api: httpx.Client, parameters: dict[str, str]
) -> None:
    answer = api.get("/projects", params=parameters)
    assert answer.status_code == 400
    assert set(answer.json()) == {"reason", "traceId"}
    assert next(iter(parameters)) in answer.json()["reason"]


def test_limits_at_their_bounds_are_served(api: httpx.Client) -> None:
    assert len(api.get("/projects", params={"limit": 1}).json()["values"]) == 1
    assert api.get("/projects", params={"limit": 100}).status_code == 200


def test_python_booleans_are_understood(api: httpx.Client) -> None:
    python = listed(api, "/projects", {"includeComponents": "True"})
    assert python == listed(api, "/projects", {"includeComponents": "true"})


def test_one_project_or_component_by_id(api: httpx.Client, growth: HexWorkspace) -> None:
    for project in (growth.projects[0], growth.projects[-1]):
        plain = api.get(f"/projects/{project['id']}").json()
        assert plain == {name: value for name, value in project.items() if name != "sharing"}
        shared = api.get(f"/projects/{project['id'].upper()}?includeSharing=true").json()
        assert shared == project


def test_unknown_and_malformed_ids_are_told_apart(api: httpx.Client) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    for path in (f"/projects/{unknown}", f"/cells?projectId={unknown}"):
        answer = api.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    for path in ("/projects/034OglsR9JAGWYwQZ91DjJ", "/cells?projectId=short", "/cells"):
        answer = api.get(path)
        assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


def test_cells_come_in_notebook_order_over_pages(api: httpx.Client, growth: HexWorkspace) -> None:
    project_id, cells = max(growth.cells.items(), key=lambda item: len(item[1]))
    found = listed(api, "/cells", {"projectId": project_id, "limit": 4})
    assert found == list(cells)
    assert {"CANVAS_3D", "SQL"} <= {cell["cellType"] for cell in found}


def test_a_project_without_cells_has_an_empty_listing(
    api: httpx.Client, growth: HexWorkspace
) -> None:
    empty = next(key for key, cells in growth.cells.items() if not cells)
    assert listed(api, "/cells", {"projectId": empty}) == []


def test_bad_cells_parameters_are_refused_in_the_newer_shape(
    api: httpx.Client, growth: HexWorkspace
) -> None:
    for bad in ({"limit": "101"}, {"after": "!!"}):
        answer = api.get("/cells", params={"projectId": growth.projects[0]["id"], **bad})
        assert answer.status_code == 400
        assert answer.json()["code"] == "BAD_REQUEST"


def test_connections_need_two_default_pages(api: httpx.Client, growth: HexWorkspace) -> None:
    first, second = pages(api, "/data-connections")
    names = [each["name"] for page in (first, second) for each in page["values"]]
    assert names == sorted(each["name"] for each in growth.data_connections)
    newest = listed(api, "/data-connections", {"sortBy": "CREATED_AT", "sortDirection": "DESC"})
    assert newest == list(reversed(growth.data_connections))


def test_connections_by_id(api: httpx.Client, growth: HexWorkspace) -> None:
    connection = growth.data_connections[3]
    assert api.get(f"/data-connections/{connection['id']}").json() == connection
    unlisted = growth.unlisted_connections[0]["id"]
    assert api.get(f"/data-connections/{unlisted}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nowhere"), ("POST", "/projects"), ("DELETE", "/runs")],
)
def test_an_unknown_route_is_not_found_in_the_newer_shape(
    api: httpx.Client, method: str, path: str
) -> None:
    answer = api.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_a_path_outside_the_api_is_no_json(api: httpx.Client) -> None:
    root = str(api.base_url).removesuffix("/api/v1/")
    answer = api.get(f"{root}/v1/projects")
    assert answer.status_code == 404
    assert not answer.headers["content-type"].startswith("application/json")


def test_every_answer_has_its_own_trace_id(api: httpx.Client) -> None:
    served, refused = api.get("/projects"), api.get("/projects", params={"limit": 0})
    assert refused.json()["traceId"] == refused.headers["x-trace-id"]
    assert served.headers["x-trace-id"] != refused.headers["x-trace-id"]


def test_a_group_is_limited_in_a_fixed_window(growth: HexWorkspace) -> None:
    clock = Clock()
    project_id = growth.projects[0]["id"]
    with connected(growth.token, HexState([growth]), clock=clock, requests_per_minute=3) as api:
        remaining = []
        for _ in range(3):
            answer = api.get("/cells", params={"projectId": project_id})
            remaining.append(answer.headers["ratelimit-remaining"])
            clock.now += 10
        assert remaining == ["2", "1", "0"]
        refused = api.get("/cells", params={"projectId": project_id})
        assert refused.status_code == 429
        assert refused.json()["code"] == "TOO_MANY_REQUESTS"
        # The window opened with its first request 30 seconds ago, so it has 30 to go.
        assert refused.headers["retry-after"] == "30"
        assert refused.headers["ratelimit-reset"] == "30"
        assert refused.headers["ratelimit-remaining"] == "0"
        assert "x-trace-id" in refused.headers
        clock.now += 29.5
        assert api.get("/cells", params={"projectId": project_id}).status_code == 429
        clock.now += 0.5
        assert api.get("/cells", params={"projectId": project_id}).status_code == 200


def test_groups_have_separate_limits(growth: HexWorkspace) -> None:
    project_id = growth.projects[0]["id"]
    with connected(growth.token, HexState([growth]), clock=Clock(), requests_per_minute=1) as api:
        by_path = {
            path: [api.get(path).status_code for _ in range(2)]
            for path in (
                f"/projects/{project_id}",  # hex-api
                "/data-connections",  # hex-api, already used up
                "/users/me",  # hex-api-30rpm
                f"/cells?projectId={project_id}",  # hex-api-30rpm, already used up
                "/projects",  # only the general limit
            )
        }
    assert list(by_path.values()) == [[200, 429], [429, 429], [200, 429], [429, 429], [200, 200]]


def test_the_general_limit_spans_all_operations_of_one_token(world: World) -> None:
    growth, finance = world.workspaces
    state = HexState(world.workspaces)
    with connected(growth.token, state, clock=Clock(), general_requests_per_minute=2) as api:
        assert api.get("/projects").status_code == 200
        assert api.get("/data-connections").status_code == 200
        refused = api.get("/projects")
        assert refused.status_code == 429
        assert set(refused.json()) == {"reason", "traceId"}
        as_finance = {"Authorization": f"Bearer {finance.token}"}
        assert api.get("/projects", headers=as_finance).status_code == 200


def test_rate_headers_can_be_left_out(growth: HexWorkspace) -> None:
    state = HexState([growth])
    with connected(
        growth.token, state, clock=Clock(), general_requests_per_minute=1, rate_headers=False
    ) as api:
        answers = [api.get("/projects") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith(("ratelimit", "retry"))]


def test_an_edit_moves_a_project_to_the_front_of_the_newest_edits(growth: HexWorkspace) -> None:
    state = HexState([growth])
    oldest = growth.projects[0]
    newest_edit: Parameters = {"sortBy": "LAST_EDITED_AT", "limit": 1}
    with connected(growth.token, state) as api:
        edited = {"title": "Renamed", "lastEditedAt": "2026-11-02T09:30:00.000Z"}
        state.change_project("hex_growth", oldest["id"], **edited)
        (first,) = api.get("/projects", params=newest_edit).json()["values"]
    assert (first["id"], first["title"]) == (oldest["id"], "Renamed")
    assert state.workspace("hex_growth").cells == growth.cells


def test_projects_can_be_added_archived_and_deleted_while_serving(growth: HexWorkspace) -> None:
    state = HexState([growth])
    new_id = "01a0f2d4-7c00-7000-8000-000000000001"
    with connected(growth.token, state) as api:
        cells = growth.cells[growth.projects[0]["id"]][:1]
        state.put_project("hex_growth", {**growth.projects[0], "id": new_id}, cells)
        assert new_id in ids(listed(api, "/projects"))
        assert ids(listed(api, "/cells", {"projectId": new_id})) == [cells[0]["id"]]
        state.change_project("hex_growth", new_id, archivedAt="2026-11-02T10:00:00.000Z")
        assert new_id not in ids(listed(api, "/projects"))
        assert new_id in ids(listed(api, "/projects", {"includeArchived": "true"}))
        state.remove_project("hex_growth", new_id)
        assert api.get(f"/projects/{new_id}").status_code == 404


def test_a_project_deleted_between_pages_hides_no_other(growth: HexWorkspace) -> None:
    state = HexState([growth])
    with connected(growth.token, state) as api:
        before = ids(listed(api, "/projects"))
        first = api.get("/projects", params={"limit": 5}).json()
        state.remove_project("hex_growth", before[4])  # the item that the cursor names
        cursor = {"limit": 100, "after": first["pagination"]["after"]}
        rest = api.get("/projects", params=cursor).json()["values"]
    assert ids(first["values"]) + ids(rest) == before


def test_a_workspace_can_be_replaced_and_its_token_revoked(growth: HexWorkspace) -> None:
    state = HexState([growth])
    with connected(growth.token, state) as api:
        state.put_workspace(replace(growth, token="hxtw_" + "0" * 96))
        assert api.get("/projects").status_code == 401


def test_changing_an_unknown_project_raises(growth: HexWorkspace) -> None:
    state = HexState([growth])
    with pytest.raises(KeyError, match="nowhere"):
        state.change_project("hex_growth", "nowhere", title="x")
    with pytest.raises(KeyError, match="other"):
        state.workspace("other")
