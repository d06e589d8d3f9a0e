"""Published Hex projects in the asset graph: from stored frames, downstream of own tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from upath import UPath

from hex_assets import (
    DagsterHexTranslator,
    HexAutomation,
    HexProject,
    WarehouseTable,
    load_hex_project_specs,
)
from hex_assets.automation import build_project_run_sensor
from hex_assets.frame_files import write_table
from hex_assets.frames import HEX_PROJECTS
from hex_assets.project_assets import project_assets
from hex_assets.storage import StoredFrames
from hex_assets_tests.impact.stores import (
    CUSTOMERS,
    DOTTED,
    NOON,
    ORDERS,
    RAW_ORDERS,
    WORKSPACE,
    edge,
    project,
    run,
    store,
)

REVENUE = dg.AssetKey([WORKSPACE, "weekly_revenue_00000000"])
OTHER = dg.AssetKey([WORKSPACE, "customers_all_00000000"])


def table(key: str, name: str) -> dg.AssetSpec:
    return dg.AssetSpec(key, metadata={"dagster/table_name": name})


def load(root: str, tables: Sequence[dg.AssetSpec] = (), **options: Any) -> dict[dg.AssetKey, Any]:
    return {spec.key: spec for spec in load_hex_project_specs(root, tables, **options)}


def upstream(spec: dg.AssetSpec) -> set[str]:
    return {dep.asset_key.to_user_string() for dep in spec.deps}


def test_published_projects_are_there_with_what_is_known_of_them(tmp_path: Path) -> None:
    specs = load(store(tmp_path))
    assert set(specs) == {REVENUE, OTHER}
    revenue = specs[REVENUE]
    assert revenue.kinds == {"hex"}
    assert revenue.owners == ["ana@shop.example"]
    assert revenue.description == "Weekly revenue"
    assert revenue.metadata["hex/url"].value == "https://app.hex.tech/org/app/1"
    assert revenue.metadata["hex/views_30_days"].value == 40
    assert revenue.tags["hex_assets/workspace"] == WORKSPACE
    assert revenue.metadata["hex/tables"].value == "- ANALYTICS.CORE.ORDERS"
    assert upstream(revenue) == set()


@pytest.mark.parametrize(
    ("schedules", "warns_after"),
    [
        ([], None),
        (["CUSTOM 0 3 * * 1-5 UTC"], None),
        (["DAILY 06:30 +00:00"], timedelta(days=2)),
        (["WEEKLY MONDAY 06:30 +00:00", "HOURLY :10 +00:00"], timedelta(days=1, hours=1)),
    ],
)
def test_freshness_follows_the_most_frequent_schedule(
    tmp_path: Path, schedules: list[str], warns_after: timedelta | None
) -> None:
    root = store(tmp_path, hex_projects=[project(1, "Weekly revenue", schedules=schedules)])
    policy = load(root)[REVENUE].freshness_policy
    if warns_after is None:
        assert policy is None
    else:
        assert policy.warn_window.to_timedelta() == warns_after
        assert policy.fail_window.to_timedelta() > warns_after


@pytest.mark.parametrize("owner", [None, "no address", "ana@shop.technology"])
def test_an_owner_that_dagster_refuses_is_left_out(tmp_path: Path, owner: str | None) -> None:
    root = store(tmp_path, hex_projects=[project(1, "Weekly revenue", owner_email=owner)])
    assert load(root)[REVENUE].owners == []


@pytest.mark.parametrize(
    "name",
    [
        "ANALYTICS.CORE.ORDERS",
        "analytics.core.orders",
        '"ANALYTICS"."CORE"."ORDERS"',
        "`analytics`.`core`.`orders`",
        "[analytics].[core].[orders]",
        "core.orders",
    ],
)
def test_tables_are_matched_by_name_in_any_case(tmp_path: Path, name: str) -> None:
    specs = load(store(tmp_path), [table("orders", name)])
    assert upstream(specs[REVENUE]) == upstream(specs[OTHER]) == {"orders"}


@pytest.mark.parametrize(
    "name", ["orders", "raw.core.orders", "prod.analytics.core.orders", "", 'core."orders']
)
def test_other_tables_are_not_matched(tmp_path: Path, name: str) -> None:
    specs = load(store(tmp_path), [table("orders", name)])
    assert upstream(specs[REVENUE]) == set()


def test_a_name_in_two_services_is_no_evidence_of_one(tmp_path: Path) -> None:
    elsewhere = "snow_dev.ANALYTICS.CORE.ORDERS"
    root = store(tmp_path, lineage_edges=[edge(1, ORDERS), edge(4, elsewhere)])
    specs = load(root, [table("orders", "analytics.core.orders")])
    assert upstream(specs[REVENUE]) == upstream(specs[OTHER]) == set()


def test_a_name_without_database_has_to_fit_one_table_only(tmp_path: Path) -> None:
    copy = "snow.STAGING.CORE.ORDERS"
    root = store(tmp_path, lineage_edges=[edge(1, ORDERS), edge(4, copy)])
    specs = load(root, [table("orders", "core.orders")])
    assert upstream(specs[REVENUE]) == upstream(specs[OTHER]) == set()
    specs = load(root, [table("short", "core.orders"), table("whole", "staging.core.orders")])
    assert upstream(specs[OTHER]) == {"whole"}


def test_a_dot_in_a_quoted_name_is_no_separator(tmp_path: Path) -> None:
    root = store(tmp_path, lineage_edges=[edge(1, DOTTED)])
    specs = load(root, [table("daily", 'analytics.core."daily.sales"')])
    assert upstream(specs[REVENUE]) == {"daily"}


def test_cells_lead_to_the_columns_that_they_read(tmp_path: Path) -> None:
    specs = load(store(tmp_path), [table("orders", "analytics.core.orders")])
    lineage = specs[REVENUE].metadata["dagster/column_lineage"].value
    key = dg.AssetKey("orders")
    assert lineage.deps_by_column == {
        "orders by region": [dg.TableColumnDep(key, "AMOUNT"), dg.TableColumnDep(key, "REGION")]
    }
    # The evidence names no cell, so the project itself reads it.
    other = specs[OTHER].metadata["dagster/column_lineage"].value
    assert set(other.deps_by_column) == {"Customers | all"}


def test_a_translator_decides_key_and_tables_of_other_code_locations(tmp_path: Path) -> None:
    class Translator(DagsterHexTranslator):
        def get_project_spec(self, spec: dg.AssetSpec, project: HexProject) -> dg.AssetSpec:
            return spec.replace_attributes(key=["bi", project.id[-1]])

        def get_table_key(self, table: WarehouseTable) -> dg.AssetKey | None:
            return dg.AssetKey(["dbt", table.table.lower()]) if table.schema == "CORE" else None

    root = store(tmp_path, lineage_edges=[edge(1, CUSTOMERS), edge(1, ORDERS), edge(4, RAW_ORDERS)])
    specs = load(root, [table("orders", "analytics.core.orders")], translator=Translator())
    assert upstream(specs[dg.AssetKey(["bi", "1"])]) == {"orders", "dbt/customers"}
    assert upstream(specs[dg.AssetKey(["bi", "4"])]) == set()


def test_two_projects_with_one_key_are_named(tmp_path: Path) -> None:
    class Translator(DagsterHexTranslator):
        def get_project_spec(self, spec: dg.AssetSpec, project: HexProject) -> dg.AssetSpec:
            return spec.replace_attributes(key="hex")

    with pytest.raises(dg.DagsterInvalidDefinitionError, match=r"000000000004, .*000000000001"):
        load(store(tmp_path), translator=Translator())


def test_before_the_first_run_there_are_no_projects(tmp_path: Path) -> None:
    assert load(str(tmp_path / "nothing")) == {}


def test_frames_of_another_version_keep_no_location_from_loading(tmp_path: Path) -> None:
    root = store(tmp_path)
    old = StoredFrames(root=root)
    path = UPath(root) / "hex_projects" / f"{WORKSPACE}.parquet"
    frame = old.last(HEX_PROJECTS, WORKSPACE)
    assert frame is not None
    write_table(path, frame.rows.drop("url"), {"hex_assets.frame": "hex_projects"})
    assert load(root) == {}


def tick(
    root: str, cursor: str | None
) -> tuple[dict[dg.AssetKey, dg.AssetMaterialization], str | None]:
    projects = {spec.key: one for one, spec in project_assets(root)}
    sensor = build_project_run_sensor(HexAutomation(), projects)
    with dg.build_sensor_context(cursor=cursor) as context:
        result = sensor(context, hex_frames=StoredFrames(root=root))
    assert isinstance(result, dg.SensorResult)
    told = {}
    for event in result.asset_events:
        assert isinstance(event, dg.AssetMaterialization)
        told[event.asset_key] = event
    return told, result.cursor


def test_each_successful_run_in_hex_is_told_once(tmp_path: Path) -> None:
    first = run(1, "COMPLETED", last_success_at=NOON, success_rate=0.5, median_seconds=12.0)
    failed = run(4, "ERRORED")
    root = store(tmp_path, hex_runs=[first, failed])
    told, cursor = tick(root, None)
    assert set(told) == {REVENUE}
    assert told[REVENUE].metadata["hex/ran_at"].value == NOON.timestamp()
    assert told[REVENUE].metadata["hex/success_rate"].value == 0.5
    assert tick(root, cursor) == ({}, cursor)

    by_api = run(1, "COMPLETED", trigger="API", last_success_at=NOON + timedelta(hours=1))
    store(tmp_path, hex_runs=[by_api, first, failed])
    told, _ = tick(root, cursor)
    assert told[REVENUE].metadata["hex/trigger"].value == "API"


def test_without_stored_runs_nothing_is_told(tmp_path: Path) -> None:
    assert tick(store(tmp_path, hex_runs=None), None) == ({}, "{}")
