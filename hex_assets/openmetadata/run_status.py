"""Our runs, where OpenMetadata's UI shows those of its own ingestion."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import polars as pl

from hex_assets.errors import HexAssetsError
from hex_assets.frames import Frame
from hex_assets.openmetadata import fqn
from hex_assets.openmetadata.client import OpenMetadataClient

if TYPE_CHECKING:
    from hex_assets.recipe import Recipe

PIPELINE = "hex_assets"
"""Name of the ingestion pipeline below the dashboard service."""

_RUNS = UUID("b9a5f1f0-6f3c-4e0d-9a44-6d9a4f1c2a10")
_FAILURES_TOLD = 20


class RunReport:
    """The status of one run of the pipeline, told when it starts and when it ends.

    A status that cannot be told is no reason for a run to fail: it is warned of.
    """

    def __init__(
        self,
        client: OpenMetadataClient,
        service: str,
        run_id: str,
        warn: Callable[[str], None],
        clock: Callable[[], float],
        dagster_url: str = "",
    ) -> None:
        self._client = client
        self._service = service
        self._pipeline = fqn.join(service, PIPELINE)
        self._run_id = str(_as_uuid(run_id))
        self._warn = warn
        self._clock = clock
        self._dagster_url = dagster_url
        self._started = self._now()
        self._frame: Frame | None = None
        self._found = False

    def published(self, frame: Frame) -> None:
        """Note what came of each entity."""
        self._frame = frame

    def begin(self) -> None:
        """Tell that it runs; on the first run there is no service yet to tell it of."""
        self._tell(lambda: self._exists() and self._put({"pipelineState": "running"}))

    def end(self, error: BaseException | None) -> None:
        """Tell how it ended."""
        steps = [_step(self._frame)] if self._frame else []
        if error is not None and not steps:
            steps = [{"name": "openmetadata_entities", "errors": 1, "failures": [_failure(error)]}]
        written = any(step.get("records") for step in steps)
        state = "success" if error is None else "partialSuccess" if written else "failed"
        body = {"pipelineState": state, "endDate": self._now(), "status": steps}
        self._tell(lambda: self._exists() and self._put(body))

    def _exists(self) -> bool:
        """Whether there is a pipeline to tell it of; made if the service is there."""
        if self._found or self._client.ingestion_pipeline(self._pipeline):
            self._found = True
            return True
        service = self._client.dashboard_service(fqn.quote(self._service))
        if service is None:
            return False
        self._client.put_ingestion_pipeline(
            {
                "name": PIPELINE,
                "displayName": "hex-assets",
                "description": self._description(),
                "pipelineType": "metadata",
                "sourceConfig": {"config": {"type": "DashboardMetadata"}},
                "airflowConfig": {},
                "service": {"id": service.id, "type": "dashboardService"},
            }
        )
        self._found = True
        return True

    def _description(self) -> str:
        runs = f"{self._dagster_url}/runs"
        dagster = f"[Dagster]({runs}), under the same ids" if self._dagster_url else "Dagster"
        return f"Runs of hex-assets in {dagster}. It is not deployed here."

    def _put(self, body: Mapping[str, Any]) -> bool:
        times = {"startDate": self._started, "timestamp": self._started}
        self._client.put_pipeline_status(self._pipeline, {"runId": self._run_id, **times, **body})
        return True

    def _tell(self, tell: Callable[[], bool]) -> None:
        try:
            tell()
        except HexAssetsError as error:
            self._warn(f"The run's status could not be shown in OpenMetadata: {error}")

    def _now(self) -> int:
        return int(self._clock() * 1000)


@contextmanager
def reported_run(
    client: OpenMetadataClient,
    recipe: Recipe,
    run_id: str,
    warn: Callable[[str], None],
    clock: Callable[[], float] = time.time,
    dagster_url: str = "",
) -> Iterator[RunReport]:
    """Tell OpenMetadata when the block begins, and how it ends.

    Args:
        run_id: of the Dagster run.
        warn: called with what went wrong when the status could not be told.
        clock: seconds since the epoch.
        dagster_url: of Dagster's UI, for a link to the runs; empty for none.
    """
    report = RunReport(client, recipe.service_name, run_id, warn, clock, dagster_url)
    report.begin()
    try:
        yield report
    except BaseException as error:
        report.end(error)
        raise
    report.end(None)


def _as_uuid(run_id: str) -> UUID:
    try:
        return UUID(run_id)
    except ValueError:
        return uuid5(_RUNS, run_id)


def _step(frame: Frame) -> dict[str, Any]:
    """Counts of one run; ``filtered`` are entities that were left as they are on purpose."""
    outcome, action = frame.rows["outcome"], frame.rows["action"]
    failed = frame.rows.filter(outcome.str.starts_with("failed"))
    skipped = outcome.str.starts_with("skipped")
    done = outcome.str.starts_with("done")
    return {
        "name": "openmetadata_entities",
        "records": int(done.sum()),
        "updated_records": int((done & (action != "create")).sum()),
        "warnings": int(skipped.sum()),
        "errors": failed.height,
        "filtered": int((action == "skip").sum()),
        "failures": [
            {"name": f"{kind} {name}", "error": text.removeprefix("failed: ")}
            for kind, name, text in failed.select("kind", "fqn", pl.col("outcome"))
            .head(_FAILURES_TOLD)
            .iter_rows()
        ],
    }


def _failure(error: BaseException) -> dict[str, str]:
    """Only our own errors speak: another's text could hold anything."""
    text = str(error) if isinstance(error, HexAssetsError) else type(error).__name__
    return {"name": "openmetadata_entities", "error": text}
