"""The schedule and the sensor: one run per workspace, never twice for one change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import cast

import dagster as dg
import pytest

from hex_assets.automation import (
    JOB_NAME,
    HexAutomation,
    build_schedule,
    build_sensor,
    changed_hex_projects,
)
from hex_assets.definitions import build_definitions
from hex_assets.errors import TokenRejected
from hex_assets.resources import Recipes
from hex_assets.runs import WorkspaceRun, run_workspace
from hex_assets.sandbox.faults import Fault
from hex_assets.settings import LocationSettings
from hex_assets_tests.conftest import Location

GROWTH, FINANCE = "hex_growth", "hex_finance"
LATER = "2099-01-01T00:00:00.000Z"


def tick(
    location: Location, cursor: str | None, instance: dg.DagsterInstance
) -> tuple[list[dg.RunRequest], str | None, str]:
    """Evaluate the sensor once; returns its requests, new cursor and skip message."""
    with dg.build_sensor_context(cursor=cursor, instance=instance) as context:
        result = changed_hex_projects(context, hex_recipes=Recipes(path=location.settings.recipes))
    assert isinstance(result, dg.SensorResult)
    skipped = result.skip_reason.skip_message if result.skip_reason else None
    return list(result.run_requests or ()), result.cursor, skipped or ""


def edit_a_project(location: Location, workspace: str = GROWTH, when: str = LATER) -> None:
    state = location.sandbox.hex_state
    project = state.workspace(workspace).projects[0]
    state.change_project(workspace, project["id"], lastEditedAt=when)


def add_run(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus,
    job_name: str = JOB_NAME,
    assets: Collection[str] = (),
) -> None:
    instance.add_run(
        dg.DagsterRun(
            job_name=job_name,
            status=status,
            tags={"dagster/partition": GROWTH},
            asset_selection={dg.AssetKey(name) for name in assets} or None,
        )
    )


def test_the_first_look_only_records(location: Location) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        requests, cursor, message = tick(location, None, instance)
    assert requests == []
    assert "first look" in message
    assert set(json.loads(cursor or "")) == {GROWTH, FINANCE}


def test_a_tick_sends_one_small_request_per_workspace(location: Location) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        tick(location, None, instance)
    assert len(location.sandbox.hex_faults.requests) == 2


def test_a_change_requests_a_run_of_its_workspace_once(location: Location) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        _, cursor, _ = tick(location, None, instance)
        edit_a_project(location)
        requests, cursor, _ = tick(location, cursor, instance)
        assert [request.partition_key for request in requests] == [GROWTH]
        requests, _, message = tick(location, cursor, instance)
    assert requests == []
    assert "no change" in message


def test_a_queued_run_will_read_the_change(location: Location) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        _, cursor, _ = tick(location, None, instance)
        edit_a_project(location)
        add_run(instance, dg.DagsterRunStatus.NOT_STARTED)
        requests, cursor, message = tick(location, cursor, instance)
        assert requests == []
        assert "queued run" in message
        assert tick(location, cursor, instance)[0] == []


def test_a_queued_run_of_some_assets_may_not_read_the_change(location: Location) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        _, cursor, _ = tick(location, None, instance)
        edit_a_project(location)
        add_run(instance, dg.DagsterRunStatus.NOT_STARTED, assets=["lineage_edges"])
        requests, _, _ = tick(location, cursor, instance)
    assert [request.partition_key for request in requests] == [GROWTH]


@pytest.mark.parametrize("job_name", [JOB_NAME, "__ASSET_JOB"])
def test_a_change_during_a_run_is_kept_for_after_it(location: Location, job_name: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        _, cursor, _ = tick(location, None, instance)
        edit_a_project(location)
        add_run(instance, dg.DagsterRunStatus.STARTED, job_name)
        requests, cursor, message = tick(location, cursor, instance)
        assert requests == []
        assert "run in progress" in message
        (run,) = instance.get_runs()
        instance.delete_run(run.run_id)
        requests, _, _ = tick(location, cursor, instance)
    assert [request.partition_key for request in requests] == [GROWTH]


def test_one_unreachable_workspace_does_not_blind_the_others(location: Location) -> None:
    location.edit_recipe(FINANCE, "source.serviceConnection.config.token", "hxtp_wrong")
    with dg.DagsterInstance.ephemeral() as instance:
        _, cursor, message = tick(location, None, instance)
        assert "HTTP 401" in message
        edit_a_project(location)
        requests, _, _ = tick(location, cursor, instance)
    assert [request.partition_key for request in requests] == [GROWTH]


def test_when_no_workspace_answers_the_tick_fails(location: Location) -> None:
    location.sandbox.hex_faults.faults.append(Fault(r"GET ", status=401, times=None))
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(TokenRejected):
        tick(location, None, instance)


def test_the_schedule_requests_one_run_per_workspace(location: Location) -> None:
    schedule = build_schedule(HexAutomation())
    moment = datetime(2026, 11, 24, 5, tzinfo=timezone.utc)
    with dg.build_schedule_context(scheduled_execution_time=moment) as context:
        evaluated = schedule(context, hex_recipes=Recipes(path=location.settings.recipes))
    requests = list(cast("Iterator[dg.RunRequest]", evaluated))
    assert {request.partition_key for request in requests} == {FINANCE, GROWTH}
    assert len({request.run_key for request in requests}) == 2


def test_runs_say_who_requested_them(location: Location) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        _, cursor, _ = tick(location, None, instance)
        edit_a_project(location)
        (request,), _, _ = tick(location, cursor, instance)
    assert request.tags["hex_assets/workspace"] == GROWTH
    assert request.tags["hex_assets/requested_by"] == "change in Hex"


def test_a_publication_requests_a_run(location: Location) -> None:
    state = location.sandbox.hex_state
    newest = max(state.workspace(GROWTH).projects, key=lambda one: str(one["lastEditedAt"]))
    with dg.DagsterInstance.ephemeral() as instance:
        _, cursor, _ = tick(location, None, instance)
        state.change_project(GROWTH, newest["id"], lastPublishedAt=LATER)
        requests, _, _ = tick(location, cursor, instance)
    assert [request.partition_key for request in requests] == [GROWTH]


def test_what_is_turned_on_starts_turned_on() -> None:
    automation = HexAutomation(turned_on=True)
    assert build_schedule(automation).default_status is dg.DefaultScheduleStatus.RUNNING
    assert build_sensor(automation).default_status is dg.DefaultSensorStatus.RUNNING


def test_freshness_warns_before_it_fails() -> None:
    policy = HexAutomation(fresh_within_hours=10).freshness_policy
    assert policy == dg.FreshnessPolicy.time_window(
        warn_window=timedelta(hours=10), fail_window=timedelta(hours=20)
    )
    assert HexAutomation(fresh_within_hours=None).freshness_policy is None


def listings(location: Location) -> int:
    """How often the projects of a workspace were asked for."""
    return sum(line.startswith("GET /api/v1/projects?") for line in hex_requests(location))


def hex_requests(location: Location) -> list[str]:
    return location.sandbox.hex_faults.requests


def run_projects(location: Location, instance: dg.DagsterInstance) -> WorkspaceRun:
    assets = ["hex_workspace", "hex_projects"]
    return run_workspace(
        location.settings, FINANCE, instance, lambda kind, text: None, assets=assets
    )


def test_a_transient_error_is_retried_by_the_step(location: Location) -> None:
    # One more than the client's own attempts.
    fault = Fault(r"GET /api/v1/projects\?", status=503, times=3)
    location.sandbox.hex_faults.faults.append(fault)
    with dg.DagsterInstance.ephemeral() as instance:
        run = run_projects(location, instance)
        (stats,) = instance.get_run_step_stats(run.run_id, ["hex_projects"])
    assert run.succeeded
    assert stats.attempts == 2


def test_an_outage_fails_the_step_in_the_end_with_our_words(location: Location) -> None:
    fault = Fault(r"GET /api/v1/projects\?", status=503, times=None)
    location.sandbox.hex_faults.faults.append(fault)
    with dg.DagsterInstance.ephemeral() as instance:
        run = run_projects(location, instance)
    assert "HTTP 503" in run.failures["hex_projects"]
    assert listings(location) == 2 * 3


def test_a_refusal_is_not_retried(location: Location) -> None:
    location.sandbox.hex_faults.faults.append(
        Fault(r"GET /api/v1/projects\?", status=403, times=None)
    )
    with dg.DagsterInstance.ephemeral() as instance:
        run = run_projects(location, instance)
    assert "HTTP 403" in run.failures["hex_projects"]
    assert listings(location) == 1


def test_a_back_fill_runs_each_workspace_alone(location: Location) -> None:
    """One run per partition, of which one fails and leaves the other as it should be."""
    definitions = build_definitions(location.settings)
    job = definitions.resolve_job_def(JOB_NAME)
    location.edit_recipe(FINANCE, "source.serviceConnection.config.token", "hxtp_wrong")
    with dg.DagsterInstance.ephemeral() as instance:
        for workspace in Recipes(path=location.settings.recipes).workspaces():
            job.execute_in_process(partition_key=workspace, instance=instance, raise_on_error=False)
        done = {
            spec.key.path[-1]: instance.get_materialized_partitions(spec.key)
            for spec in definitions.resolve_all_asset_specs()
        }
    assert set(map(frozenset, done.values())) == {frozenset({GROWTH})}
    backfills = {node.backfill_policy for node in definitions.resolve_asset_graph().asset_nodes}
    assert backfills == {None}


def test_runs_of_one_workspace_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the configuration of this checkout says; each pool has its limit too."""
    shutil.copy(Path(__file__).parents[1] / "dagster.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        concurrency = instance.get_concurrency_config()
        queue = concurrency.run_queue_config
        assert queue is not None
        assert queue.tag_concurrency_limits == [
            {"key": "dagster/partition", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
        ]
        assert concurrency.pool_config.default_pool_limit == 2


def test_steps_stand_in_the_pool_of_the_system_they_ask() -> None:
    graph = build_definitions(LocationSettings()).resolve_asset_graph()
    pools = {node.key.path[-1]: node.pools for node in graph.asset_nodes}
    assert pools["hex_projects"] == pools["hex_cells"] == {"hex_api"}
    assert pools["warehouse_query_history"] == {"hex_warehouse"}
    assert pools["openmetadata_entities"] == {"hex_openmetadata_api"}
    assert pools["lineage_edges"] == set()
