"""The command's answers: who reads a table, what a project reads, what a change breaks."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hex_assets.cli import app
from hex_assets_tests.impact.stores import NOON, ORDERS, edge, project, store


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEX_ASSETS_STORAGE", str(tmp_path / "frames"))
    monkeypatch.setenv("COLUMNS", "250")
    store(tmp_path / "frames")
    return tmp_path


def ask(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def asked(*words: str) -> Any:
    result = ask(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_readers_of_a_table_those_who_would_notice_first(root: Path) -> None:
    answer = asked("impact", "core.orders")
    assert answer["subject"] == ORDERS
    assert answer["gaps"] == []
    # Published and scheduled before a draft, that before what is archived, whatever its views.
    assert [one["title"] for one in answer["projects"]] == [
        "Weekly revenue",
        "Customers | all",
        "Scratch",
        "Old board",
    ]
    first = answer["projects"][0]
    assert (first["state"], first["last_run"]) == ("published", "SCHEDULED ERRORED")
    assert first["schedules"] == ["DAILY 06:30 +00:00"]
    (cell,) = first["cells"]
    assert cell == {
        "cell_id": "cell-1",
        "label": "orders by region",
        "target": ORDERS,
        "usage": ["output", "filter", "group"],
        "certain": True,
        "evidence": ["query_history"],
        "component": None,
        "executions": 30,
        "users": 2,
        "last_seen": NOON.isoformat(),
        "via": [],
    }
    assert first["users"] == 2


def test_of_two_that_are_viewed_alike_more_people_come_first(root: Path) -> None:
    store(
        root / "frames",
        hex_projects=[project(1, "One person"), project(2, "Five people"), project(3, "Nobody")],
        lineage_edges=[
            edge(1, ORDERS, users=1, executions=900),
            edge(2, ORDERS, users=5),
            edge(2, ORDERS, cell_id="other", users=3),
            edge(3, ORDERS, users=0, executions=0, last_seen=None),
        ],
    )
    found = asked("impact", "core.orders")["projects"]
    assert [(one["title"], one["users"]) for one in found] == [
        ("Five people", 5),
        ("One person", 1),
        ("Nobody", 0),
    ]
    shown = ask("impact", "core.orders").output
    assert "5+" in shown


def test_readers_of_a_column(root: Path) -> None:
    answer = asked("impact", "orders.amount")
    # Scratch reads the table by columns unknown, so it may read this one; Customers reads another.
    assert [(one["title"], one["cells"][0]["certain"]) for one in answer["projects"]] == [
        ("Weekly revenue", True),
        ("Scratch", False),
        ("Old board", True),
    ]
    assert answer["projects"][0]["cells"][0]["usage"] == ["output"]


def test_the_table_for_people(root: Path) -> None:
    result = ask("impact", "orders.amount")
    assert result.exit_code == 0
    for words in ("Weekly revenue", "ana@shop.example", "orders by region: output", "perhaps"):
        assert words in result.output
    assert "No Hex project is known to read" in ask("impact", "daily.sales".join('""')).output


def test_rows_for_a_spreadsheet(root: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(ask("impact", "core.orders", "--csv").stdout)))
    assert rows[0]["title"] == "Weekly revenue"
    assert (rows[0]["usage"], rows[0]["executions"]) == ("output; filter; group", "30")
    assert rows[1]["title"] == "Customers | all"


def test_what_a_project_reads(root: Path) -> None:
    answer = asked("project", "customers")
    (one,) = answer["projects"]
    assert [(cell["target"], cell["label"]) for cell in one["cells"]] == [
        ("snow.ANALYTICS.CORE.CUSTOMERS", "names"),
        (ORDERS, None),
    ]
    same = asked("project", f"https://app.hex.tech/x/app/{one['project_id']}/latest")
    assert same == answer
    shown = ask("project", "weekly").output
    assert "SCHEDULED ERRORED" in shown
    assert "orders by region" in shown


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["impact", "orders"], "fits several"),
        (["impact", "nothing"], "No table or column known here is called nothing"),
        (["impact"], "Give either"),
        (["impact", "core.orders", "--changed", "x"], "Give either"),
        (["impact", "core.orders", "--markdown"], "--markdown goes with --changed"),
        (["impact", "core.orders", "--csv", "--json"], "Give one of"),
        (["impact", "core.orders", "--workspace", "none"], "There is some of hex_finance"),
        (["project", "scrtch"], "Did you mean Scratch?"),
        (["project", "o"], "fits several"),
    ],
)
def test_what_cannot_be_answered_says_why(root: Path, words: list[str], problem: str) -> None:
    result = ask(*words)
    assert result.exit_code == 2
    assert problem in result.output


def test_nothing_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEX_ASSETS_STORAGE", str(tmp_path))
    result = ask("impact", "orders")
    assert result.exit_code == 2
    assert "hex-assets ingest" in result.output


def test_all_workspaces_or_one(root: Path) -> None:
    store(
        root / "frames",
        "hex_growth",
        hex_projects=[project(9, "Growth board", views_30_days=1_000)],
        lineage_edges=[edge(9, ORDERS)],
        hex_runs=None,
    )
    everywhere = asked("impact", "core.orders")
    assert everywhere["projects"][0]["title"] == "Growth board"
    assert everywhere["gaps"] == ["hex_growth: hex_runs is not stored yet"]
    one = asked("impact", "core.orders", "--workspace", "hex_growth")
    assert [found["title"] for found in one["projects"]] == ["Growth board"]


def test_a_list_of_names_breaks_what_reads_them(root: Path) -> None:
    file = root / "dropped.txt"
    file.write_text("core.orders.region  # renamed\nnowhere.t\n\n")
    result = ask("impact", "--changed", str(file), "--markdown")
    assert result.exit_code == 3
    assert "this change breaks 2 projects" in result.stdout
    assert "[Weekly revenue](https://app.hex.tech/org/app/1)" in result.stdout
    assert "orders by region: filter, group" in result.stdout
    assert "`nowhere.t`" in result.stdout
    harmless = root / "harmless.txt"
    harmless.write_text("shop.orders.payload\n")
    result = ask("impact", "--changed", str(harmless), "--markdown")
    assert result.exit_code == 0
    assert "no project reads what this change removes" in result.stdout


def test_a_title_cannot_break_the_comments_table(root: Path) -> None:
    file = root / "dropped.txt"
    file.write_text("core.customers\n")
    assert r"[Customers \| all]" in ask("impact", "--changed", str(file), "--markdown").stdout


def test_no_dagster_is_loaded_for_an_answer(root: Path) -> None:
    code = (
        "import sys; from hex_assets.impact.answers import who_reads; "
        "from rich.console import Console; "
        f"who_reads({str(root / 'frames')!r}, None, 'core.orders', 'json', Console()); "
        "print(sorted({'dagster', 'sqlglot', 'httpx'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def in_schema(name: str, read: bool) -> dict[str, Any]:
    service, database, schema = name.split(".")
    return {
        "service": service,
        "database": database,
        "schema": schema,
        "schema_fqn": name,
        "read_at": NOON if read else None,
    }


SCHEMAS = [in_schema("SNOW.ANALYTICS.CORE", True), in_schema("SNOW.ANALYTICS.HR", False)]


@pytest.mark.parametrize("name", ["hr.salaries", "analytics.hr.salaries.amount"])
def test_nobody_reads_a_table_of_a_schema_that_nothing_names(root: Path, name: str) -> None:
    store(root / "frames", catalog_schemas=SCHEMAS)
    answer = asked("impact", name)
    assert answer["projects"] == []
    assert answer["subject"].lower().endswith(name)
    assert "nothing names a table of SNOW.ANALYTICS.HR" in answer["gaps"][0]
    shown = ask("impact", name).stdout
    assert "No Hex project is known to read SNOW.ANALYTICS.HR.salaries" in shown
    assert "so it is not known whether" in shown


def test_a_schema_that_another_workspace_reads_is_known(root: Path) -> None:
    store(root / "frames", catalog_schemas=SCHEMAS)
    store(root / "frames", "hex_growth", catalog_schemas=[in_schema("SNOW.ANALYTICS.HR", True)])
    result = ask("impact", "hr.salaries")
    assert result.exit_code == 2
    assert "is called hr.salaries" in result.output


def test_a_name_without_schema_is_told_to_need_one(root: Path) -> None:
    store(root / "frames", catalog_schemas=SCHEMAS)
    result = ask("impact", "salaries")
    assert result.exit_code == 2
    assert "Nothing names a table of 1 schemas; give the schema, too." in result.output


def test_a_change_to_a_schema_that_nothing_names_breaks_nothing(root: Path) -> None:
    store(root / "frames", catalog_schemas=SCHEMAS)
    changed = root / "dropped.txt"
    changed.write_text("hr.salaries\nhr.people.name\n")
    result = ask("impact", "--changed", str(changed))
    assert result.exit_code == 0
    assert "not known to the catalog" not in result.output
    assert result.output.count("No Hex project is known to read") == 2
