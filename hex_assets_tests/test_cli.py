"""The command as a user meets it: output, advice and exit codes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hex_assets.cli import app
from hex_assets.sandbox.faults import Fault
from hex_assets_tests.conftest import Location

FINANCE = "hex_finance"
TOKEN = "source.serviceConnection.config.token"
SERVER = "workflowConfig.openMetadataServerConfig"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a dagster.yaml, and frames in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEX_ASSETS_STORAGE", str(tmp_path / "frames"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


def run(command: str, config: Path) -> Result:
    return CliRunner().invoke(app, [command, "-c", str(config)])


def test_help_names_commands_and_exit_codes() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for word in ("ingest", "check", "demo", "2 bad input"):
        assert word in result.output


@pytest.mark.parametrize("command", ["ingest", "check"])
def test_a_missing_file_is_bad_input(command: str, tmp_path: Path) -> None:
    result = run(command, tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "cannot be read" in result.output


@pytest.mark.parametrize("command", ["ingest", "check"])
def test_a_misspelt_key_is_bad_input_and_corrected(command: str, location: Location) -> None:
    location.edit_recipe(FINANCE, "source.sourceConfig.config.markDeletedDashboard", True)
    result = run(command, location.recipe_path(FINANCE))
    assert result.exit_code == 2
    assert "Did you mean markDeletedDashboards?" in result.output
    assert location.sandbox.hex_faults.requests == []


def test_check_passes_on_the_sandbox_and_takes_a_folder(location: Location) -> None:
    result = run("check", location.sandbox.recipes)
    assert result.exit_code == 0, result.output
    assert "hex_finance" in result.output
    assert "hex_growth" in result.output
    assert "personal token" in result.output
    assert "workspace token" in result.output
    assert location.catalog_writes() == []


def test_check_says_what_to_do_about_a_wrong_token(location: Location) -> None:
    location.edit_recipe(FINANCE, TOKEN, "hxtp_wrong")
    result = run("check", location.recipe_path(FINANCE))
    assert result.exit_code == 1
    assert "HTTP 401" in result.output
    assert "Make a new token in Hex" in result.output
    assert "OpenMetadata: version" in result.output


@pytest.mark.parametrize("suffix", ["", "/wrong/api"])
def test_a_wrong_openmetadata_host_is_named(location: Location, suffix: str) -> None:
    location.edit_recipe(FINANCE, f"{SERVER}.hostPort", location.sandbox.catalog_url + suffix)
    result = run("check", location.recipe_path(FINANCE))
    assert result.exit_code == 1
    assert "hostPort must end in /api" in result.output


def test_ingest_publishes_and_then_has_nothing_to_do(location: Location) -> None:
    first = run("ingest", location.recipe_path(FINANCE))
    assert first.exit_code == 0, first.output
    assert "openmetadata_entities" in first.output
    location.sandbox.catalog_faults.requests.clear()
    second = run("ingest", location.recipe_path(FINANCE))
    assert second.exit_code == 0
    assert location.catalog_writes() == []


def plan(config: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["plan", "-c", str(config), *options])


def test_a_plan_is_shown_then_reviewed_then_applied(location: Location, tmp_path: Path) -> None:
    config, file = location.recipe_path(FINANCE), tmp_path / "plan.json"
    unread = plan(config)
    assert unread.exit_code == 1
    assert "hex-assets plan --read" in unread.output

    shown = plan(config, "--read", "--out", str(file))
    assert shown.exit_code == 3, shown.output
    assert "+ create service hex_finance" in shown.output
    assert location.sandbox.catalog_faults.writes() == []

    apply = ["ingest", "-c", str(config), "--plan-file", str(file)]
    location.sandbox.hex_faults.requests.clear()
    applied = CliRunner().invoke(app, apply)
    assert applied.exit_code == 0, applied.output
    assert location.sandbox.hex_faults.requests == []
    assert location.catalog_writes() != []

    location.sandbox.catalog_faults.requests.clear()
    nothing = plan(config, "--json")
    assert nothing.exit_code == 0
    changes = json.loads(nothing.stdout)["workspaces"][FINANCE]["changes"]
    assert {change["action"] for change in changes} == {"skip"}
    again = CliRunner().invoke(app, apply)
    assert again.exit_code == 1
    assert "not what was reviewed" in again.output
    assert location.catalog_writes() == []


@pytest.mark.parametrize("content", ["", "{}", '{"workspaces": {}}'])
def test_what_is_no_plan_for_the_recipe_is_refused(
    location: Location, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(content)
    config = str(location.recipe_path(FINANCE))
    result = CliRunner().invoke(app, ["ingest", "-c", config, "--plan-file", str(file)])
    assert result.exit_code == 2
    assert "plan" in result.output
    assert location.sandbox.catalog_faults.requests == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("GET /api/v1/projects", status=429, headers={"retry-after": "0"}), "HTTP 429"),
        (Fault("GET /api/v1/projects", kind="reset"), "no answer"),
        (Fault("GET /api/v1/projects", kind="garbage"), "Is source.serviceConnection"),
        (Fault("(GET /api/v1/cells|POST /api/v1/projects/export)", status=500), "listing cells"),
    ],
)
def test_hex_failing_leaves_the_catalog_alone(location: Location, fault: Fault, words: str) -> None:
    location.sandbox.hex_faults.faults.append(replace(fault, times=None))
    result = run("ingest", location.recipe_path(FINANCE))
    assert result.exit_code == 1
    assert words in result.output
    assert "Not executing" not in result.output
    written = location.catalog()["dashboards"]
    assert written == {} or "cells" in words


def test_an_expired_jwt_is_named_and_not_shown(location: Location) -> None:
    location.edit_recipe(FINANCE, f"{SERVER}.securityConfig.jwtToken", "secret-and-expired")
    result = run("ingest", location.recipe_path(FINANCE))
    assert result.exit_code == 1
    assert "The JWT is wrong, expired or revoked" in result.output
    assert "secret-and-expired" not in result.output


def test_a_log_without_the_columns_is_explained(location: Location) -> None:
    location.edit_recipe(
        FINANCE,
        "workflowConfig.config.hexAssets.warehouses.snowflake_prod.columns",
        {"query_text": "sql_text"},
    )
    result = run("ingest", location.recipe_path(FINANCE))
    assert result.exit_code == 1
    assert "has no column sql_text; it has query_id, query_text" in result.output


def test_an_empty_workspace_is_no_failure_but_is_pointed_out(location: Location) -> None:
    state = location.sandbox.hex_state
    state.put_workspace(replace(state.workspace(FINANCE), projects=(), cells={}))
    result = run("ingest", location.recipe_path(FINANCE))
    assert result.exit_code == 0
    assert "0 projects or components" in result.output


def test_history_is_read_on_from_the_last_run_or_anew(location: Location) -> None:
    def rows_read(*options: str) -> list[int]:
        command = ["ingest", "-c", str(location.recipe_path(FINANCE)), *options]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
        return [int(found) for found in re.findall(r"UTC, (\d+) rows", result.output)]

    first = rows_read()
    again = rows_read()
    assert len(again) == len(first)
    assert sum(again) < sum(first) / 2
    assert rows_read("--reset-history") == first
