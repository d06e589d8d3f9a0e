"""OpenMetadata's own ``metadata ingest`` and our runs, in turn on one catalog.

Its Hex workflow is the real one, in an environment of its own, and reads its lineage from a real
MariaDB, whose log our runs read too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

from hex_assets.sandbox.catalog.releases import OPENMETADATA_2_0, Release
from hex_assets.sandbox.world import CatalogTable, DatabaseService, World, build_world
from hex_assets_tests.conftest import Location, running_location
from hex_assets_tests.openmetadata.catalogs import RELEASES
from hex_assets_tests.warehouse.comments import comment
from hex_assets_tests.warehouse.environments import absent, python_of
from hex_assets_tests.warehouse.servers import mariadb

pytestmark = pytest.mark.metadata_ingest

PACKAGES = ("openmetadata-ingestion==2.0.7.0", "dbt-core<1.12")
"""dbt-core 1.12 fetches a part of itself from GitHub while it is installed."""

GROWTH = "hex_growth"
CAMPAIGNS, REVENUE = "e647cb8f-74e6-4a5d-8dd2-7a65bd628881", "6b4013ef-254b-4c4e-810c-4759482c9cbc"
ORDERS, CUSTOMERS = "maria_shop.default.shop.orders", "maria_shop.default.shop.customers"
STATEMENTS = (
    "CREATE USER hex_assets IDENTIFIED BY 's3cr3t'",
    "GRANT SELECT ON mysql.* TO hex_assets",
    "CREATE DATABASE shop",
    "CREATE TABLE shop.orders (id INT, customer_id INT, total INT)",
    "CREATE TABLE shop.customers (id INT, email TEXT)",
    f"SELECT id, total FROM shop.orders {comment(CAMPAIGNS, None)}",
    "SELECT c.email, o.total FROM shop.orders AS o JOIN shop.customers AS c "
    f"ON c.id = o.customer_id {comment(REVENUE, None)}",
)

MODELS = {
    "/services/dashboardServices": (
        "api.services.createDashboardService.CreateDashboardServiceRequest"
    ),
    "/classifications": "api.classification.createClassification.CreateClassificationRequest",
    "/tags": "api.classification.createTag.CreateTagRequest",
    "/charts": "api.data.createChart.CreateChartRequest",
    "/charts/bulk": "api.data.createChart.CreateChartRequest",
    "/charts/restore": "api.data.restoreEntity.RestoreEntity",
    "/dashboards": "api.data.createDashboard.CreateDashboardRequest",
    "/dashboards/bulk": "api.data.createDashboard.CreateDashboardRequest",
    "/dashboards/restore": "api.data.restoreEntity.RestoreEntity",
    "/lineage": "api.lineage.addLineage.AddLineageRequest",
    "/metadata/types/*": "type.customProperty.CustomProperty",
    "/usage/dashboard/name/*": "type.usageRequest.UsageRequest",
    "/services/ingestionPipelines": (
        "api.services.ingestionPipelines.createIngestionPipeline.CreateIngestionPipelineRequest"
    ),
    "/services/ingestionPipelines/*/pipelineStatus": (
        "entity.services.ingestionPipelines.ingestionPipeline.PipelineStatus"
    ),
}
"""OpenMetadata's model of each body that a publisher sends, by its path."""

ENTITIES = {
    "/services/dashboardServices": "entity.services.dashboardService.DashboardService",
    "/dashboards": "entity.data.dashboard.Dashboard",
    "/charts": "entity.data.chart.Chart",
    "/classifications": "entity.classification.classification.Classification",
    "/tags": "entity.classification.tag.Tag",
    "/metadata/types": "entity.type.Type",
    "/tables": "entity.data.table.Table",
    "/users": "entity.teams.user.User",
}


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter that has openmetadata-ingestion."""
    try:
        return python_of("openmetadata-ingestion-2.0.7.0", PACKAGES)
    except (OSError, subprocess.SubprocessError) as error:
        absent(f"openmetadata-ingestion cannot be installed: {error}")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The demo world, and a MariaDB in which two of its projects ran statements."""
    import pymysql

    with mariadb() as port:
        with closing(pymysql.connect(host="127.0.0.1", port=port, user="root")) as session:
            with session.cursor() as cursor:
                for statement in STATEMENTS:
                    cursor.execute(statement)
        shop = DatabaseService(
            "maria_shop",
            "Mysql",
            (
                CatalogTable(
                    "default",
                    "shop",
                    "orders",
                    (("id", "INT"), ("customer_id", "INT"), ("total", "INT")),
                ),
                CatalogTable("default", "shop", "customers", (("id", "INT"), ("email", "TEXT"))),
            ),
            connection={
                "type": "Mysql",
                "username": "hex_assets",
                "authType": {"password": "s3cr3t"},
                "hostPort": f"127.0.0.1:{port}",
            },
        )
        demo = build_world()
        yield replace(demo, database_services=(*demo.database_services, shop))


@contextmanager
def opened(
    folder: Path, world: World, now: datetime, release: Release = OPENMETADATA_2_0
) -> Iterator[Location]:
    """A sandbox whose recipe, as it is, both tools accept."""
    prefixes = "source.sourceConfig.config.lineageInformation.dbServicePrefixes"
    with running_location(folder, world, now, release) as location:
        location.edit_recipe(GROWTH, prefixes, ["snowflake_prod", "maria_shop"])
        properties = "workflowConfig.config.hexAssets.customProperties"
        location.edit_recipe(GROWTH, properties, True)
        yield location


@pytest.fixture(scope="module")
def now() -> datetime:
    return datetime.now(timezone.utc)


@pytest.fixture(scope="module")
def alone(world: World, now: datetime, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a catalog holds that only we publish to."""
    with opened(tmp_path_factory.mktemp("alone"), world, now) as location:
        run_ours(location)
        return location.catalog()


def run_ours(location: Location) -> None:
    assert location.run(GROWTH).failures == {}


def run_theirs(location: Location, python: Path) -> None:
    """Run ``metadata ingest``, which has to end without any error."""
    recipe = str(location.recipe_path(GROWTH))
    run = subprocess.run(
        [python, "-m", "metadata", "ingest", "-c", recipe],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=recipe.rpartition("/")[0],
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )
    told = run.stdout + run.stderr
    assert run.returncode == 0, told
    assert set(re.findall(r"Errors: (\d+)", told)) == {"0"}, told


def dashboard_ids(location: Location) -> dict[str, str]:
    """Ids of the live dashboards by name, of which there must be no second."""
    found = location.catalog_listing("/dashboards", service=GROWTH)
    ids = {one["name"]: str(one["id"]) for one in found}
    assert len(ids) == len(found)
    return ids


def live_projects(world: World) -> set[str]:
    (workspace,) = [one for one in world.workspaces if one.name == GROWTH]
    return {
        one["id"]
        for one in workspace.projects
        if one["type"] == "PROJECT" and not one["archivedAt"] and not one["trashedAt"]
    }


def label_names(dashboard: Mapping[str, Any]) -> list[str]:
    return [label["tagFQN"] for label in dashboard["tags"]]


def dashboards(content: Mapping[str, Any]) -> dict[str, Any]:
    """The dashboards, their labels by name: the text of a tag is the tag's."""
    return {fqn: {**one, "tags": label_names(one)} for fqn, one in content["dashboards"].items()}


def edges_from(content: Mapping[str, Any], project_id: str) -> dict[str, dict[str, Any]]:
    """Edges to a project's dashboard, by the table they come from."""
    found = [json.loads(edge) for edge in content["edges"][f"{GROWTH}.{project_id}"]]
    return {edge.pop("from"): edge for edge in found}


def test_our_run_takes_over_what_metadata_ingest_left(
    python: Path, world: World, now: datetime, alone: dict[str, Any], tmp_path: Path
) -> None:
    with opened(tmp_path, world, now) as location:
        run_theirs(location, python)
        before, theirs = dashboard_ids(location), location.catalog()
        assert before.keys() == live_projects(world)
        stale = "HexCategories.Endorsed"  # a status, which it takes for a category
        assert stale in label_names(theirs["dashboards"][f"{GROWTH}.{CAMPAIGNS}"])
        assert edges_from(theirs, CAMPAIGNS).keys() == {ORDERS}
        assert "sqlQuery" not in edges_from(theirs, CAMPAIGNS)[ORDERS]
        assert edges_from(theirs, REVENUE).keys() == {ORDERS, CUSTOMERS}

        run_ours(location)
        ours = location.catalog()
        assert dashboard_ids(location) == before
        assert dashboards(ours) == dashboards(alone)
        assert "sqlQuery" in edges_from(ours, CAMPAIGNS)[ORDERS]
        assert ours["edges"] == alone["edges"]

        location.sandbox.catalog_faults.requests.clear()
        run_ours(location)
        assert location.catalog_writes() == []


def test_metadata_ingest_finds_what_our_run_left(
    python: Path, world: World, now: datetime, alone: dict[str, Any], tmp_path: Path
) -> None:
    with opened(tmp_path, world, now) as location:
        location.edit_recipe(GROWTH, "ingestionPipelineFQN", f"{GROWTH}.theirs")
        run_ours(location)
        before = dashboard_ids(location)
        assert before.keys() == live_projects(world)

        run_theirs(location, python)
        theirs = location.catalog()
        assert dashboard_ids(location) == before
        assert theirs["edges"] == alone["edges"]
        for fqn, dashboard in dashboards(alone).items():
            now_there = dashboards(theirs)[fqn]
            changed = {key for key, value in dashboard.items() if now_there[key] != value}
            assert changed <= {"tags", "charts", "sourceUrl"}
            assert set(now_there["tags"]) >= set(dashboard["tags"])
            assert now_there["charts"] == []  # it has none, and says so
        for pipeline in ("theirs", "hex_assets"):
            path = f"/services/ingestionPipelines/{GROWTH}.{pipeline}/pipelineStatus"
            assert [one["pipelineState"] for one in location.catalog_listing(path)] == ["success"]

        run_ours(location)
        assert dashboard_ids(location) == before
        assert dashboards(location.catalog()) == dashboards(alone)
        assert location.catalog()["edges"] == alone["edges"]


def test_what_metadata_ingest_overrode_comes_back(
    python: Path, world: World, now: datetime, alone: dict[str, Any], tmp_path: Path
) -> None:
    """It deletes all edges of a dashboard that it has one for, and replaces the labels of all."""
    with opened(tmp_path, world, now) as location:
        location.edit_recipe(GROWTH, "source.sourceConfig.config.overrideLineage", True)
        location.edit_recipe(GROWTH, "source.sourceConfig.config.overrideMetadata", True)
        run_ours(location)
        assert location.catalog()["edges"] == alone["edges"]
        assert dashboards(location.catalog()) == dashboards(alone)

        run_theirs(location, python)
        left = location.catalog()["dashboards"][f"{GROWTH}.{REVENUE}"]
        assert sorted(label_names(left)) == [
            "HexCategories.In development",
            "HexCategories.Trading",
        ]
        assert edges_from(alone, REVENUE).keys() > {ORDERS, CUSTOMERS}
        assert edges_from(location.catalog(), REVENUE).keys() == {ORDERS, CUSTOMERS}

        run_ours(location)
        assert location.catalog()["edges"] == alone["edges"]
        assert dashboards(location.catalog()) == dashboards(alone)


@pytest.mark.parametrize("marks_charts", [True, False])
def test_a_server_without_stale_deletion_loses_our_charts_until_our_next_run(
    python: Path,
    world: World,
    now: datetime,
    alone: dict[str, Any],
    tmp_path: Path,
    marks_charts: bool,
) -> None:
    """There ``markDeletedCharts`` has the tool delete every chart that is not its own."""
    older = replace(OPENMETADATA_2_0, delete_stale=False)
    with opened(tmp_path, world, now, older) as location:
        location.edit_recipe(GROWTH, "source.sourceConfig.config.markDeletedCharts", marks_charts)
        run_ours(location)
        before = dashboard_ids(location)
        charts = {one["name"] for one in location.catalog_listing("/charts", service=GROWTH)}
        assert charts

        run_theirs(location, python)
        left = {one["name"] for one in location.catalog_listing("/charts", service=GROWTH)}
        assert left == (set() if marks_charts else charts)
        assert dashboard_ids(location) == before

        location.edit_recipe(GROWTH, "source.sourceConfig.config.markDeletedCharts", True)
        run_ours(location)
        assert {
            one["name"] for one in location.catalog_listing("/charts", service=GROWTH)
        } == charts
        assert dashboard_ids(location) == before
        assert dashboards(location.catalog()) == dashboards(alone)
        assert location.catalog()["edges"] == alone["edges"]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """Every request from here on."""
    found: list[httpx.Request] = []
    handle = httpx.HTTPTransport.handle_request

    def recorded(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        found.append(request)
        return handle(transport, request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", recorded)
    return found


def change_much(location: Location) -> str:
    """Edit projects, and remove one, which is returned."""
    state = location.sandbox.hex_state
    campaigns, revenue, gone = [
        one for one in state.workspace(GROWTH).projects if one["type"] == "PROJECT"
    ][:3]
    views = {**campaigns["analytics"]["appViews"]}
    views["allTime"] += 5
    state.change_project(
        GROWTH,
        campaigns["id"],
        status=None,
        description="Other words.",
        analytics={**campaigns["analytics"], "appViews": views},
    )
    state.change_project(GROWTH, revenue["id"], title="Renamed", categories=[])
    state.remove_project(GROWTH, gone["id"])
    return str(gone["id"])


def test_its_models_accept_every_body_that_we_send(
    python: Path, world: World, now: datetime, tmp_path: Path, sent: list[httpx.Request]
) -> None:
    cases: list[dict[str, Any]] = []
    routes: set[str] = set()
    for release in RELEASES:
        with opened(tmp_path / release.version, world, now, release) as location:
            run_ours(location)
            whole = location.sandbox.hex_state.workspace(GROWTH)
            gone = change_much(location)
            run_ours(location)
            assert gone not in dashboard_ids(location)
            location.sandbox.hex_state.put_workspace(whole)
            run_ours(location)
            assert gone in dashboard_ids(location)
            for request in sent:
                if request.method in ("POST", "PUT") and str(request.url).startswith(
                    location.sandbox.catalog_url
                ):
                    routes.add(route := route_of(request))
                    body = json.loads(request.content)
                    bodies = body if route.endswith("/bulk") else [body]
                    cases += [{"model": MODELS[route], "body": one} for one in bodies]
            # What a patch leaves shows in the entity.
            for path, model in ENTITIES.items():
                found = location.catalog_listing(path, include="all", fields="*")
                assert found
                cases += [{"model": model, "body": one} for one in found]
    assert routes == MODELS.keys()
    run = subprocess.run(
        [python, Path(__file__).with_name("refused_bodies.py")],
        input="\n".join(map(json.dumps, cases)),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert run.stdout == ""


def route_of(request: httpx.Request) -> str:
    path = request.url.raw_path.decode().partition("?")[0].removeprefix("/api/v1")
    (route,) = [one for one in MODELS if re.fullmatch(one.replace("*", "[^/]+"), path)]
    return route
