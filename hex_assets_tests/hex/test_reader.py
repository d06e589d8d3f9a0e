"""What Hex sends becomes frames; what cannot be read becomes a gap."""

from __future__ import annotations

import json
import logging
import uuid
from datetime import datetime, timezone
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from hex_assets.errors import ServerFailed, UnreadableAnswer
from hex_assets.frames import HEX_CELLS, HEX_DATA_CONNECTIONS, HEX_PROJECTS, Frame
from hex_assets.hex.client import HexClient
from hex_assets.hex.details import StoredDetails
from hex_assets.hex.models import DataConnection, Schedule
from hex_assets.hex.namespaces import default_namespace
from hex_assets.hex.reader import (
    Mask,
    data_connections_frame,
    read_projects,
    read_workspace,
    schedule_words,
)
from hex_assets.hex.reader import read_data_connections as list_data_connections
from hex_assets.hex.reading import read_details
from hex_assets_tests.hex.fake_hex import (
    HOST,
    ORG_ID,
    FakeHex,
    connection,
    newer_error,
    on_page,
    project,
    reply,
    sql_cell,
    uuid_of,
)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc, arg-type]


def read_data_connections(client: HexClient) -> Frame:
    return data_connections_frame(list_data_connections(client))


def read_cells(client: HexClient, projects: Frame, connections: Frame, mask: Mask) -> Frame:
    """The cells of a first read, with nothing stored."""
    stored = StoredDetails(UPath(f"memory://details/{uuid.uuid4().hex}"))
    return read_details(client, projects, connections, mask, stored, kinds=["cells"]).cells


def projects_of(*items: Any) -> Frame:
    with FakeHex(projects=list(items)).client() as client:
        return read_projects(client, ORG_ID)


def row_of(item: Any) -> dict[str, Any]:
    frame = projects_of(item)
    assert frame.complete
    (row,) = frame.rows.to_dicts()
    return row


def test_a_project_becomes_a_row() -> None:
    assert row_of(project(1)) == {
        "id": uuid_of(1),
        "type": "PROJECT",
        "title": "Project 1",
        "description": "What it shows.",
        "owner_email": "olaf@example.com",
        "creator_email": "carol@example.com",
        "status": "Approved",
        "categories": ["Sales"],
        "category_descriptions": ["Money in"],
        "collections": ["Finance"],
        "created_at": utc(2026, 1, 1),
        "last_edited_at": utc(2026, 10, 1, 12, 34, 56, 789000),
        "last_published_at": utc(2026, 10, 2),
        "archived_at": None,
        "trashed_at": None,
        "last_viewed_at": utc(2026, 10, 3, 8),
        "views_all_time": 40,
        "views_7_days": 3,
        "views_14_days": 5,
        "views_30_days": 9,
        "collection_descriptions": [None],
        "groups": [],
        "reviews_required": False,
        "results_updated_at": None,
        "schedules": ["DAILY 06:30 +00:00"],
        "url": f"{HOST}/{ORG_ID}/app/{uuid_of(1)}",
    }


def test_a_bare_project_becomes_a_row_too() -> None:
    row = row_of({"id": uuid_of(1).upper(), "type": "NOVELTY", "futureField": {"a": [1]}})
    assert row["id"] == row["title"] == uuid_of(1)
    assert row["type"] == "NOVELTY"
    assert row["categories"] == row["collections"] == row["schedules"] == []
    assert row["url"] == f"{HOST}/{ORG_ID}/hex/{uuid_of(1)}/draft/logic"
    filled = {name for name, value in row.items() if value not in (None, [])}
    assert filled == {"id", "type", "title", "url"}


@pytest.mark.parametrize(
    "nothing",
    [
        "title",
        "description",
        "owner",
        "creator",
        "status",
        "categories",
        "analytics",
        "schedules",
        "sharing",
        "createdAt",
        "lastEditedAt",
    ],
)
def test_null_means_nothing(nothing: str) -> None:
    full, row = row_of(project(1)), row_of(project(1, **{nothing: None}))
    assert row != full
    assert set(row) == set(full)


@pytest.mark.parametrize("blank", ["", "  \n"])
def test_blank_text_is_none(blank: str) -> None:
    row = row_of(
        project(1, title=blank, description=blank, owner={"email": blank}, status={"name": blank})
    )
    assert row["title"] == uuid_of(1)
    assert row["description"] is row["owner_email"] is row["status"] is None


def test_long_and_odd_titles_are_kept() -> None:
    assert row_of(project(1, title="x" * 10_000))["title"] == "x" * 10_000
    assert row_of(project(1, title='Q3 "ünï" -- {}\u0000'))["title"] == 'Q3 "ünï" -- {}\u0000'


def test_a_title_cut_inside_an_emoji_is_mended() -> None:
    assert row_of(project(1, title="Sales \ud83d"))["title"] == "Sales \ufffd"
    assert row_of(project(1, title="Sales \U0001f4c8"))["title"] == "Sales \U0001f4c8"


def test_categories_and_collections_are_sorted_with_their_descriptions() -> None:
    row = row_of(
        project(
            1,
            categories=[
                {"name": "B", "description": None},
                {"name": "A", "description": "first"},
                {"name": "B", "description": None},
            ],
            sharing={
                "collections": [
                    {"collection": {"name": "Z"}},
                    {"collection": None},
                    {"collection": {"name": "Y"}},
                    {"collection": {"name": "Z"}},
                ]
            },
        )
    )
    assert row["categories"] == ["A", "B"]
    assert row["category_descriptions"] == ["first", None]
    assert row["collections"] == ["Y", "Z"]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2026-10-01T02:00:00+05:30", utc(2026, 9, 30, 20, 30)),
        ("2026-10-01T02:00:00", utc(2026, 10, 1, 2)),
        ("2026-10-01T02:00:00.123456Z", utc(2026, 10, 1, 2, 0, 0, 123456)),
    ],
)
def test_instants_are_utc(sent: str, read: datetime) -> None:
    assert row_of(project(1, createdAt=sent))["created_at"] == read


@pytest.mark.parametrize(
    "sent",
    ["yesterday", 1727000000, "1727000000", True, {}, "2026-13-01", "0001-01-01T00:00:00+14:00"],
)
def test_what_is_no_instant_is_a_gap(sent: Any) -> None:
    frame = projects_of(project(1, createdAt=sent), project(2))
    assert frame.rows["id"].to_list() == [uuid_of(2)]
    assert frame.gaps == (f"project {uuid_of(1)} was left out: unusable createdAt",)


@pytest.mark.parametrize("views", [-1, 2**63, "many", 1.5])
def test_what_is_no_count_is_a_gap(views: Any) -> None:
    frame = projects_of(project(1, analytics={"appViews": {"allTime": views}}))
    assert frame.gaps == (
        f"project {uuid_of(1)} was left out: unusable analytics.appViews.allTime",
    )


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"cadence": "HOURLY", "hourly": {"minute": 5, "timezone": "+05:30"}}, "HOURLY :05 +05:30"),
        (
            {"cadence": "DAILY", "daily": {"hour": 6, "minute": 30, "timezone": "+00:00"}},
            "DAILY 06:30 +00:00",
        ),
        (
            {
                "cadence": "WEEKLY",
                "weekly": {"dayOfWeek": "MONDAY", "hour": 6, "minute": 30, "timezone": "+00:00"},
            },
            "WEEKLY MONDAY 06:30 +00:00",
        ),
        (
            {
                "cadence": "MONTHLY",
                "monthly": {"day": 28, "hour": 0, "minute": 0, "timezone": "-08:00"},
            },
            "MONTHLY 28 00:00 -08:00",
        ),
        (
            {"cadence": "CUSTOM", "custom": {"cron": "0 6 * * 1-5", "timezone": "+01:00"}},
            "CUSTOM 0 6 * * 1-5 +01:00",
        ),
        ({"cadence": "YEARLY", "yearly": {"month": 1}}, "YEARLY"),
        ({"cadence": "DAILY", "daily": None}, "DAILY"),
    ],
)
def test_schedules_in_words(schedule: dict[str, Any], words: str) -> None:
    assert schedule_words(Schedule.model_validate(schedule)) == words


def test_only_enabled_schedules_are_kept() -> None:
    daily = project(1)["schedules"][0]
    assert row_of(project(1, schedules=[{**daily, "enabled": False}]))["schedules"] == []
    assert row_of(project(1, schedules=[daily, daily]))["schedules"] == ["DAILY 06:30 +00:00"]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_without_an_org_id_there_are_no_links(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(request: httpx.Request) -> httpx.Response | None:
        return newer_error(status, "no") if request.url.path.endswith("/users/me") else None

    caplog.set_level(logging.WARNING)
    fake = FakeHex(projects=[project(1)], faults=[fault])
    with fake.client() as client:
        (row,) = read_workspace(client).rows.to_dicts()
        assert row["org_id"] is None
        assert row["missing_scopes"] == (["Users read"] if status == 403 else [])
        assert "hexOrgId" in caplog.text
        assert read_projects(client).rows["url"].to_list() == [None]
        assert read_projects(client, org_id="acme/x").rows["url"].to_list() == [
            f"{HOST}/acme%2Fx/app/{uuid_of(1)}"
        ]


def test_the_token_tells_its_kind_and_end() -> None:
    me = {"org": {"id": ORG_ID.upper()}, "token": {"exp": 1_800_000_000}}
    fake = FakeHex(faults=[lambda r: reply(me) if r.url.path.endswith("/me") else None])
    with fake.client() as client:
        (row,) = read_workspace(client).rows.to_dicts()
    assert row == {
        "org_id": ORG_ID,
        "token_kind": "workspace",
        "token_expires_at": utc(2027, 1, 15, 8),
        "missing_scopes": [],
    }


def test_scopes_that_the_token_lacks_are_found_by_small_requests() -> None:
    refused = ("/me", "/collections", "/data-connections")
    fake = FakeHex(
        connections=[connection(number) for number in range(1, 30)],
        faults=[lambda r: newer_error(403, "no") if r.url.path.endswith(refused) else None],
    )
    with fake.client() as client:
        (row,) = read_workspace(client).rows.to_dicts()
    assert row["missing_scopes"] == ["Collections read", "Data connections read", "Users read"]
    fake.faults.clear()
    fake.requests.clear()
    with fake.client() as client:
        (row,) = read_workspace(client).rows.to_dicts()
    assert row["missing_scopes"] == []
    assert len(fake.requests) == 3


def test_collections_bring_their_descriptions_and_groups_their_names() -> None:
    sharing = {
        "collections": [{"collection": {"name": n}, "access": "CAN_VIEW"} for n in ("B", "A")],
        "groups": [
            {"group": {"name": "Analysts"}, "access": "CAN_EDIT"},
            {"group": {"name": "Nobody"}, "access": "NONE"},
        ],
    }
    fake = FakeHex(
        projects=[project(1, sharing=sharing)],
        collections=[
            {"id": "1", "name": "A", "description": "first"},
            {"id": "2", "name": "B", "description": "one"},
            {"id": "3", "name": "B", "description": "another"},
        ],
    )
    with fake.client() as client:
        (row,) = read_projects(client).rows.to_dicts()
    assert row["collections"] == ["A", "B"]
    assert row["collection_descriptions"] == ["first", None]
    assert row["groups"] == ["Analysts"]


def test_an_empty_workspace_is_complete() -> None:
    with FakeHex().client() as client:
        projects, connections = read_projects(client), read_data_connections(client)
        cells = read_cells(client, projects, connections, mask_nothing)
    for frame in (projects, connections, cells):
        assert frame.complete
        assert frame.rows.is_empty()


def test_an_interrupted_listing_raises() -> None:
    fake = FakeHex(projects=[project(1), project(2)], connections=[connection(1)], page_size=1)
    fake.faults = [on_page(2, lambda: httpx.Response(503))]
    with fake.client() as client, pytest.raises(ServerFailed, match="page 2"):
        read_projects(client)
    fake.faults = [lambda request: httpx.Response(200, text="<html>")]
    with fake.client() as client, pytest.raises(UnreadableAnswer):
        read_data_connections(client)


# --- data connections


@pytest.mark.parametrize(
    ("kind", "details", "namespace"),
    [
        ("athena", {"catalog": "AwsDataCatalog"}, ("AwsDataCatalog", None)),
        ("athena", {"catalog": None}, (None, None)),
        ("bigquery", {"projectId": "acme-prod"}, ("acme-prod", None)),
        ("clickhouse", {"hostname": "h", "port": 1, "username": "u"}, (None, None)),
        ("postgres", {"hostname": "h", "database": "app"}, ("app", "public")),
        ("redshift", {"host": "h", "database": "dw"}, ("dw", "public")),
        ("snowflake", {"database": "DW", "schema": None}, ("DW", None)),
        ("snowflake", {"database": "DW", "schema": "S"}, ("DW", "S")),
        ("trino", {"catalog": "hive", "schema": "raw"}, ("hive", "raw")),
        (
            "databricks",
            {"jdbcUrl": "jdbc:databricks://h:443/default;PWD=x;ConnCatalog=main;connschema=sales"},
            ("main", "sales"),
        ),
        ("databricks", {"jdbcUrl": "jdbc:databricks://h:443/default;ConnCatalog="}, (None, None)),
        ("databricks", {"jdbcUrl": None}, (None, None)),
        ("snowflake", {"database": 5}, (None, None)),
        ("mysql", {"database": "shop"}, (None, None)),
    ],
)
def test_default_namespace_of_each_type(
    kind: str, details: dict[str, Any], namespace: tuple[str | None, str | None]
) -> None:
    sent = connection(1, type=kind, connectionDetails={kind: details})
    assert default_namespace(DataConnection.model_validate(sent)) == namespace


@pytest.mark.parametrize("details", [None, {}, {"snowflake": None}, {"other": {"database": "X"}}])
def test_a_connection_may_keep_its_details_to_itself(details: Any) -> None:
    sent = connection(1, connectionDetails=details)
    assert default_namespace(DataConnection.model_validate(sent)) == (None, None)


def test_connections_become_rows() -> None:
    fake = FakeHex(
        connections=[
            connection(1, id=uuid_of(0xC001).upper()),
            connection(2, name=None, type="motherduck", connectionDetails=None),
            connection(3, connectionDetails="secret"),
        ]
    )
    with fake.client() as client:
        frame = read_data_connections(client)
    assert frame.rows.rows() == [
        (uuid_of(0xC001), "Warehouse 1", "snowflake", "ANALYTICS", "PUBLIC", "snowflake", None),
        (uuid_of(0xC002), uuid_of(0xC002), "motherduck", None, None, "duckdb", None),
    ]
    left_out = f"data connection {uuid_of(0xC003)} was left out: unusable connectionDetails"
    assert frame.gaps == (left_out,)


def test_details_of_a_connection_stay_out_of_its_repr() -> None:
    sent = connection(1, connectionDetails={"databricks": {"jdbcUrl": "jdbc:x;PWD=secret"}})
    assert "secret" not in repr(DataConnection.model_validate(sent))


# --- cells


def mask_nothing(sql: str, dialect: str) -> str:
    return sql


def tagging(sql: str, dialect: str) -> str:
    return f"{dialect or 'any'}: {sql}"


def frames_of(fake: FakeHex) -> tuple[Frame, Frame]:
    with fake.client() as client:
        return read_projects(client), read_data_connections(client)


def test_cells_become_rows_with_masked_sql() -> None:
    unknown = {"id": "x", "staticId": uuid_of(9).upper(), "cellType": "HOLOGRAM"}
    fake = FakeHex(
        projects=[project(1), project(2, type="COMPONENT")],
        connections=[connection(1)],
        cells={
            uuid_of(1): [sql_cell(1, dataConnectionId=uuid_of(0xC001).upper()), unknown],
            uuid_of(2): [],
        },
    )
    projects, connections = frames_of(fake)
    with fake.client() as client:
        frame = read_cells(client, projects, connections, tagging)
    assert frame.complete
    assert frame.rows.to_dicts() == [
        {
            "project_id": uuid_of(1),
            "cell_id": uuid_of(0xB001),
            "type": "SQL",
            "label": "Query 1",
            "data_connection_id": uuid_of(0xC001),
            "sql": "snowflake: select 1",
            "dialect": "snowflake",
            "jinja_names": [],
            "output_dataframe": "frame_1",
            "source_dataframe": None,
            "parent_cell_id": None,
            "component_id": None,
            "markdown": None,
            "version": "draft",
        },
        {
            "project_id": uuid_of(1),
            "cell_id": uuid_of(9),
            "type": "HOLOGRAM",
            "label": None,
            "data_connection_id": None,
            "sql": None,
            "dialect": None,
            "jinja_names": [],
            "output_dataframe": None,
            "source_dataframe": None,
            "parent_cell_id": None,
            "component_id": None,
            "markdown": None,
            "version": "draft",
        },
    ]


@pytest.mark.parametrize(
    ("kind", "dialect"),
    [
        ("bigquery", "bigquery"),
        ("cloudsql__sqlserver", "tsql"),
        ("starburst", "trino"),
        ("motherduck", "duckdb"),
        ("novelty", "any"),
    ],
)
def test_the_connection_tells_the_dialect(kind: str, dialect: str) -> None:
    fake = FakeHex(
        projects=[project(1)],
        connections=[connection(1, type=kind, connectionDetails=None)],
        cells={uuid_of(1): [sql_cell(1)]},
    )
    projects, connections = frames_of(fake)
    with fake.client() as client:
        frame = read_cells(client, projects, connections, tagging)
    assert frame.rows["sql"].to_list() == [f"{dialect}: select 1"]


def test_dataframe_sql_is_duckdb_and_a_hidden_connection_has_no_dialect() -> None:
    fake = FakeHex(
        projects=[project(1)],
        cells={
            uuid_of(1): [
                sql_cell(1, dataConnectionId=None),
                sql_cell(2, dataConnectionId="gone"),
                sql_cell(3, source="  "),
            ]
        },
    )
    projects, connections = frames_of(fake)
    with fake.client() as client:
        frame = read_cells(client, projects, connections, tagging)
    assert frame.rows["sql"].to_list() == ["duckdb: select 1", "any: select 1", None]


def test_cells_of_trashed_projects_are_not_asked_for() -> None:
    fake = FakeHex(
        projects=[
            project(1, trashedAt="2026-10-01T00:00:00.000Z"),
            project(2, archivedAt="2026-10-01T00:00:00.000Z"),
        ],
        cells={uuid_of(2): [sql_cell(2)]},
    )
    projects, connections = frames_of(fake)
    fake.requests.clear()
    with fake.client() as client:
        frame = read_cells(client, projects, connections, mask_nothing)
    asked = [one.url.params["projectId"] for one in fake.requests if one.method == "GET"]
    assert asked == [uuid_of(2)]
    assert frame.rows["project_id"].to_list() == [uuid_of(2)]


def test_a_token_without_the_cells_scope_is_one_gap_and_is_asked_once() -> None:
    fake = FakeHex(projects=[project(n) for n in range(5)])
    projects, connections = frames_of(fake)
    fake.requests.clear()
    fake.faults = [lambda request: newer_error(403, "Forbidden")]
    with fake.client() as client:
        frame = read_cells(client, projects, connections, mask_nothing)
    # A second project's export settles that none can be had; cells are asked for once.
    assert [request.method for request in fake.requests] == ["POST", "GET", "POST"]
    (gap,) = frame.gaps
    assert gap.startswith("cells of 5 projects were not read: Hex GET /cells: HTTP 403")
    assert "'Cells read'" in gap


def test_a_project_that_vanished_is_its_own_gap() -> None:
    fake = FakeHex(
        projects=[project(1), project(2), project(3)],
        cells={uuid_of(1): [sql_cell(1)], uuid_of(3): [sql_cell(3), sql_cell(4, label=5)]},
    )
    projects, connections = frames_of(fake)
    with fake.client() as client:
        frame = read_cells(client, projects, connections, mask_nothing)
    assert frame.rows["project_id"].to_list() == [uuid_of(1), uuid_of(3)]
    assert frame.gaps == (
        f"cells of project {uuid_of(2)}: vanished before it was read",
        f"project {uuid_of(3)}: cell {uuid_of(0xB004)} was left out: unusable label",
    )


def test_cells_of_an_incomplete_listing_are_incomplete() -> None:
    projects = projects_of(project(1, id=None))
    with FakeHex().client() as client:
        frame = read_cells(client, projects, HEX_DATA_CONNECTIONS.empty(), mask_nothing)
    assert frame.gaps == projects.gaps != ()


def test_a_project_that_fails_is_a_gap_and_several_in_a_row_raise() -> None:
    fake = FakeHex(projects=[project(1)], cells={uuid_of(1): []})
    projects, connections = frames_of(fake)
    fake.faults = [lambda request: httpx.Response(500)]
    with fake.client() as client:
        frame = read_cells(client, projects, connections, mask_nothing)
    (gap,) = frame.gaps
    assert f"listing cells of project {uuid_of(1)}, page 1" in gap
    fake.projects = [project(n) for n in range(1, 5)]
    fake.faults = []
    projects, connections = frames_of(fake)
    fake.faults = [lambda request: httpx.Response(500)]
    with fake.client() as client, pytest.raises(ServerFailed, match="listing cells"):
        read_cells(client, projects, connections, mask_nothing)


# --- whatever comes

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["9999-12-31T23:59:59-12:00", "2026-10-01", "half \ud800", "1"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        found += [p for key, inner in value.items() for p in paths_in(inner, (*path, key))]
    elif isinstance(value, list):
        found += [p for i, inner in enumerate(value) for p in paths_in(inner, (*path, i))]
    return found


@st.composite
def mutated(draw: st.DrawFn, valid: dict[str, Any]) -> Any:
    """The payload with up to three values, at any depth, replaced or removed."""
    value: Any = json.loads(json.dumps(valid))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(paths_in(value)))
        if not path:
            value = draw(json_values)
            continue
        parent = value
        for step in path[:-1]:
            parent = parent[step]
        if draw(st.booleans()):
            parent[path[-1]] = draw(json_values)
        else:
            del parent[path[-1]]
    return value


@settings(deadline=None, derandomize=True)
@given(mutated(project(1)))
def test_any_project_is_a_row_or_a_gap(sent: Any) -> None:
    frame = projects_of(sent, project(2))
    HEX_PROJECTS.check(frame.rows)
    ids = frame.rows["id"].to_list()
    assert ids[-1] == uuid_of(2)
    assert len(ids) + len(frame.gaps) == 2
    assert all(title for title in frame.rows["title"].to_list())


@settings(deadline=None, derandomize=True)
@given(mutated(connection(1)))
def test_any_connection_is_a_row_or_a_gap(sent: Any) -> None:
    fake = FakeHex(connections=[sent, connection(2)])
    with fake.client() as client:
        frame = read_data_connections(client)
    assert len(frame.rows) + len(frame.gaps) == 2


@settings(deadline=None, derandomize=True)
@given(mutated(sql_cell(1)))
def test_any_cell_is_a_row_or_a_gap(sent: Any) -> None:
    fake = FakeHex(cells={uuid_of(1): [sent, sql_cell(2)]})
    projects = projects_of(project(1))
    with fake.client() as client:
        frame = read_cells(client, projects, HEX_DATA_CONNECTIONS.empty(), mask_nothing)
    HEX_CELLS.check(frame.rows)
    assert len(frame.rows) + len(frame.gaps) == 2
