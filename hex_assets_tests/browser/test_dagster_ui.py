"""The demo in a real browser: materialize by clicking, let the sensor react, see it in the catalog.

What ``hex-assets demo --ui`` starts, started here so that a project can be added to its Hex.
"""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hex_assets.demo import clean_folder, dagster_ui, demo_location
from hex_assets.sandbox.embedded import Sandbox

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

WORKSPACE = "hex_finance"
TITLE = "Added while the sensor was watching"
PATIENCE = 240_000
"""Milliseconds; a run takes about 20 s on two idle processors, and Dagster 15 s to start."""


@dataclass(frozen=True)
class Demo:
    sandbox: Sandbox
    dagster: str
    page: Page

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.dagster}{path}")
        return self.page


@pytest.fixture
def demo(browser: Browser, tmp_path: Path) -> Iterator[Demo]:
    home = clean_folder(tmp_path / "demo")
    with demo_location(home) as (sandbox, settings), dagster_ui(settings, home) as url:
        context = browser.new_context(viewport={"width": 1600, "height": 1000})
        page = context.new_page()
        page.set_default_timeout(60_000)
        yield Demo(sandbox, url, page)
        context.close()


def wait_for_runs(demo: Demo, count: int) -> None:
    page = demo.open("/runs")
    succeeded = page.get_by_text("Success", exact=True)
    succeeded.nth(count - 1).wait_for(timeout=PATIENCE)
    assert page.get_by_text("Failure", exact=True).count() == 0


def materialize_by_clicking(demo: Demo) -> None:
    page = demo.open("/locations/hex_assets.definitions/jobs/publish_hex_to_openmetadata")
    page.get_by_role("button", name=re.compile("Materialize all")).first.click()
    page.get_by_role("dialog").get_by_text("Select a partition").first.click()
    page.get_by_text(WORKSPACE, exact=True).first.click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Launch 1 run").click()
    # The dialog goes when Dagster has taken the run.
    page.get_by_text("Launch runs to materialize").first.wait_for(state="hidden")


def turn_the_sensor_on(demo: Demo) -> None:
    """And wait until its first look has recorded what there is, which the page shows anew."""
    sensor = "/locations/hex_assets.definitions/sensors/changed_hex_projects"
    page = demo.open(sensor)
    page.locator("label:has(input[type=checkbox])").first.click()
    cursor = page.get_by_text(re.compile(f'"{WORKSPACE}"'))
    for _ in range(PATIENCE // 5_000):
        page.wait_for_timeout(5_000)
        demo.open(sensor).get_by_text("Cursor", exact=True).first.wait_for()
        if cursor.count():
            return
    pytest.fail("the sensor never looked")


def add_project(demo: Demo) -> str:
    """A published copy of a project, newer than all others; returns its id."""
    workspace = demo.sandbox.hex_state.workspace(WORKSPACE)
    original = next(
        one
        for one in workspace.projects
        if one["lastPublishedAt"] and not one["archivedAt"] and one["type"] == "PROJECT"
    )
    added = copy.deepcopy(original)
    newest = max(one["lastEditedAt"] for one in workspace.projects)
    later = f"{int(newest[:4]) + 1}{newest[4:]}"
    added |= {"id": str(uuid.uuid4()), "title": TITLE, "createdAt": newest, "lastEditedAt": later}
    demo.sandbox.hex_state.put_project(WORKSPACE, added, workspace.cells.get(original["id"], ()))
    return str(added["id"])


def catalog_text(demo: Demo) -> str:
    demo.page.goto(demo.sandbox.catalog_url)
    return demo.page.locator("body").inner_text()


def test_from_the_first_click_to_the_sensors_run(demo: Demo) -> None:
    materialize_by_clicking(demo)
    wait_for_runs(demo, 1)
    page = demo.open("/assets/lineage_edges")
    page.get_by_text("most_read_tables").first.wait_for()
    page.get_by_text("by_evidence").first.wait_for()
    assert TITLE not in catalog_text(demo)

    turn_the_sensor_on(demo)
    add_project(demo)
    wait_for_runs(demo, 2)
    assert TITLE in catalog_text(demo)
