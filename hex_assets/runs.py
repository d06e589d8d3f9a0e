"""Run the assets of one workspace from a terminal, as the same Dagster run the UI would make."""

import logging
import os
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_shared.error import SerializableErrorInfo
from upath import UPath

from hex_assets.automation import JOB_NAME
from hex_assets.definitions import build_definitions
from hex_assets.frame_files import SCHEMAS, read_frame
from hex_assets.frames import Frame
from hex_assets.settings import LocationSettings

RESET_HISTORY: Mapping[str, Any] = {
    "ops": {"warehouse_query_history": {"config": {"reset_services": ["*"]}}}
}
"""Run config that reads the query history of all services anew."""

RECONCILE: Mapping[str, Any] = {
    "ops": {op: {"config": {"reconcile": True}} for op in ("catalog", "openmetadata_entities")}
}
"""Run config that reads everything from OpenMetadata, whatever the last run left there."""


def reviewed_plan(fingerprint: str) -> Mapping[str, Any]:
    """Run config that applies the plan of this fingerprint, or nothing."""
    return {"ops": {"openmetadata_entities": {"config": {"reviewed_plan": fingerprint}}}}


_NO_BATCHES = "Emitting implicit Nothing"
"""How Dagster says that a step made no steps; it is no news for a terminal."""

Event = Callable[[str, str], None]
"""Called with a kind (``start``, ``done``, ``failed``, ``log``) and a text while a run goes on."""


@dataclass(frozen=True)
class WorkspaceRun:
    """What came of one run.

    Attributes:
        workspace: partition that was run.
        run_id: id of the Dagster run.
        succeeded: every asset was materialized.
        seconds: duration of each step, in the order of execution.
        failures: step to the error that stopped it.
        warnings: checks that did not pass, with their descriptions.
        frames: what this run stored, by asset.
    """

    workspace: str
    run_id: str
    succeeded: bool
    seconds: Mapping[str, float]
    failures: Mapping[str, str]
    warnings: Mapping[str, str]
    frames: Mapping[str, Frame]


@contextmanager
def dagster_instance(home: Path | None = None) -> Iterator[dg.DagsterInstance]:
    """The instance that the Dagster UI started here would use, so that it shows our runs.

    ``DAGSTER_HOME`` if set, else the working directory if it has a dagster.yaml, else one that
    lives as long as this process.
    """
    if home is not None:
        instance = dg.DagsterInstance.from_config(str(home))
    elif os.environ.get("DAGSTER_HOME"):
        instance = dg.DagsterInstance.get()
    elif Path("dagster.yaml").is_file():
        instance = dg.DagsterInstance.from_config(str(Path.cwd()))
    else:
        instance = dg.DagsterInstance.ephemeral()
    with instance:
        yield instance


def run_workspace(
    settings: LocationSettings,
    workspace: str,
    instance: dg.DagsterInstance,
    event: Event,
    run_config: Mapping[str, Any] | None = None,
    assets: Collection[str] | None = None,
) -> WorkspaceRun:
    """Materialize every asset of one workspace in this process.

    Args:
        run_config: as the launchpad of the Dagster UI takes it.
        assets: only these; what they need besides is taken from the frames of earlier runs.
    """
    with warnings.catch_warnings():
        # Dagster asks to resolve jobs anew although build_definitions just defined this one.
        warnings.filterwarnings("ignore", message="Found asset job named")
        definitions = dg.Definitions.merge(
            build_definitions(settings), dg.Definitions(loggers={"terminal": _logger(event)})
        )
        job = definitions.resolve_job_def(JOB_NAME)
    result = job.execute_in_process(
        partition_key=workspace,
        instance=instance,
        run_config={**(run_config or {}), "loggers": {"terminal": {}}},
        raise_on_error=False,
        asset_selection=None if assets is None else [dg.AssetKey(name) for name in assets],
    )
    materialized = {
        event.asset_key.path[-1]
        for event in result.all_events
        if event.is_step_materialization and event.asset_key
    }
    return WorkspaceRun(
        workspace,
        result.run_id,
        result.success,
        _seconds(result, instance),
        _failures(result),
        _failed_checks(result),
        {
            name: read_frame(UPath(settings.storage) / name / f"{workspace}.parquet", schema)
            for name, schema in SCHEMAS.items()
            if name in materialized
        },
    )


def _seconds(result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> dict[str, float]:
    stats = [s for s in instance.get_run_step_stats(result.run_id) if s.start_time and s.end_time]
    stats.sort(key=lambda step: step.start_time or 0.0)
    return {step.step_key: (step.end_time or 0.0) - (step.start_time or 0.0) for step in stats}


def _failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    failures = {}
    for event in result.all_events:
        if event.is_step_failure and event.step_key:
            data = event.step_failure_data
            own_words = data.user_failure_data and data.user_failure_data.description
            failures[event.step_key] = own_words or _root_cause(data.error)
    return failures


def _root_cause(error: SerializableErrorInfo | None) -> str:
    """The message of an error that is not one of ours, below Dagster's wrapping."""
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error else "failed"


def _failed_checks(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    return {
        check.check_name: check.description or ""
        for check in result.get_asset_check_evaluations()
        if not check.passed
    }


def _logger(event: Event) -> dg.LoggerDefinition:
    class Terminal(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            meta = getattr(record, "dagster_meta", None) or {}
            dagster_event = meta.get("dagster_event")
            if dagster_event is None:
                # Errors are the engine's, of steps it skips for example, and follow from failures;
                # an asset speaks within its step, and raises its own.
                said = meta.get("orig_message") or record.getMessage()
                spoken = logging.INFO <= record.levelno < logging.ERROR
                if meta.get("step_key") and spoken and not said.startswith(_NO_BATCHES):
                    event("log", said)
            elif dagster_event.is_step_start:
                event("start", dagster_event.step_key or "")
            elif dagster_event.is_step_success:
                event("done", dagster_event.step_key or "")
            elif dagster_event.is_step_failure:
                event("failed", dagster_event.step_key or "")

    @dg.logger
    def terminal(init: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger(f"hex_assets.{init.run_id}", level=logging.DEBUG)
        logger.addHandler(Terminal())
        return logger

    return terminal
