"""OpenMetadata's UI shows our runs: that one is under way, how it ended, counts and failures."""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from typing import Any

import pytest

from hex_assets.errors import HexAssetsError
from hex_assets.frames import OPENMETADATA_ENTITIES, Frame
from hex_assets.openmetadata.publish import Sources, publish
from hex_assets.openmetadata.run_status import RunReport, reported_run
from hex_assets.sandbox.faults import Fault
from hex_assets_tests.openmetadata.catalogs import Catalog
from hex_assets_tests.openmetadata.workspaces import edges, project, projects, recipe, rows

RUN = str(uuid.UUID(int=7))
NOW = 1_790_000_000.0


def report_of(
    catalog: Catalog, frame: Frame | None, error: BaseException | None = None, run: str = RUN
) -> list[str]:
    """Report one run that published the frame and then failed, or did not; the warnings."""
    warned: list[str] = []
    with (
        pytest.raises(type(error)) if error else nullcontext(),
        catalog.client() as client,
        reported_run(client, recipe(), run, warned.append, lambda: NOW) as report,
    ):
        if frame is not None:
            report.published(frame)
        if error is not None:
            raise error
    return warned


def with_service(catalog: Catalog) -> None:
    with catalog.client() as client:
        publish(client, recipe(), Sources(projects(project(1)), edges()))


def statuses(catalog: Catalog) -> list[dict[str, Any]]:
    path = "/services/ingestionPipelines/hex.hex_assets/pipelineStatus"
    return list(catalog.get(path)["data"])


def entities(*outcomes: tuple[str, str]) -> Frame:
    return rows(
        OPENMETADATA_ENTITIES,
        *(
            {"kind": "dashboard", "fqn": f"hex.{n}", "action": action, "outcome": outcome}
            for n, (action, outcome) in enumerate(outcomes)
        ),
    )


def test_a_run_that_went_well_is_told_with_its_counts(catalog: Catalog) -> None:
    with_service(catalog)
    frame = entities(
        ("create", "done"), ("update", "done"), ("unchanged", "unchanged"), ("skip", "unchanged")
    )
    assert report_of(catalog, frame) == []
    (status,) = statuses(catalog)
    assert status["runId"] == RUN
    assert status["pipelineState"] == "success"
    assert status["startDate"] == status["timestamp"] == status["endDate"] == NOW * 1000
    (step,) = status["status"]
    assert (step["records"], step["updated_records"], step["filtered"]) == (2, 1, 1)
    assert (step["warnings"], step["errors"]) == (0, 0)


def test_a_run_is_shown_as_running_until_it_ends(catalog: Catalog) -> None:
    with_service(catalog)
    with (
        catalog.client() as client,
        reported_run(client, recipe(), RUN, pytest.fail, lambda: NOW),
    ):
        (status,) = statuses(catalog)
        assert status["pipelineState"] == "running"
    assert len(statuses(catalog)) == 1


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ([("create", "done"), ("create", "failed: HTTP 500")], "partialSuccess"),
        ([("create", "failed: HTTP 500"), ("update", "skipped: after a failure")], "failed"),
    ],
)
def test_a_run_that_failed_names_what_failed(
    catalog: Catalog, outcomes: list[tuple[str, str]], state: str
) -> None:
    with_service(catalog)
    report_of(catalog, entities(*outcomes), HexAssetsError("1 entity could not be published"))
    (status,) = statuses(catalog)
    assert status["pipelineState"] == state
    (step,) = status["status"]
    assert step["errors"] == 1
    assert [one["error"] for one in step["failures"]] == ["HTTP 500"]


def test_only_our_own_errors_are_quoted(catalog: Catalog) -> None:
    with_service(catalog)
    report_of(catalog, None, ValueError("password=hunter2"))
    report_of(catalog, None, HexAssetsError("the listing broke off"), run="no uuid")
    texts = {status["status"][0]["failures"][0]["error"] for status in statuses(catalog)}
    assert texts == {"ValueError", "the listing broke off"}
    assert {status["pipelineState"] for status in statuses(catalog)} == {"failed"}


def test_a_run_id_of_another_form_always_becomes_the_same_uuid(catalog: Catalog) -> None:
    with_service(catalog)
    for _ in range(2):
        report_of(catalog, entities(("create", "done")), run="manual run")
    (status,) = statuses(catalog)
    assert uuid.UUID(status["runId"])


def test_before_the_first_publication_there_is_nothing_to_tell_it_of(catalog: Catalog) -> None:
    assert report_of(catalog, None) == []
    assert catalog.faults.writes() == []


def test_a_status_that_cannot_be_told_is_a_warning_and_the_run_goes_on(catalog: Catalog) -> None:
    with_service(catalog)
    catalog.faults.faults.append(Fault("PUT .*pipelineStatus", times=None))
    warnings = report_of(catalog, entities(("create", "done")))
    assert len(warnings) == 2
    assert all("could not be shown in OpenMetadata" in one for one in warnings)


def test_every_release_keeps_every_run(catalog: Catalog) -> None:
    with_service(catalog)
    for run in (1, 2):
        report_of(catalog, entities(("create", "done")), run=str(uuid.UUID(int=run)))
    assert len(statuses(catalog)) == 2


def test_the_pipeline_is_made_once(catalog: Catalog) -> None:
    with_service(catalog)
    for _ in range(2):
        report_of(catalog, entities(("create", "done")))
    made = [line for line in catalog.faults.writes() if line.endswith("/ingestionPipelines")]
    assert len(made) == 1


def test_the_clock_is_the_runs(catalog: Catalog) -> None:
    with_service(catalog)
    ticks = iter([100.0, 250.0])
    with catalog.client() as client:
        report = RunReport(client, "hex", RUN, pytest.fail, lambda: next(ticks))
        report.end(None)
    (status,) = statuses(catalog)
    assert (status["startDate"], status["endDate"]) == (100_000, 250_000)
