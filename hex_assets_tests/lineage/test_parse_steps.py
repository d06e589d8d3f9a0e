"""Many new texts are parsed in Dagster steps of their own, in whatever processes these run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hex_assets.automation import JOB_NAME
from hex_assets.embedding import build_hex_assets_definitions
from hex_assets.errors import ParserProcessError
from hex_assets.lineage import table_references
from hex_assets.lineage.parse_batches import ParseBatches
from hex_assets.lineage.parser_processes import ParserProcesses
from hex_assets.runs import WorkspaceRun, run_workspace
from hex_assets_tests.conftest import Location

FINANCE = "hex_finance"
FRAMES = ("table_references", "lineage_edges", "unresolved_references", "evidence_disagreements")


def texts_per_step(count: int) -> Mapping[str, Any]:
    steps = {"hex_new_texts": {"config": {"texts_per_step": count}}}
    return {"ops": {"table_references": {"ops": steps}}}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def run(location: Location, instance: dg.DagsterInstance, count: int) -> WorkspaceRun:
    said: list[str] = []
    done = run_workspace(
        location.settings,
        FINANCE,
        instance,
        lambda kind, text: said.append(text),
        texts_per_step(count),
    )
    assert not any("implicit" in text for text in said)
    return done


def parsing_steps(done: WorkspaceRun) -> list[str]:
    return sorted(step for step in done.seconds if "hex_parse_batch" in step)


def told(instance: dg.DagsterInstance) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(dg.AssetKey("table_references"))
    assert event is not None
    assert event.asset_materialization is not None
    names = ("statements", "parsed_now", "taken_from_the_store", "not_parsed", "steps_that_parsed")
    metadata = event.asset_materialization.metadata
    return {name: metadata[name].value for name in names}


def waiting(location: Location) -> list[str]:
    folder = Path(location.settings.storage) / "state" / "parse_batches" / FINANCE
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def forget(location: Location) -> None:
    """Take away what was found in texts, as another version of the parser would."""
    state = Path(location.settings.storage) / "state"
    for asset in ("lineage", "table_references"):
        (state / asset / f"{FINANCE}.parquet").unlink()


def test_steps_of_their_own_find_what_one_step_finds(
    location: Location, instance: dg.DagsterInstance
) -> None:
    whole = run(location, instance, 5_000)
    assert parsing_steps(whole) == []
    count = told(instance)["statements"]
    assert count > 30
    assert told(instance) == {
        "statements": count,
        "parsed_now": count,
        "taken_from_the_store": 0,
        "not_parsed": 0,
        "steps_that_parsed": 0,
    }

    forget(location)
    spread = run(location, instance, count // 3)
    assert spread.failures == {}
    assert len(parsing_steps(spread)) == -(-count // (count // 3))
    assert told(instance)["parsed_now"] == count
    assert told(instance)["steps_that_parsed"] == len(parsing_steps(spread))
    for name in FRAMES:
        assert spread.frames[name].rows.equals(whole.frames[name].rows), name
    assert waiting(location) == []

    again = run(location, instance, 1)
    assert parsing_steps(again) == []
    assert told(instance) == {
        "statements": count,
        "parsed_now": 0,
        "taken_from_the_store": count,
        "not_parsed": 0,
        "steps_that_parsed": 0,
    }


def test_lineage_parses_nothing_itself(
    location: Location, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hex_assets.lineage import edges

    parsed: list[int] = []

    class Watched(ParserProcesses):
        def parse(self, texts: Any) -> Any:
            parsed.append(len(texts))
            return super().parse(texts)

    monkeypatch.setattr(edges, "ParserProcesses", Watched)
    assert run(location, instance, 10).failures == {}
    assert set(parsed) == {0}


def test_a_failed_step_fails_the_run_and_the_next_run_parses_the_rest(
    location: Location, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(location, instance, 5_000)
    forget(location)
    parse_batch = table_references.parse_batch

    def second_fails(batches: ParseBatches, name: str, *rest: Any) -> None:
        if name == "1":
            raise ParserProcessError("a process that parses SQL could not be started: no memory.")
        parse_batch(batches, name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(table_references, "parse_batch", second_fails)
        failed = run(location, instance, 10)
    assert failed.failures == {
        "table_references.hex_parse_batch[1]": "a process that parses SQL could not be started: "
        "no memory."
    }
    assert not failed.frames.keys() & {*FRAMES, "catalog_tables", "openmetadata_entities"}
    assert "part-0.parquet" in waiting(location)
    assert "part-1.parquet" not in waiting(location)

    mended = run(location, instance, 10)
    assert mended.failures == {}
    assert parsing_steps(mended) == []
    assert told(instance)["parsed_now"] == 10
    for name in FRAMES:
        assert mended.frames[name].rows.equals(whole.frames[name].rows), name
    assert waiting(location) == []


KILLED = """
import os, signal, sys
from hex_assets.lineage import table_references
from hex_assets.runs import dagster_instance, run_workspace
from hex_assets.settings import LocationSettings

parse_batch = table_references.parse_batch

def third_is_killed(batches, name, *rest):
    if name == "2":
        os.kill(os.getpid(), signal.SIGKILL)
    parse_batch(batches, name, *rest)

table_references.parse_batch = third_is_killed
steps = {"hex_new_texts": {"config": {"texts_per_step": 10}}}
with dagster_instance() as instance:
    run_workspace(
        LocationSettings.from_environment(), sys.argv[1], instance, lambda kind, text: None,
        {"ops": {"table_references": {"ops": steps}}},
    )
"""


def test_a_killed_run_is_completed_by_the_next(
    location: Location, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    settings = location.settings
    killed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, FINANCE],
        env={
            **os.environ,
            "HEX_ASSETS_RECIPES": settings.recipes,
            "HEX_ASSETS_STORAGE": settings.storage,
        },
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert {"part-0.parquet", "part-1.parquet"} <= set(waiting(location))

    done = run(location, instance, 10)
    assert done.failures == {}
    assert told(instance)["taken_from_the_store"] == 20
    assert waiting(location) == []
    forget(location)
    for name, frame in run(location, instance, 5_000).frames.items():
        if name in FRAMES:
            assert frame.rows.equals(done.frames[name].rows), name


def spread_job() -> dg.JobDefinition:
    """The job as another executor runs it; step processes make it anew."""
    return build_hex_assets_definitions(
        os.environ["HEX_ASSETS_RECIPES"],
        storage=os.environ["HEX_ASSETS_STORAGE"],
        key_prefix="bi",
        executor=dg.multiprocess_executor.configured(
            {"start_method": {"forkserver": {"preload_modules": ["hex_assets.embedding"]}}}
        ),
    ).resolve_job_def(JOB_NAME)


def test_an_executor_spreads_the_steps_over_processes(
    location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEX_ASSETS_RECIPES", location.settings.recipes)
    monkeypatch.setenv("HEX_ASSETS_STORAGE", location.settings.storage)
    (tmp_path / "instance").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "instance")) as instance:
        whole = run(location, instance, 5_000)
        count = told(instance)["statements"]
        forget(location)
        result = dg.execute_job(
            dg.reconstructable(spread_job),
            instance,
            run_config=texts_per_step((count + 1) // 2),
            tags={"dagster/partition": FINANCE},
            asset_selection=[dg.AssetKey(["bi", "table_references"])],
        )
        assert result.success
        workers = {event.step_key: event.pid for event in result.all_events if event.is_step_start}
        event = instance.get_latest_materialization_event(dg.AssetKey(["bi", "table_references"]))
    parsing = {pid for step, pid in workers.items() if step and "hex_parse_batch" in step}
    assert len(parsing) == 2
    assert os.getpid() not in parsing
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["parsed_now"].value == count
    assert event.asset_materialization.metadata["steps_that_parsed"].value == 2
    assert waiting(location) == []
    again = location.run(FINANCE)
    for name in FRAMES:
        assert again.frames[name].rows.equals(whole.frames[name].rows), name
