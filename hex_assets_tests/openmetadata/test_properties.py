"""Custom properties: registered once, kept true, and only ours."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from hex_assets.errors import PublishError
from hex_assets.frames import HEX_RUNS, Frame
from hex_assets.openmetadata.properties import PROPERTIES
from hex_assets.openmetadata.publish import Sources, publish
from hex_assets.sandbox.faults import Fault
from hex_assets_tests.openmetadata.catalogs import Catalog
from hex_assets_tests.openmetadata.workspaces import (
    edges,
    project,
    project_id,
    projects,
    recipe,
    rows,
)

WITH = recipe({"customProperties": True, "concurrency": 1})
RAN = datetime(2026, 11, 1, 6, 0, tzinfo=timezone.utc)
SCHEDULED = {
    "project_id": project_id(1),
    "trigger": "SCHEDULED",
    "status": "ERRORED",
    "started_at": RAN,
    "runs": 3,
    "success_rate": 2 / 3,
}
BY_API = SCHEDULED | {
    "trigger": "API",
    "status": "COMPLETED",
    "started_at": datetime(2026, 10, 1, tzinfo=timezone.utc),
    "runs": 1,
    "success_rate": 1.0,
}
TOLD = {
    "hexSchedules": "DAILY 06:00 +00:00",
    "hexPublished": "2026-11-01 06:00",
    "hexSharing": "Analysts, Sales",
    "hexLastRun": "ERRORED 2026-11-01 06:00 SCHEDULED",
    "hexSuccessRate": 75,
}


def sources(*runs: dict[str, Any], gaps: tuple[str, ...] = (), **of_project: Any) -> Sources:
    first = {
        "schedules": ["DAILY 06:00 +00:00"],
        "last_published_at": RAN,
        "groups": ["Analysts", "Sales"],
        **of_project,
    }
    return Sources(
        projects(project(1, **first), project(2)),
        edges(),
        runs=rows(HEX_RUNS, *runs, gaps=gaps),
    )


def run(catalog: Catalog, given: Sources, by: Any = WITH) -> Frame:
    catalog.faults.requests.clear()
    with catalog.client() as client:
        return publish(client, by, given)


def extension(catalog: Catalog, number: int = 1) -> Any:
    return catalog.dashboard(project_id(number)).get("extension")


def test_they_are_registered_and_shown_and_then_left_alone(catalog: Catalog) -> None:
    run(catalog, sources(SCHEDULED, BY_API))
    described = catalog.get("/metadata/types/name/dashboard", fields="customProperties")
    assert [one["name"] for one in described["customProperties"]] == [
        one.name for one in PROPERTIES
    ]
    assert extension(catalog) == TOLD
    assert extension(catalog, 2) is None
    frame = run(catalog, sources(SCHEDULED, BY_API))
    assert catalog.faults.writes() == []
    assert set(frame.rows["action"]) == {"unchanged"}


def test_changes_follow_and_what_is_no_more_goes(catalog: Catalog) -> None:
    run(catalog, sources(SCHEDULED))
    completed = SCHEDULED | {"status": "COMPLETED", "success_rate": 1.0}
    frame = run(catalog, sources(completed, schedules=[], groups=None))
    assert extension(catalog) == {
        "hexPublished": "2026-11-01 06:00",
        "hexLastRun": "COMPLETED 2026-11-01 06:00 SCHEDULED",
        "hexSuccessRate": 100,
    }
    (row,) = frame.rows.filter(kind="dashboard", action="update").to_dicts()
    assert "customProperties" in row["reason"]
    assert row["before"].startswith("customProperties: hexSchedules: DAILY 06:00 +00:00")
    assert "hexLastRun: COMPLETED" in row["after"]
    assert "hexPublished" not in row["before"]
    run(catalog, sources())
    assert "hexLastRun" not in extension(catalog)


def test_runs_that_could_not_be_read_take_nothing_away(catalog: Catalog) -> None:
    run(catalog, sources(SCHEDULED))
    before = extension(catalog)
    run(catalog, sources(gaps=("runs of project 1: HTTP 500",)))
    assert extension(catalog) == before


def test_properties_of_others_stay(catalog: Catalog) -> None:
    run(catalog, sources(SCHEDULED))
    dashboard_type = catalog.get("/metadata/types/name/dashboard")["id"]
    text = {"id": catalog.get("/metadata/types/name/string")["id"], "type": "type"}
    theirs = {"name": "steward", "description": "Who cares.", "propertyType": text}
    catalog.put(f"/metadata/types/{dashboard_type}", theirs)
    catalog.patch_dashboard(
        project_id(1), {"op": "add", "path": "/extension/steward", "value": "Cleo"}
    )
    run(catalog, sources(schedules=[]))
    assert extension(catalog)["steward"] == "Cleo"
    assert "hexSchedules" not in extension(catalog)


def test_without_the_setting_nothing_is_asked_or_written(catalog: Catalog) -> None:
    run(catalog, sources(SCHEDULED), recipe())
    assert extension(catalog) is None
    assert not any("/metadata/types" in line for line in catalog.faults.requests)


def test_a_token_that_may_not_register_them_is_told(catalog: Catalog) -> None:
    catalog.faults.faults.append(
        Fault("PUT /api/v1/metadata/types", times=None, status=403, body='{"message": "denied"}')
    )
    with catalog.client() as client, pytest.raises(PublishError, match="property hexSchedules"):
        publish(client, WITH, sources(SCHEDULED))
    catalog.faults.faults.clear()
    run(catalog, sources(SCHEDULED, BY_API))
    assert extension(catalog) == TOLD
