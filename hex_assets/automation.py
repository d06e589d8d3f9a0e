"""The schedule of the job over all assets, and the sensor that reacts to changes in Hex."""

import json
from collections.abc import Iterable, Iterator

import dagster as dg

from hex_assets.connections import open_hex
from hex_assets.errors import HexAssetsError
from hex_assets.hex.models import ProjectEdit
from hex_assets.resources import Recipes

JOB_NAME = "publish_hex_to_openmetadata"
_PARTITION_TAG = "dagster/partition"

_NOT_STARTED = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
_RUNNING = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def build_schedule(cron: str) -> dg.ScheduleDefinition:
    """One run per workspace at each tick of the cron expression, in UTC; stopped by default."""

    @dg.schedule(
        name="publish_hex_daily",
        cron_schedule=cron,
        job_name=JOB_NAME,
        execution_timezone="UTC",
        description="Requests one run per Hex workspace.",
    )
    def publish_hex_daily(
        context: dg.ScheduleEvaluationContext, recipes: Recipes
    ) -> Iterator[dg.RunRequest]:
        tick = context.scheduled_execution_time.isoformat()
        for workspace in recipes.workspaces():
            yield dg.RunRequest(run_key=f"{workspace} {tick}", partition_key=workspace)

    return publish_hex_daily


def build_sensor(seconds: int) -> dg.SensorDefinition:
    """The sensor, with so many seconds at least between two ticks; stopped by default."""
    return dg.sensor(
        job_name=JOB_NAME,
        minimum_interval_seconds=seconds,
        description="Asks Hex for its newest edits, one small request per workspace and tick, and "
        "requests a run of a workspace in which a project is new, edited or published.",
    )(changed_hex_projects)


def changed_hex_projects(context: dg.SensorEvaluationContext, recipes: Recipes) -> dg.SensorResult:
    """The cursor holds the latest edit or publication seen, per workspace.

    The first look at a workspace only records it. While a run of the workspace is queued, that
    run will read the change, so none is requested; while one is executing, it may have listed the
    projects already, so the change is kept for the next tick.
    """
    seen: dict[str, str] = json.loads(context.cursor or "{}")
    requests: list[dg.RunRequest] = []
    notes: list[str] = []
    errors: list[HexAssetsError] = []
    workspaces = recipes.workspaces()
    for workspace in workspaces:
        try:
            with open_hex(recipes.recipe(workspace)) as client:
                newest = _newest(client.newest_edits())
        except HexAssetsError as error:
            context.log.error(f"{workspace}: {error}")
            errors.append(error)
            continue
        if workspace not in seen:
            notes.append(f"{workspace}: first look, recorded")
        elif newest <= seen[workspace]:
            notes.append(f"{workspace}: no change")
            continue
        elif _has_run(context, workspace, _NOT_STARTED):
            notes.append(f"{workspace}: changed, a queued run will read it")
        elif _has_run(context, workspace, _RUNNING):
            notes.append(f"{workspace}: changed, waiting for the run in progress")
            continue
        else:
            run_key = f"{workspace} {newest}"
            requests.append(dg.RunRequest(run_key=run_key, partition_key=workspace))
        seen[workspace] = newest
    if errors and len(errors) == len(workspaces):
        raise errors[0]
    cursor = json.dumps({name: seen[name] for name in workspaces if name in seen}, sort_keys=True)
    notes += [f"failed: {error}" for error in errors]
    return dg.SensorResult(
        run_requests=requests, skip_reason=None if requests else "; ".join(notes), cursor=cursor
    )


def _newest(edits: Iterable[ProjectEdit]) -> str:
    """The latest edit or publication; a project that leaves does not move it."""
    moments = (moment for edit in edits for moment in (edit.last_edited_at, edit.last_published_at))
    return max((moment.isoformat() for moment in moments if moment), default="")


def _has_run(
    context: dg.SensorEvaluationContext, workspace: str, statuses: list[dg.DagsterRunStatus]
) -> bool:
    filters = dg.RunsFilter(job_name=JOB_NAME, tags={_PARTITION_TAG: workspace}, statuses=statuses)
    return bool(context.instance.get_run_records(filters, limit=1))
