"""Whatever happens on the way, the next clean run ends where an undisturbed one would have."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from typing import Any, Literal, get_args

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from upath import UPath

from hex_assets.errors import PublishError, RequestError
from hex_assets.frames import CATALOG_TABLES, HEX_CELLS, HEX_COMPONENT_IMPORTS, Frame
from hex_assets.openmetadata.publish import Sources, publish
from hex_assets.openmetadata.published import PublishedFiles
from hex_assets.sandbox.catalog.releases import Release
from hex_assets.sandbox.faults import Fault
from hex_assets_tests.openmetadata.catalogs import JWT, RELEASES, Catalog, Stage
from hex_assets_tests.openmetadata.workspaces import (
    CREATED,
    edge,
    edges,
    project,
    project_id,
    projects,
    recipe,
    rows,
)

TABLES = tuple(f"snow.SHOP.PUBLIC.T{number}" for number in range(4))
CAREFUL = recipe({"concurrency": 1, "deletionGuardPercent": 100})


def lineage(catalog: Catalog, *pairs: tuple[int, int], **over: Any) -> Frame:
    return edges(*(edge(n, TABLES[t], catalog.table_id(TABLES[t]), **over) for n, t in pairs))


def before(catalog: Catalog) -> tuple[Frame, Frame]:
    return projects(
        project(1, categories=["Old"], category_descriptions=[None]),
        project(2),
        project(3, trashed_at=CREATED),
        project(4),
    ), lineage(catalog, (1, 0), (2, 1))


def after(catalog: Catalog) -> tuple[Frame, Frame]:
    """Of everything one: created, updated, described anew, untagged, deleted and restored."""
    return projects(
        project(1, description="New words.", categories=["New"], category_descriptions=["n"]),
        project(2, owner_email="ben@shop.example", url="https://elsewhere"),
        project(3),
        project(5),
    ), lineage(catalog, (1, 0), (1, 1), (3, 2), (5, 3), sql="SELECT new")


def publish_before(catalog: Catalog) -> None:
    """Catalogue what is before, with the third project soft deleted."""
    with catalog.client() as client:
        publish(client, CAREFUL, Sources(projects(project(3)), edges()))
        publish(client, CAREFUL, Sources(*before(catalog)))


def finished(catalog: Catalog) -> Any:
    """What the catalog holds once ``after`` was published; publishing again sends nothing."""
    with catalog.client() as client:
        publish(client, CAREFUL, Sources(*after(catalog)))
        catalog.faults.requests.clear()
        publish(client, CAREFUL, Sources(*after(catalog)))
    assert catalog.faults.writes() == []
    return catalog.content()


@pytest.fixture(scope="module")
def undisturbed(
    stage: Stage, tmp_path_factory: pytest.TempPathFactory, release: Release
) -> tuple[Any, int]:
    """The end state without faults, and how many writes lead to it."""
    folder = tmp_path_factory.mktemp("c")
    with stage.catalog(folder / "catalog.sqlite", release=release) as catalog:
        publish_before(catalog)
        catalog.faults.requests.clear()
        with catalog.client() as client:
            publish(client, CAREFUL, Sources(*after(catalog)))
        writes = len(catalog.faults.writes())
        return finished(catalog), writes


class _LateAnswers(httpx.HTTPTransport):
    """Sends everything; after so many writes, answers to them come when nobody waits any more."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self._left = writes

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if request.method != "GET":
            self._left -= 1
            if self._left < 0:
                response.read()
                raise httpx.ReadTimeout("nobody waits any more", request=request)
        return response


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


FAULTS: dict[str, dict[str, Any]] = {
    "reset": {"kind": "reset"},
    "status": {"kind": "status", "status": 500},
    "throttled": {"kind": "status", "status": 429},
    "garbage": {"kind": "garbage"},
    "lost": {"kind": "lost"},
}
Way = Literal["reset", "status", "throttled", "late", "garbage", "kill"]


@pytest.mark.parametrize("way", get_args(Way))
def test_a_run_that_dies_anywhere_is_completed_by_the_next(
    stage: Stage,
    tmp_path: Path,
    undisturbed: tuple[Any, int],
    release: Release,
    way: Way,
) -> None:
    end, writes = undisturbed
    assert writes == (12 if release.bulk else 14)
    for survived in range(writes):
        with stage.catalog(tmp_path / f"{way}{survived}.sqlite", release=release) as catalog:
            publish_before(catalog)
            die_after(catalog, survived, way)
            assert finished(catalog) == end, f"died after {survived} writes"


def die_after(catalog: Catalog, writes: int, way: Way) -> None:
    """Publish what is after, with every write after so many failing."""
    already = len(catalog.faults.writes())

    def jwt() -> str:
        if way == "kill" and len(catalog.faults.writes()) - already >= writes:
            raise Killed
        return JWT

    if way in FAULTS:
        fault = Fault("(PUT|POST|PATCH|DELETE) ", nth=writes + 1, times=None, **FAULTS[way])
        catalog.faults.faults.append(fault)
    transport = _LateAnswers(writes) if way == "late" else None
    with (
        catalog.client(jwt, transport=transport) as client,
        pytest.raises((PublishError, Killed)),
    ):
        publish(client, CAREFUL, Sources(*after(catalog)))
    catalog.faults.faults.clear()


def test_any_single_request_may_fail_alone(
    stage: Stage, tmp_path: Path, undisturbed: tuple[Any, int], release: Release
) -> None:
    """Reads too, each in another way than the one before; after it the server is well again."""
    end, _ = undisturbed
    for number in count(1):
        with stage.catalog(tmp_path / f"{number}.sqlite", release=release) as catalog:
            publish_before(catalog)
            kind = list(FAULTS.values())[number % len(FAULTS)]
            fault = Fault("", nth=number, **kind)
            catalog.faults.faults.append(fault)
            with (
                catalog.client() as client,
                suppress(PublishError, RequestError),
            ):
                publish(client, CAREFUL, Sources(*after(catalog)))
            catalog.faults.faults.clear()
            assert finished(catalog) == end, f"request {number} failed: {kind}"
            if fault.seen < number:
                break
    assert number > 20


def test_answers_that_get_lost_do_no_harm(
    stage: Stage, tmp_path: Path, undisturbed: tuple[Any, int], release: Release
) -> None:
    """Every write is carried out, its first answer lost, and sent again."""
    end, _ = undisturbed
    database = tmp_path / "catalog.sqlite"
    with stage.catalog(database, release=release, lose_answers=True) as catalog:
        with catalog.client(attempts=2) as client:
            publish(client, CAREFUL, Sources(projects(project(3)), edges()))
            publish(client, CAREFUL, Sources(*before(catalog)))
            publish(client, CAREFUL, Sources(*after(catalog)))
        assert len(catalog.slept) > 12
        assert finished(catalog) == end


# Random worlds

NUMBERS = (1, 2, 3, 4)
TEXTS = st.sampled_from(["", "One.", "Two.", "# Märkdown\n\n* ünïcode 📈"]) | st.text(max_size=8)
NAMES = st.lists(
    st.sampled_from(["A", "b", "C.d", 'e::f>"g"', "Ü / ü"]), max_size=3, unique=True
).map(sorted)
EMAILS = st.sampled_from([None, "ANA@shop.example", "ben@shop.example", "nobody@shop.example"])
INSTANTS = st.none() | st.datetimes(
    datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(timezone.utc)
)


@st.composite
def project_rows(draw: st.DrawFn, number: int) -> dict[str, Any]:
    categories = draw(NAMES)
    return project(
        number,
        type=draw(st.sampled_from(["PROJECT", "PROJECT", "COMPONENT"])),
        views_all_time=draw(st.none() | st.integers(0, 50)),
        title=draw(TEXTS) or project_id(number),
        description=draw(TEXTS) or None,
        owner_email=draw(EMAILS),
        creator_email=draw(EMAILS),
        status=draw(st.sampled_from([None, "Draft", "Approved"])),
        categories=categories,
        category_descriptions=[draw(st.sampled_from([None, "Told."])) for _ in categories],
        collections=draw(NAMES),
        last_edited_at=draw(INSTANTS),
        last_viewed_at=draw(INSTANTS),
        archived_at=draw(st.sampled_from([None, None, None, CREATED])),
        url=draw(st.sampled_from([None, "https://one", "https://two"])),
    )


WORKSPACES = st.lists(st.sampled_from(NUMBERS), unique=True).flatmap(
    lambda numbers: st.tuples(*(project_rows(number) for number in numbers))
)
CELLS = tuple(f"c0000000-0000-4000-8000-{number:012x}" for number in range(2))
EDGES = st.lists(
    st.tuples(
        st.sampled_from(NUMBERS),
        st.integers(0, 3),
        st.sampled_from(["SELECT ?", None]),
        st.sampled_from([None, *CELLS]),
        st.lists(st.sampled_from(["ID", "id", "GONE"]), unique=True, max_size=2),
    ),
    max_size=8,
    unique_by=lambda link: (link[0], link[1], link[3]),
)
Link = tuple[int, int, str | None, str | None, list[str]]
DISTURBANCES = st.none() | st.tuples(
    st.sampled_from(sorted(FAULTS)), st.integers(1, 25), st.sampled_from([1, 3, None])
)


@dataclass(frozen=True)
class Edit:
    """What a person does to a dashboard."""

    number: int
    kind: Literal["describe", "own", "tag", "link"]
    text: str


EDITS = st.lists(
    st.builds(
        Edit,
        st.sampled_from(NUMBERS),
        st.sampled_from(["describe", "own", "tag", "link"]),
        st.sampled_from(["Written by a person.", "Also by a person."]),
    ),
    max_size=4,
)
SERVERS = st.fixed_dictionaries(
    {
        "release": st.sampled_from(RELEASES) | st.builds(Release, version=st.just("9.9.9")),
        "bot": st.booleans(),
    }
)
RECIPES = st.builds(
    lambda override: recipe({"deletionGuardPercent": 100}, overrideLineage=override),
    st.booleans(),
)
fresh = count()


def sources_of(
    catalog: Catalog, workspace: tuple[dict[str, Any], ...], links: list[Link]
) -> Sources:
    """The workspace, in which each project imports each component."""
    ids = {table: catalog.table_id(table) for table in TABLES}
    components = [row["id"] for row in workspace if row["type"] == "COMPONENT"]
    read = [
        edge(
            number,
            TABLES[table],
            ids[TABLES[table]],
            sql=sql,
            cell_id=cell,
            columns=[{"name": name, "usage": ["output"]} for name in columns],
        )
        for number, table, sql, cell, columns in links
    ]
    return Sources(
        projects(*workspace),
        edges(*read),
        rows(
            HEX_CELLS,
            *(
                {"project_id": row["id"], "cell_id": cell, "label": f"Cell {cell[-1]}"}
                for row in workspace
                for cell in CELLS
            ),
        ),
        rows(
            HEX_COMPONENT_IMPORTS,
            *(
                {"project_id": row["id"], "component_id": component}
                for row in workspace
                for component in components
                if row["type"] == "PROJECT"
            ),
        ),
        rows(
            CATALOG_TABLES,
            *({"table_fqn": t, "table_id": ids[t], "columns": ["ID"]} for t in TABLES),
        ),
    )


def others_publish(catalog: Catalog) -> None:
    """Another product's dashboard with a chart, and an edge into it."""
    catalog.put("/services/dashboardServices", {"name": "other", "serviceType": "Metabase"})
    catalog.put("/charts", {"name": "chart", "service": "other", "description": "Theirs."})
    catalog.put(
        "/dashboards",
        {"name": project_id(1), "service": "other", "charts": ["other.chart"]},
    )
    dashboard = catalog.get(f"/dashboards/name/other.{project_id(1)}")
    catalog.put_edge(catalog.table_id(TABLES[0]), dashboard["id"], source="DashboardLineage")


def of_others(catalog: Catalog) -> list[Any]:
    """All that is not ours, as it is stored, clocks included."""
    dashboard = f"/dashboards/name/other.{project_id(1)}"
    return [
        catalog.get(dashboard, fields="*"),
        catalog.get("/charts/name/other.chart", fields="*"),
        catalog.get(f"/lineage/dashboard/name/other.{project_id(1)}", upstreamDepth=1),
        [catalog.get(f"/tables/name/{table}", fields="*") for table in TABLES],
        catalog.get("/users", limit=100),
    ]


def people_edit(catalog: Catalog, edits: list[Edit]) -> dict[str, dict[str, Any]]:
    """Make the edits that can be made; returns what has to stay, by dashboard."""
    catalog.put("/classifications", {"name": "Team", "description": "-"})
    catalog.put("/tags", {"name": "Gold", "description": "-", "classification": "Team"})
    cleo = {"id": catalog.user_id("cleo"), "type": "user"}
    gold = {
        "tagFQN": "Team.Gold",
        "source": "Classification",
        "labelType": "Manual",
        "state": "Confirmed",
    }
    live = {one["name"] for one in catalog.dashboards() if not one["deleted"]}
    stays: dict[str, dict[str, Any]] = {}
    for edit in edits:
        name = project_id(edit.number)
        if name not in live:
            continue
        kept = stays.setdefault(name, {})
        if edit.kind == "describe":
            kept["description"] = edit.text
            catalog.patch_dashboard(name, {"op": "add", "path": "/description", "value": edit.text})
        elif edit.kind == "own":
            kept["owner"] = "cleo"
            catalog.patch_dashboard(name, {"op": "add", "path": "/owners", "value": [cleo]})
        elif edit.kind == "tag":
            kept["tag"] = "Team.Gold"
            labels = {one["tagFQN"] for one in catalog.dashboard(name)["tags"]}
            if "Team.Gold" not in labels:
                catalog.patch_dashboard(name, {"op": "add", "path": "/tags/-", "value": gold})
        else:
            kept["sql"] = edit.text
            ends = catalog.table_id(TABLES[0]), catalog.dashboard(name)["id"]
            catalog.put_edge(*ends, source="Manual", sqlQuery=edit.text)
    return stays


def assert_stays(catalog: Catalog, name: str, kept: dict[str, Any]) -> None:
    one = catalog.dashboard(name)
    if "description" in kept:
        assert one["description"] == kept["description"]
    if "owner" in kept:
        assert kept["owner"] in {owner["name"] for owner in one["owners"]}
    if "tag" in kept:
        assert kept["tag"] in {label["tagFQN"] for label in one["tags"]}
    if "sql" in kept:
        table = catalog.table_id(TABLES[0])
        (details,) = [
            edge["lineageDetails"] for edge in catalog.upstream(name) if edge["fromEntity"] == table
        ]
        assert (details["source"], details["sqlQuery"]) == ("Manual", kept["sql"])


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # one example takes a tenth of a second to shrink by
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    first=WORKSPACES,
    second=WORKSPACES,
    links=EDGES,
    more_links=EDGES,
    edits=EDITS,
    server=SERVERS,
    by=RECIPES,
    disturbance=DISTURBANCES,
    remembers=st.booleans(),
)
def test_any_two_workspaces_converge_and_nothing_of_others_is_touched(
    stage: Stage,
    tmp_path: Path,
    first: tuple[dict[str, Any], ...],
    second: tuple[dict[str, Any], ...],
    links: list[Link],
    more_links: list[Link],
    edits: list[Edit],
    server: dict[str, Any],
    by: Any,
    disturbance: tuple[str, int, int | None] | None,
    remembers: bool,
) -> None:
    folder = tmp_path / str(next(fresh))
    folder.mkdir()
    files = PublishedFiles(UPath(folder / "edges.parquet"), UPath(folder / "views.parquet"))
    with (
        stage.catalog(folder / "catalog.sqlite", **server) as catalog,
        catalog.client() as client,
    ):

        def run(workspace: tuple[dict[str, Any], ...], edges_read: list[Link]) -> Frame:
            given = sources_of(catalog, workspace, edges_read)
            return publish(client, by, given, files if remembers else None, clock=lambda: CREATED)

        others_publish(catalog)
        run(first, links)
        stays = people_edit(catalog, edits)
        theirs = of_others(catalog)
        if disturbance is not None:
            kind, number, times = disturbance
            catalog.faults.faults.append(Fault("", nth=number, times=times, **FAULTS[kind]))
            with suppress(PublishError, RequestError):
                run(second, more_links)
            catalog.faults.faults.clear()

        run(second, more_links)
        for name, kept in stays.items():
            assert_stays(catalog, name, kept)
        assert of_others(catalog) == theirs

        catalog.faults.requests.clear()
        frame = run(second, more_links)
        assert catalog.faults.writes() == []
        assert set(frame.rows["action"]) <= {"unchanged", "skip"}
        live = {one["name"] for one in catalog.dashboards() if not one["deleted"]}
        assert live == {
            row["id"] for row in second if row["archived_at"] is None and row["type"] == "PROJECT"
        }
