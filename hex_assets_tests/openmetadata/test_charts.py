"""Charts of components and cells, and the columns that edges lead to them."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from hex_assets.frames import (
    CATALOG_TABLES,
    HEX_CELLS,
    HEX_COMPONENT_IMPORTS,
    LINEAGE_EDGES,
    Frame,
)
from hex_assets.openmetadata.publish import Sources, publish
from hex_assets.sandbox.faults import Fault
from hex_assets_tests.openmetadata.catalogs import EVENTS, ORDERS, Catalog
from hex_assets_tests.openmetadata.workspaces import (
    CREATED,
    SERVICE,
    edge,
    edges,
    project,
    project_id,
    projects,
    recipe,
    rows,
)

CELL, OTHER_CELL = "c0000000-0000-4000-8000-000000000001", "c0000000-0000-4000-8000-000000000002"
COMPONENT = project_id(9)
PROJECT = project_id(1)
CELL_CHART = f"{PROJECT}-{CELL}"
DELETES = recipe({"deletionGuardPercent": 100})


def sources(catalog: Catalog, *lineage: dict[str, Any], **over: Any) -> Sources:
    """Project 1, which imports a component, and a cell of it with a label."""
    given: dict[str, Any] = {
        "projects": projects(
            project(1), project(9, type="COMPONENT", title="Revenue", categories=[])
        ),
        "edges": edges(*lineage),
        "cells": rows(HEX_CELLS, {"project_id": PROJECT, "cell_id": CELL, "label": "Orders"}),
        "imports": rows(HEX_COMPONENT_IMPORTS, {"project_id": PROJECT, "component_id": COMPONENT}),
        "tables": rows(
            CATALOG_TABLES,
            {"table_id": catalog.table_id(ORDERS), "table_fqn": ORDERS, "columns": ["ID"]},
            {"table_id": catalog.table_id(EVENTS), "table_fqn": EVENTS, "columns": ["At"]},
        ),
    }
    return Sources(**{**given, **over})


def of_cell(catalog: Catalog, *columns: str, table: str = ORDERS, cell: str = CELL) -> Any:
    read = [{"name": name, "usage": ["output"]} for name in columns]
    return edge(1, table, catalog.table_id(table), cell_id=cell, columns=read)


def run(catalog: Catalog, given: Sources, by: Any = DELETES) -> Frame:
    with catalog.client() as client:
        return publish(client, by, given)


def chart(catalog: Catalog, name: str) -> Any:
    return catalog.get(f"/charts/name/{SERVICE}.{name}", include="all", fields="*")


def linked(catalog: Catalog) -> set[str]:
    return {one["name"] for one in catalog.dashboard(PROJECT)["charts"]}


def details(catalog: Catalog, table: str = ORDERS) -> Any:
    (found,) = [
        one["lineageDetails"]
        for one in catalog.upstream(PROJECT)
        if one["fromEntity"] == catalog.table_id(table)
    ]
    return found


def test_components_and_cells_become_charts_that_columns_lead_to(catalog: Catalog) -> None:
    given = sources(catalog, of_cell(catalog, "ID"))
    run(catalog, given)
    assert linked(catalog) == {COMPONENT, CELL_CHART}
    cell = chart(catalog, CELL_CHART)
    assert cell["displayName"] == "Orders"
    assert cell["sourceUrl"].endswith(f"?selectedCellId={CELL}")
    assert chart(catalog, COMPONENT)["displayName"] == "Revenue"
    (mapping,) = details(catalog)["columnsLineage"]
    assert mapping["fromColumns"] == [f"{ORDERS}.ID"]
    assert mapping["toColumn"] == f"{SERVICE}.{CELL_CHART}"

    catalog.faults.requests.clear()
    frame = run(catalog, given)
    assert catalog.faults.writes() == []
    assert set(frame.rows["action"]) == {"unchanged"}


def test_columns_that_the_catalog_lacks_in_this_case_are_not_sent(catalog: Catalog) -> None:
    frame = run(catalog, sources(catalog, of_cell(catalog, "ID", "id", "GONE")))
    assert set(frame.rows["outcome"]) == {"done"}
    (mapping,) = details(catalog)["columnsLineage"]
    assert mapping["fromColumns"] == [f"{ORDERS}.ID"]


def test_a_column_that_is_refused_costs_the_columns_and_not_the_edge(oldest: Catalog) -> None:
    """The catalog lost the column after we read it."""
    stale = rows(
        CATALOG_TABLES,
        {"table_id": oldest.table_id(ORDERS), "table_fqn": ORDERS, "columns": ["GONE"]},
    )
    frame = run(oldest, sources(oldest, of_cell(oldest, "GONE"), tables=stale))
    (outcome,) = frame.rows.filter(pl.col("kind") == "edge")["outcome"]
    assert outcome.startswith("done: without columns, which were refused")
    assert details(oldest)["source"] == "DashboardLineage"
    assert not details(oldest).get("columnsLineage")


def test_links_that_people_made_stay(catalog: Catalog) -> None:
    run(catalog, sources(catalog, of_cell(catalog, "ID")))
    catalog.put("/charts", {"name": "by-hand", "service": SERVICE})
    links = [f"{SERVICE}.{name}" for name in (*sorted(linked(catalog)), "by-hand")]
    one = catalog.dashboard(PROJECT)
    kept = {key: one[key] for key in ("name", "displayName", "description", "sourceUrl")}
    catalog.put("/dashboards", {**kept, "service": SERVICE, "charts": links})

    run(catalog, sources(catalog, of_cell(catalog, "ID", cell=OTHER_CELL)))

    assert linked(catalog) == {"by-hand", COMPONENT, f"{PROJECT}-{OTHER_CELL}"}
    assert chart(catalog, "by-hand")["deleted"] is False


def test_a_chart_without_lineage_goes_and_comes_back(catalog: Catalog) -> None:
    both = (of_cell(catalog, "ID"), of_cell(catalog, "At", table=EVENTS, cell=OTHER_CELL))
    run(catalog, sources(catalog, *both))
    content = catalog.content()

    run(catalog, sources(catalog, both[0]))
    assert chart(catalog, f"{PROJECT}-{OTHER_CELL}")["deleted"] is True
    assert len(catalog.upstream(PROJECT)) == 1

    run(catalog, sources(catalog, *both))
    assert catalog.content() == content
    assert linked(catalog) == {COMPONENT, CELL_CHART, f"{PROJECT}-{OTHER_CELL}"}


@pytest.mark.parametrize(
    ("by", "over"),
    [
        (DELETES, {"edges": LINEAGE_EDGES.frame([], ["snow: half of it"])}),
        (DELETES, {"cells": rows(HEX_CELLS, gaps=("cells of one project",))}),
        (DELETES, {"projects": projects(project(1), gaps=("page 2",))}),
        (recipe({"deletionGuardPercent": 20}), {}),
    ],
)
def test_nothing_ends_on_a_partial_read_or_over_the_guard(
    catalog: Catalog, by: Any, over: dict[str, Any]
) -> None:
    run(catalog, sources(catalog, of_cell(catalog, "ID")))
    frame = run(catalog, sources(catalog, **over), by)
    assert len(catalog.upstream(PROJECT)) == 1
    assert chart(catalog, CELL_CHART)["deleted"] is False
    skipped = frame.rows.filter(pl.col("action") == "skip")
    assert {"edge", "chart"} <= set(skipped["kind"])
    assert skipped["reason"].str.contains("kept because").all()


def test_mark_deleted_charts_off_keeps_them(catalog: Catalog) -> None:
    by = recipe({"deletionGuardPercent": 100}, markDeletedCharts=False)
    run(catalog, sources(catalog, of_cell(catalog, "ID")), by)
    run(catalog, sources(catalog), by)
    assert chart(catalog, CELL_CHART)["deleted"] is False


def test_the_chart_pattern_filters_by_label(catalog: Catalog) -> None:
    by = recipe(chartFilterPattern={"excludes": ["Ord"]})
    run(catalog, sources(catalog, of_cell(catalog, "ID")), by)
    assert linked(catalog) == {COMPONENT}
    assert not details(catalog).get("columnsLineage")


def test_an_edge_that_a_person_drew_gets_our_columns_beside_its_own(catalog: Catalog) -> None:
    run(catalog, sources(catalog))
    ends = catalog.table_id(ORDERS), catalog.dashboard(PROJECT)["id"]
    catalog.put_edge(*ends, source="Manual", sqlQuery="drawn", description="By hand.")

    run(catalog, sources(catalog, of_cell(catalog, "ID")))

    found = details(catalog)
    assert (found["source"], found["sqlQuery"], found["description"]) == (
        "Manual",
        "drawn",
        "By hand.",
    )
    assert [one["toColumn"] for one in found["columnsLineage"]] == [f"{SERVICE}.{CELL_CHART}"]
    run(catalog, sources(catalog))
    assert details(catalog)["source"] == "Manual"


def test_where_columns_cannot_be_added_an_edge_of_a_person_is_left_and_reported(
    catalog: Catalog,
) -> None:
    run(catalog, sources(catalog))
    ends = catalog.table_id(ORDERS), catalog.dashboard(PROJECT)["id"]
    catalog.put_edge(*ends, source="Manual")
    catalog.faults.faults.append(Fault("PATCH /api/v1/lineage", status=405, times=None))
    frame = run(catalog, sources(catalog, of_cell(catalog, "ID")))
    (outcome,) = frame.rows.filter(pl.col("kind") == "edge")["outcome"]
    assert outcome.startswith("skipped: this server does not add columns")
    assert details(catalog)["source"] == "Manual"


@pytest.mark.parametrize("override", [False, True])
def test_edges_of_openmetadatas_connector_go_only_when_they_may(
    catalog: Catalog, override: bool
) -> None:
    by = recipe({"deletionGuardPercent": 100}, overrideLineage=override)
    run(catalog, sources(catalog), by)
    to = catalog.dashboard(PROJECT)["id"]
    for table in (ORDERS, EVENTS):
        catalog.put_edge(catalog.table_id(table), to, source="DashboardLineage")

    run(catalog, sources(catalog, of_cell(catalog, "ID")), by)

    assert "Published by hex-assets." in details(catalog)["description"]
    assert len(catalog.upstream(PROJECT)) == (1 if override else 2)


def test_a_component_that_left_hex_goes(catalog: Catalog) -> None:
    run(catalog, sources(catalog))
    gone = projects(project(1), project(9, type="COMPONENT", title="Revenue", trashed_at=CREATED))
    run(catalog, sources(catalog, projects=gone))
    assert chart(catalog, COMPONENT)["deleted"] is True
    assert linked(catalog) == set()


def test_the_owner_of_a_component_need_not_own_a_project(catalog: Catalog) -> None:
    component = project(9, type="COMPONENT", title="Revenue", owner_email="Cleo@shop.example")
    frame = run(catalog, sources(catalog, projects=projects(project(1), component)))
    assert [owner["name"] for owner in chart(catalog, COMPONENT)["owners"]] == ["cleo"]
    (reason,) = frame.rows.filter(frame.rows["fqn"] == f"{SERVICE}.{COMPONENT}")["reason"]
    assert reason == "does not exist"
