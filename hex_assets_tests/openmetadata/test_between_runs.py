"""What a run remembers for the next: edges that need no reading, and views of the day."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from hex_assets.errors import HexAssetsError, PublishError
from hex_assets.frames import Frame
from hex_assets.openmetadata.publish import Sources, publish
from hex_assets.openmetadata.published import PublishedFiles
from hex_assets.sandbox.faults import Fault
from hex_assets_tests.openmetadata.catalogs import JWT, Catalog, Stage
from hex_assets_tests.openmetadata.workspaces import (
    edge,
    edges,
    project,
    project_id,
    projects,
    recipe,
)

TABLES = tuple(f"snow.SHOP.PUBLIC.T{number}" for number in range(3))
NOON = datetime(2026, 11, 2, 12, tzinfo=timezone.utc)
CAREFUL = recipe({"concurrency": 1, "deletionGuardPercent": 100})


@pytest.fixture
def files(tmp_path: Path) -> PublishedFiles:
    return remembered(tmp_path)


def remembered(folder: Path) -> PublishedFiles:
    return PublishedFiles(UPath(folder / "edges.parquet"), UPath(folder / "views.parquet"))


def lineage(catalog: Catalog, *pairs: tuple[int, int], **over: Any) -> Frame:
    return edges(*(edge(n, TABLES[t], catalog.table_id(TABLES[t]), **over) for n, t in pairs))


def run(
    catalog: Catalog,
    files: PublishedFiles,
    given: Sources,
    at: datetime = NOON,
    jwt: Callable[[], str] = lambda: JWT,
    **over: Any,
) -> Frame:
    catalog.faults.requests.clear()
    with catalog.client(jwt) as client:
        return publish(client, CAREFUL, given, files, clock=lambda: at, **over)


def lineage_reads(catalog: Catalog) -> int:
    return sum(line.startswith("GET /api/v1/lineage") for line in catalog.faults.requests)


def three(catalog: Catalog) -> Sources:
    return Sources(
        projects(*(project(number) for number in (1, 2, 3))),
        lineage(catalog, (1, 0), (1, 1), (2, 0), (3, 2)),
    )


def test_an_unchanged_run_reads_no_lineage(catalog: Catalog, files: PublishedFiles) -> None:
    given = three(catalog)
    run(catalog, files, given)
    run(catalog, files, given)
    assert catalog.faults.writes() == []
    assert lineage_reads(catalog) == 0
    assert len(catalog.faults.requests) < 10


def test_only_dashboards_whose_edges_change_are_read(
    catalog: Catalog, files: PublishedFiles
) -> None:
    run(catalog, files, three(catalog))
    changed = Sources(three(catalog).projects, lineage(catalog, (1, 0), (2, 0), (3, 2)))
    frame = run(catalog, files, changed)
    assert lineage_reads(catalog) == 1
    assert len(catalog.faults.writes()) == 1
    assert frame.rows.filter(action="delete")["before"].len() == 1
    run(catalog, files, changed)
    assert (lineage_reads(catalog), catalog.faults.writes()) == (0, [])


def test_what_others_did_to_an_edge_is_seen_before_it_is_changed(
    catalog: Catalog, files: PublishedFiles
) -> None:
    """The memory says that the edge is ours; meanwhile a person made it theirs."""
    run(catalog, files, three(catalog))
    ends = catalog.table_id(TABLES[0]), catalog.dashboard(project_id(2))["id"]
    catalog.put_edge(*ends, source="Manual", sqlQuery="drawn")
    run(catalog, files, Sources(three(catalog).projects, lineage(catalog, (1, 0), (1, 1), (3, 2))))
    (kept,) = catalog.upstream(project_id(2))
    assert kept["lineageDetails"]["sqlQuery"] == "drawn"


@pytest.mark.parametrize("how", ["asked", "old", "lost"])
def test_edges_that_vanished_in_openmetadata_are_found_at_a_reconcile(
    catalog: Catalog, files: PublishedFiles, how: str
) -> None:
    given = three(catalog)
    run(catalog, files, given)
    dashboard = catalog.dashboard(project_id(3))["id"]
    path = f"/lineage/table/{catalog.table_id(TABLES[2])}/dashboard/{dashboard}"
    catalog.person.delete(path).raise_for_status()
    run(catalog, files, given)
    assert catalog.upstream(project_id(3)) == []

    if how == "lost":
        files.edges.unlink()
    at = NOON + timedelta(days=8 if how == "old" else 0)
    run(catalog, files, given, at, reconcile=how == "asked")
    assert len(catalog.upstream(project_id(3))) == 1


def test_edges_of_a_dashboard_that_somebody_else_published_are_read_again(
    catalog: Catalog, files: PublishedFiles
) -> None:
    """OpenMetadata's connector with ``overrideLineage``: it leaves a hash of its own."""
    given = three(catalog)
    run(catalog, files, given)
    dashboard = catalog.dashboard(project_id(3))
    path = f"/lineage/dashboard/{dashboard['id']}/type/DashboardLineage"
    catalog.person.delete(path).raise_for_status()
    catalog.put("/dashboards", {"name": project_id(3), "service": "hex", "sourceHash": "0" * 32})
    run(catalog, files, given)
    assert len(catalog.upstream(project_id(3))) == 1
    assert lineage_reads(catalog) == 1


# Views


def viewed(views: int) -> Sources:
    return Sources(projects(project(1, views_all_time=views)), edges())


def told(catalog: Catalog, day: datetime) -> int:
    date = day.date().isoformat()
    path = f"/usage/dashboard/name/hex.{project_id(1)}"
    usage = catalog.get(path, date=date, days=1)["usage"]
    return sum(one["dailyStats"]["count"] for one in usage if one["date"] == date)


def test_views_are_counted_for_the_day_on_which_they_were_seen(
    catalog: Catalog, files: PublishedFiles
) -> None:
    day = timedelta(days=1)
    run(catalog, files, viewed(100))
    assert told(catalog, NOON) == 0
    run(catalog, files, viewed(103), NOON + timedelta(hours=1))
    run(catalog, files, viewed(105), NOON + timedelta(hours=2))
    assert told(catalog, NOON) == 5
    run(catalog, files, viewed(112), NOON + day)
    assert (told(catalog, NOON), told(catalog, NOON + day)) == (5, 7)
    run(catalog, files, viewed(3), NOON + 2 * day)
    assert told(catalog, NOON + 2 * day) == 0
    run(catalog, files, viewed(4), NOON + 2 * day)
    assert told(catalog, NOON + 2 * day) == 1


def test_views_that_could_not_be_told_are_told_once(
    stage: Stage, tmp_path: Path, files: PublishedFiles
) -> None:
    with stage.catalog(tmp_path / "c.sqlite") as catalog:
        run(catalog, files, viewed(100))
        catalog.faults.faults.append(Fault("POST /api/v1/usage", times=None))
        with pytest.raises(PublishError):
            run(catalog, files, viewed(104))
        catalog.faults.faults.clear()
        run(catalog, files, viewed(104))
        assert told(catalog, NOON) == 4
    with stage.catalog(tmp_path / "l.sqlite", lose_answers=True) as catalog:
        there = remembered(tmp_path / "lost")
        with catalog.client(attempts=2) as client:
            for views in (100, 104):
                publish(client, CAREFUL, viewed(views), there, clock=lambda: NOON)
        assert told(catalog, NOON) == 4


# Faults


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


FAULTS: dict[str, dict[str, Any]] = {
    "500": {"kind": "status"},
    "429": {"kind": "status", "status": 429, "headers": {"retry-after": "0"}},
    "reset": {"kind": "reset"},
    "garbage": {"kind": "garbage"},
    "answer lost": {"kind": "lost"},
}


def changed(catalog: Catalog) -> Sources:
    return Sources(
        projects(
            project(1, title="Renamed", views_all_time=12, description="New words."),
            project(2, status="Draft", views_all_time=7),
            project(4, views_all_time=1),
        ),
        lineage(catalog, (1, 0), (2, 1), (4, 2), sql="SELECT new"),
    )


def begin(catalog: Catalog, files: PublishedFiles) -> None:
    """Publish a first state; beside it a person's edge and a dashboard of another service."""
    given = three(catalog)
    run(catalog, files, given)
    catalog.put("/services/dashboardServices", {"name": "looker", "serviceType": "Looker"})
    theirs = catalog.put("/dashboards", {"name": project_id(1), "service": "looker"})
    catalog.put_edge(catalog.table_id(TABLES[0]), theirs["id"], source="DashboardLineage")
    ends = catalog.table_id(TABLES[1]), catalog.dashboard(project_id(2))["id"]
    catalog.put_edge(*ends, source="Manual", sqlQuery="drawn")


def others(catalog: Catalog) -> Any:
    name = f"looker.{project_id(1)}"
    dashboard = catalog.get(f"/dashboards/name/{name}", fields="*", include="all")
    path = f"/lineage/dashboard/name/{name}"
    return dashboard, catalog.get(path, upstreamDepth=1, downstreamDepth=0)["upstreamEdges"]


@pytest.fixture(scope="module")
def begun(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the catalog and the memory of the first state."""
    folder = tmp_path_factory.mktemp("begun")
    with stage.catalog(folder / "c.sqlite") as catalog:
        begin(catalog, remembered(folder))
    return folder


@pytest.fixture(scope="module")
def fault_free(
    stage: Stage, begun: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, int]:
    """The end state, and the number of requests that lead to it."""
    folder = tmp_path_factory.mktemp("fault_free") / "copy"
    shutil.copytree(begun, folder)
    with stage.catalog(folder / "c.sqlite") as catalog:
        run(catalog, remembered(folder), changed(catalog))
        return catalog.content(), len(catalog.faults.requests)


@pytest.mark.parametrize("fault", [*FAULTS, "kill"])
def test_each_request_failing_in_turn_is_repaired_by_the_next_run(
    stage: Stage, tmp_path: Path, begun: Path, fault_free: tuple[Any, int], fault: str
) -> None:
    end, requests = fault_free
    assert requests > 15
    for nth in range(1, requests + 1):
        folder = tmp_path / str(nth)
        shutil.copytree(begun, folder)
        with stage.catalog(folder / "c.sqlite") as catalog:
            files = remembered(folder)
            untouched = others(catalog)
            fail_once(catalog, files, nth, fault)
            run(catalog, files, changed(catalog))
            assert catalog.content() == end, f"{fault} at request {nth}"
            assert others(catalog) == untouched
            run(catalog, files, changed(catalog))
            assert catalog.faults.writes() == [], f"{fault} at request {nth}"


def fail_once(catalog: Catalog, files: PublishedFiles, nth: int, fault: str) -> None:
    """Publish with the n-th request failing; one in bulk is repeated singly, so it may succeed."""

    def jwt() -> str:
        if fault == "kill" and len(catalog.faults.requests) >= nth - 1:
            raise Killed
        return JWT

    if fault != "kill":
        catalog.faults.faults.append(Fault("", nth=nth, **FAULTS[fault]))
    with suppress(HexAssetsError, Killed):
        run(catalog, files, changed(catalog), jwt=jwt)
    catalog.faults.faults.clear()


def test_an_edge_drawn_by_hand_on_a_dashboard_that_was_deleted_by_hand_stays(
    catalog: Catalog, files: PublishedFiles
) -> None:
    by_hand, ours = catalog.table_id(TABLES[1]), lineage(catalog, (1, 0))
    run(catalog, files, Sources(projects(project(1)), ours))
    dashboard = catalog.dashboard(project_id(1))
    catalog.put_edge(by_hand, dashboard["id"], source="Manual", sqlQuery="by hand")
    catalog.person.delete(f"/dashboards/{dashboard['id']}").raise_for_status()

    both = lineage(catalog, (1, 0), (1, 1), sql="SELECT new")
    run(catalog, files, Sources(projects(project(1)), both))

    details = {one["fromEntity"]: one["lineageDetails"] for one in catalog.upstream(project_id(1))}
    assert details[by_hand]["source"] == "Manual"
    assert details[by_hand]["sqlQuery"] == "by hand"
    assert details[catalog.table_id(TABLES[0])]["sqlQuery"] == "SELECT new"
