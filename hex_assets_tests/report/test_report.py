"""The page without a browser: what its lists say, and that data in it stays data."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hex_assets.cli import app
from hex_assets.report.page import render_report
from hex_assets_tests.impact.stores import NOON, ORDERS, WORKSPACE, project, store
from hex_assets_tests.report.stores import (
    HOSTILE,
    SECRET_SQL,
    coverage,
    entity,
    store_company,
)


@dataclass
class Page(HTMLParser):
    """What an HTML parser sees of a page.

    Attributes:
        rows: text of the cells of each table row, by the section it is in.
        scripts: attributes and content of each script.
        addresses: each address that an attribute holds, with tag and attribute.
        tags: names of all tags.
    """

    rows: dict[str, list[list[str]]] = field(default_factory=dict)
    scripts: list[tuple[dict[str, str | None], str]] = field(default_factory=list)
    addresses: list[tuple[str, str, str]] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    _section: str = ""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._open.append(tag)
        given = dict(attrs)
        if tag == "section":
            self._section = given["id"] or ""
        if tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        if tag == "td":
            self.rows[self._section][-1].append("")
        if tag == "script":
            self.scripts.append((given, ""))
        for name in ("src", "href", "action", "data", "srcset"):
            if given.get(name):
                self.addresses.append((tag, name, given[name] or ""))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            attributes, content = self.scripts[-1]
            self.scripts[-1] = (attributes, content + data)
        elif "td" in self._open:
            self.rows[self._section][-1][-1] += data

    def listed(self, section: str) -> list[list[str]]:
        """The rows of a section's table, white space told once."""
        rows = [[" ".join(cell.split()) for cell in row] for row in self.rows.get(section, [])]
        return [row for row in rows if row]

    @property
    def data(self) -> Mapping[str, Any]:
        (content,) = [text for given, text in self.scripts if given.get("id") == "data"]
        found: Mapping[str, Any] = json.loads(content)
        return found


def page(root: str, workspace: str | None = None, later: timedelta = timedelta()) -> Page:
    read = Page()
    read.feed(render_report(root, workspace, NOON + later))
    return read


@pytest.fixture
def root(tmp_path: Path) -> str:
    return store_company(tmp_path / "frames")


def test_the_command_writes_one_file_that_fetches_nothing(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEX_ASSETS_STORAGE", root)
    out = tmp_path / "pages" / "lineage.html"
    result = CliRunner().invoke(app, ["report", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert [path.name for path in out.parent.iterdir()] == ["lineage.html"]
    html = out.read_text(encoding="utf-8")
    written = Page()
    written.feed(html)
    assert {"link", "img", "iframe", "object", "base"} & written.tags == set()
    elsewhere = [one for one in written.addresses if not one[2].startswith("#")]
    assert {(tag, name) for tag, name, _ in elsewhere} == {("a", "href")}
    assert all(address.startswith("https://app.hex.tech/") for _, _, address in elsewhere)
    assert "default-src 'none'" in unescape(html)


def test_hostile_titles_stay_text(root: str) -> None:
    read = page(root)
    assert len(read.scripts) == 4
    assert HOSTILE in {one["title"] for one in read.data["projects"]}
    assert "img" not in read.tags
    assert [one for one in read.addresses if "javascript" in one[2]] == []
    assert "javascript:" not in json.dumps(read.data)


def test_no_sql_is_in_the_page(root: str) -> None:
    html = render_report(root, None, NOON)
    assert "s3cr3t" not in html
    assert SECRET_SQL.split("=")[0] not in html


def test_most_read_tables_count_live_projects(root: str) -> None:
    first, *others = page(root).listed("most-read")
    # The archived project reads it too, and does not count; one of the others names no cell.
    assert first == [ORDERS, "3", "", "2", "3", "130", "2026-11-20"]
    assert len(others) == 2


def test_failing_and_stale_projects(root: str) -> None:
    listed = page(root).listed("troubled")
    assert [(row[0].rstrip(" ↗"), row[1]) for row in listed] == [
        ("Broken", "failing latest run ended ERRORED"),
        ("Weekly revenue", "stale runs DAILY 06:30 +00:00, last completed 3 days ago"),
        (" ".join(HOSTILE.split()), "stale is scheduled, and no run of it completed"),
    ]


def test_old_frames_do_not_make_every_project_stale(tmp_path: Path) -> None:
    root = store_company(tmp_path, hex_projects=[project(5, "Healthy", schedules=["DAILY 06:30"])])
    assert page(root, later=timedelta(days=90)).listed("troubled") == []


def test_runs_that_could_not_be_read_make_nothing_stale(tmp_path: Path) -> None:
    unknown = [coverage(number, state="not available", read_at=None) for number in range(1, 7)]
    root = store_company(tmp_path, hex_coverage=unknown, hex_runs=[])
    assert page(root).listed("troubled") == []


def test_unused_projects_those_that_still_run_first(tmp_path: Path) -> None:
    projects = [
        project(1, "Asleep"),
        project(2, "Draft", last_published_at=None),
        project(3, "Runs for nobody", schedules=["HOURLY :40 +00:00"]),
        project(4, "Seen", views_30_days=1),
        project(5, "Part", type="COMPONENT"),
    ]
    listed = page(store_company(tmp_path, hex_projects=projects)).listed("unused")
    assert [row[0].rstrip(" ↗") for row in listed] == ["Runs for nobody", "Asleep"]


def test_references_that_are_not_linked(root: str) -> None:
    assert page(root).listed("unresolved") == [
        ["old.orders", "not in the catalog", "Weekly revenue", "8"],
        ["tmp.x", "not in the catalog", "Scratch", "1"],
    ]


def test_what_the_last_run_changed_failures_first(root: str) -> None:
    assert [[row[0], row[1], row[3]] for row in page(root).listed("changed")] == [
        ["dashboard Scratch", "update", "failed: HTTP 500"],
        [f"edge {ORDERS} → Weekly revenue", "create", "done"],
    ]


def test_done_with_a_note_is_no_failure_and_kinds_come_in_their_order(tmp_path: Path) -> None:
    entities = [
        entity("usage", f"{WORKSPACE}.x", "update"),
        entity("edge", "a -> b", "create", "done: without columns, which were refused"),
        entity("chart", f"{WORKSPACE}.y", "create"),
        entity("edge", "a -> c", "create", "skipped: needs dashboard c, which failed"),
    ]
    root = store_company(tmp_path / "frames", openmetadata_entities=entities)
    found = [(row[0].split()[0], row[3].split(":")[0]) for row in page(root).listed("changed")]
    assert found == [("edge", "skipped"), ("chart", "done"), ("edge", "done"), ("usage", "done")]


def test_the_graph_holds_every_read_once(root: str) -> None:
    data = page(root).data
    assert len(data["edges"]) == 6
    project_at, table_at, cell_at, _, evidence, executions, seen, read = data["edges"][0]
    assert data["projects"][project_at]["title"] == "Weekly revenue"
    assert data["tables"][table_at] == ORDERS
    assert data["cells"][cell_at][1:] == ["cell-1", "orders by region"]
    assert [name for at, name in enumerate(data["evidence"]) if evidence & 1 << at] == [
        "cell_sql",
        "query_history",
    ]
    assert (executions, seen) == (30, int(NOON.timestamp()))
    uses = {
        data["columns"][read[at]]: [
            use for place, use in enumerate(data["uses"]) if read[at + 1] & 1 << place
        ]
        for at in range(0, len(read), 2)
    }
    assert uses == {"AMOUNT": ["output"], "REGION": ["filter", "group"]}
    assert len(data["tables"]) == len(set(data["tables"])) == 4


def test_frames_that_are_missing_are_told(tmp_path: Path) -> None:
    root = store(tmp_path, hex_runs=None)
    html = render_report(root, None, NOON)
    assert f"{WORKSPACE}: hex_runs is not stored yet" in html
    assert f"{WORKSPACE}: unresolved_references is not stored yet" in html


def test_one_workspace_or_all(root: str) -> None:
    store(Path(root), "hex_growth", hex_projects=[project(9, "Growth board")], lineage_edges=[])
    assert page(root).data["workspaces"] == [WORKSPACE, "hex_growth"]
    assert page(root, "hex_growth").data["workspaces"] == ["hex_growth"]


def test_nothing_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEX_ASSETS_STORAGE", str(tmp_path))
    result = CliRunner().invoke(app, ["report", "--out", str(tmp_path / "report.html")])
    assert result.exit_code == 2
    assert "hex-assets ingest" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEX_ASSETS_STORAGE", root)
    result = CliRunner().invoke(app, ["report", "--out", root])
    assert result.exit_code == 2
    assert "cannot be written" in result.output


def test_no_dagster_is_loaded_for_the_page(root: str) -> None:
    code = (
        "import sys; from datetime import datetime, timezone; "
        "from hex_assets.report.page import render_report; "
        f"render_report({root!r}, None, datetime.now(timezone.utc)); "
        "print(sorted({'dagster', 'sqlglot', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
