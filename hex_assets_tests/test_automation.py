"""The schedule and the sensor: one run per workspace, never twice for one change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import cast

import dagster as dg
import pytest

from hex_assets.automation import JOB_NAME, HexAutomation, build_schedule, changed_hex_projects
from hex_assets.errors import TokenRejected
from hex_assets.resources import Recipes
from hex_assets.sandbox.faults import Fault
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


def add_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    instance.add_run(
        dg.DagsterRun(job_name=JOB_NAME, status=status, tags={"dagster/partition": GROWTH})
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


def test_a_change_during_a_run_is_kept_for_after_it(location: Location) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        _, cursor, _ = tick(location, None, instance)
        edit_a_project(location)
        add_run(instance, dg.DagsterRunStatus.STARTED)
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
