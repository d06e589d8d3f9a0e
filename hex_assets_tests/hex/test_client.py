"""The client reads listings to their end or says on which page and why it could not."""

from __future__ import annotations

import logging
import pickle
import time
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from hex_assets.errors import (
    ConnectionFailed,
    IncompleteRead,
    NotFound,
    PermissionMissing,
    PlanMissing,
    RateLimited,
    RecipeError,
    RequestError,
    RequestRejected,
    ServerFailed,
    TokenRejected,
    UnreadableAnswer,
)
from hex_assets.hex.client import HexClient, web_base
from hex_assets.hex.rate_limit import RequestBudget
from hex_assets_tests.hex.fake_hex import (
    HOST,
    ORG_ID,
    TOKEN,
    FakeHex,
    connection,
    legacy_error,
    newer_error,
    on_page,
    project,
    reply,
    sql_cell,
    uuid_of,
)


@pytest.mark.parametrize(
    ("pasted", "web"),
    [
        ("app.hex.tech", "https://app.hex.tech"),
        ("  app.hex.tech/ ", "https://app.hex.tech"),
        ("https://eu.hex.tech", "https://eu.hex.tech"),
        ("https://app.hex.tech/api", "https://app.hex.tech"),
        ("https://app.hex.tech/api/v1", "https://app.hex.tech"),
        ("https://app.hex.tech/api/v1//", "https://app.hex.tech"),
        ("app.hex.tech/api/v1", "https://app.hex.tech"),
        ("https://app.hex.tech/my-workspace/", "https://app.hex.tech"),
        ("https://app.hex.tech/my-workspace/home?tab=1#x", "https://app.hex.tech"),
        ("https://APP.hex.tech:443", "https://app.hex.tech"),
        ("http://127.0.0.1:8080/api/v1/", "http://127.0.0.1:8080"),
        ("acme.hex.tech:8443", "https://acme.hex.tech:8443"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://user:secret@app.hex.tech", "https://app.hex.tech"),
    ],
)
def test_every_way_to_write_a_host_gives_the_same_api(pasted: str, web: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return reply({"org": {"id": ORG_ID}})

    transport = httpx.MockTransport(answer)
    budget = RequestBudget(30)
    with HexClient(pasted, SecretStr(TOKEN), transport=transport, budget=budget) as client:
        client.me()
    assert web_base(pasted) == client.web_url == web
    assert asked == [f"{web}/api/v1/users/me"]


@pytest.mark.parametrize("pasted", ["", "  ", "https://", "ftp://app.hex.tech", "https://a:b:c"])
def test_what_is_no_host_is_a_mistake_in_the_recipe(pasted: str) -> None:
    with pytest.raises(RecipeError, match="hostPort"):
        HexClient(pasted, SecretStr(TOKEN))


@pytest.mark.parametrize("token", ["", "   ", "hxtw_a\nb", "hxtw_ä", "hxtw_a b"])
def test_a_token_no_header_can_carry_is_a_mistake_in_the_recipe(token: str) -> None:
    with pytest.raises(RecipeError, match=r"config\.token") as caught:
        HexClient(HOST, SecretStr(token))
    assert "hxtw" not in repr(caught.value)


def test_a_line_break_after_the_token_does_no_harm() -> None:
    transport = httpx.MockTransport(FakeHex().answer)
    budget, token = RequestBudget(30), SecretStr(f"{TOKEN}\n")
    with HexClient(HOST, token, transport=transport, budget=budget) as client:
        assert client.projects().items == ()


def test_projects_are_read_to_the_last_page_with_every_flag_on_each() -> None:
    fake = FakeHex(projects=[project(n) for n in range(230)])
    with fake.client() as client:
        listing = client.projects()
    assert [p.id for p in listing.items] == [uuid_of(n) for n in range(230)]
    assert listing.malformed == ()
    assert client.requests_sent == len(fake.requests) == 3
    for request in fake.requests:
        asked = dict(request.url.params)
        asked.pop("after", None)
        assert asked == {
            "includeComponents": "true",
            "includeArchived": "true",
            "includeTrashed": "true",
            "includeSharing": "true",
            "limit": "100",
        }


def test_components_archived_and_trashed_projects_are_listed() -> None:
    fake = FakeHex(
        projects=[
            project(1, type="COMPONENT"),
            project(2, archivedAt="2026-10-01T00:00:00.000Z"),
            project(3, trashedAt="2026-10-01T00:00:00.000Z"),
        ]
    )
    with fake.client() as client:
        assert len(client.projects().items) == 3


def test_connections_and_cells_are_read_to_the_last_page() -> None:
    fake = FakeHex(
        connections=[connection(n) for n in range(130)],
        cells={uuid_of(1): [sql_cell(n) for n in range(130)]},
    )
    with fake.client() as client:
        assert len(client.data_connections().items) == 130
        assert len(client.cells(uuid_of(1)).items) == 130
    assert len(fake.requests) == 4


def test_an_empty_workspace_is_an_empty_listing() -> None:
    with FakeHex().client() as client:
        assert client.projects().items == ()
        assert client.data_connections().items == ()
        assert client.newest_edits() == ()


def test_items_seen_on_two_pages_are_listed_once_as_last_seen() -> None:
    fake = FakeHex(
        projects=[project(1), project(2), project(1, title="Renamed"), project(3)], page_size=2
    )
    with fake.client() as client:
        titles = [p.title for p in client.projects().items]
    assert titles == ["Renamed", "Project 2", "Project 3"]


def test_letter_case_of_ids_does_not_count() -> None:
    fake = FakeHex(
        projects=[project(10, id=uuid_of(10).upper()), project(10), project(11)], page_size=1
    )
    with fake.client() as client:
        assert [p.id for p in client.projects().items] == [uuid_of(10), uuid_of(11)]


def test_a_project_deleted_between_two_pages_takes_no_other_with_it() -> None:
    fake = FakeHex(projects=[project(n) for n in range(5)], page_size=2)

    def delete_behind(request: httpx.Request) -> None:
        if "after" in request.url.params and len(fake.projects) == 5:
            del fake.projects[4]

    fake.faults = [delete_behind]
    with fake.client() as client:
        assert [p.id for p in client.projects().items] == [uuid_of(n) for n in range(4)]


def test_a_page_that_brings_nothing_new_does_not_end_the_listing() -> None:
    twice = [project(1), project(2)]
    fake = FakeHex(projects=[*twice, *twice, project(3)], page_size=2)
    with fake.client() as client:
        assert len(client.projects().items) == 3


def test_a_repeated_cursor_is_an_incomplete_read() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        number = len(fake.requests)
        return reply({"values": [project(number)], "pagination": {"after": "again"}})

    fake = FakeHex(faults=[answer])
    with fake.client() as client, pytest.raises(IncompleteRead, match="listing projects, page 2"):
        client.projects()
    assert len(fake.requests) == 2


def test_fresh_cursors_over_the_same_items_are_an_incomplete_read() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        after = f"cursor-{len(fake.requests)}"
        return reply({"values": [project(1)], "pagination": {"after": after}})

    fake = FakeHex(faults=[answer])
    with fake.client() as client, pytest.raises(IncompleteRead, match="listing projects, page 4"):
        client.projects()


def test_a_listing_interrupted_on_page_two_is_an_error_not_a_short_list() -> None:
    fake = FakeHex(projects=[project(1), project(2)], page_size=1)
    fake.faults = [on_page(2, lambda: newer_error(500, "boom", "INTERNAL_SERVER_ERROR"))]
    with fake.client() as client, pytest.raises(ServerFailed) as caught:
        client.projects()
    assert caught.value.trace_id == "trace-header"
    for fact in ("GET /projects", "HTTP 500", "listing projects, page 2", "trace-header", "boom"):
        assert fact in str(caught.value)
    assert len(fake.requests) == 1 + 3


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_passing_server_error_is_tried_again(status: int) -> None:
    fake = FakeHex(projects=[project(1), project(2)], page_size=1)
    page = "<html>Bad gateway</html>"
    fake.faults = [on_page(2, lambda: httpx.Response(status, text=page), times=2)]
    with fake.client() as client:
        assert len(client.projects().items) == 2
    assert len(fake.clock.sleeps) == 2


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"RateLimit-Reset": "11"}, 11.0),
        ({"X-RateLimit-Reset": "13"}, 13.0),
        ({"X-RATELIMIT-RESET": "epoch"}, 17.0),
        ({}, 60.0),
    ],
)
def test_a_429_waits_as_long_as_the_server_asks(
    headers: dict[str, str], wait: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = 1_800_000_000
    monkeypatch.setattr(time, "time", lambda: epoch)
    sent = {k: str(epoch + 17) if v == "epoch" else v for k, v in headers.items()}
    fake = FakeHex(projects=[project(1), project(2)], page_size=1)
    fake.faults = [on_page(2, lambda: httpx.Response(429, headers=sent), times=1)]
    with fake.client() as client:
        assert len(client.projects().items) == 2
    assert fake.clock.sleeps == [pytest.approx(wait)]


@pytest.mark.parametrize("skew", [-7200, 7200], ids=["ours is behind", "ours is ahead"])
@pytest.mark.parametrize("header", ["Retry-After", "RateLimit-Reset"])
def test_an_instant_of_hexs_clock_is_waited_for_by_hexs_clock(
    header: str, skew: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = 1_800_000_000
    monkeypatch.setattr(time, "time", lambda: theirs + skew)
    instant = formatdate(theirs + 20, usegmt=True) if header == "Retry-After" else str(theirs + 20)
    sent = {"Date": formatdate(theirs, usegmt=True), header: instant}
    fake = FakeHex(projects=[project(1), project(2)], page_size=1)
    fake.faults = [on_page(2, lambda: httpx.Response(429, headers=sent), times=1)]
    with fake.client() as client:
        assert len(client.projects().items) == 2
    assert fake.clock.sleeps == [20.0]


def test_a_429_without_end_says_what_to_do() -> None:
    fake = FakeHex(faults=[lambda request: httpx.Response(429, headers={"Retry-After": "1"})])
    with fake.client() as client, pytest.raises(RateLimited, match="requestsPerMinute"):
        client.projects()
    assert len(fake.requests) == 3


def test_a_reset_connection_is_tried_again() -> None:
    def reset() -> httpx.Response:
        raise httpx.ReadError("connection reset by peer")

    fake = FakeHex(projects=[project(1), project(2)], page_size=1)
    fake.faults = [on_page(2, reset, times=1)]
    with fake.client() as client:
        assert len(client.projects().items) == 2
    fake.faults = [on_page(2, reset)]
    with fake.client() as client, pytest.raises(ConnectionFailed, match="page 2"):
        client.projects()


@pytest.mark.parametrize(
    ("response", "error", "says"),
    [
        (httpx.Response(401, text="Unauthorized"), TokenRejected, "config.token"),
        (newer_error(403, "Forbidden"), PermissionMissing, "'Read projects'"),
        (legacy_error(403, "Enterprise plan required"), PlanMissing, "Team and Enterprise"),
        (legacy_error(404, "Not found"), NotFound, "may not see"),
        (legacy_error(400, "bad cursor"), RequestRejected, "bad cursor; a detail"),
        (newer_error(422, "unpublished"), RequestRejected, "unpublished; an issue"),
        (httpx.Response(200, text="<html>Sign in</html>"), UnreadableAnswer, "really Hex?"),
        (httpx.Response(200, content=b""), UnreadableAnswer, "really Hex?"),
        (httpx.Response(302, headers={"location": "/login"}), UnreadableAnswer, "really Hex?"),
        (reply([]), UnreadableAnswer, "list of values"),
        (reply({"values": {}}), UnreadableAnswer, "list of values"),
        (reply({"values": [], "pagination": "next"}), UnreadableAnswer, "cursor"),
        (reply({"values": [], "pagination": {"after": 5}}), UnreadableAnswer, "cursor"),
    ],
)
def test_every_refusal_is_typed_and_is_not_tried_again(
    response: httpx.Response, error: type[RequestError], says: str
) -> None:
    fake = FakeHex(faults=[lambda request: response])
    with fake.client() as client, pytest.raises(RequestError) as caught:
        client.projects()
    assert type(caught.value) is error
    assert says in str(caught.value)
    assert "listing projects, page 1" in str(caught.value)
    assert len(fake.requests) == 1


def test_a_missing_scope_is_named_for_each_resource() -> None:
    fake = FakeHex(faults=[lambda request: newer_error(403, "Forbidden")])
    with fake.client() as client:
        for read, scope in (
            (client.projects, "Read projects"),
            (client.newest_edits, "Read projects"),
            (client.data_connections, "Data connections read"),
            (lambda: client.cells(uuid_of(1)), "Cells read"),
            (client.me, "Users read"),
        ):
            with pytest.raises(PermissionMissing, match=f"'{scope}'") as caught:
                read()
            assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_the_token_is_in_no_error_log_or_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fake = FakeHex(faults=[lambda request: newer_error(500, "boom")])
    with fake.client() as client, pytest.raises(ServerFailed) as caught:
        client.projects()
    seen = f"{caught.value} {caught.value!r} {client!r} {vars(client)} {caplog.text}"
    assert TOKEN not in seen


def test_malformed_items_are_left_out_and_named_without_their_content() -> None:
    fake = FakeHex(
        projects=[
            project(1, lastEditedAt="secret date"),
            "secret text",
            project(3, id=None),
            project(4, id="secret id"),
            project(5, categories=[{"name": 5}], owner="secret owner"),
            project(6),
            project(7, id="   "),
        ]
    )
    fake.projects[3]["type"] = None
    with fake.client() as client:
        listing = client.projects()
    assert [p.id for p in listing.items] == [uuid_of(6)]
    assert listing.malformed == (
        f"project {uuid_of(1)} was left out: unusable lastEditedAt",
        "project at position 2 of page 1 was left out: it is not an object",
        "project at position 3 of page 1 was left out: unusable id",
        "project at position 4 of page 1 was left out: unusable type",
        f"project {uuid_of(5)} was left out: unusable categories.0.name, owner",
        "project at position 7 of page 1 was left out: unusable id",
    )


def test_newest_edits_is_one_small_request() -> None:
    fake = FakeHex(
        projects=[
            project(n, lastEditedAt=f"2026-10-{n:02d}T00:00:00.000Z", lastPublishedAt=None)
            for n in range(1, 10)
        ]
        + [project(30, lastEditedAt="2026-10-30T00:00:00.000Z", type="COMPONENT", creator=7)]
    )
    with fake.client() as client:
        edits = client.newest_edits(limit=3)
    assert [(edit.id, edit.last_edited_at and edit.last_edited_at.day) for edit in edits] == [
        (uuid_of(30), 30),
        (uuid_of(9), 9),
        (uuid_of(8), 8),
    ]
    assert edits[0].last_published_at is not None
    assert edits[1].last_published_at is None
    assert len(fake.requests) == 1
    assert "includeSharing" not in fake.requests[0].url.params


def test_me_knows_users_and_workspace_tokens() -> None:
    user = {"id": "U1", "name": None, "email": "ada@example.com", "role": "ADMIN"}
    answers = iter([reply({"org": {"id": ORG_ID.upper()}}), reply({**user, "org": {"id": "O"}})])
    fake = FakeHex(faults=[lambda request: next(answers)])
    with fake.client() as client:
        workspace, person = client.me(), client.me()
    assert workspace.id is None
    assert workspace.org is not None
    assert workspace.org.id == ORG_ID
    assert (person.id, person.email) == ("u1", "ada@example.com")


@pytest.mark.parametrize(
    ("body", "says"), [([], "not an object"), ({"org": "secret"}, "unusable org")]
)
def test_an_odd_answer_about_the_user_is_unreadable(body: Any, says: str) -> None:
    fake = FakeHex(faults=[lambda request: reply(body)])
    with fake.client() as client, pytest.raises(UnreadableAnswer, match=says) as caught:
        client.me()
    assert "secret" not in str(caught.value)
