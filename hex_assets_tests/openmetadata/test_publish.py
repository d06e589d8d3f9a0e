"""Publishing to the sandbox catalog over HTTP: what arrives, what stays, what is not sent."""

from __future__ import annotations

import pickle
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from hex_assets.errors import (
    ConnectionFailed,
    PlanOutdated,
    PublishError,
    RecipeError,
    TokenRejected,
)
from hex_assets.frames import Frame
from hex_assets.http import Retry
from hex_assets.openmetadata.actual import PlanOptions
from hex_assets.openmetadata.apply import apply_plan
from hex_assets.openmetadata.changes import Change, PutDashboard
from hex_assets.openmetadata.client import OpenMetadataClient
from hex_assets.openmetadata.desired import desired_state
from hex_assets.openmetadata.plan import DELETION_GUARD, Completeness, make_plan
from hex_assets.openmetadata.publish import Sources, plan_publication, publish, read_actual
from hex_assets.sandbox.catalog.releases import Release
from hex_assets.sandbox.faults import Fault
from hex_assets_tests.openmetadata.catalogs import EVENTS, JWT, ORDERS, Catalog, Stage
from hex_assets_tests.openmetadata.workspaces import (
    CREATED,
    edge,
    edges,
    project,
    project_id,
    projects,
    recipe,
)

ONE = project_id(1)
EDITED_LATER = datetime(2026, 11, 2, tzinfo=timezone.utc)


def run(catalog: Catalog, hex_projects: Frame, lineage: Frame | None = None, **over: Any) -> Frame:
    with catalog.client() as client:
        sources = Sources(hex_projects, lineage or edges())
        return publish(client, over.pop("by", recipe()), sources, **over)


def writes(catalog: Catalog) -> list[str]:
    """The writes since the last call."""
    sent = catalog.faults.writes()
    catalog.faults.requests.clear()
    return sent


def row(frame: Frame, fqn: str) -> dict[str, Any]:
    (found,) = frame.rows.filter(pl.col("fqn") == fqn).to_dicts()
    return found


def rich_workspace(catalog: Catalog) -> tuple[Frame, Frame]:
    orders, events = catalog.table_id(ORDERS), catalog.table_id(EVENTS)
    return projects(
        project(
            1,
            title='Ünïcode "quoted" > :: 📈 ' + "x" * 300,
            categories=["Fin.ance", 'a::b>"c"'],
            category_descriptions=["Money matters.", None],
            collections=["Board / Q3"],
        ),
        project(2, owner_email=None, status=None, description=None),
        project(3, owner_email="nobody@shop.example"),
    ), edges(
        edge(1, ORDERS, orders),
        edge(1, EVENTS, events, evidence=["cell_sql"]),
        edge(1, EVENTS, events, evidence=["query_history"], executions=9, sql="SELECT best"),
        edge(2, ORDERS, orders, sql=None),
    )


def test_a_workspace_arrives_whole(catalog: Catalog, release: Release) -> None:
    hex_projects, lineage = rich_workspace(catalog)
    frame = run(catalog, hex_projects, lineage)

    assert frame.rows["outcome"].unique().to_list() == ["done"]
    service = catalog.get("/services/dashboardServices/name/hex")
    assert service["serviceType"] == ("Hex" if release.knows_hex else "CustomDashboard")
    assert "connection" not in service
    one = catalog.dashboard(ONE)
    assert one["displayName"] == hex_projects.rows["title"][0]
    assert one["description"] == "What project 1 is for."
    assert one["sourceUrl"].endswith(f"/hex/{ONE}/draft/logic")
    assert [owner["name"] for owner in one["owners"]] == ["ana"]
    assert one["lifeCycle"]["updated"]["timestamp"] == 1791219600123
    assert {label["tagFQN"] for label in one["tags"]} == {
        "HexStatus.Approved",
        'HexCategories."Fin.ance"',
        "HexCategories.a__reserved__colon__b__reserved__arrow____reserved__quote__c"
        "__reserved__quote__",
        "HexCollections.Board / Q3",
    }
    assert {(label["labelType"], label["state"]) for label in one["tags"]} == {
        ("Automated", "Suggested")
    }
    encoded = [tag for tag in catalog.get("/tags", limit=100)["data"] if "__" in tag["name"]]
    assert [tag["displayName"] for tag in encoded] == ['a::b>"c"']
    described = {tag["name"]: tag["description"] for tag in catalog.get("/tags", limit=9)["data"]}
    assert described["Fin.ance"] == "Money matters."
    upstream = {edge["fromEntity"]: edge["lineageDetails"] for edge in catalog.upstream(ONE)}
    details = upstream[catalog.table_id(EVENTS)]
    assert details["source"] == "DashboardLineage"
    assert details["sqlQuery"] == "SELECT best"
    assert "query history and the SQL" not in details["description"]
    assert details["description"] == (
        "Read by this Hex project, as shown by the SQL of its cells and the warehouse's query "
        "history. Published by hex-assets."
    )
    assert [owner["name"] for owner in catalog.dashboard(project_id(2))["owners"]] == ["ben.o"]
    assert catalog.dashboard(project_id(3))["owners"] == []
    assert "has no user" in row(frame, f"hex.{project_id(3)}")["reason"]


@pytest.mark.parametrize("bot", [True, False])
def test_the_second_time_sends_nothing(
    stage: Stage, tmp_path: Path, release: Release, bot: bool
) -> None:
    with stage.catalog(tmp_path / "c.sqlite", release=release, bot=bot) as catalog:
        hex_projects, lineage = rich_workspace(catalog)
        run(catalog, hex_projects, lineage)
        assert writes(catalog)
        frame = run(catalog, hex_projects, lineage)
        assert writes(catalog) == []
        assert set(frame.rows["action"]) == {"unchanged"}
        assert set(frame.rows["outcome"]) == {"unchanged"}


def test_only_what_changed_is_sent(catalog: Catalog) -> None:
    hex_projects, lineage = rich_workspace(catalog)
    run(catalog, hex_projects, lineage)
    writes(catalog)
    changed = hex_projects.rows.with_columns(
        pl.when(pl.col("id") == project_id(2))
        .then(pl.lit("https://app.hex.tech/elsewhere"))
        .otherwise("url")
        .alias("url")
    )
    frame = run(catalog, projects(*changed.to_dicts()), lineage)
    assert writes(catalog) == ["PUT /api/v1/dashboards"]
    assert row(frame, f"hex.{project_id(2)}")["reason"] == "changed: sourceUrl"
    assert catalog.dashboard(project_id(2))["sourceUrl"] == "https://app.hex.tech/elsewhere"


def test_a_plan_sends_nothing_and_says_what_publishing_would(catalog: Catalog) -> None:
    hex_projects, lineage = rich_workspace(catalog)
    with catalog.client() as client:
        planned = plan_publication(client, recipe(), Sources(hex_projects, lineage))
    assert writes(catalog) == []
    assert set(planned.frame.rows["outcome"]) == {"planned"}
    done = run(catalog, hex_projects, lineage, reviewed=planned.fingerprint)
    assert done.rows.drop("outcome").equals(planned.frame.rows.drop("outcome"))


def test_what_is_not_what_was_reviewed_is_not_sent(catalog: Catalog) -> None:
    hex_projects, lineage = rich_workspace(catalog)
    with catalog.client() as client:
        planned = plan_publication(client, recipe(), Sources(hex_projects, lineage))
    with pytest.raises(PlanOutdated, match="Nothing was sent"):
        run(catalog, projects(project(1)), lineage, reviewed=planned.fingerprint)
    assert writes(catalog) == []


def test_a_title_a_bot_may_not_change_is_sent_once(newest: Catalog) -> None:
    run(newest, projects(project(1)))
    run(newest, projects(project(1, title="Renamed")))
    assert newest.dashboard(ONE)["displayName"] == "Project 1"
    writes(newest)
    frame = run(newest, projects(project(1, title="Renamed")))
    assert writes(newest) == []
    assert "displayName of OpenMetadata kept" in row(frame, f"hex.{ONE}")["reason"]


def test_a_title_follows_hex_where_a_bot_may_change_it(oldest: Catalog) -> None:
    run(oldest, projects(project(1)))
    run(oldest, projects(project(1, title="Renamed")))
    assert oldest.dashboard(ONE)["displayName"] == "Renamed"


@pytest.mark.parametrize("description", ["Better.", None])
def test_our_own_description_follows_hex(catalog: Catalog, description: str | None) -> None:
    run(catalog, projects(project(1)))
    run(catalog, projects(project(1, description=description)))
    assert catalog.dashboard(ONE).get("description") == description
    writes(catalog)
    run(catalog, projects(project(1, description=description)))
    assert writes(catalog) == []


@pytest.mark.parametrize("bot", [True, False])
def test_what_people_wrote_stays(stage: Stage, tmp_path: Path, bot: bool) -> None:
    with stage.catalog(tmp_path / "c.sqlite", bot=bot) as catalog:
        orders = catalog.table_id(ORDERS)
        before = projects(project(1, categories=["A"], category_descriptions=[None]))
        run(catalog, before, edges(edge(1, EVENTS, catalog.table_id(EVENTS))))
        classification = {"name": "Team", "description": "-"}
        catalog.put("/classifications", classification)
        catalog.put("/tags", {"name": "Gold", "description": "-", "classification": "Team"})
        catalog.put("/tags", {"name": "Mine", "description": "-", "classification": "HexStatus"})
        chart = catalog.put("/charts", {"name": "c1", "service": "hex"})
        dashboard = catalog.dashboard(ONE)
        catalog.put_edge(orders, dashboard["id"], source="Manual", sqlQuery="by hand")
        people = [
            {"id": catalog.user_id("cleo"), "type": "user"},
            {"id": catalog.user_id("ana"), "type": "user"},
        ]
        manual = {"source": "Classification", "labelType": "Manual", "state": "Confirmed"}
        catalog.patch_dashboard(
            ONE,
            {"op": "add", "path": "/description", "value": "Written by Cleo."},
            {"op": "add", "path": "/owners", "value": people},
            {"op": "add", "path": "/tags/-", "value": {"tagFQN": "Team.Gold", **manual}},
            {"op": "add", "path": "/tags/-", "value": {"tagFQN": "HexStatus.Mine", **manual}},
            {"op": "add", "path": "/charts", "value": [{"id": chart["id"], "type": "chart"}]},
        )

        after = projects(
            project(
                1,
                title="New title",
                description="New words of Hex.",
                owner_email="ben@shop.example",
                status="Draft",
            )
        )
        frame = run(catalog, after, edges(edge(1, ORDERS, orders)))

        one = catalog.dashboard(ONE)
        assert one["description"] == "Written by Cleo."
        assert {owner["name"] for owner in one["owners"]} == {"cleo", "ben.o"}
        assert {label["tagFQN"] for label in one["tags"]} == {
            "Team.Gold",
            "HexStatus.Mine",
            "HexStatus.Draft",
        }
        assert [link["name"] for link in one["charts"]] == ["c1"]
        details = {edge["fromEntity"]: edge["lineageDetails"] for edge in catalog.upstream(ONE)}
        assert details[orders]["source"] == "Manual"
        assert details[orders]["sqlQuery"] == "by hand"
        assert details[catalog.table_id(EVENTS)]["source"] == "DashboardLineage"
        skipped = row(frame, f"{ORDERS} -> hex.{ONE}")
        assert skipped["action"] == "skip"
        assert "source Manual" in skipped["reason"]
        writes(catalog)
        run(catalog, after, edges(edge(1, ORDERS, orders)))
        assert writes(catalog) == []


def test_override_metadata_replaces_what_people_wrote(catalog: Catalog) -> None:
    run(catalog, projects(project(1)))
    cleo = [{"id": catalog.user_id("cleo"), "type": "user"}]
    catalog.patch_dashboard(
        ONE,
        {"op": "add", "path": "/description", "value": "Written by Cleo."},
        {"op": "add", "path": "/owners", "value": cleo},
    )
    run(catalog, projects(project(1)), by=recipe(overrideMetadata=True))
    one = catalog.dashboard(ONE)
    assert one["description"] == "What project 1 is for."
    assert [owner["name"] for owner in one["owners"]] == ["ana"]


def test_entries_of_openmetadatas_connector_are_adopted(newest: Catalog) -> None:
    newest.put("/services/dashboardServices", {"name": "hex", "serviceType": "Hex"})
    newest.put("/classifications", {"name": "HexCategories", "description": "-"})
    tag = {"name": "Approved", "description": "-", "classification": "HexCategories"}
    newest.put("/tags", tag)
    automated = {"source": "Classification", "labelType": "Automated", "state": "Suggested"}
    theirs = {
        "name": ONE,
        "service": "hex",
        "displayName": "Project 1",
        "description": "What project 1 is for.\n\n",
        "sourceUrl": f"https://app.hex.tech/app/projects/{ONE}",
        "tags": [{"tagFQN": "HexCategories.Approved", **automated}],
        "sourceHash": "0" * 32,
    }
    before = newest.put("/dashboards", theirs)["id"]
    run(newest, projects(project(1)))
    one = newest.dashboard(ONE)
    assert one["id"] == before
    assert [label["tagFQN"] for label in one["tags"]] == ["HexStatus.Approved"]
    assert one["sourceUrl"].startswith("https://app.hex.tech/org/hex/")
    writes(newest)
    run(newest, projects(project(1)))
    assert writes(newest) == []
    run(newest, projects(project(1, description="Other words.")))
    assert newest.dashboard(ONE)["description"] == "Other words."


def test_projects_that_left_are_soft_deleted_and_come_back(catalog: Catalog) -> None:
    everyone = [project(n) for n in range(1, 11)]
    lineage = edges(edge(2, ORDERS, catalog.table_id(ORDERS)))
    run(catalog, projects(*everyone), lineage)
    chart = catalog.put("/charts", {"name": "c1", "service": "hex"})
    catalog.patch_dashboard(
        project_id(2),
        {"op": "add", "path": "/charts", "value": [{"id": chart["id"], "type": "chart"}]},
    )
    archived = project(2, archived_at=EDITED_LATER)
    rest = projects(*everyone[:1], archived, *everyone[3:])
    frame = run(catalog, rest, lineage)
    gone = {one["name"] for one in catalog.dashboards() if one["deleted"]}
    assert gone == {project_id(2), project_id(3)}
    assert row(frame, f"hex.{project_id(2)}")["reason"] == "was archived in Hex on 2026-11-02"
    assert row(frame, f"hex.{project_id(3)}")["reason"] == "is gone from Hex"
    assert row(frame, f"{ORDERS} -> hex.{project_id(2)}")["action"] == "skip"
    writes(catalog)
    run(catalog, rest, lineage)
    assert writes(catalog) == []

    # OpenMetadata does not answer the lineage of a dashboard that is deleted.
    deleted = f"GET /api/v1/lineage/dashboard/{catalog.dashboard(project_id(2))['id']}"
    catalog.faults.faults.append(Fault(deleted, status=404))
    back = run(catalog, projects(*everyone), lineage)
    catalog.faults.faults.clear()
    assert {one["name"] for one in catalog.dashboards() if one["deleted"]} == set()
    assert row(back, f"hex.{project_id(2)}")["action"] == "restore"
    assert [link["name"] for link in catalog.dashboard(project_id(2))["charts"]] == ["c1"]
    assert row(back, f"{ORDERS} -> hex.{project_id(2)}")["action"] == "unchanged"
    writes(catalog)
    run(catalog, projects(*everyone), lineage)
    assert writes(catalog) == []


def test_an_empty_listing_deletes_nothing(catalog: Catalog) -> None:
    run(catalog, projects(*(project(n) for n in range(4))))
    writes(catalog)
    frame = run(catalog, projects())
    assert writes(catalog) == []
    held = frame.rows.filter(pl.col("reason").str.contains(DELETION_GUARD, literal=True))
    assert held.height == 4
    assert set(held["action"]) == {"skip"}
    run(catalog, projects(), by=recipe({"deletionGuardPercent": 100}))
    assert len(writes(catalog)) == 4


def test_an_incomplete_listing_deletes_nothing(catalog: Catalog) -> None:
    run(catalog, projects(*(project(n) for n in range(10))))
    writes(catalog)
    part = projects(*(project(n) for n in range(9)), gaps=["1 project could not be read"])
    frame = run(catalog, part)
    assert writes(catalog) == []
    reason = row(frame, f"hex.{project_id(9)}")["reason"]
    assert reason == (
        "was not among the projects read; kept because not all projects could be read"
    )


def test_one_bad_entity_does_not_stop_the_rest(catalog: Catalog) -> None:
    hex_projects, lineage = rich_workspace(catalog)
    catalog.faults.faults.append(Fault("PUT /api/v1/tags", status=400, nth=1, times=1))
    with pytest.raises(PublishError, match=r"1 of \d+ entities could not be published") as caught:
        run(catalog, hex_projects, lineage, by=recipe({"concurrency": 1}))
    frame = caught.value.frame
    outcomes = dict(frame.rows.group_by("outcome").len().iter_rows())
    assert outcomes.pop("done") > 5
    assert sum(text.startswith("failed: OpenMetadata PUT /v1/tags: HTTP 400") for text in outcomes)
    assert any(text.startswith("skipped: needs tag") for text in outcomes)
    assert not caught.value.transient
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    run(catalog, hex_projects, lineage)
    writes(catalog)
    run(catalog, hex_projects, lineage)
    assert writes(catalog) == []


def test_ten_failures_are_named_and_the_rest_counted(catalog: Catalog) -> None:
    catalog.faults.faults.append(Fault("PUT /api/v1/dashboards", status=400, times=None))
    with pytest.raises(PublishError) as caught:
        run(catalog, projects(*(project(n) for n in range(12))))
    lines = str(caught.value).splitlines()
    assert lines[0] == "12 of 15 entities could not be published:"
    assert len(lines) == 1 + 10 + 1
    assert lines[-1] == "- and 2 more"


def test_a_server_that_is_down_is_not_asked_for_every_entity(catalog: Catalog) -> None:
    catalog.faults.faults.append(Fault("PUT /api/v1/dashboards", status=503, times=None))
    with pytest.raises(PublishError) as caught:
        run(catalog, projects(*(project(n) for n in range(60))), by=recipe({"concurrency": 1}))
    assert caught.value.transient
    assert writes(catalog).count("PUT /api/v1/dashboards") < 20


def test_failures_with_successes_between_them_do_not_stop_the_run() -> None:
    numbers = iter(range(100))

    def handler(request: httpx.Request) -> httpx.Response:
        if next(numbers) % 2:
            return httpx.Response(503, json={"code": 503, "message": "lock timeout"})
        return httpx.Response(200, json={"id": "1", "name": "d", "fullyQualifiedName": "hex.d"})

    changes = [
        Change("dashboard", f"hex.{n}", "create", "-", PutDashboard({"name": str(n)}))
        for n in range(60)
    ]
    client = OpenMetadataClient(
        "https://om/api",
        lambda: "jwt",
        retry=Retry(attempts=1),
        transport=httpx.MockTransport(handler),
    )
    applied = apply_plan(client, changes, concurrency=1)
    assert len(applied.errors) == 30
    assert applied.stopped_by is None
    assert list(applied.outcomes.values()).count("done") == 30


def test_a_group_owns_by_its_address_if_no_user_has_it() -> None:
    listings = {
        "users": [{"id": "u1", "name": "ana", "email": "Ana@x"}, {"id": "u2", "name": "bot"}],
        "teams": [
            {"id": "t1", "name": "growth", "email": "growth@X", "teamType": "Group"},
            {"id": "t2", "name": "all", "email": "all@x", "teamType": "Organization"},
            {"id": "t3", "name": "other", "email": "ana@x", "teamType": "Group"},
        ],
    }

    def handler(request: httpx.Request) -> httpx.Response:
        collection = request.url.path.rpartition("/")[2]
        if collection not in listings:
            return httpx.Response(404, json={"code": 404, "message": "-"})
        return httpx.Response(200, json={"data": listings[collection], "paging": {"total": 3}})

    client = OpenMetadataClient(
        "https://om/api", lambda: "jwt", transport=httpx.MockTransport(handler)
    )
    owners = ("ana@X", "Growth@x", "all@x")
    hex_projects = projects(*(project(n, owner_email=who) for n, who in enumerate(owners)))
    desired = desired_state("hex", hex_projects.rows, edges().rows)
    actual, _ = read_actual(client, desired, PlanOptions(include_tags=False), CREATED)
    assert {email: (who.type, who.id) for email, who in actual.owners.items()} == {
        "ana@x": ("user", "u1"),
        "growth@x": ("team", "t1"),
    }


def test_an_edge_that_says_nothing_about_itself_is_not_ours() -> None:
    dashboard = {"id": "d", "name": ONE, "fullyQualifiedName": f"hex.{ONE}"}
    bodies = {
        "dashboardServices/name/hex": {"id": "s", "name": "hex", "serviceType": "Hex"},
        "v1/charts": {"data": [], "paging": {"total": 0}},
        "v1/dashboards": {"data": [dashboard], "paging": {"total": 1}},
        "v1/users": {"data": [], "paging": {"total": 0}},
        "v1/teams": {"data": [], "paging": {"total": 0}},
        "lineage/dashboard/d": {
            "nodes": [],
            "upstreamEdges": [{"fromEntity": "t", "toEntity": "d"}],
        },
    }

    def handler(request: httpx.Request) -> httpx.Response:
        (body,) = [body for end, body in bodies.items() if request.url.path.endswith(end)]
        return httpx.Response(200, json=body)

    client = OpenMetadataClient(
        "https://om/api", lambda: "jwt", transport=httpx.MockTransport(handler)
    )
    options = PlanOptions(include_tags=False)
    desired = desired_state("hex", projects(project(1)).rows, edges(edge(1, ORDERS, "t")).rows)
    actual, _ = read_actual(client, desired, options, CREATED)
    changes = make_plan(desired, actual, Completeness(), options)
    (change,) = [change for change in changes if change.kind == "edge"]
    assert (change.action, change.request) == ("skip", None)


def test_a_token_that_expires_midway_stops_the_run_and_the_next_one_completes_it(
    catalog: Catalog,
) -> None:
    hex_projects, lineage = rich_workspace(catalog)
    tokens = iter([JWT] * 8)
    with pytest.raises(PublishError) as caught, catalog.client(lambda: next(tokens, "old")) as om:
        publish(om, recipe({"concurrency": 1}), Sources(hex_projects, lineage))
    assert isinstance(caught.value.__cause__, TokenRejected)
    assert "jwtToken" in str(caught.value)
    assert not caught.value.transient
    # How many were sent is a race: one more may be under way when the refusal comes.
    frame = caught.value.frame
    assert frame.rows["outcome"].str.starts_with("skipped: not sent after").sum() > 5
    run(catalog, hex_projects, lineage)
    writes(catalog)
    run(catalog, hex_projects, lineage)
    assert writes(catalog) == []


def test_a_token_rejected_while_reading_sends_nothing(catalog: Catalog) -> None:
    with pytest.raises(TokenRejected), catalog.client(lambda: "wrong") as client:
        publish(client, recipe(), Sources(projects(project(1)), edges()))
    assert writes(catalog) == []


def test_a_rate_limit_is_waited_for(catalog: Catalog) -> None:
    limit = Fault(".*", status=429, headers={"retry-after": "7"}, times=None)
    hex_projects, lineage = rich_workspace(catalog)
    began = time.monotonic()

    class Storm(list[float]):
        def append(self, seconds: float) -> None:
            super().append(seconds)
            if len(self) >= 3:
                catalog.faults.faults.clear()

    catalog.slept = Storm()
    catalog.faults.faults.append(limit)
    with catalog.client(attempts=5) as client:
        frame = publish(client, recipe(), Sources(hex_projects, lineage))
    assert catalog.slept == [7.0, 7.0, 7.0]
    assert set(frame.rows["outcome"]) == {"done"}
    assert time.monotonic() - began < 15


def test_a_server_that_stops_answering_stops_the_run(newest: Catalog) -> None:
    newest.faults.faults.append(Fault("PUT", kind="reset", times=None))
    with pytest.raises(PublishError) as caught:
        run(newest, projects(*(project(n) for n in range(30))), by=recipe({"concurrency": 1}))
    assert isinstance(caught.value.__cause__, ConnectionFailed)
    assert caught.value.transient
    assert len(writes(newest)) == 2  # the service and the first tag


def test_an_older_server_gets_a_custom_dashboard_service(oldest: Catalog) -> None:
    run(oldest, projects(project(1)))
    service = oldest.get("/services/dashboardServices/name/hex")
    assert service["serviceType"] == "CustomDashboard"
    writes(oldest)
    run(oldest, projects(project(1)))
    assert writes(oldest) == []


def test_a_service_with_a_connection_keeps_it(newest: Catalog) -> None:
    connection = {"config": {"type": "Hex", "hostPort": "https://app.hex.tech/", "token": "t"}}
    body = {"name": "hex", "serviceType": "Hex", "connection": connection}
    newest.put("/services/dashboardServices", body)
    run(newest, projects(project(1)))
    assert newest.get("/services/dashboardServices/name/hex")["connection"]["config"]["token"]


def test_the_service_of_another_product_is_left_alone(catalog: Catalog) -> None:
    catalog.put("/services/dashboardServices", {"name": "hex", "serviceType": "Tableau"})
    with pytest.raises(RecipeError, match=r"serviceName.*Tableau"):
        run(catalog, projects(project(1)))
    assert writes(catalog) == []


def test_a_deleted_service_is_not_taken_up_again(newest: Catalog) -> None:
    body = {"name": "hex", "serviceType": "Hex"}
    service = newest.put("/services/dashboardServices", body)
    newest.person.delete(f"/services/dashboardServices/{service['id']}").raise_for_status()
    with pytest.raises(RecipeError, match=r"serviceName.*soft deleted"):
        run(newest, projects(project(1)))


def test_a_table_that_vanished_meanwhile_fails_its_edge_only(catalog: Catalog) -> None:
    unknown = "11111111-1111-4111-8111-111111111111"
    lineage = edges(
        edge(1, "snow.SHOP.PUBLIC.GONE", unknown), edge(1, ORDERS, catalog.table_id(ORDERS))
    )
    with pytest.raises(PublishError, match="1 of 6 entities") as caught:
        run(catalog, projects(project(1)), lineage)
    assert row(caught.value.frame, f"{ORDERS} -> hex.{ONE}")["outcome"] == "done"
    assert len(catalog.upstream(ONE)) == 1


def test_progress_counts_the_requests(catalog: Catalog) -> None:
    seen: list[tuple[int, int]] = []
    run(catalog, projects(project(1)), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 4) for n in range(5)]


def test_reads_stay_few(newest: Catalog) -> None:
    """Forty projects with a hundred edges: the reads do not grow with what is published."""
    tables = [
        (f"snow.SHOP.PUBLIC.T{n}", newest.table_id(f"snow.SHOP.PUBLIC.T{n}")) for n in range(10)
    ]
    hex_projects = projects(*(project(n) for n in range(40)))
    lineage = edges(*(edge(n % 40, *tables[n // 40 * 3 + n % 3]) for n in range(100)))
    run(newest, hex_projects, lineage)
    sent = newest.faults.requests
    # The service, classifications, users, and after the bulk request the ids of dashboards.
    assert len(sent) - len(newest.faults.writes()) == 4
    assert len(newest.faults.writes()) == 1 + 1 + 1 + 1 + 100
    sent.clear()
    run(newest, hex_projects, lineage)
    assert newest.faults.writes() == []
    assert len(sent) == 6 + 40  # the listings, and without files the lineage of each


def test_an_owner_without_user_is_named(catalog: Catalog) -> None:
    rows = projects(project(1, owner_email="gone@shop.example"), project(2))
    with catalog.client() as client:
        frame = publish(client, recipe(), Sources(rows, edges()))
    reasons = frame.rows.filter(kind="dashboard")["reason"].to_list()
    assert reasons[0].endswith("; gone@shop.example has no user in OpenMetadata")
    assert "no user" not in reasons[1]
