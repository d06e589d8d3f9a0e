"""The schedule of the job over all assets, and the sensor that reacts to changes in Hex."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from hex_assets.connections import open_hex
from hex_assets.errors import HexAssetsError
from hex_assets.frames import HEX_RUNS
from hex_assets.hex.models import ProjectEdit
from hex_assets.project_assets import HexProject
from hex_assets.resources import Recipes
from hex_assets.storage import StoredFrames

JOB_NAME = "publish_hex_to_openmetadata"
WORKSPACE_TAG = "hex_assets/workspace"
REQUESTED_BY_TAG = "hex_assets/requested_by"
_PARTITION_TAG = "dagster/partition"

_SECONDS_BETWEEN_RUNS_TOLD = 300
_MOST_RUNS_TOLD = 500
"""An evaluation of a sensor may take a minute."""

_NOT_STARTED = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
_RUNNING = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


class HexAutomation(dg.Model, dg.Resolvable):
    """When runs are requested, and how old assets may be."""

    schedule: str | None = Field(
        default="0 5 * * *",
        description="Cron expression of the schedule `publish_hex_daily`, which requests one run "
        "per workspace; null for no schedule.",
        examples=["0 5 * * *"],
    )
    timezone: str = Field(
        default="UTC",
        description="Time zone of the cron expression.",
        examples=["Europe/Berlin"],
    )
    sensor_seconds: int | None = Field(
        default=120,
        ge=1,
        description="Least seconds between two looks at Hex of the sensor `changed_hex_projects`, "
        "which requests a run of a workspace that changed; null for no sensor.",
        examples=[120],
    )
    turned_on: bool = Field(
        default=False,
        description="Whether schedule and sensors start switched on. Whoever switches them in the "
        "Dagster UI has the last word.",
        examples=[True],
    )
    fresh_within_hours: float | None = Field(
        default=26.0,
        gt=0,
        description="Age at which Dagster warns that an asset is not fresh; at twice the age its "
        "freshness fails. Null for no freshness policy.",
        examples=[26],
    )

    @property
    def freshness_policy(self) -> dg.FreshnessPolicy | None:
        if self.fresh_within_hours is None:
            return None
        warn = timedelta(hours=self.fresh_within_hours)
        return dg.FreshnessPolicy.time_window(fail_window=2 * warn, warn_window=warn)


def build_schedule(automation: HexAutomation) -> dg.ScheduleDefinition:
    """One run per workspace at each tick of the cron expression."""
    on = automation.turned_on

    @dg.schedule(
        name="publish_hex_daily",
        cron_schedule=automation.schedule or "",
        job_name=JOB_NAME,
        execution_timezone=automation.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED,
        description="Requests one run per Hex workspace.",
    )
    def publish_hex_daily(
        context: dg.ScheduleEvaluationContext, hex_recipes: Recipes
    ) -> Iterator[dg.RunRequest]:
        tick = context.scheduled_execution_time.isoformat()
        for workspace in hex_recipes.workspaces():
            yield _run_request(workspace, tick, "schedule")

    return publish_hex_daily


def build_sensor(automation: HexAutomation) -> dg.SensorDefinition:
    """The sensor that asks Hex for changes."""
    return dg.sensor(
        job_name=JOB_NAME,
        minimum_interval_seconds=automation.sensor_seconds,
        default_status=_sensor_status(automation),
        description="Asks Hex for its newest edits, one small request per workspace and tick, and "
        "requests a run of a workspace in which a project is new, edited or published.",
    )(changed_hex_projects)


def build_project_run_sensor(
    automation: HexAutomation, projects: Mapping[dg.AssetKey, HexProject]
) -> dg.SensorDefinition:
    """The sensor that tells Dagster when Hex ran a project, from the stored ``hex_runs``.

    Its cursor holds the start of the latest successful run told, per project. A tick tells a
    limited number, and the next one the rest.

    Args:
        projects: what is known of the project behind each external asset.
    """

    @dg.sensor(
        name="hex_project_runs",
        minimum_interval_seconds=_SECONDS_BETWEEN_RUNS_TOLD,
        default_status=_sensor_status(automation),
        description="Reports successful runs of Hex projects, as the last run of hex_runs found "
        "them, as materializations of the projects. Asks no server.",
    )
    def hex_project_runs(
        context: dg.SensorEvaluationContext, hex_frames: StoredFrames
    ) -> dg.SensorResult:
        told: dict[str, str] = json.loads(context.cursor or "{}")
        workspaces = {project.workspace for project in projects.values()}
        runs = {name: _latest_successes(hex_frames, name) for name in workspaces}
        events = []
        for key, project in projects.items():
            run = runs[project.workspace].get(project.id)
            if run is None or told.get(project.id, "") >= run["last_success_at"].isoformat():
                continue
            told[project.id] = run["last_success_at"].isoformat()
            events.append(dg.AssetMaterialization(key, metadata=_run_metadata(run)))
            if len(events) == _MOST_RUNS_TOLD:
                break
        known = {project.id for project in projects.values()}
        cursor = {project_id: told[project_id] for project_id in sorted(known & told.keys())}
        return dg.SensorResult(
            asset_events=events,
            skip_reason=None if events else "No run that was not told.",
            cursor=json.dumps(cursor),
        )

    return hex_project_runs


def _latest_successes(frames: StoredFrames, workspace: str) -> dict[str, dict[str, Any]]:
    """Per project, the row of ``hex_runs`` with its latest successful run."""
    stored = frames.last(HEX_RUNS, workspace)
    if stored is None:
        return {}
    rows = stored.rows.filter(pl.col("last_success_at").is_not_null()).sort("last_success_at")
    return {row["project_id"]: row for row in rows.iter_rows(named=True)}


def _run_metadata(run: Mapping[str, Any]) -> dict[str, dg.MetadataValue[Any]]:
    """Numbers among it are plotted over the runs."""
    metadata: dict[str, dg.MetadataValue[Any]] = {
        "hex/ran_at": dg.MetadataValue.timestamp(run["last_success_at"]),
        "hex/trigger": dg.MetadataValue.text(run["trigger"]),
    }
    if run["url"]:
        metadata["hex/latest_run"] = dg.MetadataValue.url(run["url"])
    for name in ("success_rate", "median_seconds"):
        if run[name] is not None:
            metadata[f"hex/{name}"] = dg.MetadataValue.float(run[name])
    return metadata


def _sensor_status(automation: HexAutomation) -> dg.DefaultSensorStatus:
    """Whether the sensors start switched on."""
    on = automation.turned_on
    return dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED


def _run_request(workspace: str, moment: str, requested_by: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{workspace} {moment}",
        partition_key=workspace,
        tags={WORKSPACE_TAG: workspace, REQUESTED_BY_TAG: requested_by},
    )


def changed_hex_projects(
    context: dg.SensorEvaluationContext, hex_recipes: Recipes
) -> dg.SensorResult:
    """The cursor holds the latest edit or publication seen, per workspace.

    The first look at a workspace only records it. While a run of the workspace is queued, that
    run will read the change, so none is requested; while one is executing, it may have listed the
    projects already, so the change is kept for the next tick.
    """
    seen: dict[str, str] = json.loads(context.cursor or "{}")
    requests: list[dg.RunRequest] = []
    notes: list[str] = []
    errors: list[HexAssetsError] = []
    workspaces = hex_recipes.workspaces()
    for workspace in workspaces:
        try:
            with open_hex(hex_recipes.recipe(workspace)) as client:
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
            requests.append(_run_request(workspace, newest, "change in Hex"))
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
