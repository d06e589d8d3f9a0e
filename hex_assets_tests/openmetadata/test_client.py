"""The client against answers of every kind, most of them from a transport in memory."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from hex_assets.errors import (
    ConnectionFailed,
    IncompleteRead,
    PermissionMissing,
    RequestRejected,
    ServerFailed,
    TokenRejected,
    UnreadableAnswer,
)
from hex_assets.http import Retry
from hex_assets.openmetadata.client import OpenMetadataClient
from hex_assets.sandbox.catalog.releases import Release
from hex_assets.sandbox.faults import Fault
from hex_assets_tests.openmetadata.catalogs import Catalog

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, host_port: str = "https://om/api", **over: Any) -> OpenMetadataClient:
    over = {"retry": Retry(attempts=1), **over}
    transport = httpx.MockTransport(handler)
    return OpenMetadataClient(host_port, lambda: "jwt", transport=transport, **over)


def answers(*bodies: Any, status: int = 200) -> tuple[Handler, list[httpx.Request]]:
    """A handler that gives these bodies in turn, and the requests it got."""
    seen: list[httpx.Request] = []
    queue = list(bodies)

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, json=queue.pop(0))

    return handler, seen


@pytest.mark.parametrize("host_port", ["https://om/api", "https://om/api/"])
def test_a_trailing_slash_of_the_host_does_not_matter(host_port: str) -> None:
    handler, seen = answers({"version": "1.9.3"})
    assert client(handler, host_port).version() == "1.9.3"
    assert str(seen[0].url) == "https://om/api/v1/system/version"


def test_check_proves_the_host_and_the_token(catalog: Catalog, release: Release) -> None:
    with catalog.client() as om:
        assert om.check() == release.version
        assert om.requests_sent == 2
    with catalog.client(lambda: "expired") as om:
        assert om.version() == release.version
        with pytest.raises(TokenRejected, match=r"checking the token.*securityConfig\.jwtToken"):
            om.check()


def test_a_host_without_api_is_told_apart_from_an_api(catalog: Catalog) -> None:
    catalog.faults.faults.append(Fault("GET /v1", kind="garbage"))
    with (
        catalog.client(path="") as om,
        pytest.raises(UnreadableAnswer, match=r"not JSON.*must end in /api"),
    ):
        om.check()


def test_a_missing_policy_is_named() -> None:
    handler, _ = answers({"code": 403, "message": "Principal: bot is denied EditAll"}, status=403)
    with pytest.raises(PermissionMissing, match=r"is denied EditAll\. The token's user lacks"):
        client(handler).put_dashboard({})


def test_no_answer_says_where_to_look() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(ConnectionFailed, match="hostPort is reachable"):
        client(refuse).version()


def test_a_server_that_fails_is_asked_again() -> None:
    slept: list[float] = []
    handler, seen = answers(*[{"code": 503}] * 3, status=503)
    with pytest.raises(ServerFailed):
        client(handler, retry=Retry(attempts=3), sleep=slept.append).version()
    assert len(seen) == 3
    assert len(slept) == 2


def test_names_are_encoded_whole() -> None:
    handler, seen = answers({"code": 404, "message": "-"}, status=404)
    assert client(handler).dashboard_service('a/b "c"?d#é%2F') is None
    path = "/api/v1/services/dashboardServices/name/a%2Fb%20%22c%22%3Fd%23%C3%A9%252F"
    assert seen[0].url.raw_path.decode() == path + "?include=all"


def test_pages_are_read_to_the_end() -> None:
    handler, seen = answers(
        {"data": [{"id": "1", "name": "a"}], "paging": {"total": 3, "after": "x+/="}},
        {"data": [], "paging": {"total": 3, "after": "y"}},
        {"data": [{"id": "2", "name": "b"}], "paging": {"total": 3, "before": "z"}},
    )
    assert [user.name for user in client(handler).users()] == ["a", "b"]
    assert [request.url.params.get("after") for request in seen] == [None, "x+/=", "y"]
    assert {request.url.params["limit"] for request in seen} == {"1000"}


def test_a_cursor_that_repeats_ends_the_listing_with_an_error() -> None:
    page = {"data": [], "paging": {"total": 3, "after": "x"}}
    with pytest.raises(IncompleteRead, match="listing users, page 2"):
        client(answers(page, page, page)[0]).users()


def test_a_listing_cut_short_is_an_error_and_never_a_short_list() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if "after" in request.url.params:
            return httpx.Response(500, json={"code": 500, "message": "deadlock"})
        return httpx.Response(200, json={"data": [], "paging": {"after": "x"}})

    with pytest.raises(ServerFailed, match="listing dashboards of hex, page 2: deadlock"):
        client(handler).dashboards("hex")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ([], "Page: the body"),
        ({"data": None}, "Page: data"),
        ({"data": [{"id": "1"}]}, "Person: name"),
        ({"data": [{"id": "1", "name": "n", "email": {"token": "s3cret"}}]}, "Person: email"),
    ],
)
def test_an_answer_of_another_shape_is_unreadable(body: Any, where: str) -> None:
    with pytest.raises(UnreadableAnswer, match=where) as caught:
        client(answers(body)[0]).users()
    assert "s3cret" not in str(caught.value)


def test_a_patch_is_sent_as_one(catalog: Catalog) -> None:
    handler, seen = answers({"id": "1", "name": "d", "fullyQualifiedName": "hex.d"})
    client(handler).patch("dashboards", "1", [{"op": "remove", "path": "/tags/0"}])
    assert seen[0].headers["content-type"] == "application/json-patch+json"
    assert json.loads(seen[0].content) == [{"op": "remove", "path": "/tags/0"}]


def test_the_token_is_asked_for_each_time_and_headers_are_added() -> None:
    tokens = iter(["one", "two"])
    handler, seen = answers({"version": "1"}, {"version": "1"})
    om = OpenMetadataClient(
        "https://om/api",
        lambda: next(tokens),
        extra_headers={"X-Proxy": "p"},
        verify=ssl.create_default_context(),
        transport=httpx.MockTransport(handler),
    )
    om.version()
    om.version()
    assert [request.headers["authorization"] for request in seen] == ["Bearer one", "Bearer two"]
    assert {request.headers["x-proxy"] for request in seen} == {"p"}


def test_a_database_service_keeps_its_secrets_out_of_repr() -> None:
    config = {"type": "Snowflake", "password": "s3cret"}
    body = {"id": "1", "name": "s", "serviceType": "Snowflake", "connection": {"config": config}}
    service = client(answers(body)[0]).database_service("s")
    assert service is not None
    assert service.connection == {"config": config}
    assert "s3cret" not in repr(service)


def test_edges_are_deleted_by_their_ends(newest: Catalog) -> None:
    newest.put("/services/dashboardServices", {"name": "hex", "serviceType": "Hex"})
    dashboard = newest.put("/dashboards", {"name": "d", "service": "hex"})["id"]
    table = newest.table_id("snow.SHOP.PUBLIC.T0")
    newest.put_edge(table, dashboard, source="DashboardLineage")
    with newest.client() as om:
        assert om.lineage_edge(table, dashboard) is not None
        om.delete_lineage("table", table, "dashboard", dashboard)
        assert om.lineage_edge(table, dashboard) is None


def test_an_existing_service_is_not_created_again(newest: Catalog) -> None:
    body = {"name": "hex", "serviceType": "Hex"}
    with newest.client() as om:
        om.create_dashboard_service(body)
        with pytest.raises(RequestRejected) as caught:
            om.create_dashboard_service(body)
    assert caught.value.status == 409
